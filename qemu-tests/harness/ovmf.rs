//! A q35 that starts from its firmware (OVMF) with Secure Boot: an EFI system partition in a
//! directory, and a disk with the root. Unlike [`crate::machine`] it gives the kernel no image and no
//! command line.
//!
//! | port | goes to |
//! | --- | --- |
//! | ttyS0 | the console |
//! | ttyS1 | the facts |

use crate::tool;
use std::fs;
use std::path::Path;

/// Deadline of a boot in seconds; the firmware alone takes half a minute on a busy host.
const DEADLINE: &str = "900";

/// What a boot has printed.
#[derive(Debug)]
pub struct Printed {
    /// On the console, that of the firmware included.
    pub console: String,
    /// On the port of the facts.
    pub facts: String,
}

/// Boots EFI/BOOT/BOOTX64.EFI of the directory `esp` with the firmware `code`. Its variables are those
/// of the file `vars`, which is written to, as is nothing else. `disk` is on virtio-blk.
///
/// # Panics
///
/// If the machine does not power off within the deadline.
pub fn boot(code: &Path, vars: &Path, esp: &Path, disk: &Path) -> Printed {
    let scratch = tempfile::tempdir().unwrap();
    let facts = scratch.path().join("facts");
    let mut qemu = tool::command("timeout", "coreutils");
    qemu.arg(DEADLINE).arg(tool::find("qemu-system-x86_64", "qemu-system-x86"));
    qemu.args(["-accel", "tcg", "-machine", "q35,smm=on", "-m", "1024", "-nodefaults"]);
    qemu.args(["-global", "driver=cfi.pflash01,property=secure,value=on"]);
    qemu.args(["-display", "none", "-no-user-config", "-no-reboot", "-serial", "stdio"]);
    qemu.arg("-serial").arg(format!("file:{}", facts.display()));
    for drive in [
        format!("if=pflash,format=raw,unit=0,readonly=on,file={}", code.display()),
        format!("if=pflash,format=raw,unit=1,file={}", vars.display()),
        format!("if=none,id=esp,format=raw,file=fat:rw:{}", esp.display()),
        format!("if=none,id=root,format=raw,snapshot=on,file={}", disk.display()),
    ] {
        qemu.args(["-drive", &drive]);
    }
    qemu.args(["-device", "ide-hd,drive=esp,bus=ide.0,bootindex=1"]);
    qemu.args(["-device", "virtio-blk-pci,drive=root"]);
    let console = tool::run(&mut qemu);
    Printed { console, facts: fs::read_to_string(facts).unwrap_or_default() }
}
