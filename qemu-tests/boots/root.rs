//! Finding the root: every form of `root=`, several candidates, mounts beside it, and what is
//! reported if it is not found.

use harness::disk::{DECOY, Disk, LABEL, ROOT, UUID};
use harness::kernel::Kernel;
use harness::machine::{Boot, Bus, Machine};
use harness::paths::program;
use harness::run::{BOOT, Test};
use harness::{files, image, tests, tool};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    root_by_uuid,
    root_by_label,
    root_by_partition,
    names_on_a_gpt,
    names_on_an_mbr,
    names_of_a_filesystem,
    a_damaged_gpt_is_read_from_its_backup,
    a_partition_marked_read_only,
    a_duplicate_uuid_is_reported,
    the_first_candidate_that_works_is_the_root,
    none_of_several_candidates_is_found,
    options_of_the_root_are_those_of_fstab,
    usr_is_mounted_before_the_switch,
    usr_on_the_device_of_the_root_has_its_own_options,
    a_missing_usr_is_reported,
    near_misses_are_reported,
    a_hibernated_system_resumes,
    a_filesystem_is_checked_by_what_the_image_carries,
    uncorrected_errors_end_the_boot,
    a_breakpoint_resumes,
    a_shell_if_the_root_is_not_found,
];

/// Makes a small machine without a disk.
fn machine(words: &str) -> Machine {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    Machine::new(&tree, &image).cmdline(words)
}

/// Writes a disk with a partition table by sfdisk(8), and `contents` at their first sectors.
fn partitioned(file: &Path, table: &str, contents: &[(u64, &Path)]) {
    let disk = fs::File::create(file).unwrap();
    disk.set_len(64 << 20).unwrap();
    tool::feed(tool::command("sfdisk", "fdisk").arg("-q").arg(file), table.as_bytes());
    let disk = fs::OpenOptions::new().write(true).open(file).unwrap();
    for (sector, content) in contents {
        disk.write_all_at(&fs::read(content).unwrap(), sector * 512).unwrap();
    }
}

const PART: &str = "c01d9106-0000-4000-8000-0000000000aa";
/// Partition type of a root on this architecture.
const ROOT_TYPE: &str = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709";

/// Adds the root as the second partition of a GPT; the first holds the decoy.
fn gpt(vm: Machine) -> Machine {
    let table = format!(
        "label: gpt\nstart=2048, size=32768, uuid={PART}, name=\"first part\"\n\
         start=34816, size=32768, uuid=c01d9106-0000-4000-8000-0000000000ab, type={ROOT_TYPE}, \
         name=cold-part\n"
    );
    let (file, root, decoy) = (vm.dir().join("gpt"), vm.dir().join("root"), vm.dir().join("decoy"));
    partitioned(&file, &table, &[(2048, &DECOY.make(&decoy)), (34816, &ROOT.make(&root))]);
    vm.disk(Bus::VirtioBlk, &file)
}

/// Adds the root as the first logical partition of an MBR.
fn mbr(vm: Machine) -> Machine {
    let table = "label: dos\nlabel-id: 0x89abcdef\nstart=2048, size=2048, type=83\n\
                 start=4096, size=100000, type=5\nstart=6144, size=32768, type=83\n";
    let (file, root) = (vm.dir().join("mbr"), vm.dir().join("root"));
    partitioned(&file, table, &[(6144, &ROOT.make(&root))]);
    vm.disk(Bus::VirtioBlk, &file)
}

fn names_on_a_gpt() {
    for root in [
        "/dev/vda2",
        "PARTUUID=C01D9106-0000-4000-8000-0000000000AB",
        "PARTUUID=c01d9106-0000-4000-8000-0000000000aa/PARTNROFF=1",
        "PARTLABEL=cold-part",
        "/dev/disk/by-partuuid/c01d9106-0000-4000-8000-0000000000ab",
        "/dev/disk/by-partlabel/cold-part",
        "gpt-auto",
        "",
    ] {
        let vm = machine(&if root.is_empty() { String::new() } else { format!("root={root}") });
        let (_, facts) = gpt(vm).run_ok();
        assert_eq!(facts.mount("/").unwrap().source, "/dev/vda2", "{root}");
    }
}

