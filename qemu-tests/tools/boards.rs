//! Modules for the boards whose device trees Debian's kernels of arm64 and armhf hold.

use crate::device_tree::{modaliases, modaliases_below};
use crate::kernels::{modprobe, same};
use harness::kernel::{Kernel, Tree, stem};
use harness::run::{RELEASE, Test};
use harness::{note, paths, tests};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![RELEASE =>
    modaliases_of_all_boards_of_arm64,
    modaliases_of_all_boards_of_armhf,
    examples_of_the_documentation_load_what_it_says,
    the_set_for_socs_covers_all_boards_of_arm64,
    the_set_for_socs_covers_all_boards_of_armhf,
];

fn modaliases_of_all_boards_of_arm64() {
    compare(Kernel::FullArm64, 500);
}

fn modaliases_of_all_boards_of_armhf() {
    compare(Kernel::ArmMp61, 500);
}

/// Compares the modules that both tools find for the modaliases of all device trees, of which there
/// are `least` or more.
fn compare(kernel: Kernel, least: usize) {
    let tree = kernel.get();
    let (trees, aliases) = modaliases_below(&tree.device_trees());
    let aliases: Vec<String> = aliases.into_iter().collect();
    let lines = same("modprobe", &modprobe(&tree, "-C /none -a -R"), &aliases);
    note!("{trees} device trees, {} modaliases, {lines} equal lines", aliases.len());
    assert!(trees >= least && aliases.len() > 4000 && lines > aliases.len());
}

/// `docs/aliases.md`: `| bus | example | loads |`
fn examples_of_the_documentation_load_what_it_says() {
    let text = fs::read_to_string(paths::checkout().join("docs/aliases.md")).unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> =
            line.strip_prefix("| `")?.strip_suffix("` |")?.split(" | ").collect();
        let [_, example, module] = cells[..] else { return None };
        Some((example.trim_matches('`').to_owned(), module.trim_matches('`').to_owned()))
    };
    let rows: Vec<_> = text.lines().filter_map(row).collect();
    assert!(rows.len() > 6, "{rows:?}");
    let tree = Kernel::FullArm64.get();
    for (example, module) in rows {
        assert_eq!(resolve(&tree, &[example]), BTreeSet::from([module]));
    }
}

/// Directories of modules that no board needs on the way to its root.
const LEFT_OUT: [&str; 38] = [
    "drivers/bluetooth",
    "drivers/char",
    "drivers/cpufreq",
    "drivers/crypto",
    "drivers/devfreq",
    "drivers/edac",
    "drivers/fsi",
    "drivers/gnss",
    "drivers/gpu",
    "drivers/hid",
    "drivers/hsi",
    "drivers/hwmon",
    "drivers/hwtracing",
    "drivers/iio",
    "drivers/input",
    "drivers/leds",
    "drivers/media",
    "drivers/misc",
    "drivers/net/can",
    "drivers/net/dsa",
    "drivers/net/ethernet",
    "drivers/net/phy",
    "drivers/net/wireless",
    "drivers/nfc",
    "drivers/perf",
    "drivers/platform/olpc",
    "drivers/power/reset",
    "drivers/power/supply",
    "drivers/ptp",
    "drivers/remoteproc",
    "drivers/rtc",
    "drivers/soundwire",
    "drivers/staging",
    "drivers/thermal",
    "drivers/usb/gadget",
    "drivers/video",
    "drivers/w1",
    "drivers/watchdog",
];

/// Device trees of boards, and modules that their disks need. Some of these match no modalias in
/// the device tree: they drive parts of a PMIC, or a device on another bus.
const ARM64_BOARDS: &[(&str, &str)] = &[
    ("broadcom/bcm2837-rpi-3-b", "bcm2835 sdhci_iproc dwc2"),
    ("broadcom/bcm2711-rpi-4-b", "sdhci_iproc reset_raspberrypi"),
    (
        "rockchip/rk3399-rockpro64",
        "rk808_regulator fan53555 phy_rockchip_emmc phy_rockchip_pcie dw_mmc_rockchip \
         pwm_rockchip dwc3 fusb302 io_domain",
    ),
    ("freescale/imx8mm-evk", "sdhci_esdhc_imx i2c_imx bd718x7_regulator ci_hdrc_imx"),
    ("freescale/imx8mq-evk", "sdhci_esdhc_imx pfuze100_regulator phy_fsl_imx8mq_usb"),
    ("allwinner/sun50i-a64-pine64-plus", "sunxi_mmc axp20x_rsb axp20x_regulator phy_sun4i_usb"),
    ("allwinner/sun50i-h6-orangepi-3", "sunxi_mmc axp20x_i2c axp20x_regulator"),
    ("amlogic/meson-gxl-s905x-libretech-cc", "meson_gx_mmc pwm_meson gpio_regulator"),
    ("nvidia/tegra210-p3450-0000", "sdhci_tegra max77620_regulator xhci_tegra"),
    ("qcom/apq8016-sbc", "sdhci_msm qcom_smd_regulator ci_hdrc_msm"),
];
const ARMHF_BOARDS: &[(&str, &str)] = &[
    ("am335x-boneblack", "sdhci_omap tps65217 musb_dsps"),
    ("sun7i-a20-cubieboard2", "sunxi_mmc axp20x_regulator ahci_sunxi phy_sun4i_usb"),
    ("sun8i-h3-orangepi-pc", "sunxi_mmc sy8106a_regulator"),
    ("imx6q-sabrelite", "sdhci_esdhc_imx ahci_imx ci_hdrc_imx anatop_regulator"),
    ("exynos5422-odroidxu4", "dw_mmc_exynos s2mps11 phy_exynos5_usbdrd"),
    ("rk3288-veyron-speedy", "dw_mmc_rockchip rk808_regulator clk_rk808"),
    ("stm32mp157c-dk2", "armmmci stpmic1_regulator phy_stm32_usbphyc"),
    ("bcm2837-rpi-3-b", "bcm2835 dwc2"),
];

