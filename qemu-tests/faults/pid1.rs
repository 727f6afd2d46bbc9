//! PID 1 itself: the names it is started by, what it inherits, signals and crashes, its console and
//! the port of its report.

use crate::inits::{long, slow_down_at_the_break};
use crate::row::{Content, Image, ROW, Root, Row};
use harness::machine::{Boot, Running};
use serde_json::json;

/// The shell of install lines and of the inits below.
const SHELL: (&str, Content) = ("bin/sh", Content::Busybox);
/// An init that a command takes the place of.
const ANY_INIT: &[(&str, Content)] = &[SHELL, ("sbin/init", Content::Text("#!/bin/sh\n"))];
/// A device whose module's install line does what a row says.
const RNG: &[&str] = &["-device", "virtio-rng-pci"];
/// Path of the install line.
const INSTALL: &str = "etc/modprobe.d/act.conf";

/// The hash of a password for the shell.
const PASSWORD: (&str, Content) = (
    "etc/coldplug/shell-password",
    Content::Text("$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5\n"),
);

/// Returns the entries of an image with an install line.
macro_rules! install {
    ($line:literal) => {
        &[SHELL, (INSTALL, Content::Text(concat!("install virtio_rng ", $line, "\n")))]
    };
}

/// Returns the entries of a root whose init is a shell script that writes to the port of the facts,
/// and then ends the machine.
macro_rules! script {
    ($text:literal) => {
        &[
            SHELL,
            (
                "sbin/init",
                Content::Text(concat!(
                    "#!/bin/sh\nexec > /dev/ttyS1\n",
                    $text,
                    "\nsleep 1\necho b > /proc/sysrq-trigger\n"
                )),
            ),
        ]
    };
}

/// Returns the row for a link of every image as the first program.
const fn link(name: &'static str, words: &'static str) -> Row {
    Row { name, words, ..ROW }
}

/// Returns the row for a signal to PID 1.
const fn signal(
    name: &'static str,
    files: &'static [(&'static str, Content)],
    says: &'static [&'static str],
) -> Row {
    Row { name, files, args: RNG, verdict: "crash", says, ..ROW }
}