fn names_on_an_mbr() {
    for root in ["PARTUUID=89abcdef-05", "/dev/vda5", "254:5", "fe05", "0xfe05"] {
        let (_, facts) = mbr(machine(&format!("root={root}"))).run_ok();
        assert_eq!(facts.mount("/").unwrap().source, "/dev/vda5", "{root}");
    }
}

fn names_of_a_filesystem() {
    let labelled = Disk { label: "my root/1", ..ROOT };
    for root in [
        "\"root=LABEL=my root/1\"",
        "root=\"LABEL=my root/1\"",
        "root=/dev/disk/by-label/my\\x20root\\x2f1",
        "root=UUID=C01D9106-0000-4000-8000-000000000001",
        "root=/dev/disk/by-uuid/c01d9106-0000-4000-8000-000000000001",
    ] {
        let vm = machine(root).attach(Bus::VirtioBlk, DECOY);
        let file = vm.dir().join("labelled");
        labelled.make(&file);
        let (_, facts) = vm.disk(Bus::VirtioBlk, &file).run_ok();
        assert_eq!(facts.mount("/").unwrap().source, "/dev/vdb", "{root}");
    }
    // A label in Latin-1, and one that differs from it in a byte that is not UTF-8 either.
    let mut vm = machine("").raw_words(b"root=LABEL=M\xf6b");
    for (disk, label) in [(DECOY, b"M\xe4b"), (ROOT, b"M\xf6b")] {
        let file = vm.dir().join(disk.label);
        disk.make(&file);
        let label = OsStr::from_bytes(label);
        tool::run(tool::command("tune2fs", "e2fsprogs").arg("-L").args([label, file.as_os_str()]));
        vm = vm.disk(Bus::VirtioBlk, &file);
    }
    let (_, facts) = vm.run_ok();
    assert_eq!(facts.mount("/").unwrap().source, "/dev/vdb");
    assert_eq!(facts.record()["root"]["spec"], "LABEL=M\\xf6b");
}

fn a_damaged_gpt_is_read_from_its_backup() {
    let vm = gpt(machine("root=PARTLABEL=cold-part gpt"));
    let disk = fs::OpenOptions::new().write(true).open(vm.dir().join("gpt")).unwrap();
    disk.write_all_at(&[0; 512], 512).unwrap();
    let (_, facts) = vm.run_ok();
    assert_eq!(facts.mount("/").unwrap().source, "/dev/vda2");
}

fn a_partition_marked_read_only() {
    let vm = gpt(machine("root=gpt-auto rw"));
    let file = vm.dir().join("gpt");
    tool::run(
        tool::command("sfdisk", "fdisk").args(["-q", "--part-attrs"]).arg(&file).args(["2", "60"]),
    );
    let (_, facts) = vm.run_ok();
    let root = facts.mount("/").unwrap();
    assert!(root.options.contains(&"ro"), "{root:?}");
}

fn a_duplicate_uuid_is_reported() {
    let vm = machine(&format!("root=UUID={UUID}")).attach(Bus::VirtioBlk, ROOT);
    let file = vm.dir().join("duplicate");
    ROOT.make(&file);
    let (_, facts) = vm.disk(Bus::VirtioBlk, &file).run_ok();
    assert_eq!(facts.mount("/").unwrap().source, "/dev/vda");
    let warnings = facts.record()["warnings"].to_string();
    assert!(warnings.contains("matches /dev/vda (used) and /dev/vdb"), "{warnings}");
}

