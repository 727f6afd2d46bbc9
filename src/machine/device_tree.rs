//! The device tree of a board as the kernel got it, and which of its nodes supply others (the
//! Devicetree Specification, chapter 5; the kernel's drivers/of/property.c).
//!
//! ```text
//! header, numbers big-endian    0  d00dfeed
//!                               8  offset of the structure block   12  offset of the strings
//!                              32  size of the strings             36  size of the structure block
//! structure block, tokens of four bytes, padded to four
//!     1  name NUL                                 a node begins
//!     3  length  offset of the name  value        a property of it
//!     2                                           it ends
//!     4                                           nothing
//!     9                                           the end
//! ```
//!
//! A damaged tree ends where it is damaged: it decides about the order of loads alone.

/// Length of the header that [`block_end`] needs.
pub const HEADER: usize = 40;
/// Depth from which on nodes are left out; real trees are less deep.
const MAX_DEPTH: usize = 32;
/// Length of all paths together from which on nodes are left out. Those of a board with 5,000 nodes
/// have 0.4 MB. A name may be as long as the tree, and is part of the path of every node below.
const MAX_PATHS: usize = 4 << 20;
/// Properties that list suppliers: phandles, each followed by as many cells as the named property
/// of the supplier says.
const LISTS: [(&str, &str); 12] = [
    ("clocks", "#clock-cells"),
    ("power-domains", "#power-domain-cells"),
    ("resets", "#reset-cells"),
    ("phys", "#phy-cells"),
    ("iommus", "#iommu-cells"),
    ("dmas", "#dma-cells"),
    ("mboxes", "#mbox-cells"),
    ("pwms", "#pwm-cells"),
    ("hwlocks", "#hwlock-cells"),
    ("io-channels", "#io-channel-cells"),
    ("interconnects", "#interconnect-cells"),
    ("interrupts-extended", "#interrupt-cells"),
];
/// The same property of the properties that end in `-gpios` or `-gpio`.
const GPIO_CELLS: &str = "#gpio-cells";
/// Properties that list phandles alone.
const PHANDLES: [&str; 3] = ["interrupt-parent", "mmc-pwrseq", "nvmem-cells"];

/// The nodes of a device tree, and what they need of each other.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct DeviceTree {
    /// Paths of the nodes, such as `/soc/mmc@fe320000`. A node comes after its parent.
    pub nodes: Vec<String>,
    /// Pairs of a node that may have a driver and of one that it needs, sorted. Neither is
    /// disabled.
    pub needs: Vec<(usize, usize)>,
}

/// A node with the properties that matter.
#[derive(Default)]
struct Node<'a> {
    /// The nearest node that may have a driver, itself included.
    device: Option<usize>,
    is_disabled: bool,
    phandle: Option<u32>,
    /// The properties that say how many cells follow a phandle, the first of each name.
    cells: Vec<(&'a str, u32)>,
    /// The properties that may name suppliers.
    lists: Vec<(&'a str, &'a [u8])>,
}

/// Returns the end of the blocks of a tree with this header; `None` if it is none.
pub fn block_end(header: &[u8]) -> Option<usize> {
    let end = |offset, size| number(header, offset)?.checked_add(number(header, size)?);
    let is_tree = header.starts_with(&[0xd0, 0x0d, 0xfe, 0xed]);
    is_tree.then_some(end(8, 36)?.max(end(12, 32)?))
}

impl DeviceTree {
    /// Parses a tree; it is empty if `bytes` are none.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut reader = Reader::default();
        let block = |offset, size| bytes.get(number(bytes, offset)?..)?.get(..number(bytes, size)?);
        if block_end(bytes).is_some()
            && let (Some(structure), Some(strings)) = (block(8, 36), block(12, 32))
        {
            reader.read(structure, strings);
        }
        reader.finish()
    }
}

/// The state of the parser.
#[derive(Default)]
struct Reader<'a> {
    paths: Vec<String>,
    nodes: Vec<Node<'a>>,
    /// The nodes that have begun and not ended.
    open: Vec<usize>,
    /// Length of all paths.
    path_bytes: usize,
}

impl<'a> Reader<'a> {
    /// Reads the tokens up to the first that is not understood.
    fn read(&mut self, mut rest: &'a [u8], strings: &'a [u8]) -> Option<()> {
        loop {
            let token = take_number(&mut rest)?;
            match token {
                1 => {
                    let name = string(rest)?;
                    skip(&mut rest, name.len() + 1)?;
                    self.begin(name)?;
                }
                2 => drop(self.open.pop()?),
                3 => {
                    let (length, at) = (take_number(&mut rest)?, take_number(&mut rest)?);
                    let value = rest.get(..length)?;
                    skip(&mut rest, length)?;
                    self.property(string(strings.get(at..)?)?, value)?;
                }
                4 => {}
                _ => return None,
            }
        }
    }

