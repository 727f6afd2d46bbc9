//! Which modules and which firmware `coldplug image build` chooses, on a small tree.

use crate::image::{RELEASE, build, built, files, module, modules, put, refused, tree};
use harness::run::Test;
use harness::tests;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![[] =>
    what_is_built_in_is_accepted_by_name_and_alias,
    patterns_of_aliases_name_modules,
    an_image_for_a_board_has_what_it_loads_and_its_root_needs,
    an_image_for_another_machine_is_refused,
    an_image_for_the_host_has_what_its_root_is_on,
    a_rescue_image_has_keyboards,
    trimmed_indexes_are_about_the_modules_of_the_image,
    firmware_that_few_machines_need_is_left_out,
];

/// Adds lines to an index file of the tree.
fn add_lines(root: &Path, name: &str, lines: &str) {
    let file = format!("lib/modules/{RELEASE}/modules.{name}");
    let text = fs::read_to_string(root.join(&file)).unwrap_or_default();
    put(root, &file, text + lines);
}

/// Adds a module at a path below lib/modules/RELEASE, which needs others.
fn add_module(root: &Path, path: &str, needs: &str, info: &[&str]) {
    put(root, &format!("lib/modules/{RELEASE}/{path}"), module(info));
    add_lines(root, "dep", &format!("{path}: {needs}\n"));
}

fn what_is_built_in_is_accepted_by_name_and_alias() {
    let tree = tree();
    let root = tree.path();
    add_lines(root, "builtin", "kernel/net/unix/unix.ko\n");
    let modinfo = "in_kernel.alias=fs-inner\0in_kernel.softdep=pre: d\0unix.alias=net-pf-1\0";
    put(root, &format!("lib/modules/{RELEASE}/modules.builtin.modinfo"), modinfo);
    let softdeps = ["d.ko.zst", "e.ko.zst"];
    for (args, want, notice) in [
        ("-m in-kernel", &softdeps[..], "in-kernel is built into the kernel"),
        ("-m fs-inner", &softdeps, "fs-inner is in_kernel, which is built into the kernel"),
        ("-m x,net-pf-1", &["x.ko.zst"], "net-pf-1 is unix, which is built into the kernel"),
        ("-m [iu]n*", &softdeps, "[iu]n* is in_kernel, unix, which are built into the kernel"),
        ("-m x", &["x.ko.zst"], ""),
    ] {
        let (output, image) = build(root, args);
        let text = String::from_utf8(output.stderr).unwrap();
        let notice = if notice.is_empty() { notice.into() } else { format!("{notice}\n") };
        assert!(text.ends_with(&notice) && text.is_empty() == notice.is_empty(), "{args}: {text}");
        assert_eq!(modules(&image), want, "{args}");
        fs::remove_file(image).unwrap();
    }
    let error = refused(root, "-m in-kernal,nosuch");
    let want = "in-kernal, nosuch: no such module, builtin or alias\nhint: is it in_kernel?\n";
    assert!(error.ends_with(want), "{error}");
    let error = refused(root, "-m nosuch");
    assert!(error.ends_with("builtin or alias\n"), "{error}");
}

fn patterns_of_aliases_name_modules() {
    let tree = tree();
    for word in ["pci:v00008086d0001sv", "pci:v*d0001*", "pci:v*", "pci:*0001*"] {
        let image = built(tree.path(), &format!("-m {word}"));
        assert_eq!(modules(&image), ["x.ko.zst"], "{word}");
        fs::remove_file(image).unwrap();
    }
    let error = refused(tree.path(), "-m pci:v00008086d0002*");
    assert!(error.contains("pci:v00008086d0002*: no such module"), "{error}");
}

/// Builds with a captured machine.
fn for_board(root: &Path, capture: &str, args: &str) -> Vec<String> {
    put(root, "board", capture);
    modules(&built(root, &format!("--board {} {args}", root.join("board").display())))
}