/// Candidates that fail: one is not found, one cannot be mounted, one has no init.
fn the_first_candidate_that_works_is_the_root() {
    let roots = format!("LABEL=absent,wait=1;/dev/vda;LABEL=decoy;UUID={UUID}");
    let vm = machine(&format!("coldplug.root={roots} root=/dev/none"));
    let broken = vm.dir().join("broken");
    Disk { label: "broken", ..DECOY }.make(&broken);
    // s_feature_incompat of ext4, with features that no kernel has.
    let disk = fs::OpenOptions::new().write(true).open(&broken).unwrap();
    disk.write_all_at(&[0xff; 4], 1024 + 0x60).unwrap();
    let vm =
        vm.disk(Bus::VirtioBlk, &broken).attach(Bus::VirtioBlk, DECOY).attach(Bus::VirtioBlk, ROOT);
    let (boot, facts) = vm.run_ok();
    assert_eq!(facts.mount("/").unwrap().source, "/dev/vdc");
    let record = facts.record();
    assert_eq!(record["root"]["spec"], roots.as_str());
    let passed: Vec<String> = record["root"]["failed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line.as_str().unwrap().to_owned())
        .collect();
    for (line, words) in passed.iter().zip([
        ["LABEL=absent", "not found after 1"],
        ["/dev/vda", "mount /dev/vda"],
        ["LABEL=decoy", "no init found"],
    ]) {
        assert!(words.iter().all(|word| line.contains(word)), "{words:?} in {passed:#?}");
    }
    assert_eq!(passed.len(), 3, "{passed:#?}");
    boot.check(boot.console.contains(" failed, trying "), "the console says so");
    assert!(!facts.lines("mountinfo").iter().any(|line| line.contains("/dev/vdb")));
}

fn none_of_several_candidates_is_found() {
    let vm = machine("coldplug.root=LABEL=a,wait=1;LABEL=b,wait=1");
    let boot = vm.attach(Bus::VirtioBlk, DECOY).run();
    boot.expect("no-root");
    let root = boot.record()["root"].clone();
    assert_eq!(root["failed"].as_array().unwrap().len(), 1, "{root:#}");
    assert_eq!(root["awaited"]["name"], "LABEL=b");
}

/// The init lies on /usr, which is a filesystem of its own.
fn usr_is_mounted_before_the_switch() {
    let usr = Disk {
        uuid: "c01d9106-0000-4000-8000-00000000000e",
        label: "usr",
        init: Some("sbin/init"),
    };
    let vm = machine(&format!(
        "root=UUID={UUID} mount.usr=LABEL=usr mount.usrflags=noatime \
                               rootfstype=auto,xfs mount.usrfstype=xfs,auto"
    ));
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("usr")).unwrap();
    for sub in ["dev", "proc", "sys", "run", "tmp", "etc"] {
        fs::create_dir(dir.path().join(sub)).unwrap();
    }
    symlink("usr/sbin", dir.path().join("sbin")).unwrap();
    let file = vm.dir().join("root");
    tool::run(
        tool::command("mkfs.ext4", "e2fsprogs")
            .args(["-q", "-F", "-U", UUID, "-L", LABEL, "-d"])
            .args([dir.path(), &file])
            .arg("16M"),
    );
    let (_, facts) = vm.disk(Bus::VirtioBlk, &file).attach(Bus::VirtioBlk, usr).run_ok();
    let usr = facts.mount("/usr").expect("/usr in mountinfo");
    assert_eq!((usr.source, usr.kind), ("/dev/vdb", "ext4"));
    assert!(usr.options.contains(&"noatime") && usr.options.contains(&"ro"), "{usr:?}");
}

/// Options that fstab(5) has, a quoted name, and a name for `resume=` that no device can have.
fn options_of_the_root_are_those_of_fstab() {
    let words = "rootflags=ro,nosuid,suid,defaults,nofail,_netdev,x-a=\"b,noexec\",user,relatime,\
                 noatime,sync,async,nodev,errors=remount-ro,rw resume=sda2 rootfstype=auto";
    let vm = machine(&format!("root=UUID=\"{UUID}\" {words}")).attach(Bus::VirtioBlk, ROOT);
    let (boot, facts) = vm.run_ok();
    let mut options = facts.mount("/").unwrap().options;
    options.sort_unstable();
    assert_eq!(options, ["noatime", "nodev", "rw"]);
    let filesystem = facts.lines("mountinfo").into_iter().find(|l| l.contains(" / / ")).unwrap();
    boot.check(filesystem.ends_with("rw,errors=remount-ro"), filesystem);
    let warnings = facts.record()["warnings"].to_string();
    let text = "resume=sda2: no block device has such a name; booting without resume";
    assert!(warnings.contains(text), "{warnings}");
}

