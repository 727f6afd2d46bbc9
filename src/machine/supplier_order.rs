//! The order in which things come after those that they need, such as devices after their suppliers.

/// A turn in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Index of the thing.
    pub index: usize,
    /// Index of the start that led to it: itself, or one that needs it.
    pub start: usize,
    /// Index of one that needs it, if its turn comes earlier for that reason.
    pub consumer: Option<usize>,
}

/// A step on the way through the suppliers of a thing.
enum Work {
    /// First the suppliers of this one, then itself.
    Enter(usize, Option<usize>),
    /// The suppliers have had their turns.
    Leave(usize, Option<usize>),
}

/// Returns a turn for each index in `starts` and for each that these need, in the order of `starts`
/// except that suppliers come first. `needs` are sorted pairs of a consumer and its supplier, all
/// less than `count`. A cycle is cut where it closes.
pub fn supplier_order(
    count: usize,
    starts: impl IntoIterator<Item = usize>,
    needs: &[(usize, usize)],
) -> Vec<Turn> {
    let mut turns = Vec::with_capacity(count);
    let mut seen = vec![false; count];
    for start in starts {
        // A list and no recursion, because the firmware says how long a chain is.
        let mut work = vec![Work::Enter(start, None)];
        while let Some(next) = work.pop() {
            match next {
                Work::Enter(index, consumer) => {
                    if !std::mem::replace(&mut seen[index], true) {
                        work.push(Work::Leave(index, consumer));
                        let [begin, end] = [index, index + 1]
                            .map(|at| needs.partition_point(|(consumer, _)| *consumer < at));
                        let suppliers = needs[begin..end].iter().rev();
                        work.extend(suppliers.map(|(_, at)| Work::Enter(*at, Some(index))));
                    }
                }
                Work::Leave(index, consumer) => turns.push(Turn { index, start, consumer }),
            }
        }
    }
    turns
}
