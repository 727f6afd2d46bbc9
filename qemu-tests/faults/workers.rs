//! Worker processes that die.

use crate::row::{Content, Image, ROW, Root, Row, SHORT_INIT};
use harness::disk::DECOY;
use harness::machine::Bus;
use harness::record;

/// Three modules whose install commands always kill the worker process.
const KILLERS: &[(&str, Content)] = &[
    ("bin/sh", Content::Busybox),
    (
        "etc/modprobe.d/kill.conf",
        Content::Text(
            "install virtio_rng kill -9 $PPID\n\
             install virtio_balloon kill -ABRT $PPID\n\
             install virtio_console kill -9 $PPID\n",
        ),
    ),
];
const KILLED: &[&str] = &[
    "module virtio_rng failed (for ",
    "the worker process died while loading it alone: signal: 9 (SIGKILL)",
    "the worker process died while loading it alone: signal: 6 (SIGABRT)",
    "failed=3",
];
const DEVICES: &[&str] =
    &["-device", "virtio-rng-pci", "-device", "virtio-balloon-pci", "-device", "virtio-serial-pci"];
/// The device of modules written for the tests.
const BALLOON: &[&str] = &["-device", "virtio-balloon-pci"];

/// Makes the files of an image in which this script installs virtio_rng. The program of coldplug
/// is /init.
macro_rules! script {
    ($text:expr) => {
        &[
            ("bin/sh", Content::Busybox),
            ("etc/modprobe.d/script.conf", Content::Text("install virtio_rng . /script\n")),
            ("script", Content::Text($text)),
        ]
    };
}

/// Makes a script that kills the worker process `$count` times before it loads the module.
macro_rules! kills {
    ($count:literal) => {
        script!(concat!(
            "echo >> /killed\n",
            "[ $(wc -l < /killed) -gt ",
            $count,
            " ] && exec /bin/coldplug modprobe -i virtio_rng\n",
            "kill -9 $PPID\n"
        ))
    };
}

