//! The dependency graph of modules, which are numbered by their position in the list: a topological
//! order, or the cycles if there is none.

/// The direct dependencies of each module.
#[derive(Debug)]
pub(crate) struct Graph {
    needs: Vec<Vec<u32>>,
}

/// Modules in dependency cycles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cycles {
    /// Paths from a module back to itself, with this module at both ends. Every module of a cycle
    /// is on a path.
    pub(crate) paths: Vec<Vec<u32>>,
    /// Number of modules on the paths.
    pub(crate) modules: usize,
}

impl Graph {
    /// Returns the graph in which module `i` depends on `needs[i]`.
    pub(crate) fn new(needs: Vec<Vec<u32>>) -> Self {
        Self { needs }
    }

    /// Returns the rank of every module. A module has a higher rank than the modules that depend on
    /// it. Modules without a dependency between them have kmod's order.
    ///
    /// # Errors
    /// Dependency cycles.
    pub(crate) fn ranks(&self) -> Result<Vec<u32>, Cycles> {
        let mut users = self.users();
        let mut ready: Vec<usize> = (0..self.needs.len()).filter(|m| users[*m] == 0).collect();
        let mut ranks = vec![0; self.needs.len()];
        let mut next = 0;
        while let Some(module) = ready.pop() {
            ranks[module] = next;
            next += 1;
            for need in self.needs(module) {
                users[need] -= 1;
                if users[need] == 0 {
                    ready.push(need);
                }
            }
        }
        if next as usize == self.needs.len() { Ok(ranks) } else { Err(self.cycles(&users)) }
    }

    /// Returns all direct and indirect dependencies of `module`, by ascending rank. `marks` is
    /// working memory that the caller keeps between calls: one number for each module, initially 0.
    pub(crate) fn closure(&self, module: usize, ranks: &[u32], marks: &mut [u32]) -> Vec<usize> {
        // Each module uses its own mark, so that the marks of earlier calls have no effect.
        let own = u32::try_from(module).unwrap_or(u32::MAX).saturating_add(1);
        let mut found: Vec<usize> = Vec::new();
        let mut at = module;
        let mut done = 0;
        loop {
            for need in self.needs(at) {
                if marks[need] != own {
                    marks[need] = own;
                    found.push(need);
                }
            }
            let Some(next) = found.get(done) else { break };
            at = *next;
            done += 1;
        }
        found.sort_unstable_by_key(|m| ranks[*m]);
        found
    }

    fn needs(&self, module: usize) -> impl DoubleEndedIterator<Item = usize> {
        self.needs[module].iter().map(|need| *need as usize)
    }

    fn users(&self) -> Vec<u32> {
        let mut users = vec![0; self.needs.len()];
        for need in self.needs.iter().flatten() {
            users[*need as usize] += 1;
        }
        users
    }

    /// Returns one path for each module that is in a cycle and not on an earlier path. `users` is
    /// above 0 for the modules that the sort did not reach.
    fn cycles(&self, users: &[u32]) -> Cycles {
        let mut paths: Vec<Vec<u32>> = Vec::new();
        let mut on_path = vec![false; users.len()];
        for start in (0..users.len()).filter(|m| users[*m] > 0) {
            if on_path[start] {
                continue;
            }
            let Some(path) = self.cycle_through(start) else { continue };
            path.iter().for_each(|m| on_path[*m] = true);
            paths.push(path.iter().map(|m| u32::try_from(*m).unwrap_or(u32::MAX)).collect());
        }
        Cycles { paths, modules: on_path.iter().filter(|on| **on).count() }
    }

    /// Returns a path from `start` to itself. The search visits each module once, in kmod's order.
    fn cycle_through(&self, start: usize) -> Option<Vec<usize>> {
        let mut from: Vec<Option<usize>> = vec![None; self.needs.len()];
        let mut stack = vec![start];
        let mut visited = vec![false; self.needs.len()];
        while let Some(module) = stack.pop() {
            if std::mem::replace(&mut visited[module], true) {
                continue;
            }
            for need in self.needs(module) {
                if need == start {
                    return Some(path_to(start, module, &from));
                }
                if !visited[need] {
                    from[need] = Some(module);
                    stack.push(need);
                }
            }
        }
        None
    }
}

