//! Inits that cannot run, and names under which coldplug is started.

use crate::row::{Content, ROW, Root, Row};
use harness::disk::{Disk, ROOT};
use harness::kernel::Tree;
use harness::machine::{Boot, Bus, Machine, Running};
use harness::paths::program;
use harness::{files, tool};
use serde_json::json;
use std::fs;
use std::path::Path;

/// An init that is no program; nothing of it may run.
const NO_INIT: Row = Row { verdict: "no-init", never: &["exec /sbin/init"], ..ROW };
/// What the console shows at `coldplug.break=switch`.
const BREAK: &str = "stopped by coldplug.break=switch";
/// A shell on the root.
const SHELL: (&str, Content) = ("bin/sh", Content::Busybox);

pub(crate) const ROWS: &[Row] = &[
    Row { name: "an_init_that_is_a_directory", words: "init=/etc", ..NO_INIT },
    Row {
        name: "an_init_that_links_to_nothing",
        quick: true,
        on_root: &[("sbin/init", Content::Link("/no/such/file"))],
        ..NO_INIT
    },
    Row {
        name: "an_init_that_is_a_fifo",
        on_root: &[("sbin/init", Content::Fifo)],
        says: &["/sbin/init: Permission denied (not a regular file)"],
        ..NO_INIT
    },
    Row {
        name: "an_init_that_is_a_device",
        on_root: &[("sbin/init", Content::Device(5, 1))],
        says: &["/sbin/init: Permission denied (not a regular file)"],
        ..NO_INIT
    },
    Row {
        name: "an_init_that_links_to_itself",
        on_root: &[("sbin/init", Content::Link("init"))],
        says: &["/sbin/init: Too many levels of symbolic links"],
        ..NO_INIT
    },
    Row {
        name: "an_init_without_content",
        on_root: &[("sbin/init", Content::Text(""))],
        says: &["/sbin/init: Exec format error (empty file)"],
        ..NO_INIT
    },
    Row {
        name: "an_init_that_is_text",
        on_root: &[("sbin/init", Content::Text("echo hello\n"))],
        says: &["neither an ELF program nor a script with #!"],
        ..NO_INIT
    },
    Row {
        name: "an_init_of_the_wrong_class",
        on_root: &[("sbin/init", Content::Made(|_| guest(&[(4, 1)])))],
        says: &["/sbin/init: Exec format error (broken ELF file: table of program headers)"],
        ..NO_INIT
    },
    Row {
        name: "an_init_of_another_machine",
        quick: true,
        on_root: &[("sbin/init", Content::Made(|_| guest(&[(18, 183)])))],
        says: &["64-bit little-endian AArch64 program, not for this kernel"],
        ..NO_INIT
    },
    Row {
        name: "an_init_of_the_other_byte_order",
        on_root: &[("sbin/init", Content::Made(|_| guest(&[(5, 2)])))],
        says: &["/sbin/init: Exec format error"],
        ..NO_INIT
    },
    Row {
        name: "an_init_that_ends_in_its_header",
        on_root: &[("sbin/init", Content::Made(|_| guest(&[])[..40].to_vec()))],
        says: &["file ends within its header"],
        ..NO_INIT
    },
    Row {
        name: "an_init_that_ends_in_its_middle",
        on_root: &[("sbin/init", Content::Made(|_| guest(&[])[..100 << 10].to_vec()))],
        says: &["truncated: file ends before its segments"],
        ..NO_INIT
    },
    Row {
        name: "an_init_without_its_interpreter",
        quick: true,
        on_root: &[("sbin/init", Content::Made(|_| interpreted("/lib64/ld.so")))],
        says: &["interpreter '/lib64/ld.so': No such file or directory"],
        ..NO_INIT
    },
    Row {
        name: "an_init_with_an_interpreter_of_the_wrong_class",
        on_root: &[
            ("sbin/init", Content::Made(|_| interpreted("/lib/ld.so"))),
            ("lib/ld.so", Content::Made(|_| guest(&[(4, 1)]))),
        ],
        says: &["interpreter '/lib/ld.so': Exec format error"],
        ..NO_INIT
    },
    Row {
        name: "an_init_with_an_interpreter_without_content",
        on_root: &[
            ("sbin/init", Content::Made(|_| interpreted("/lib/ld.so"))),
            ("lib/ld.so", Content::Text("")),
        ],
        says: &["interpreter '/lib/ld.so': Exec format error (empty file)"],
        ..NO_INIT
    },
    Row {
        name: "a_script_without_its_interpreter",
        on_root: &[("sbin/init", Content::Text("#!/bin/bash\n"))],
        says: &["interpreter '/bin/bash': No such file or directory"],
        ..NO_INIT
    },
    Row {
        name: "a_script_with_carriage_returns",
        on_root: &[("sbin/init", Content::Text("#!/bin/ash\r\n")), ("bin/ash", Content::Busybox)],
        says: &[
            r"interpreter '/bin/ash\r': No such file or directory",
            "ends with a carriage return",
        ],
        ..NO_INIT
    },
    Row {
        name: "a_script_that_interprets_itself",
        on_root: &[("sbin/init", Content::Text("#!/sbin/init\n"))],
        says: &["Too many levels of symbolic links"],
        ..NO_INIT
    },
    Row {
        name: "a_script_whose_interpreter_is_text",
        on_root: &[
            ("sbin/init", Content::Text("#!/bin/run\n")),
            ("bin/run", Content::Text("nothing\n")),
        ],
        says: &["interpreter '/bin/run': Exec format error (neither"],
        ..NO_INIT
    },
    Row {
        name: "a_root_mounted_with_noexec",
        words: "rootflags=noexec",
        says: &["/sbin/init: Permission denied (filesystem mounted with noexec)"],
        ..NO_INIT
    },
    Row {
        name: "an_init_on_a_usr_that_is_not_mounted",
        quick: true,
        on_root: &[
            ("sbin/init", Content::Link("/usr/sbin/init")),
            ("usr", Content::Directory),
            (
                "etc/fstab",
                Content::Text("# <file system> <mount point>\nLABEL=usr\t/usr ext4 ro 0 2\n"),
            ),
        ],
        says: &[
            "no init found (/sbin/init: No such file or directory",
            "hint: /usr is another filesystem in /etc/fstab: boot with mount.usr=LABEL=usr",
        ],
        ..NO_INIT
    },
    Row {
        name: "a_root_that_holds_nothing",
        root: Root::Made(|file| bare(file, "")),
        says: &["; the root has no mount points /proc, /dev, /sys, /run"],
        ..NO_INIT
    },
    Row {
        name: "a_read_only_root_without_mount_points",
        quick: true,
        root: Root::Made(|file| bare(file, "#!/bin/sh\n")),
        words: "coldplug.exec=true",
        verdict: "exec-failed",
        says: &[
            "root /dev/vda lacks mount points that cannot be created: /proc, /dev, /sys, /run; \
             nothing is mounted there",
            "for coldplug.exec=: No such file or directory; the root has no mount points /proc, \
             /dev, /sys, /run",
        ],
        ..ROW
    },
    Row {
        name: "a_named_init_that_is_bad",
        on_root: &[("opt/init", Content::Text("nothing\n"))],
        words: "init=/opt/init",
        says: &["init=/opt/init: Exec format error", "no other init is tried"],
        ..NO_INIT
    },
    Row {
        name: "a_named_init_that_is_missing",
        words: "init=/opt/init",
        says: &["init=/opt/init: No such file or directory"],
        ..NO_INIT
    },
    Row {
        name: "a_command_without_a_shell",
        words: "coldplug.exec=true",
        says: &["coldplug.exec=: /bin/sh: No such file or directory"],
        ..NO_INIT
    },
    Row {
        name: "a_command_instead_of_a_bad_init",
        on_root: &[SHELL, ("sbin/init", Content::Text(""))],
        words: "coldplug.exec=true",
        says: &["exit=0"],
        ..ROW
    },
    // Inits that can run.
    Row {
        name: "the_next_init_is_used",
        on_root: &[
            ("sbin/init", Content::Text("")),
            ("etc/init", Content::Directory),
            ("bin/init", Content::Program("examples/guest")),
        ],
        says: &[
            "/sbin/init: Exec format error (empty file); trying the next init",
            "/etc/init: Permission denied (a directory); trying the next init",
        ],
        check: has_run,
        ..ROW
    },
    Row {
        name: "a_script_as_init",
        on_root: &[
            ("sbin/init", Content::Text("#! /bin/run -x\n")),
            ("bin/run", Content::Text("#!/bin/guest")),
            ("bin/guest", Content::Program("examples/guest")),
        ],
        check: has_run,
        ..ROW
    },
    Row {
        name: "an_init_with_an_interpreter",
        on_root: &[
            ("sbin/init", Content::Made(|_| interpreted("/lib/ld.so"))),
            ("lib/ld.so", Content::Program("examples/guest")),
        ],
        check: has_run,
        ..ROW
    },
    Row {
        name: "a_bad_init_on_the_first_of_two_roots",
        quick: true,
        on_root: &[("sbin/init", Content::Text("nothing\n"))],
        words: "coldplug.root=/dev/vda;LABEL=second",
        set_up: |vm| vm.attach(Bus::VirtioBlk, Disk { label: "second", ..ROOT }),
        says: &["root /dev/vda failed, trying LABEL=second: root /dev/vda: no init found"],
        check: |boot| assert_eq!(boot.facts().mount("/").unwrap().source, "/dev/vdb"),
        ..ROW
    },
    Row {
        name: "a_bad_init_under_rootwait",
        on_root: &[("sbin/init", Content::Text("nothing\n"))],
        words: "rootwait",
        limit_s: 20,
        ..NO_INIT
    },
    // Disks that fail when the init is read.
    Row {
        name: "an_init_with_a_block_that_cannot_be_read",
        root: Root::None,
        set_up: bad_block,
        says: &["/sbin/init: Input/output error"],
        ..NO_INIT
    },
    Row {
        name: "an_init_on_a_disk_that_is_slow",
        on_root: &[("sbin/init", Content::Made(long))],
        drive: ",throttling.bps-total=200000",
        words: "coldplug.timeout=4",
        verdict: "mount-failed",
        says: &["root /dev/vda: check of its init did not end within"],
        ..NO_INIT
    },
    Row {
        name: "a_disk_that_disappears_before_the_switch",
        files: &[SHELL],
        root: Root::On(Bus::Unplugged),
        args: &[
            "-device",
            "pcie-root-port,id=socket,chassis=1,slot=1",
            "-device",
            "virtio-blk-pci,drive=disk0,bus=socket,id=root",
        ],
        words: "coldplug.break=switch",
        act: unplug_at_the_break,
        verdict: "no-root",
        says: &["root device /dev/vda has disappeared"],
        ..ROW
    },
    // The check cannot know: execve(2) refuses a file that is open for writing.
    Row {
        name: "an_init_that_is_being_written",
        files: &[SHELL],
        on_root: &[("sbin/init", Content::Program("examples/guest"))],
        words: "rw init=/sbin/init coldplug.break=switch",
        act: |machine| {
            at_the_break(machine, "setsid sleep 1000 9<>/sysroot/sbin/init & sleep 1; exit");
        },
        says: &["coldplug: exec /sbin/init: Text file busy"],
        check: |boot| {
            boot.check(boot.facts_text.is_empty(), "the init runs");
            assert_eq!(boot.record()["verdict"], "exec-failed");
        },
        ..ROW
    },
    Row { name: "started_by_its_other_name", words: "rdinit=/bin/coldplug", ..ROW },
    Row {
        name: "started_by_a_name_that_it_does_not_know",
        files: &[("strange", Content::Link("/init"))],
        words: "rdinit=/strange",
        ..ROW
    },
    Row {
        name: "started_without_standard_streams",
        files: &[
            ("bin/sh", Content::Busybox),
            ("wrapper", Content::Text("#!/bin/sh\nexec /init <&- >&- 2>&-\n")),
        ],
        words: "rdinit=/wrapper",
        ..ROW
    },
    Row { name: "arguments_that_are_commands", words: "-- --help modprobe -r ext4", ..ROW },
];