    fn begin(&mut self, name: &str) -> Option<()> {
        let parent = self.open.last().copied();
        let above = parent.map_or("", |at| &self.paths[at]);
        let path = match above {
            "" if name.is_empty() => String::new(),
            above => format!("{above}/{name}"),
        };
        self.path_bytes += path.len();
        self.paths.push(path);
        let (device, is_disabled) =
            parent.map_or((None, false), |at| (self.nodes[at].device, self.nodes[at].is_disabled));
        self.open.push(self.nodes.len());
        self.nodes.push(Node { device, is_disabled, ..Node::default() });
        (self.open.len() <= MAX_DEPTH && self.path_bytes <= MAX_PATHS).then_some(())
    }

    fn property(&mut self, name: &'a str, value: &'a [u8]) -> Option<()> {
        let at = *self.open.last()?;
        let node = &mut self.nodes[at];
        match name {
            "compatible" => node.device = Some(at),
            "status" => node.is_disabled |= !value.starts_with(b"ok"),
            "phandle" => node.phandle = Some(cells(value).next()?),
            _ if is_cell_count(name) => {
                let count = cells(value).next()?;
                if node.cells.iter().all(|(other, _)| *other != name) {
                    node.cells.push((name, count));
                }
            }
            _ if cells_property(name).is_some() => node.lists.push((name, value)),
            _ => {}
        }
        Some(())
    }

    fn finish(self) -> DeviceTree {
        let nodes = self.nodes.iter().enumerate();
        let mut phandles: Vec<(u32, usize)> =
            nodes.filter_map(|(at, node)| Some((node.phandle?, at))).collect();
        phandles.sort_unstable();
        let mut needs = Vec::new();
        for node in self.nodes.iter().filter(|node| !node.is_disabled) {
            let Some(device) = node.device else { continue };
            for (name, value) in &node.lists {
                needs.extend(self.suppliers(name, value, &phandles).map(|at| (device, at)));
            }
        }
        needs.retain(|(device, supplier)| {
            let supplier = &self.nodes[*supplier];
            !supplier.is_disabled && supplier.device != Some(*device)
        });
        needs.sort_unstable();
        needs.dedup();
        DeviceTree { nodes: self.paths, needs }
    }

    /// Returns the nodes that a property names.
    fn suppliers(
        &self,
        name: &str,
        value: &[u8],
        phandles: &[(u32, usize)],
    ) -> impl Iterator<Item = usize> {
        let property = cells_property(name).unwrap_or_default();
        let mut cells = cells(value);
        std::iter::from_fn(move || {
            // 0 stands for an entry that is left out.
            let phandle = cells.find(|cell| *cell != 0)?;
            let found = phandles.binary_search_by_key(&phandle, |(phandle, _)| *phandle).ok()?;
            let at = phandles[found].1;
            if !property.is_empty() {
                let (_, count) = self.nodes[at].cells.iter().find(|(name, _)| *name == property)?;
                for _ in 0..*count {
                    cells.next()?;
                }
            }
            Some(at)
        })
    }
}

/// Returns the property of a supplier that says how many cells follow its phandle in the property
/// `name`: an empty name if none follow, and `None` if `name` lists no suppliers.
fn cells_property(name: &str) -> Option<&'static str> {
    let is_pin_state = || {
        let digits = name.strip_prefix("pinctrl-");
        digits.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
    };
    if name.ends_with("-supplier") || PHANDLES.contains(&name) || is_pin_state() {
        return Some("");
    }
    if name == "gpios" || name.ends_with("-gpios") || name.ends_with("-gpio") {
        return Some(GPIO_CELLS);
    }
    LISTS.iter().find(|(list, _)| *list == name).map(|(_, cells)| *cells)
}

/// Returns whether the property `name` of a supplier says how many cells follow its phandle.
fn is_cell_count(name: &str) -> bool {
    name == GPIO_CELLS || LISTS.iter().any(|(_, cells)| *cells == name)
}

/// Returns the four-byte numbers of a property.
fn cells(value: &[u8]) -> impl Iterator<Item = u32> {
    value.chunks_exact(4).map(|cell| cell.iter().fold(0, |n, byte| n << 8 | u32::from(*byte)))
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(cells(bytes.get(at..)?).next()?).ok()
}

fn take_number(rest: &mut &[u8]) -> Option<usize> {
    let value = number(rest, 0)?;
    skip(rest, 4)?;
    Some(value)
}

/// Skips bytes, and what pads them to four.
fn skip(rest: &mut &[u8], bytes: usize) -> Option<()> {
    *rest = rest.get(bytes.checked_next_multiple_of(4)?..)?;
    Some(())
}