fn an_image_for_a_board_has_what_it_loads_and_its_root_needs() {
    let tree = tree();
    let root = tree.path();
    add_lines(root, "alias", "alias fs-best a\n");
    let device = "device pci0\nmodalias pci:v1d0001x\n";
    let a = ["a.ko.zst", "b-b.ko.xz", "c.ko.gz", "d.ko.zst", "e.ko.zst"];
    let with_x = [&a[..], &["x.ko.zst"]].concat();
    for (head, devices, args, want) in [
        ("", device, "", &["x.ko.zst"][..]),
        ("", device, "-m e", &["e.ko.zst", "x.ko.zst"]),
        ("cmdline modprobe.blacklist=x\n", device, "", &[]),
        ("cmdline coldplug.modules=e\n", device, "", &["e.ko.zst", "x.ko.zst"]),
        ("root best pci0/block/vda\n", device, "", &with_x),
        ("cmdline root=UUID=1 rootfstype=best\n", "", "", &a),
        ("root best pci0/block/vda\n", "", "--all", &with_x),
        ("", "device pci0\nmodalias none\nmodule e\n", "", &["e.ko.zst"]),
        ("", "device pci0\nmodalias none\nmodule gone\n", "", &[]),
    ] {
        let capture = format!("coldplug-capture 2\n{head}{devices}end\n");
        assert_eq!(for_board(root, &capture, args), want, "{capture}{args}");
    }
    let capture = format!("coldplug-capture 2\nroot best pci0/block/vda\n{device}end\n");
    put(root, "board", capture);
    let other = root.join("other");
    fs::write(&other, "coldplug-capture 1\ndevice a\nmodalias none\nmodule e\n").unwrap();
    let [first, second] = [root.join("board"), other].map(|path| path.display().to_string());
    let image = built(root, &format!("--board {first} --board {second}"));
    let reasons = &files(&image)[&format!("lib/modules/{RELEASE}/modules.reasons")];
    let reasons = std::str::from_utf8(reasons).unwrap();
    for line in ["a --board", "b_b --board a", "e --board", "x --board"] {
        assert!(reasons.lines().any(|found| found.starts_with(line)), "{line}: {reasons}");
    }
}

fn an_image_for_another_machine_is_refused() {
    let tree = tree();
    put(tree.path(), "board", "coldplug-capture 2\nmachine aarch64\nend\n");
    let error = refused(tree.path(), &format!("--board {}", tree.path().join("board").display()));
    let want = "--board: the machine is aarch64, but the kernel is for 64-bit little-endian x86-64\n\
                hint: name a kernel of that machine";
    assert!(error.contains(want), "{error}");
    let error = refused(tree.path(), &format!("--board {}", tree.path().join("init").display()));
    assert!(error.contains("line 1: not a capture"), "{error}");
}

fn an_image_for_the_host_has_what_its_root_is_on() {
    let tree = tree();
    let root = tree.path();
    let error = refused(root, "--host");
    assert!(error.contains("--host: ") && error.contains("hint: mount /sys"), "{error}");
    add_lines(root, "alias", "alias fs-best c\n");
    add_module(root, "kernel/md-mod.ko", "", &["name=md_mod"]);
    put(root, "sys/devices/pci0/modalias", "pci:v1d0001x\n");
    put(root, "sys/devices/virtual/block/md0/dev", "9:0\n");
    fs::create_dir_all(root.join("sys/dev/block")).unwrap();
    let link = root.join("sys/dev/block/9:0");
    std::os::unix::fs::symlink("../../devices/virtual/block/md0", link).unwrap();
    put(root, "proc/self/mountinfo", "2 1 9:0 / / rw - best /dev/md0 rw\n");
    assert_eq!(modules(&built(root, "--host")), ["c.ko.gz", "md-mod.ko.zst", "x.ko.zst"]);
    put(root, "etc/fstab", "/dev/gone none swap\n/dev/md0 / best,odd\n");
    let (output, _) = build(root, "--host");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("--host: /dev/gone not found"), "{text}");
    let want = "--host: filesystem odd: neither a module of this kernel nor built in";
    assert!(text.contains(want) && !text.contains("filesystem best"), "{text}");
}

fn a_rescue_image_has_keyboards() {
    let tree = tree();
    let root = tree.path();
    add_module(root, "kernel/usbhid.ko", "kernel/c.ko.gz", &["name=usbhid"]);
    let want = ["c.ko.gz", "usbhid.ko.zst", "x.ko.zst"];
    assert_eq!(modules(&built(root, "-m x --with rescue")), want);
    assert_eq!(modules(&built(root, "-m x,@rescue")), want);
}