fn the_set_for_socs_covers_all_boards_of_arm64() {
    check_set(Kernel::FullArm64, ARM64_BOARDS);
}

fn the_set_for_socs_covers_all_boards_of_armhf() {
    check_set(Kernel::ArmMp61, ARMHF_BOARDS);
}

/// Checks that an image with the set has all modules that device trees need, except for those in
/// [`LEFT_OUT`].
fn check_set(kernel: Kernel, boards: &[(&str, &str)]) {
    let tree = kernel.get();
    let paths = paths_of_modules(&tree);
    let set = modules_of_set(&tree, "@soc");
    let size = |name: &String| fs::metadata(tree.modules().join(&paths[name])).unwrap().len();
    let bytes: u64 = set.iter().map(size).sum();
    note!("@soc: {} of {} modules, {} KiB", set.len(), paths.len(), bytes / 1024);
    assert!(set.len() * 8 < paths.len());

    let is_left_out = |name: &str| {
        let path = paths[name].strip_prefix("kernel/").unwrap();
        path.starts_with("sound/") || LEFT_OUT.iter().any(|dir| below(path, dir))
    };
    let (_, all) = modaliases_below(&tree.device_trees());
    let lacking =
        |name: &String| paths.contains_key(name) && !set.contains(name) && !is_left_out(name);
    let needed = resolve(&tree, &all.into_iter().collect::<Vec<_>>());
    assert_eq!(needed.into_iter().filter(lacking).collect::<Vec<_>>(), [""; 0]);
    let wrong: Vec<_> = set.iter().filter(|name| is_foreign(&paths[*name])).collect();
    assert!(wrong.is_empty(), "{wrong:?}");

    for (board, disks) in boards {
        let file = tree.device_trees().join(format!("{board}.dtb"));
        let aliases = modaliases(&fs::read(&file).unwrap_or_else(|e| panic!("{board}: {e}")));
        let loaded = resolve(&tree, &aliases);
        note!("{board}: {} modules", loaded.intersection(&set).count());
        assert!(loaded.intersection(&set).count() > 2, "{board}");
        for module in disks.split_whitespace() {
            assert!(set.contains(module), "{board}: {module}");
        }
    }
}

/// Returns whether a path is in a directory.
fn below(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'))
}

/// Returns whether a module has no place in the set.
fn is_foreign(path: &str) -> bool {
    ["sound/", "drivers/gpu/", "drivers/media/", "drivers/net/wireless/", "drivers/bluetooth/"]
        .iter()
        .any(|dir| path.strip_prefix("kernel/").unwrap().starts_with(dir))
}

/// Returns the path of each module in modules.dep.
fn paths_of_modules(tree: &Tree) -> BTreeMap<String, String> {
    let dep = fs::read_to_string(tree.modules().join("modules.dep")).unwrap();
    let path = |line: &str| line.split(':').next().unwrap().to_owned();
    dep.lines().map(path).map(|path| (stem(&path), path)).collect()
}

/// Returns the modules of an image with a module set.
fn modules_of_set(tree: &Tree, set: &str) -> BTreeSet<String> {
    let out = tempfile::tempdir().unwrap();
    let image = out.path().join("image");
    let coldplug = || Command::new(paths::program("coldplug"));
    let init = paths::program_for(tree.arch, "coldplug-init");
    let mut build = coldplug();
    build.args(["image", "build", "--generic", "--modules-as", "stored", "-m", set, "-k"]);
    build.arg(&tree.release).arg("-r").arg(&tree.root).arg("-o").arg(&image);
    build.arg("--init").arg(init);
    let built = build.output().unwrap();
    assert!(built.status.success(), "{built:?}");
    let list = coldplug().args(["image", "list"]).arg(&image).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    list.lines().filter(|line| line.contains(".ko")).map(stem).collect()
}

/// Returns the modules for devices with these modaliases.
fn resolve(tree: &Tree, aliases: &[String]) -> BTreeSet<String> {
    let names = aliases.chunks(4000).flat_map(|aliases| {
        let mut command = Command::new(paths::program("coldplug"));
        command.arg("modprobe").args(modprobe(tree, "-C /none -a -R")).args(aliases);
        let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
        output.lines().map(str::to_owned).collect::<Vec<_>>()
    });
    names.collect()
}