/// The device whose module the scripts install.
const RNG: &[&str] = &["-device", "virtio-rng-pci"];

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "an_install_line_kills_the_worker_once",
        files: &[
            ("bin/sh", Content::Busybox),
            (
                "etc/modprobe.d/kill.conf",
                Content::Text(
                    "install virtio_rng [ -e /killed ] || { : > /killed; kill -9 $PPID; }\n",
                ),
            ),
        ],
        args: &["-device", "virtio-rng-pci"],
        says: &["failed=0"],
        ..ROW
    },
    Row {
        name: "install_lines_kill_the_worker_six_times",
        quick: true,
        files: KILLERS,
        args: DEVICES,
        says: KILLED,
        limit_s: 30,
        ..ROW
    },
    Row {
        name: "install_lines_kill_the_worker_six_times_sequentially",
        files: KILLERS,
        words: "coldplug.jobs=1",
        args: DEVICES,
        says: KILLED,
        limit_s: 30,
        ..ROW
    },
    Row {
        // Without /dev/null no process is started.
        name: "no_worker_process_can_be_started_for_seconds",
        files: &[
            ("bin/sh", Content::Busybox),
            (
                "etc/modprobe.d/kill.conf",
                Content::Text(
                    "install virtio_rng while ! grep -q sysroot /proc/mounts; do sleep 1; done; \
                     mv /dev/null /dev/n; kill -9 $PPID; sleep 3; mv /dev/n /dev/null\n",
                ),
            ),
        ],
        args: &["-device", "virtio-rng-pci"],
        says: &["module virtio_rng failed", "loading it alone: signal: 9 (SIGKILL)", "failed=1"],
        limit_s: 60,
        check: |boot| {
            let time_ms: u64 = boot.figure("time").parse().unwrap();
            boot.check(time_ms > 3000, "a worker process was started without /dev/null");
        },
        ..ROW
    },
    Row {
        name: "a_listed_module_hangs_in_its_init",
        image: Image::OwnModules,
        words: "coldplug.modules=coldplug_hang",
        says: &[
            "still loading after 10 s: coldplug_hang (",
            "coldplug.modules: coldplug_hang not loaded after 30 s; continuing the boot",
        ],
        on_root: SHORT_INIT,
        limit_s: 120,
        ..ROW
    },
    Row {
        name: "the_kernel_kills_the_worker_for_memory",
        files: &[
            ("bin/sh", Content::Busybox),
            (
                "etc/modprobe.d/kill.conf",
                Content::Text(
                    "install virtio_rng echo 1000 > /proc/$PPID/oom_score_adj; tail /dev/zero\n",
                ),
            ),
        ],
        args: &["-m", "192", "-device", "virtio-rng-pci"],
        says: &["module virtio_rng failed", "loading it alone: signal: 9 (SIGKILL)", "failed=1"],
        limit_s: 60,
        ..ROW
    },
    Row {
        name: "a_module_kills_the_worker_beside_others",
        image: Image::OwnModules,
        files: &[(
            "etc/modprobe.d/kill.conf",
            Content::Text("alias virtio:d00000005v* coldplug_kill\n"),
        )],
        args: &["-device", "virtio-balloon-pci", "-device", "virtio-serial-pci"],
        says: &["module coldplug_kill failed", "the worker process died while", "failed=1"],
        limit_s: 30,
        check: |boot| {
            // Its init went on when its process was killed.
            let record = boot.facts().record();
            let slow = record::module(&record, "coldplug_slow");
            boot.check(slow["outcome"] == "loaded", "coldplug_slow is not loaded");
        },
        ..ROW
    },
    Row {
        name: "a_module_crashes_in_its_init",
        quick: true,
        image: Image::OwnModules,
        files: &[(
            "etc/modprobe.d/oops.conf",
            Content::Text("alias virtio:d00000005v* coldplug_oops\n"),
        )],
        words: "sysctl.kernel.panic_on_oops=0",
        args: BALLOON,
        says: &[
            "module coldplug_oops failed",
            "its init crashed (kernel oops), see the kernel log",
            "failed=1",
        ],
        limit_s: 30,
        ..ROW
    },
    Row {
        name: "a_module_hangs_in_its_init",
        image: Image::OwnModules,
        files: &[(
            "etc/modprobe.d/hang.conf",
            Content::Text("alias virtio:d00000005v* coldplug_hang\n"),
        )],
        args: BALLOON,
        says: &[
            "still loading after 10 s: coldplug_hang (updates/coldplug_hang.ko",
            "still loading after 40 s: coldplug_hang (",
            "modules still loading after 60 s; continuing the boot",
        ],
        on_root: SHORT_INIT,
        ..ROW
    },
    Row {
        name: "a_module_that_hangs_is_given_up",
        quick: true,
        image: Image::OwnModules,
        files: &[(
            "etc/modprobe.d/hang.conf",
            Content::Text("alias virtio:d00000005v* coldplug_hang\n"),
        )],
        words: "coldplug.module_timeout=3 coldplug.jobs=1",
        args: BALLOON,
        on_root: SHORT_INIT,
        says: &[
            "module coldplug_hang: still in its init after 3 s; continuing without it",
            "module coldplug_hang failed",
            "failed=1",
        ],
        limit_s: 30,
        ..ROW
    },
    Row {
        name: "a_module_that_ends_after_it_was_given_up",
        image: Image::OwnModules,
        words: "coldplug.module_timeout=2 rootdelay=9",
        args: &["-device", "virtio-serial-pci"],
        says: &[
            "module coldplug_slow: still in its init after 2 s; continuing without it",
            "failed=0",
        ],
        check: |boot| {
            let record = boot.facts().record();
            let slow = record::module(&record, "coldplug_slow");
            boot.check(slow["outcome"] == "loaded", "its late result is not in the record");
        },
        ..ROW
    },
    Row {
        name: "loads_under_way_before_a_restart",
        image: Image::OwnModules,
        files: &[(
            "etc/modprobe.d/hang.conf",
            Content::Text("alias virtio:d00000005v* coldplug_hang\n"),
        )],
        args: BALLOON,
        root: Root::None,
        // The kernel prints everything, and coldplug therefore nothing itself.
        words: "coldplug.timeout=3 ignore_loglevel",
        verdict: "",
        says: &["coldplug: verdict=no-root", "shutting down while modules are still loading"],
        ..ROW
    },
    Row {
        name: "an_install_command_hangs",
        files: &[
            ("bin/sh", Content::Busybox),
            ("etc/modprobe.d/hang.conf", Content::Text("install virtio_rng sleep 1000\n")),
        ],
        words: "coldplug.module_timeout=2",
        on_root: SHORT_INIT,
        args: &["-device", "virtio-rng-pci"],
        says: &["module virtio_rng: its install command still runs after 2 s", "failed=1"],
        limit_s: 30,
        ..ROW
    },
    Row {
        name: "the_kernel_command_line_is_data_for_install_lines",
        quick: true,
        files: &[
            ("bin/sh", Content::Busybox),
            (
                "etc/modprobe.d/options.conf",
                Content::Text(
                    "install virtio_rng for word in $CMDLINE_OPTS; do \
                     echo \"word <$word>\" > /dev/console; done; \
                     /sbin/modprobe virtio_balloon\n\
                     install virtio_balloon echo \"nested <$CMDLINE_OPTS>\" > /dev/console\n",
                ),
            ),
        ],
        words: "virtio_rng.x=$(echo$IFS-n$IFS'exec'uted>/dev/console) virtio_rng.y=2 \
                virtio_rng.w=\"a /dev/nul* b\" \
                virtio_balloon.z=$(echo$IFS-n$IFS'exec'uted>/dev/console)",
        args: &["-device", "virtio-rng-pci"],
        says: &[
            "word <x=$(echo$IFS-n$IFS'exec'uted",
            "word <y=2>",
            "word </dev/null>",
            "nested <z=$(echo$IFS",
        ],
        never: &["executed"],
        ..ROW
    },
    Row {
        name: "a_prober_is_killed_once",
        files: &[
            ("bin/sh", Content::Busybox),
            ("kill", Content::Text(KILL_PROBERS)),
            ("etc/modprobe.d/kill.conf", Content::Text("install virtio_rng . /kill\n")),
        ],
        words: "root=LABEL=coldplug-root",
        args: &["-device", "virtio-rng-pci"],
        ..ROW
    },
    Row {
        // A process that is killed closes the disk first, which takes as long as the read. So its
        // end is not seen before the disk is late.
        name: "probers_of_a_slow_disk_are_killed",
        files: &[
            ("bin/sh", Content::Busybox),
            ("kill", Content::Text(KILL_PROBERS)),
            (
                "etc/modprobe.d/kill.conf",
                Content::Text("install virtio_rng (while :; do . /kill; done) &\n"),
            ),
        ],
        set_up: |vm| {
            let file = DECOY.make(&vm.dir().join("slow"));
            let drive = format!("file={},throttling.bps-total=100", file.display());
            vm.drive(Bus::VirtioBlk, &drive)
        },
        words: "root=LABEL=absent coldplug.timeout=20 coldplug.probe_timeout=4",
        args: &["-device", "virtio-rng-pci"],
        verdict: "no-root",
        says: &["coldplug: /dev/vdb did not answer within 4 s; skipped"],
        limit_s: 40,
        ..ROW
    },
    Row {
        name: "killed_twice",
        files: kills!("2"),
        args: RNG,
        says: &["module virtio_rng failed"],
        ..ROW
    },
    Row {
        name: "killed_by_the_module_of_the_root",
        files: &[
            ("bin/sh", Content::Busybox),
            ("etc/modprobe.d/script.conf", Content::Text("install virtio_blk kill -9 $PPID\n")),
        ],
        words: "coldplug.timeout=20",
        verdict: "no-root",
        says: &["module virtio_blk failed"],
        ..ROW
    },
    Row {
        name: "stopped",
        files: script!("kill -STOP $PPID\n"),
        args: RNG,
        words: "coldplug.timeout=10 coldplug.module_timeout=10",
        on_root: SHORT_INIT,
        ..ROW
    },
    Row {
        name: "a_script_that_deletes_the_modules",
        files: script!("rm -r /lib/modules\n"),
        args: RNG,
        words: "coldplug.timeout=5 coldplug.jobs=1 coldplug.modules=virtio_rng",
        verdict: "no-root",
        ..ROW
    },
    Row {
        name: "a_script_that_deletes_the_program",
        files: script!("rm /init\n"),
        args: RNG,
        ..ROW
    },
    Row {
        name: "a_script_that_prints_without_end",
        files: script!("yes > /dev/null & yes 'a flood' | head -n 2000\n"),
        args: RNG,
        ..ROW
    },
    Row {
        name: "a_script_that_unmounts_proc",
        files: script!("umount -l /proc\n"),
        args: RNG,
        words: "coldplug.jobs=1",
        verdict: "switch-failed",
        says: &["/proc/self/exe"],
        ..ROW
    },
    Row {
        name: "a_script_that_hides_the_devices",
        files: script!("umount -l /dev; mkdir -p /dev\n"),
        args: RNG,
        words: "coldplug.timeout=5 coldplug.modules=virtio_rng coldplug.jobs=1",
        verdict: "no-root",
        ..ROW
    },
];

/// Kills every prober, with commands that the shell has built in.
const KILL_PROBERS: &str = "for process in /proc/[0-9]*; do \
     read name < $process/comm && [ \"$name\" = coldplug-probe ] && kill -9 ${process#/proc/}; done\n";
