//! The boots whose records are in qemu-tests/data/records. `make records` boots them again, in guest
//! time, which is about the same on each machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::kernel::{Kernel, Tree};
use harness::machine::Machine;
use harness::run::{BOOT, Test, unavailable};
use harness::{image, measured, tests};

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    records_of_real_boots,
];

/// A boot: name of its record, machine, kernel, words for the kernel command line.
type Row = (&'static str, fn(&Tree, &Path) -> Machine, Kernel, &'static str);

const ROWS: [Row; 3] = [
    ("virtio", measured::virtio, Kernel::Cloud61, "root=/dev/vda"),
    ("fleet", measured::fleet, Kernel::Full61, "root=/dev/vda"),
    ("no-root", measured::virtio, Kernel::Cloud61, "root=LABEL=none coldplug.timeout=3"),
];

/// Deadline of a boot whose instructions are counted, on a busy host.
const DEADLINE: Duration = Duration::from_secs(900);

fn records_of_real_boots() {
    let Some(dir) = std::env::var_os("RECORDS").map(PathBuf::from) else {
        unavailable("run `make records`");
    };
    for (name, machine, kernel, words) in ROWS {
        let tree = kernel.get();
        let image = image::coldplug(&tree, &["--all"]);
        let vm = machine(&tree, &image).timed().deadline(DEADLINE);
        let boot = vm.cmdline(words).cmdline("coldplug.report=/dev/ttyS2").run();
        fs::write(dir.join(format!("{name}.json")), format!("{}\n", boot.record())).unwrap();
    }
}
