//! Architectures of the machines: what emulates each, and what its devices are called.

/// An architecture of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arch {
    /// q35 with 64-bit processors.
    X86_64,
    /// The older PC, with 32-bit processors.
    I686,
    /// QEMU's virt of 64-bit ARM, without firmware.
    Aarch64,
    /// QEMU's virt of 32-bit ARM, without firmware.
    Arm,
    /// QEMU's virt of 64-bit RISC-V, with OpenSBI.
    Riscv64,
    /// IBM Z, which is big-endian. No test boots it.
    S390x,
}

impl Arch {
    /// Returns its name in Debian.
    pub fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::I686 => "i386",
            Self::Aarch64 => "arm64",
            Self::Arm => "armhf",
            Self::Riscv64 => "riscv64",
            Self::S390x => "s390x",
        }
    }

    /// Returns the Rust target of the programs in its images.
    pub fn target(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-musl",
            Self::I686 => "i686-unknown-linux-musl",
            Self::Aarch64 => "aarch64-unknown-linux-musl",
            Self::Arm => "armv7-unknown-linux-musleabihf",
            Self::Riscv64 => "riscv64gc-unknown-linux-musl",
            Self::S390x => "s390x-unknown-linux-musl",
        }
    }

    /// Returns the emulator and the package that has it.
    pub(crate) fn emulator(self) -> (&'static str, &'static str) {
        match self {
            Self::X86_64 => ("qemu-system-x86_64", "qemu-system-x86"),
            Self::I686 => ("qemu-system-i386", "qemu-system-x86"),
            Self::Aarch64 => ("qemu-system-aarch64", "qemu-system-arm"),
            Self::Arm => ("qemu-system-arm", "qemu-system-arm"),
            Self::Riscv64 => ("qemu-system-riscv64", "qemu-system-misc"),
            Self::S390x => ("qemu-system-s390x", "qemu-system-misc"),
        }
    }

    /// Returns the arguments that choose the machine.
    pub(crate) fn machine(self) -> &'static [&'static str] {
        match self {
            Self::X86_64 => &["-machine", "q35"],
            Self::I686 => &["-machine", "pc", "-cpu", "pentium3"],
            Self::Aarch64 => &["-machine", "virt", "-cpu", "cortex-a72"],
            // Without LPAE the kernel cannot reach PCI above 4 GiB.
            Self::Arm => &["-machine", "virt,highmem=off", "-cpu", "cortex-a15"],
            Self::Riscv64 => &["-machine", "virt"],
            Self::S390x => &["-machine", "s390-ccw-virtio"],
        }
    }

    /// Returns whether the machine is a PC.
    pub(crate) fn is_pc(self) -> bool {
        matches!(self, Self::X86_64 | Self::I686)
    }

    /// Returns the arguments for the chardevs `console`, `facts` and `record`. A board has one
    /// serial port, so the others are on PCI.
    pub(crate) fn serial_ports(self) -> &'static [&'static str] {
        const ON_BOARD: [&str; 6] =
            ["-serial", "chardev:console", "-serial", "chardev:facts", "-serial", "chardev:record"];
        const ON_PCI: [&str; 4] = [
            "-serial",
            "chardev:console",
            "-device",
            "pci-serial-2x,chardev1=facts,chardev2=record",
        ];
        if self.is_pc() { &ON_BOARD } else { &ON_PCI }
    }

    /// Returns the names of these three ports.
    pub(crate) fn ports(self) -> [&'static str; 3] {
        match self {
            Self::X86_64 | Self::I686 | Self::Riscv64 => ["ttyS0", "ttyS1", "ttyS2"],
            Self::S390x => ["ttysclp0", "ttyS0", "ttyS1"],
            Self::Aarch64 | Self::Arm => ["ttyAMA0", "ttyS0", "ttyS1"],
        }
    }
}
