//! Kernel modules written for the tests, built with Debian's kernel headers.
//!
//! | module | device | what its init does |
//! | --- | --- | --- |
//! | coldplug_slow | virtio console | sleeps for five seconds |
//! | coldplug_first | virtio balloon | takes an I/O port |
//! | coldplug_needy | virtio rng | fails if that port is free: it needs coldplug_first and does not declare it |
//! | coldplug_self | none, but `char-major-61-1` | requests itself, and succeeds whatever the answer |
//! | coldplug_once | none, but `char-major-61-0` | sleeps briefly and logs that it has started |
//! | coldplug_board | virtio input | makes a board: a clock, a network card linked to it, and a card slot whose probe is deferred |
//! | coldplug_clock | the clock | drives it |
//! | coldplug_kill | none | kills the process that loads it, and fails |
//! | coldplug_oops | none | crashes |
//! | coldplug_hang | none | sleeps forever |
//! | coldplug_flood | none | sends 20,000 uevents |
//! | coldplug_nic | none | makes an Ethernet interface, `slow0`; bringing it up takes `seconds=`, or has no end |
//! | coldplug_pvpanic | pvpanic-pci, on ARM64 alone | reports a panic of the kernel, as the kernel's own driver does |
//! | coldplug_text | none | makes a device whose name has line feeds, a terminal escape and a byte that is no UTF-8 |

use crate::arch::Arch;
use crate::kernel::{self, Kernel, Tree};
use crate::tool;
use std::fs;
use std::path::Path;