pub(crate) const ROWS: &[Row] = &[
    Row { quick: true, ..link("started_as_modprobe", "rdinit=/sbin/modprobe") },
    link("started_as_insmod", "rdinit=/sbin/insmod"),
    link("started_as_rmmod", "rdinit=/sbin/rmmod"),
    link("started_as_lsmod", "rdinit=/sbin/lsmod"),
    link("started_with_the_name_of_a_command", "rdinit=/bin/coldplug -- lsmod"),
    Row {
        name: "started_by_a_careless_script",
        quick: true,
        files: &[SHELL, ("wrapper", Content::Text(WRAPPER))],
        words: "rdinit=/wrapper wish=2",
        // The guest itself ignores SIGPIPE, as every program in Rust does.
        check: |boot| {
            let facts = boot.facts();
            for line in ["Umask:\t0022", "SigBlk:\t0000000000000000", "SigIgn:\t0000000000001000"] {
                assert!(facts.lines("status").contains(&line), "{line}: {:?}", facts.get("status"));
            }
            let env = json!({ "HOME": "/tmp", "TERM": "linux", "wish": "2" });
            assert_eq!(*facts.get("env"), env);
            assert_eq!(facts.get("fds").as_array().unwrap().len(), 3, "{}", facts.get("fds"));
        },
        ..ROW
    },
    Row {
        name: "limits_of_a_careless_script",
        files: &[SHELL, ("wrapper", Content::Text(WRAPPER))],
        words: "rdinit=/wrapper",
        on_root: script!("tr -s ' ' < /proc/1/limits; ls -l /run/coldplug/record.json"),
        check: limits,
        ..ROW
    },
    Row {
        name: "the_shell_of_a_boot_whose_script_ignored_sigchld",
        files: &[SHELL, ("wrapper", Content::Text(WRAPPER))],
        words: "rdinit=/wrapper root=LABEL=none coldplug.timeout=1 coldplug.onfail=shell",
        act: |machine| {
            machine.wait_for("coldplug: verdict=");
            machine.terminal().line("exit");
        },
        verdict: "no-root",
        says: &["shell exited; rebooting"],
        ..ROW
    },
    Row {
        quick: true,
        ..signal(
            "sigsegv",
            install!("kill -SEGV 1"),
            &["coldplug was ended by SIGSEGV from process"],
        )
    },
    signal("sigbus", install!("kill -BUS 1"), &["coldplug was ended by SIGBUS from process"]),
    signal("sigill", install!("kill -ILL 1"), &["coldplug was ended by SIGILL from process"]),
    signal("sigfpe", install!("kill -FPE 1"), &["coldplug was ended by SIGFPE from process"]),
    signal("sigabrt", install!("kill -ABRT 1"), &["coldplug was ended by SIGABRT from process"]),
    Row {
        name: "signals_that_have_no_effect",
        files: install!(
            "for s in HUP QUIT TERM USR1 USR2 PIPE ALRM KILL STOP; do kill -$s 1; done"
        ),
        args: RNG,
        ..ROW
    },
    // Writes an instruction that does not exist where PID 1 returns from its system call, once it
    // is in one.
    signal(
        "an_instruction_that_does_not_exist",
        install!(
            "until [ \"$pc\" ]; do read a b c d e f g h pc < /proc/1/syscall; done; \
             printf '\\\\017\\\\013' | dd of=/proc/1/mem bs=1 seek=$((pc)) conv=notrunc"
        ),
        &["coldplug crashed (SIGILL at 0x"],
    ),
    Row {
        name: "a_crash_in_rescue",
        files: install!(
            "kill -SEGV 1; sleep 5; kill -BUS 1; sleep 5; echo o > /proc/sysrq-trigger"
        ),
        args: RNG,
        words: "coldplug.onfail=shell",
        verdict: "crash",
        says: &["coldplug was ended by SIGBUS from process", "a second crash"],
        ..ROW
    },
    Row {
        name: "a_crash_after_the_verdict",
        root: Root::None,
        files: &[
            SHELL,
            (
                INSTALL,
                Content::Text(
                    "install virtio_rng ( sleep 8; kill -SEGV 1; sleep 4; kill -SEGV 1; sleep 4; echo o > /proc/sysrq-trigger ) &\n",
                ),
            ),
        ],
        args: RNG,
        words: "coldplug.timeout=2 coldplug.onfail=shell",
        verdict: "no-root",
        says: &["coldplug was ended by SIGSEGV", "a second crash"],
        ..ROW
    },
    // The arguments with which a panic executes the program anew.
    Row {
        name: "a_panic",
        files: &[
            SHELL,
            (
                "wrapper",
                Content::Text("#!/bin/sh\nexec -a coldplug /init init --crashed=0,0,0,0,0\n"),
            ),
        ],
        words: "rdinit=/wrapper",
        verdict: "panic",
        says: &["coldplug panicked; please report it"],
        ..ROW
    },
    // `/` is the real root then, which has no password.
    Row {
        name: "a_crash_behind_the_switch_opens_no_shell",
        files: &[PASSWORD],
        on_root: &[SHELL, ("sbin/init", Content::Text("#!/bin/sh\n"))],
        words: "\"coldplug.exec=kill -SEGV 1; sleep 1\" coldplug.onfail=shell",
        verdict: "crash",
        says: &["shell refused: its password was in the initramfs"],
        never: &["coldplug> ", "password for a shell"],
        ..ROW
    },
    Row {
        name: "panic_restarts_after_a_crash",
        files: install!("kill -SEGV 1"),
        args: RNG,
        set_up: |vm| vm.replace_words("coldplug.onfail=poweroff", ""),
        words: "panic=2",
        verdict: "crash",
        ..ROW
    },
    Row {
        name: "lockdown_refuses_the_shell_without_sys",
        files: &[("sys", Content::Text(""))],
        words: "lockdown=confidentiality coldplug.onfail=shell",
        verdict: "no-mounts",
        says: &["shell refused: lockdown=confidentiality"],
        never: &["coldplug> "],
        ..ROW
    },
    Row {
        name: "proc_cannot_be_mounted",
        quick: true,
        files: &[("proc", Content::Text(""))],
        verdict: "no-mounts",
        ..ROW
    },
    Row {
        name: "sys_cannot_be_mounted",
        files: &[("sys", Content::Text(""))],
        set_up: |vm| vm.replace_words("coldplug.onfail=poweroff", ""),
        words: "panic=1",
        verdict: "no-mounts",
        ..ROW
    },
    Row {
        name: "the_kernel_prints_everything",
        words: "ignore_loglevel",
        verdict: "",
        check: |boot| boot.check(boot.console.matches("coldplug: verdict=ok").count() == 1, "once"),
        on_root: script!(":"),
        ..ROW
    },
    Row {
        name: "debug_on_the_command_line",
        words: "debug",
        verdict: "",
        check: |boot| boot.check(boot.console.matches("coldplug: verdict=ok").count() == 1, "once"),
        on_root: script!(":"),
        ..ROW
    },
    Row { name: "records_of_programs_are_switched_off", words: "printk.devkmsg=off debug", ..ROW },
    Row {
        name: "a_console_without_output",
        quick: true,
        set_up: |vm| vm.replace_words("console=ttyS0", "console=null earlyprintk=ttyS0"),
        verdict: "",
        on_root: script!("dmesg"),
        check: kernel_log_has_the_verdict,
        ..ROW
    },
    Row {
        name: "a_console_that_is_stopped",
        // The module's install line leaves time to stop the output. The warnings about the others
        // are more than the driver's buffer of 4 KiB holds, and the kernel does not print them.
        set_up: |vm| {
            let names: String = (100..250).map(|number| format!(",x{number}")).collect();
            vm.cmdline(&format!("loglevel=4 coldplug.modules=virtio_rng{names}"))
        },
        files: install!("sleep 5"),
        args: RNG,
        act: |machine| {
            machine.wait_for("coldplug: version");
            machine.terminal().line("\x13");
        },
        verdict: "",
        on_root: script!("dmesg"),
        check: kernel_log_has_the_verdict,
        ..ROW
    },
    Row {
        name: "a_report_that_nobody_reads",
        quick: true,
        set_up: |vm| {
            let port = vm.dir().join("port");
            let socket = format!("socket,id=port,path={},server=on,wait=off", port.display());
            vm.device("virtio-serial-pci")
                .args(["-chardev", &socket])
                .device("virtserialport,chardev=port,nr=1")
        },
        words: "coldplug.report=/dev/vport1p1",
        says: &["coldplug.report: write /dev/vport1p1: Broken pipe"],
        ..ROW
    },
    Row {
        name: "a_report_to_a_port_that_does_not_exist",
        words: "coldplug.report=/dev/vport0p9",
        says: &["coldplug.report: write /dev/vport0p9: No such file or directory"],
        on_root: script!("ls /dev/vport0p9 || echo there is none"),
        check: |boot| boot.check(boot.facts_text.contains("there is none"), "a file in /dev"),
        ..ROW
    },
    // Whoever opens a file for writing on a frozen filesystem waits in the kernel, as for a disk
    // that does not answer.
    Row {
        name: "a_report_to_a_filesystem_that_is_frozen",
        on_root: ANY_INIT,
        words: "rw coldplug.report=/report \"coldplug.exec=fsfreeze --freeze /\"",
        says: &["coldplug.report: write /report: given up after 30", "exit=0"],
        limit_s: 60,
        ..ROW
    },
    Row {
        name: "ctrl_alt_del_during_the_report",
        quick: true,
        on_root: ANY_INIT,
        words: "rw coldplug.report=/report \
                \"coldplug.exec=(sleep 4; kill -INT 1) & fsfreeze --freeze /\"",
        verdict: "interrupted",
        says: &[
            "coldplug.report: write /report: given up: Ctrl-Alt-Del was pressed",
            "Ctrl-Alt-Del was pressed: rebooting",
            "reboot: Restarting system",
        ],
        limit_s: 25,
        ..ROW
    },
    Row {
        name: "a_report_in_a_root_without_proc",
        on_root: ANY_INIT,
        words: "rw coldplug.report=/report \"coldplug.exec=umount -l /proc\"",
        says: &["coldplug.report: exec /proc/self/exe: No such file or directory", "exit=0"],
        ..ROW
    },
    Row {
        name: "a_report_to_a_file",
        on_root: ANY_INIT,
        words: "rw coldplug.report=/report \"coldplug.exec=true\"",
        never: &["coldplug.report: "],
        ..ROW
    },
    Row {
        name: "a_report_to_the_root_disk",
        words: "coldplug.report=/dev/vda",
        // Before the switch it is refused as a block device; after it the writer has no /dev any more.
        says: &["coldplug.report: write /dev/vda: "],
        ..ROW
    },
    Row {
        name: "ctrl_alt_del_while_a_listed_module_loads",
        files: install!("kill -INT 1; sleep 60"),
        args: RNG,
        words: "coldplug.modules=virtio_rng",
        verdict: "interrupted",
        never: &["not loaded after"],
        limit_s: 20,
        ..ROW
    },
    Row {
        name: "sigint_reboots",
        files: install!("kill -INT 1; sleep 3"),
        args: RNG,
        verdict: "interrupted",
        says: &["Ctrl-Alt-Del was pressed: rebooting"],
        ..ROW
    },
    Row {
        name: "ctrl_alt_del_during_the_wait",
        quick: true,
        args: &["-device", "virtio-keyboard-pci"],
        root: Root::None,
        words: "rootwait",
        act: |machine| {
            machine.wait_for("coldplug: version");
            press(machine);
        },
        verdict: "interrupted",
        ..ROW
    },
    Row {
        name: "ctrl_alt_del_during_the_check_before_the_switch",
        args: &["-device", "virtio-keyboard-pci"],
        files: &[SHELL],
        on_root: &[("sbin/init", Content::Made(long))],
        words: "coldplug.break=switch",
        act: |machine| {
            slow_down_at_the_break(machine);
            std::thread::sleep(std::time::Duration::from_secs(3));
            press(machine);
        },
        verdict: "interrupted",
        ..ROW
    },
    Row {
        name: "ctrl_alt_del_after_the_verdict",
        args: &["-device", "virtio-keyboard-pci"],
        root: Root::None,
        words: "coldplug.timeout=2 coldplug.onfail=shell",
        act: |machine| {
            machine.wait_for("coldplug: verdict=");
            press(machine);
        },
        verdict: "no-root",
        says: &["Ctrl-Alt-Del was pressed: rebooting"],
        ..ROW
    },
    Row {
        name: "the_seventh_ctrl_alt_del_restarts_immediately",
        // The first one ends the boot, which then waits for the load for five seconds. The kernel
        // prints what only its log would have.
        words: "coldplug.modules=virtio_rng ignore_loglevel",
        files: install!("for i in 1 2 3 4 5 6 7; do kill -INT 1; sleep 0.3; done; sleep 60"),
        args: RNG,
        verdict: "",
        says: &["coldplug: verdict=interrupted", "sysrq: Resetting"],
        never: &["shutting down while modules are still loading"],
        ..ROW
    },
    Row {
        name: "orphans_are_reaped",
        image: Image::Shared,
        files: install!(
            "for i in 1 2 3 4 5 6 7 8 9; do ( sleep 1 & sleep 1 & sleep 1 & ); done; sleep 5; \
             cat /proc/[0-9]*/status | grep -c zombie > /run/zombies"
        ),
        args: RNG,
        on_root: script!("echo zombies: $(cat /run/zombies)"),
        check: |boot| boot.check(boot.facts_text.contains("zombies: 0"), "there are zombies"),
        ..ROW
    },
];