fn has_run(boot: &Boot) {
    drop(boot.facts());
}

/// Returns the program guest.rs with other bytes at some offsets.
fn guest(changes: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = fs::read(program("examples/guest")).unwrap();
    changes.iter().for_each(|(at, byte)| bytes[*at] = *byte);
    bytes
}

/// Returns guest.rs with three megabytes of text after its segments.
pub(crate) fn long(_: &Tree) -> Vec<u8> {
    let mut bytes = guest(&[]);
    bytes.resize(bytes.len() + (3 << 20), b'x');
    bytes
}

/// Returns an x86-64 program that the kernel starts through the interpreter at `path`. It has no
/// instructions.
fn interpreted(path: &str) -> Vec<u8> {
    const HEADERS: u64 = 64;
    let at = HEADERS + 2 * 56;
    let len = path.len() as u64 + 1;
    let mut out = b"\x7fELF\x02\x01\x01".to_vec();
    out.resize(16, 0);
    // Type EXEC, x86-64, version 1, entry.
    out.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    for number in [0x40_0000 + at, HEADERS, 0] {
        out.extend(number.to_le_bytes());
    }
    for number in [0_u16, 0, 64, 56, 2, 0, 0, 0] {
        out.extend(number.to_le_bytes());
    }
    // PT_INTERP, PT_LOAD: readable and executable.
    for (kind, start, len, align) in [(3_u32, at, len, 1), (1, 0, at + len, 0x1000)] {
        out.extend(kind.to_le_bytes());
        out.extend(5_u32.to_le_bytes());
        for number in [start, 0x40_0000 + start, 0x40_0000 + start, len, len, align] {
            out.extend(number.to_le_bytes());
        }
    }
    out.extend(path.bytes().chain([0]));
    out
}