/// As with subvolumes of one btrfs, of which /usr is another one than the root.
fn usr_on_the_device_of_the_root_has_its_own_options() {
    let vm = machine(&format!("root=UUID={UUID} mount.usrflags=noatime"));
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("usr")).unwrap();
    files::put(dir.path(), "sbin/init", &fs::read(program("examples/guest")).unwrap(), 0o755);
    let file = vm.dir().join("root");
    ROOT.make_of(dir.path(), "16M", &file);
    let (_, facts) = vm.disk(Bus::VirtioBlk, &file).run_ok();
    let usr = facts.mount("/usr").expect("/usr in mountinfo");
    assert_eq!((usr.source, usr.kind), ("/dev/vda", "ext4"));
    let root = facts.mount("/").expect("/ in mountinfo");
    let is_noatime = |options: &[&str]| options.contains(&"noatime");
    assert_eq!((is_noatime(&usr.options), is_noatime(&root.options)), (true, false));
}

fn a_missing_usr_is_reported() {
    let vm = machine(&format!("root=UUID={UUID} mount.usr=LABEL=Decoy coldplug.timeout=10"));
    let boot = vm.attach(Bus::VirtioBlk, ROOT).attach(Bus::VirtioBlk, DECOY).run();
    boot.expect("no-root");
    boot.check(boot.console.contains("mount.usr=LABEL=Decoy not found after 10"), "its name");
    let near = "vdb has LABEL=decoy: upper and lower case differ";
    boot.check(boot.console.contains(near), "what comes close to it");
}

/// A root that is not found is reported with the devices that nearly match.
fn near_misses_are_reported() {
    for (root, words) in [
        ("LABEL=Coldplug-root", "vdb5 has LABEL=coldplug-root: upper and lower case differ"),
        ("LABEL=cold-part", "vda2 has PARTLABEL=cold-part, not LABEL"),
        (
            "UUID=c01d9106-0000-4000-8000-000000000002",
            "vdb5 has UUID=c01d9106-0000-4000-8000-000000000001: one character differs",
        ),
        (
            "PARTUUID=c01d9106-0000-4000-8000-0000000000bb",
            "vda1 has PARTUUID=c01d9106-0000-4000-8000-0000000000aa: two characters differ",
        ),
        (
            "PARTUUID=12345678-01",
            "12345678-01 has the format of an MBR, but vda has a GPT, whose PARTUUIDs have \
             36 characters",
        ),
        ("PARTUUID=89abcdef-03", "vdb has disk ID 89abcdef, but no partition 03, only 01, 02, 05"),
        ("LABEL=crypt", "vdc has this LABEL, but holds crypto_LUKS, which is locked"),
        ("/dev/vda7", "vda has partitions 1, 2 only"),
        ("/dev/vdc1", "vdc has no partitions; the whole disk is crypto_LUKS"),
        ("/dev/sda2", "no sda, but vda2 ext4"),
        ("/dev/mapper/root", "vdc holds crypto_LUKS, which is locked"),
        ("cold-part", "vda2 has this PARTLABEL: use root=PARTLABEL=cold-part"),
    ] {
        let vm = machine(&format!("root={root} coldplug.timeout=10")).guest_clock();
        let vm = gpt_of_decoys(vm);
        let vm = mbr(vm);
        let luks = vm.dir().join("luks");
        fs::write(&luks, luks2("crypt")).unwrap();
        let boot = vm.disk(Bus::VirtioBlk, &luks).run();
        boot.expect("no-root");
        boot.check(boot.console.contains(words), &format!("{root}: {words}"));
        let root = boot.record()["root"].clone();
        assert!(root["near_misses"].to_string().contains(&words.replace('"', "\\\"")), "{root:#}");
        assert!(root["seen"].as_array().unwrap().len() >= 6, "{root:#}");
        assert!(root["awaited"]["waited_ms"].as_u64().unwrap() >= 2000, "{root:#}");
    }
}

/// Adds a GPT whose second partition is not a root.
fn gpt_of_decoys(vm: Machine) -> Machine {
    let table = format!(
        "label: gpt\nstart=2048, size=32768, uuid={PART}, name=\"first part\"\n\
         start=34816, size=32768, uuid=c01d9106-0000-4000-8000-0000000000ac, name=cold-part\n"
    );
    let (file, decoy) = (vm.dir().join("gpt"), vm.dir().join("decoy"));
    partitioned(&file, &table, &[(2048, &DECOY.make(&decoy)), (34816, &decoy)]);
    vm.disk(Bus::VirtioBlk, &file)
}