/// A first init that changes what its successor inherits.
const WRAPPER: &str = "#!/bin/sh
trap '' CHLD INT SEGV TERM PIPE
umask 0
ulimit -n 20
ulimit -f 100
ulimit -c 1000
export STRAY=1 HOME=/tmp
exec 7</wrapper
exec /init
";

fn limits(boot: &Boot) {
    for line in [
        "Max open files 1024 4096 files",
        "Max file size unlimited unlimited bytes",
        "Max core file size 0 unlimited bytes",
        "-rw-r--r--",
    ] {
        boot.check(boot.facts_text.contains(line), &format!("{line:?} in {}", boot.facts_text));
    }
}

fn kernel_log_has_the_verdict(boot: &Boot) {
    let count = boot.facts_text.matches("coldplug: verdict=ok").count();
    boot.check(count == 1, &format!("{count} verdicts in the kernel log:\n{}", boot.facts_text));
}

/// Presses Ctrl-Alt-Del until the machine restarts or has been asked often enough: the keyboard's
/// driver may not be loaded yet.
pub(crate) fn press(machine: &mut Running) {
    let mut qmp = machine.qmp();
    for _ in 0..20 {
        std::thread::sleep(std::time::Duration::from_secs(1));
        if machine.console().contains("Ctrl-Alt-Del was pressed") {
            return;
        }
        let keys: Vec<_> = ["ctrl", "alt", "delete"]
            .iter()
            .map(|key| json!({ "type": "qcode", "data": key }))
            .collect();
        qmp.execute("send-key", json!({ "keys": keys }));
    }
}