const SOURCES: [(&str, &str); 13] = [
    (
        "coldplug_slow",
        r#"#include <linux/module.h>
#include <linux/delay.h>
static int __init start(void) { msleep(5000); return 0; }
module_init(start);
MODULE_ALIAS("virtio:d00000003v*");
MODULE_LICENSE("GPL");
"#,
    ),
    (
        "coldplug_first",
        r#"#include <linux/module.h>
#include <linux/ioport.h>
static int __init start(void) { return request_region(0xf90, 1, "coldplug_first") ? 0 : -EBUSY; }
module_init(start);
MODULE_ALIAS("virtio:d00000005v*");
MODULE_LICENSE("GPL");
"#,
    ),
    (
        "coldplug_needy",
        r#"#include <linux/module.h>
#include <linux/ioport.h>
static int __init start(void)
{
	if (!request_region(0xf90, 1, "coldplug_needy"))
		return 0;
	release_region(0xf90, 1);
	return -EIO;
}
module_init(start);
MODULE_ALIAS("virtio:d00000004v*");
MODULE_LICENSE("GPL");
"#,
    ),
    (
        "coldplug_self",
        r#"#include <linux/module.h>
#include <linux/kmod.h>
static int __init start(void)
{
	int answer = request_module("coldplug-again");
	pr_info("coldplug_self: asked for itself, answer %d\n", answer);
	return 0;
}
static void __exit end(void) { }
module_init(start);
module_exit(end);
MODULE_ALIAS("char-major-61-1");
MODULE_ALIAS("coldplug-again");
MODULE_LICENSE("GPL");
"#,
    ),
    (
        "coldplug_once",
        r#"#include <linux/module.h>
#include <linux/delay.h>
static int __init start(void)
{
	msleep(300);
	pr_info("coldplug_once: started\n");
	return 0;
}
static void __exit end(void) { }
module_init(start);
module_exit(end);
MODULE_ALIAS("char-major-61-0");
MODULE_LICENSE("GPL");
"#,
    ),
    (
        "coldplug_kill",
        r#"#include <linux/module.h>
#include <linux/delay.h>
#include <linux/sched/signal.h>
static int __init start(void)
{
	msleep(300);
	send_sig(SIGKILL, current, 1);
	return -EIO;
}
module_init(start);
MODULE_LICENSE("GPL");
"#,
    ),
    (
        "coldplug_oops",
        r#"#include <linux/module.h>
#include <linux/bug.h>
static int __init start(void) { BUG(); return 0; }
module_init(start);
MODULE_LICENSE("GPL");
"#,
    ),
    (
        "coldplug_hang",
        r#"#include <linux/module.h>
#include <linux/delay.h>
static int __init start(void)
{
	for (;;)
		msleep(1000);
	return 0;
}
module_init(start);
MODULE_LICENSE("GPL");
"#,
    ),
    (
        "coldplug_board",
        r#"#include <linux/module.h>
#include <linux/platform_device.h>
static int probe_eth(struct platform_device *device) { return 0; }
static int probe_mmc(struct platform_device *device)
{
	return dev_err_probe(&device->dev, -EPROBE_DEFER, "wait for supplier /board/regulator\n");
}
static struct platform_driver eth = { .probe = probe_eth, .driver = { .name = "coldplug_eth" } };
static struct platform_driver mmc = { .probe = probe_mmc, .driver = { .name = "coldplug_mmc" } };
static int __init start(void)
{
	struct platform_device *clock = platform_device_register_simple("coldplug_clock", -1, NULL, 0);
	struct platform_device *user = platform_device_register_simple("coldplug_eth", -1, NULL, 0);
	platform_device_register_simple("coldplug_mmc", -1, NULL, 0);
	if (!device_link_add(&user->dev, &clock->dev, DL_FLAG_AUTOPROBE_CONSUMER))
		return -EIO;
	return platform_driver_register(&eth) ?: platform_driver_register(&mmc);
}
module_init(start);
MODULE_ALIAS("virtio:d00000012v*");
MODULE_LICENSE("GPL");
"#,
    ),
    (
        "coldplug_flood",
        r#"#include <linux/module.h>
#include <linux/kobject.h>
static int __init start(void)
{
	int count;
	for (count = 0; count < 20000; count++)
		kobject_uevent(&THIS_MODULE->mkobj.kobj, KOBJ_CHANGE);
	return 0;
}
module_init(start);
MODULE_LICENSE("GPL");
"#,
    ),
    (
        "coldplug_nic",
        r#"#include <linux/module.h>
#include <linux/delay.h>
#include <linux/etherdevice.h>
#include <linux/platform_device.h>
static int seconds;
module_param(seconds, int, 0444);
static int bring_up(struct net_device *nic)
{
	int left = seconds;
	pr_info("coldplug_nic: coming up\n");
	do
		msleep(1000);
	while (!seconds || --left > 0);
	return 0;
}
static netdev_tx_t transmit(struct sk_buff *buffer, struct net_device *nic)
{
	dev_kfree_skb(buffer);
	return NETDEV_TX_OK;
}
static const struct net_device_ops ops = { .ndo_open = bring_up, .ndo_start_xmit = transmit };
static int __init start(void)
{
	struct platform_device *device = platform_device_register_simple("coldplug_nic", -1, NULL, 0);
	struct net_device *nic = alloc_netdev(0, "slow%d", NET_NAME_ENUM, ether_setup);
	if (IS_ERR(device) || !nic)
		return -ENOMEM;
	nic->netdev_ops = &ops;
	eth_hw_addr_random(nic);
	SET_NETDEV_DEV(nic, &device->dev);
	return register_netdev(nic);
}
module_init(start);
MODULE_LICENSE("GPL");
"#,
    ),
    (
        "coldplug_text",
        r#"#include <linux/module.h>
#include <linux/platform_device.h>
static int __init start(void)
{
	const char *name = "a\nMODALIAS=virtio:d00000004v1\ncoldplug: verdict=ok\n\x1b[31m\xff";
	return PTR_ERR_OR_ZERO(platform_device_register_simple(name, -1, NULL, 0));
}
module_init(start);
MODULE_LICENSE("GPL");
"#,
    ),
    (
        "coldplug_clock",
        r#"#include <linux/module.h>
#include <linux/platform_device.h>
static int probe(struct platform_device *device) { return 0; }
static struct platform_driver clock = { .probe = probe, .driver = { .name = "coldplug_clock" } };
module_platform_driver(clock);
MODULE_ALIAS("platform:coldplug_clock");
MODULE_LICENSE("GPL");
"#,
    ),
];

/// The module for ARM64, for which Debian's kernels have no driver of pvpanic.
const PVPANIC: [(&str, &str); 1] = [(
    "coldplug_pvpanic",
    r#"#include <linux/module.h>
#include <linux/panic_notifier.h>
#include <linux/pci.h>
static void __iomem *port;
static int report(struct notifier_block *block, unsigned long code, void *text)
{
	iowrite8(1, port);
	return NOTIFY_DONE;
}
static struct notifier_block block = { .notifier_call = report, .priority = 1 };
static int probe(struct pci_dev *device, const struct pci_device_id *id)
{
	int error = pcim_enable_device(device);
	if (error)
		return error;
	port = pcim_iomap(device, 0, 0);
	return port ? atomic_notifier_chain_register(&panic_notifier_list, &block) : -ENOMEM;
}
static const struct pci_device_id table[] = { { PCI_DEVICE(0x1b36, 0x0011) }, { } };
static struct pci_driver reporter =
	{ .name = "coldplug_pvpanic", .id_table = table, .probe = probe };
static int __init start(void) { return pci_register_driver(&reporter); }
module_init(start);
MODULE_DEVICE_TABLE(pci, table);
MODULE_LICENSE("GPL");
"#,
)];

