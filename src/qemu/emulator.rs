//! The emulator that runs a kernel, and the machine that it emulates: QEMU's for virtual guests.

use super::kernel_file::Architecture;

/// An emulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Emulator {
    /// Its program.
    pub(crate) program: &'static str,
    /// The package of Debian that has it.
    pub(crate) package: &'static str,
    /// `-machine`
    pub(super) machine: &'static str,
    /// `-cpu` under TCG; KVM passes on the processor of the host. Empty: that of the machine.
    pub(super) cpu: &'static str,
    /// Terminal of the first serial port.
    pub(crate) console: &'static str,
    /// Words of the kernel command line.
    pub(super) words: &'static str,
    /// uname(2) of the hosts whose KVM runs such kernels.
    pub(super) hosts: &'static [&'static str],
}

impl Emulator {
    /// Returns the emulator for kernels of an architecture.
    pub(crate) fn of(architecture: Architecture) -> Self {
        match architecture {
            Architecture::X86 => Self {
                program: "qemu-system-x86_64",
                package: "qemu-system-x86",
                machine: "q35",
                cpu: "max",
                console: "ttyS0",
                // The kernel panics if a busy host delays the timer that it checks.
                words: "no_timer_check",
                hosts: &["x86_64"],
            },
            Architecture::Aarch64 => Self {
                program: "qemu-system-aarch64",
                package: "qemu-system-arm",
                machine: "virt",
                // `max` computes a checksum of each return address, which is slow under TCG.
                cpu: "cortex-a72",
                console: "ttyAMA0",
                words: "",
                hosts: &["aarch64"],
            },
            Architecture::Arm => Self {
                program: "qemu-system-arm",
                package: "qemu-system-arm",
                // Without LPAE the kernel cannot reach PCI above 4 GiB.
                machine: "virt,highmem=off",
                cpu: "cortex-a15",
                console: "ttyAMA0",
                words: "",
                hosts: &[],
            },
            Architecture::Riscv64 => Self {
                program: "qemu-system-riscv64",
                package: "qemu-system-misc",
                machine: "virt",
                cpu: "",
                console: "ttyS0",
                words: "",
                hosts: &["riscv64"],
            },
        }
    }

    /// Returns whether KVM of a host with this name of uname(2) may run it.
    pub(crate) fn is_native_on(&self, host: &str) -> bool {
        self.hosts.contains(&host)
    }
}