/// Returns the path from `start` to `end` and back to `start`; `from` has the module from which
/// each module was reached.
fn path_to(start: usize, end: usize, from: &[Option<usize>]) -> Vec<usize> {
    let mut path = vec![start];
    let mut at = Some(end).filter(|end| *end != start);
    while let Some(module) = at {
        path.push(module);
        at = from[module].filter(|before| *before != start);
    }
    path.push(start);
    path.reverse();
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(text: &str) -> Graph {
        let needs = text.split_whitespace().map(|list| {
            list.split(',').filter(|w| *w != "-").map(|w| w.parse().unwrap()).collect()
        });
        Graph::new(needs.collect())
    }

    #[test]
    fn users_rank_before_their_dependencies() {
        for (text, want) in [
            ("- - -", vec![2, 1, 0]),
            ("1 2 -", vec![0, 1, 2]),
            ("1,2 3 3 -", vec![0, 2, 1, 3]),
            ("", vec![]),
        ] {
            assert_eq!(graph(text).ranks().unwrap(), want, "{text}");
        }
    }

    #[test]
    fn the_closure_is_sorted_by_rank() {
        let graph = graph("1,2 3 3 - 0");
        let ranks = graph.ranks().unwrap();
        let mut marks = vec![0; 5];
        let all: Vec<_> = (0..5).map(|m| graph.closure(m, &ranks, &mut marks)).collect();
        assert_eq!(all, [vec![2, 1, 3], vec![3], vec![3], vec![], vec![0, 2, 1, 3]]);
    }

    #[test]
    fn cycles_are_named_with_their_members() {
        for (text, paths, modules) in [
            ("0", "0-0", 1),
            ("1 0", "0-1-0", 2),
            ("1 2 0 0", "0-1-2-0", 3),
            ("1 0 3 2", "0-1-0 2-3-2", 4),
            // Two cycles that share a module.
            ("1 0,2 1", "0-1-0 2-1-2", 3),
            // Two cycles with a path from one to the other.
            ("1 0,2 3 2", "0-1-0 2-3-2", 4),
            // A module that depends on a cycle without being in it.
            ("1 2 1", "1-2-1", 2),
        ] {
            let cycles = graph(text).ranks().unwrap_err();
            let shown: Vec<String> = cycles
                .paths
                .iter()
                .map(|p| p.iter().map(ToString::to_string).collect::<Vec<_>>().join("-"))
                .collect();
            assert_eq!((shown.join(" ").as_str(), cycles.modules), (paths, modules), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_module_in_a_cycle_is_on_a_path(
            needs in proptest::collection::vec(proptest::collection::vec(0u32..12, 0..3), 12),
        ) {
            let graph = Graph::new(needs);
            let reaches = |from: usize, to: usize| {
                let mut marks = [false; 12];
                let mut stack = vec![from];
                while let Some(at) = stack.pop() {
                    for need in graph.needs(at) {
                        if !std::mem::replace(&mut marks[need], true) {
                            stack.push(need);
                        }
                    }
                }
                marks[to]
            };
            let in_cycle = (0..12).filter(|m| reaches(*m, *m)).count();
            match graph.ranks() {
                Ok(ranks) => {
                    proptest::prop_assert_eq!(in_cycle, 0);
                    for module in 0..12 {
                        for need in graph.needs(module) {
                            proptest::prop_assert!(ranks[module] < ranks[need]);
                        }
                    }
                }
                Err(cycles) => {
                    proptest::prop_assert_eq!(cycles.modules, in_cycle);
                    for path in cycles.paths {
                        for pair in path.windows(2) {
                            let mut needs = graph.needs(pair[0] as usize);
                            proptest::prop_assert!(needs.any(|n| n == pair[1] as usize));
                        }
                    }
                }
            }
        }
    }
}