/// Returns the text before the first NUL.
fn string(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().position(|b| *b == 0)?;
    std::str::from_utf8(&bytes[..end]).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Builds a tree from lines: `{ NAME` begins a node, `}` ends it, `NAME VALUE` is a property,
    /// whose value is a text in quotes or numbers.
    pub(crate) fn build(text: &str) -> Vec<u8> {
        let (mut structure, mut strings) = (Vec::new(), Vec::new());
        let token = |out: &mut Vec<u8>, number: usize| {
            out.extend(u32::try_from(number).unwrap().to_be_bytes());
        };
        let pad = |out: &mut Vec<u8>| out.resize(out.len().next_multiple_of(4), 0);
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (word, value) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "{" => {
                    token(&mut structure, 1);
                    structure.extend(value.bytes().chain([0]));
                    pad(&mut structure);
                }
                "}" => token(&mut structure, 2),
                name => {
                    let bytes: Vec<u8> = match value.strip_prefix('"') {
                        Some(text) => text.trim_end_matches('"').bytes().chain([0]).collect(),
                        None => value
                            .split_whitespace()
                            .flat_map(|n| n.parse::<u32>().unwrap().to_be_bytes())
                            .collect(),
                    };
                    token(&mut structure, 4);
                    token(&mut structure, 3);
                    token(&mut structure, bytes.len());
                    token(&mut structure, strings.len());
                    strings.extend(name.bytes().chain([0]));
                    structure.extend(bytes);
                    pad(&mut structure);
                }
            }
        }
        token(&mut structure, 9);
        let mut tree = vec![0xd0, 0x0d, 0xfe, 0xed];
        let end = HEADER + structure.len();
        for number in [0, HEADER, end, 0, 17, 16, 0, strings.len(), structure.len()] {
            token(&mut tree, number);
        }
        tree.extend(structure.into_iter().chain(strings));
        tree
    }

    const BOARD: &str = r#"{
        interrupt-parent 1
        { gic
            compatible "arm,gic-v3"
            phandle 1
            #interrupt-cells 3
        }
        { soc
            compatible "simple-bus"
            { clock@1
                compatible "clk"
                #clock-cells 2
                phandle 2
            }
            { off@2
                compatible "clk"
                status "disabled"
                clocks 2 0 0
                #clock-cells 0
                phandle 3
            }
            { i2c@3
                compatible "i2c"
                status "okay"
                clocks 3 2 7 7
                { pmic@1b
                    compatible "pmic"
                    { regulators
                        vin-supplier 5
                        { ldo1
                            phandle 4
                        }
                        { ldo2
                            phandle 5
                        }
                    }
                }
            }
            { mmc@4
                compatible "mmc"
                vmmc-supplier 4
                clocks 2 7 4 2 2 7
                cd-gpios 0 9 9 9
                pinctrl-names "default"
                pinctrl-0 6 6
                clock-names "a"
                gpios
            }
        }
        { osc
            compatible "clk"
            #clock-cells 0
            phandle 7
        }
        { pins
            compatible "pinctrl"
            { mmc-pins
                phandle 6
            }
        }
    }"#;

    fn needs(tree: &DeviceTree) -> Vec<String> {
        let path = |at: usize| tree.nodes[at].as_str();
        tree.needs.iter().map(|(of, on)| format!("{} {}", path(*of), path(*on))).collect()
    }

    #[test]
    fn suppliers_are_found_by_their_phandles() {
        let tree = DeviceTree::parse(&build(BOARD));
        assert_eq!(
            needs(&tree),
            [
                "/soc/i2c@3 /soc/clock@1",
                "/soc/mmc@4 /soc/clock@1",
                "/soc/mmc@4 /soc/i2c@3/pmic@1b/regulators/ldo1",
                "/soc/mmc@4 /pins/mmc-pins"
            ]
        );
        assert_eq!(tree.nodes[0], "");
    }

    #[test]
    fn damage_ends_the_tree() {
        let whole = build(BOARD);
        assert_eq!(block_end(&whole[..HEADER]), Some(whole.len()));
        assert_eq!(DeviceTree::parse(b""), DeviceTree::default());
        for at in 0..whole.len() {
            assert!(needs(&DeviceTree::parse(&whole[..at])).is_empty());
            for bad in [0, 1, 2, 3, 4, 0x7f, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = bad;
                let tree = DeviceTree::parse(&damaged);
                assert!(tree.needs.iter().all(|(a, b)| a.max(b) < &tree.nodes.len()));
            }
        }
    }

    #[test]
    fn the_size_of_the_paths_is_limited() {
        // Nodes that begin and never end.
        let deep = build(&"{ a\n".repeat(100));
        assert_eq!(DeviceTree::parse(&deep).nodes.len(), MAX_DEPTH + 1);
        // A long name above many nodes.
        let wide = format!("{{ {}\n{}}}", "x".repeat(MAX_PATHS / 4), "{ a\n}\n".repeat(100));
        assert_eq!(DeviceTree::parse(&build(&wide)).nodes.len(), 4);
    }
}