/// Returns the start of a LUKS2 device: magic, version, header size, label at 24, UUID at 168.
fn luks2(label: &str) -> Vec<u8> {
    let mut bytes = vec![0; 16 << 20];
    bytes[..8].copy_from_slice(b"LUKS\xba\xbe\x00\x02");
    bytes[8..16].copy_from_slice(&16384u64.to_be_bytes());
    bytes[24..24 + label.len()].copy_from_slice(label.as_bytes());
    let uuid = b"c01d9106-0000-4000-8000-00000000000f";
    bytes[168..168 + uuid.len()].copy_from_slice(uuid);
    bytes
}

/// Hibernates at its first boot, and reports when it resumes.
const SLEEPER: &str = r#"#!/bin/busybox sh
bb=/bin/busybox
$bb mount -t devtmpfs dev /dev 2>/dev/null
token() {
    for w in $($bb cat /proc/cmdline); do
        case $w in token=*) echo "${w#token=}" ;; esac
    done
}
if [ "$(token)" = first ]; then
    $bb swapon /dev/vdb || echo "no swap" > /dev/ttyS0
    echo platform > /sys/power/disk
    echo shutdown > /sys/power/disk
    echo disk > /sys/power/state
    echo "awake again, token $(token)" > /dev/ttyS0
else
    echo "started afresh, token $(token)" > /dev/ttyS0
fi
$bb sync
$bb sleep 1
$bb poweroff -f
"#;

fn a_hibernated_system_resumes() {
    let (tree, image) = image::all_of(Kernel::Full61);
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("tree");
    let busybox = files::busybox();
    files::put(&dir, "bin/busybox", &busybox, 0o755);
    files::put(&dir, "sbin/init", SLEEPER.as_bytes(), 0o755);
    let (root, swap) = (scratch.path().join("root"), scratch.path().join("swap"));
    ROOT.make_of(&dir, "16M", &root);
    fs::File::create(&swap).unwrap().set_len(512 << 20).unwrap();
    tool::run(tool::command("mkswap", "util-linux").args(["-q", "-L", "sleep"]).arg(&swap));
    let start = |words: &str| {
        Machine::new(&tree, &image)
            .args(["-m", "512"])
            .cmdline(&format!("root=/dev/vda resume=LABEL=sleep nokaslr {words}"))
            .disk(Bus::VirtioBlk, &root)
            .disk(Bus::VirtioBlk, &swap)
            .run()
    };
    let first = start("token=first");
    first.check(!first.console.contains("awake again"), "it sleeps");
    let second = start("token=second");
    second.check(second.console.contains("awake again, token first"), "it goes on");
    let third = start("token=third");
    third.check(third.console.contains("started afresh, token third"), "the image is used up");
    start("token=first");
    let ignored = start("token=second noresume");
    ignored.check(ignored.console.contains("started afresh, token second"), "noresume");
}

/// Boots a damaged root from an image with e2fsck.
fn damaged(words: &str, request: &str) -> Boot {
    let vm = machine(&format!("root=/dev/vda {words}"));
    let e2fsck = tool::find("e2fsck", "e2fsprogs");
    let libraries = files::libraries(&e2fsck);
    let paths = libraries.iter().map(|path| path.to_str().unwrap().trim_start_matches('/'));
    let mut files: Vec<(&str, Vec<u8>)> =
        paths.zip(&libraries).map(|(name, path)| (name, fs::read(path).unwrap())).collect();
    files.push(("sbin/fsck.ext4", fs::read(&e2fsck).unwrap()));
    let files: Vec<(&str, &[u8])> = files.iter().map(|(n, b)| (*n, b.as_slice())).collect();
    let image = image::overlay(&image::all_of(Kernel::Cloud61).1, &files, &vm.dir().join("image"));
    let file = vm.dir().join("root");
    ROOT.make(&file);
    for request in [request, "set_super_value state 2"] {
        let mut debugfs = tool::command("debugfs", "e2fsprogs");
        tool::run(debugfs.args(["-w", "-R", request]).arg(&file));
    }
    vm.image(&image).disk(Bus::VirtioBlk, &file).run()
}

fn a_filesystem_is_checked_by_what_the_image_carries() {
    const HARMLESS: &str = "set_super_value free_blocks_count 1";
    let boot = damaged("", HARMLESS);
    boot.expect("ok");
    let warnings = boot.facts().record()["warnings"].to_string();
    assert!(
        warnings.contains("fsck.ext4 /dev/vda: errors corrected (exit status 1)"),
        "{warnings}"
    );
    let boot = damaged("coldplug.fsck=no", HARMLESS);
    boot.expect("ok");
    boot.check(!boot.console.contains("fsck.ext4"), "fsck ran although it was disabled");
}