/// Attaches a root one block of whose init cannot be read.
fn bad_block(vm: Machine) -> Machine {
    let file = ROOT.make(&vm.dir().join("root"));
    let init = guest(&[]);
    let block = &init[128 << 10..][..1024];
    let disk = fs::read(&file).unwrap();
    let at = disk.chunks(1024).position(|b| b == block).expect("the init on the disk") * 2;
    let rules = vm.dir().join("rules");
    let rule =
        |event| format!("[inject-error]\nevent = \"{event}\"\nerrno = \"5\"\nsector = \"{at}\"\n");
    fs::write(&rules, rule("read_aio")).unwrap();
    let source = format!("blkdebug:{}:{}", rules.display(), file.display());
    vm.drive(Bus::VirtioBlk, &format!("file={source}"))
}

/// When the boot stops before the switch, has its check read the init again, at 200 KB a second.
pub(crate) fn slow_down_at_the_break(machine: &mut Running) {
    let limits = json!({
        "device": "disk0", "bps": 200_000, "bps_rd": 0, "bps_wr": 0,
        "iops": 0, "iops_rd": 0, "iops_wr": 0,
    });
    machine.wait_for(BREAK);
    machine.qmp().execute("block_set_io_throttle", limits);
    at_the_break(machine, "echo 3 > /proc/sys/vm/drop_caches; exit");
}

