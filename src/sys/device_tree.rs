//! The device tree of the running machine, /sys/firmware/fdt: which devices supply others.

use std::io::Read;
use std::path::Path;

use super::devices::{Device, DeviceLink};
use super::{Root, regular_file};
use crate::machine::device_tree::{DeviceTree, HEADER, block_end};

/// Longest tree that is read; those of boards have up to 300 KB.
const LIMIT: usize = 2 << 20;

/// Returns who supplies whom among `devices` by the device tree; nothing on a machine without one.
///
/// The kernel makes device links of the same properties, but only if the supplier is there:
/// a regulator behind a bus whose driver is not loaded has none yet. Here it is the bus that
/// supplies. `fw_devlink=off` leaves all of them out.
pub(crate) fn links(root: &Root, devices: &[Device]) -> Vec<DeviceLink> {
    let Some(tree) = read(root).map(|bytes| DeviceTree::parse(&bytes)) else { return Vec::new() };
    if tree.needs.is_empty() {
        return Vec::new();
    }
    let of_node = |device| Some((node(root, device)?, device));
    let mut nodes: Vec<(String, &Device)> = devices.iter().filter_map(of_node).collect();
    nodes.sort_unstable();
    let at = |path: &str| nodes.binary_search_by(|(node, _)| node.as_str().cmp(path)).ok();
    let device = |path: &str| at(path).map(|at| nodes[at].1.path.clone());
    let links = tree.needs.iter().filter_map(|(consumer, supplier)| {
        let mut above = Path::new(&tree.nodes[*supplier]).ancestors();
        let supplier = above.find_map(|path| device(path.to_str()?))?;
        Some(DeviceLink { consumer: device(&tree.nodes[*consumer])?, supplier })
    });
    links.collect()
}

/// Returns the blocks of the tree. The file may be larger: QEMU pads it to 1 MiB, and the kernel
/// returns a page for each read(2).
fn read(root: &Root) -> Option<Vec<u8>> {
    let mut file = regular_file::open(&root.join("sys/firmware/fdt")).ok()?;
    let mut bytes = vec![0; HEADER];
    file.read_exact(&mut bytes).ok()?;
    let rest = block_end(&bytes)?.min(LIMIT).checked_sub(HEADER)?;
    file.take(rest as u64).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Returns the path of a device's node. Only devices whose modalias is made of the device tree, or
/// that are on an SPI bus, can have one of their own.
fn node(root: &Root, device: &Device) -> Option<String> {
    let modalias = device.modalias.as_bytes();
    if !modalias.starts_with(b"of:") && !modalias.starts_with(b"spi:") {
        return None;
    }
    let link = root.join("sys/devices").join(&device.path).join("of_node");
    let target = std::fs::read_link(link).ok()?;
    Some(target.to_str()?.split_once("/devicetree/base")?.1.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::devices;
    use super::*;
    use crate::machine::device_tree::tests::build;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn suppliers_that_are_missing_stand_behind_their_bus() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::at(scratch.path());
        for (device, node, modalias) in [
            ("platform/soc", "/soc", "of:Nsoc"),
            ("platform/soc/1.i2c", "/soc/i2c@1", "of:Ni2c"),
            ("platform/soc/2.mmc", "/soc/mmc@2", "of:Nmmc"),
            ("platform/soc/2.mmc/part", "/soc/mmc@2", "platform:part"),
        ] {
            let dir = root.join("sys/devices").join(device);
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("modalias"), modalias).unwrap();
            let base = "../../../../firmware/devicetree/base";
            symlink(format!("{base}{node}"), dir.join("of_node")).unwrap();
        }
        let found = devices::scan(&root).unwrap().devices;
        assert!(links(&root, &found).is_empty());
        let fdt = root.join("sys/firmware/fdt");
        fs::create_dir_all(fdt.parent().unwrap()).unwrap();
        fs::write(&fdt, "no tree").unwrap();
        assert!(links(&root, &found).is_empty());
        let mut tree = build(
            r#"{
                { soc
                    compatible "simple-bus"
                    { i2c@1
                        compatible "i2c"
                        { pmic@1b
                            compatible "pmic"
                            { ldo
                                phandle 1
                            }
                        }
                    }
                    { mmc@2
                        compatible "mmc"
                        vmmc-supplier 1
                    }
                }
            }"#,
        );
        tree.resize(1 << 20, 0);
        fs::write(&fdt, &tree).unwrap();
        let links = links(&root, &found);
        let want = ("platform/soc/2.mmc", "platform/soc/1.i2c");
        assert_eq!(links.len(), 1);
        assert_eq!((&*links[0].consumer, &*links[0].supplier), want);
        assert!(read(&root).unwrap().len() < 1000);
    }
}