fn uncorrected_errors_end_the_boot() {
    let boot = damaged("", "clri <2>");
    boot.expect("mount-failed");
    boot.check(boot.console.contains("fsck.ext4 /dev/vda: errors remain (exit status: 4"), "why");
}

/// Makes a machine whose image has a shell.
fn with_shell(words: &str) -> Machine {
    let vm = machine(words);
    let busybox = files::busybox();
    let files: [(&str, &[u8]); 1] = [("bin/sh", &busybox)];
    let image = image::overlay(&image::all_of(Kernel::Cloud61).1, &files, &vm.dir().join("image"));
    vm.image(&image).attach(Bus::VirtioBlk, ROOT)
}

fn a_breakpoint_resumes() {
    for (place, mounted) in [("scan", "no"), ("mount", "no"), ("switch", "yes")] {
        let vm = with_shell(&format!("root=UUID={UUID} coldplug.break={place}"));
        let mut running = vm.start();
        running.wait_for(&format!("stopped by coldplug.break={place}"));
        let mut terminal = running.terminal();
        terminal.line(
            "[ -e /sysroot/etc/keep ] && echo root-$((6 * 7))-yes || echo root-$((6 * 7))-no",
        );
        running.wait_for(&format!("root-42-{mounted}"));
        // The shell has a controlling terminal: Ctrl-C ends the running command, not the shell.
        terminal.line("sleep 1000");
        std::thread::sleep(std::time::Duration::from_secs(1));
        terminal.line("\u{3}");
        terminal.line("echo after-$((40 + 2))");
        running.wait_for("after-42");
        terminal.line("exit");
        running.finish().expect("ok");
    }
}

fn a_shell_if_the_root_is_not_found() {
    let vm = with_shell("root=LABEL=none coldplug.timeout=1 coldplug.onfail=shell");
    let mut running = vm.start();
    running.wait_for("verdict=no-root");
    let mut terminal = running.terminal();
    terminal.line("echo rescue-$((6 * 7))");
    running.wait_for("rescue-42");
    terminal.line("exit");
    let boot = running.finish();
    boot.check(
        boot.console.contains("shell exited; rebooting"),
        "a person who leaves it wants that",
    );
}

/// Boots from the second of two disks, so that the first one to appear is the wrong one.
fn root_is_second(spec: &str) {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let vm = Machine::new(&tree, &image).cmdline(&format!("root={spec}"));
    let vm = vm.attach(Bus::VirtioBlk, DECOY).attach(Bus::VirtioBlk, ROOT);
    let (_, facts) = vm.run_ok();
    assert_eq!(facts.mount("/").unwrap().source, "/dev/vdb");
    assert_eq!(facts.record()["root"]["spec"], spec);
}

fn root_by_uuid() {
    root_is_second(&format!("UUID={UUID}"));
}

fn root_by_label() {
    root_is_second(&format!("LABEL={LABEL}"));
}

fn root_by_partition() {
    const TABLE: &str = "label: gpt\nstart=2048, size=32768, \
        uuid=C01D9106-0000-4000-8000-0000000000AA, name=cold-part\n";
    for root in ["PARTUUID=c01d9106-0000-4000-8000-0000000000aa", "PARTLABEL=cold-part"] {
        let (tree, image) = image::all_of(Kernel::Cloud61);
        let vm = Machine::new(&tree, &image).cmdline(&format!("root={root}"));
        let (file, part) = (vm.dir().join("disk"), vm.dir().join("part"));
        let content = fs::read(ROOT.make(&part)).unwrap();
        let disk = [vec![0; 1 << 20], content, vec![0; 1 << 20]].concat();
        fs::write(&file, disk).unwrap();
        tool::feed(tool::command("sfdisk", "fdisk").arg("-q").arg(&file), TABLE.as_bytes());
        let (_, facts) = vm.disk(Bus::VirtioBlk, &file).run_ok();
        assert_eq!(facts.mount("/").unwrap().source, "/dev/vda1", "{root}");
    }
}