/// Types a line when the boot stops before the switch.
fn at_the_break(machine: &mut Running, line: &str) {
    machine.wait_for(BREAK);
    // What is typed before the shell starts is discarded.
    machine.wait_for("built-in shell");
    machine.terminal().line(line);
}

/// Unplugs the disk of the root when the boot stops before the switch, and continues.
fn unplug_at_the_break(machine: &mut Running) {
    machine.wait_for(BREAK);
    // What is typed before the shell starts is discarded.
    machine.wait_for("built-in shell");
    machine.qmp().execute("device_del", json!({ "id": "root" }));
    let mut terminal = machine.terminal();
    terminal.line("while [ -e /dev/vda ]; do :; done; echo gone-$((40+2))");
    machine.wait_for("gone-42");
    terminal.line("exit");
}

/// Writes an ext4 without mount points; with a shell and this init unless it is empty.
fn bare(file: &Path, init: &str) {
    let dir = tempfile::tempdir().unwrap();
    if !init.is_empty() {
        files::put(dir.path(), "bin/sh", &files::busybox(), 0o755);
        files::put(dir.path(), "sbin/init", init.as_bytes(), 0o755);
    }
    let mut mkfs = tool::command("mkfs.ext4", "e2fsprogs");
    tool::run(mkfs.args(["-q", "-F", "-d"]).args([dir.path(), file]).arg("16M"));
}