fn trimmed_indexes_are_about_the_modules_of_the_image() {
    let tree = tree();
    let root = tree.path();
    add_lines(root, "symbols", "alias symbol:one a\nalias symbol:two x\n");
    add_lines(root, "order", "kernel/a.ko\nkernel/x.ko\n");
    add_lines(root, "alias", "alias the x y d\n");
    put(root, &format!("lib/modules/{RELEASE}/modules.alias.bin"), "made again from the text");
    let image = built(root, "-m x,d --trim-indexes");
    let found = files(&image);
    let index = |name: &str| {
        let content = &found[&format!("lib/modules/{RELEASE}/modules.{name}")];
        String::from_utf8_lossy(content).into_owned()
    };
    assert_eq!(index("dep"), "kernel/d.ko.zst:\nkernel/e.ko.zst:\nkernel/x.ko.zst:\n");
    assert_eq!(index("alias"), "alias crypto-d d\nalias pci:v*d0001* x\nalias the x y d\n");
    assert_eq!(
        (index("symbols"), index("order")),
        ("alias symbol:two x\n".into(), "kernel/x.ko\n".into())
    );
    assert_eq!(index("builtin"), "kernel/fs/in-kernel.ko\n");
    let unpacked = tempfile::tempdir().unwrap();
    for (name, content) in &found {
        put(unpacked.path(), name, content);
    }
    for (alias, want) in [("crypto-d", "d"), ("pci:v1d0001x", "x"), ("the x y", "d"), ("a", "")] {
        let mut modprobe = Command::new(env!("CARGO_BIN_EXE_coldplug"));
        modprobe.args(["modprobe", "-S", RELEASE, "-R", alias, "-d"]).arg(unpacked.path());
        let text = String::from_utf8(modprobe.output().unwrap().stdout).unwrap();
        assert_eq!(text.trim_end(), want, "{alias}");
    }
}

/// Returns the firmware in an image, and what the summary says is left out.
fn firmware(root: &Path, args: &str) -> (String, Option<String>) {
    let (output, image) = build(root, args);
    assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
    let files = files(&image);
    let names = files.keys().filter_map(|name| name.strip_prefix("lib/firmware/"));
    let summary = String::from_utf8(output.stdout).unwrap();
    let left_out = summary.lines().find_map(|line| {
        let (_, left_out) = line.split_once("left out: ")?;
        left_out.split(';').next().map(str::to_owned)
    });
    (names.collect::<Vec<_>>().join(" "), left_out)
}

fn firmware_that_few_machines_need_is_left_out() {
    let tree = tree();
    let root = tree.path();
    let wireless = "kernel/drivers/net/wireless/iwl.ko";
    add_module(root, "kernel/drivers/gpu/drm/drm.ko", "", &["name=drm"]);
    add_module(
        root,
        "kernel/drivers/gpu/drm/gpu.ko",
        "kernel/drivers/gpu/drm/drm.ko",
        &["firmware=gpu.bin", "firmware=both.bin"],
    );
    add_module(root, wireless, "", &["firmware=iwl.bin", "firmware=none.bin"]);
    add_module(root, "kernel/drivers/net/wireless/mvm.ko", wireless, &["name=mvm"]);
    add_module(root, "kernel/net/wireless/cfg80211.ko", "", &["firmware=regulatory.db"]);
    let needs = "kernel/net/wireless/cfg80211.ko";
    add_module(root, "updates/dkms/wl.ko", needs, &["firmware=wl.bin"]);
    add_module(
        root,
        "kernel/drivers/net/ethernet/nic.ko",
        "",
        &["firmware=nic.bin", "firmware=both.bin"],
    );
    for name in ["gpu", "both", "iwl", "wl", "nic"] {
        put(root, &format!("lib/firmware/{name}.bin"), name);
    }
    put(root, "lib/firmware/regulatory.db", "db");
    add_lines(root, "alias", "alias pci:v*d0007* iwl\n");
    put(root, "board", "coldplug-capture 1\ndevice a\nmodalias pci:v1d0007x\n");
    let board = format!("--board {}", root.join("board").display());
    let usual = "a/fw.bin.xz a/link.bin both.bin nic.bin regulatory.db";
    for (args, want, left_out) in [
        ("--all", usual.to_owned(), Some("3 files, 8 bytes")),
        ("-m *", usual.to_owned(), Some("3 files, 8 bytes")),
        ("-m gpu", "both.bin gpu.bin".to_owned(), None),
        ("-m *,mvm", format!("{usual} iwl.bin"), Some("2 files, 5 bytes")),
        ("-m @wireless", "iwl.bin".to_owned(), None),
        ("--with wireless -m x", "iwl.bin".to_owned(), None),
        ("--with gpu -m x", "both.bin gpu.bin".to_owned(), None),
        ("--all --with gpu", format!("{usual} gpu.bin"), Some("2 files, 5 bytes")),
        (&board, "iwl.bin".to_owned(), None),
        (&format!("--all {board}"), format!("{usual} iwl.bin"), Some("2 files, 5 bytes")),
        ("--all --no-firmware", String::new(), None),
    ] {
        let mut want: Vec<_> = want.split(' ').collect();
        want.sort_unstable();
        let (found, found_left_out) = firmware(root, args);
        assert_eq!(found, want.join(" "), "{args}");
        assert_eq!(found_left_out.as_deref(), left_out, "{args}");
    }
}