/// Returns [`Kernel::Cloud61`] with these modules added, which is made once.
///
/// # Panics
///
/// If the kernel cannot be unpacked. Without a command or the network the test is ignored.
pub fn tree() -> Tree {
    with_modules(&Kernel::Cloud61.get(), "cloud-6_1", &SOURCES)
}

/// Returns [`Kernel::CloudArm64`] with a driver of pvpanic-pci, which is made once.
///
/// # Panics
///
/// As [`tree`].
pub fn arm64_tree() -> Tree {
    with_modules(&Kernel::CloudArm64.get(), "cloud-6_1-arm64", &PVPANIC)
}

fn with_modules(plain: &Tree, name: &str, sources: &[(&str, &str)]) -> Tree {
    let tree = kernel::kept(&format!("{name}-own-{:016x}", kernel::hash(&sources)), |root| {
        tool::run(tool::command("cp", "coreutils").arg("-al").args([&plain.root, root]));
        let work = tempfile::tempdir().unwrap();
        let headers = headers(plain, work.path());
        let built = build(plain.arch, &headers, &work.path().join("build"), sources);
        let updates = root.join("lib/modules").join(&plain.release).join("updates");
        fs::create_dir_all(&updates).unwrap();
        for (name, _) in sources {
            let file = format!("{name}.ko");
            fs::copy(Path::new(&built).join(&file), updates.join(&file)).unwrap();
        }
    });
    Tree { arch: plain.arch, ..tree }
}

/// Unpacks the headers of a kernel below `dir`, and returns their directory.
fn headers(plain: &Tree, dir: &Path) -> std::path::PathBuf {
    let release = &plain.release;
    let version: Vec<&str> = release.split(['.', '-']).collect();
    let (common, _) = release.split_once("-cloud-").expect("a kernel for virtual machines");
    let arch = plain.arch.debian();
    let packages = [
        (arch, format!("linux-headers-{release}")),
        (arch, format!("linux-headers-{common}-common")),
        // Programs of the build machine.
        ("amd64", format!("linux-kbuild-{}.{}", version[0], version[1])),
    ];
    let files = dir.join("files");
    for (number, (arch, package)) in packages.iter().enumerate() {
        let (apt, _lock) = kernel::apt("bookworm", arch);
        let aside = dir.join(format!("deb{number}"));
        fs::create_dir_all(&aside).unwrap();
        let deb = apt.download(package, &aside);
        tool::run(tool::command("dpkg-deb", "dpkg").arg("-x").args([&deb, &files]));
    }
    // The packages expect to be installed below /usr.
    let home = files.join("usr/src").join(&packages[0].1);
    for name in ["Makefile", ".kernelvariables"] {
        let Ok(text) = fs::read_to_string(home.join(name)) else { continue };
        let here = format!("{}/usr/", files.display());
        fs::write(home.join(name), text.replace("/usr/", &here)).unwrap();
    }
    home
}

/// Builds modules for `arch` in `dir` with the makefiles of the kernel.
fn build(arch: Arch, headers: &Path, dir: &Path, sources: &[(&str, &str)]) -> std::path::PathBuf {
    fs::create_dir_all(dir).unwrap();
    let mut list = String::new();
    for (name, source) in sources {
        fs::write(dir.join(format!("{name}.c")), source).unwrap();
        list += &format!("obj-m += {name}.o\n");
    }
    fs::write(dir.join("Kbuild"), list).unwrap();
    let mut make = tool::command("make", "make");
    if arch == Arch::Aarch64 {
        tool::find("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu");
        // As dpkg-architecture(1) tells the packages that another machine is the target.
        make.envs([("DEB_BUILD_ARCH", "amd64"), ("DEB_HOST_ARCH", arch.debian())]);
        make.env("DEB_HOST_GNU_TYPE", "aarch64-linux-gnu");
    } else {
        tool::find("gcc", "gcc");
    }
    tool::run(
        make.arg("-s").arg("-C").arg(headers).arg(format!("M={}", dir.display())).arg("modules"),
    );
    dir.to_owned()
}
