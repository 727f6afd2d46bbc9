//! The command line of QEMU for one guest.
//!
//! A virtio-serial device has one port for each stream of the command, so that nothing of the
//! console mixes with them:
//!
//! | port | device of the guest | carries |
//! | --- | --- | --- |
//! | 1 | /dev/vport0p1 | standard input |
//! | 2 | /dev/vport0p2 | standard output |
//! | 3 | /dev/vport0p3 | standard error |
//! | 4 | /dev/vport0p4 | milestones and the record |

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use super::emulator::Emulator;
use super::shared_root::{SharedFilesystem, TAG};

/// The script of the command (`coldplug.exec=@NAME`), in an archive behind the image.
const SCRIPT: &str = "coldplug-run";
/// Path of the script in that archive.
pub(crate) const SCRIPT_FILE: &str = "etc/coldplug/exec/coldplug-run";
/// Port of milestones and record.
const REPORT: &str = "/dev/vport0p4";

/// A virtual machine that runs one command.
#[derive(Debug)]
pub(crate) struct GuestSpec {
    pub(crate) emulator: Emulator,
    /// Path of the kernel.
    pub(crate) kernel: PathBuf,
    /// Directory of the host that is the root of the guest.
    pub(crate) root: PathBuf,
    pub(crate) filesystem: SharedFilesystem,
    /// Whether what the guest writes goes into the directory; otherwise it goes into memory.
    pub(crate) is_writable: bool,
    /// `-accel`
    pub(crate) accelerator: String,
    /// Memory in MiB.
    pub(crate) memory: u32,
    pub(crate) processors: u32,
    /// Whether the command has the console, which is then the terminal of this process.
    pub(crate) is_interactive: bool,
    /// More words for the kernel.
    pub(crate) words: Vec<OsString>,
    /// More arguments for QEMU.
    pub(crate) arguments: Vec<OsString>,
}

/// Descriptors that QEMU inherits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Descriptors {
    /// The image.
    pub(super) image: RawFd,
    /// Ends of pipes: standard output, standard error, the record, the console.
    pub(super) outputs: [RawFd; 4],
}

impl GuestSpec {
    /// Returns the arguments of QEMU. `socket` is the abstract name of virtiofsd's socket.
    pub(super) fn arguments(&self, fds: &Descriptors, socket: &str) -> Vec<OsString> {
        let mut args = Arguments::default();
        args.add("-accel", &self.accelerator);
        args.add("-machine", self.machine());
        match (self.is_kvm(), self.emulator.cpu) {
            (true, _) => args.add("-cpu", "host"),
            (false, "") => {}
            (false, cpu) => args.add("-cpu", cpu),
        }
        args.add("-m", self.memory.to_string());
        args.add("-smp", self.processors.to_string());
        args.add("-display", "none");
        args.flags(&["-nodefaults", "-no-user-config", "-no-reboot"]);
        args.add("-kernel", &self.kernel);
        args.add("-initrd", fd_path(fds.image));
        args.add("-append", self.kernel_command_line());
        self.add_ports(&mut args, fds);
        self.add_root(&mut args, socket);
        args.0.extend(self.arguments.iter().cloned());
        args.0
    }

    /// Returns whether QEMU is to use KVM.
    pub(crate) fn is_kvm(&self) -> bool {
        self.accelerator.starts_with("kvm")
    }

    fn machine(&self) -> String {
        let machine = self.emulator.machine;
        match self.filesystem {
            SharedFilesystem::NineP => machine.to_owned(),
            SharedFilesystem::Virtiofs => format!("{machine},memory-backend=memory"),
        }
    }

    fn add_ports(&self, args: &mut Arguments, fds: &Descriptors) {
        let [output, error, report, console] = fds.outputs;
        let file = |id: &str, fd| format!("file,id={id},path={}", fd_path(fd));
        // The guest writes nothing to the input, and sees its end by the disconnection.
        let standard = |id: &str| format!("stdio,id={id},signal=off");
        let (input, console) = match self.is_interactive {
            true => ("null,id=in".to_owned(), standard("console")),
            false => (standard("in"), file("console", console)),
        };
        args.add("-chardev", console);
        args.add("-serial", "chardev:console");
        args.add("-device", "virtio-serial-pci");
        args.add("-chardev", input);
        args.add("-chardev", file("out", output));
        args.add("-chardev", file("err", error));
        args.add("-chardev", file("report", report));
        for (number, id) in ["in", "out", "err", "report"].iter().enumerate() {
            args.add("-device", format!("virtserialport,nr={},chardev={id},name={id}", number + 1));
        }
    }

    fn add_root(&self, args: &mut Arguments, socket: &str) {
        match self.filesystem {
            SharedFilesystem::NineP => {
                let mut share = OsString::from(format!(
                    "local,id=root,security_model=none,multidevs=remap,readonly={},path=",
                    if self.is_writable { "off" } else { "on" }
                ));
                share.push(doubled_commas(&self.root));
                args.add("-fsdev", share);
                args.add("-device", format!("virtio-9p-pci,fsdev=root,mount_tag={TAG}"));
            }
            SharedFilesystem::Virtiofs => {
                // virtiofsd reads and writes the memory of the guest.
                let memory = self.memory;
                args.add(
                    "-object",
                    format!("memory-backend-memfd,id=memory,size={memory}M,share=on"),
                );
                args.add("-chardev", format!("socket,id=fs,path={socket},abstract=on,tight=on"));
                args.add("-device", format!("vhost-user-fs-pci,chardev=fs,tag={TAG}"));
            }
        }
    }

    fn kernel_command_line(&self) -> OsString {
        let Emulator { console, words, .. } = self.emulator;
        let root = self.filesystem.words(self.is_writable);
        let overlay = if self.is_writable { "" } else { " coldplug.overlay=tmpfs" };
        let mut line = OsString::from(format!(
            "console={console} {words} panic=-1 oops=panic {root}{overlay} coldplug.log=warn \
             coldplug.onfail=poweroff coldplug.timeout=60 coldplug.exec=@{SCRIPT} \
             coldplug.report={REPORT}"
        ));
        if self.is_interactive {
            line.push(" quiet");
        }
        for word in &self.words {
            line.push(" ");
            line.push(word);
        }
        line
    }
}

/// Arguments that are being collected.
#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn add(&mut self, option: &str, value: impl Into<OsString>) {
        self.0.extend([option.into(), value.into()]);
    }

    fn flags(&mut self, flags: &[&str]) {
        self.0.extend(flags.iter().map(OsString::from));
    }
}

/// Returns a path that opens the descriptor `fd` anew.
fn fd_path(fd: RawFd) -> String {
    format!("/proc/self/fd/{fd}")
}

/// Returns a path as the value of an option of QEMU, where a comma ends a value.
fn doubled_commas(path: &Path) -> OsString {
    let mut value = Vec::new();
    for byte in path.as_os_str().as_encoded_bytes() {
        value.extend(std::iter::repeat_n(*byte, if *byte == b',' { 2 } else { 1 }));
    }
    crate::sys::path(&value).as_os_str().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::kernel_file::Architecture;
    use super::*;

    fn spec() -> GuestSpec {
        GuestSpec {
            emulator: Emulator::of(Architecture::X86),
            kernel: "/boot/vmlinuz".into(),
            root: "/a,b".into(),
            filesystem: SharedFilesystem::NineP,
            is_writable: false,
            accelerator: "tcg".into(),
            memory: 512,
            processors: 1,
            is_interactive: false,
            words: vec!["debug".into(), "x=\"a b\"".into()],
            arguments: vec!["-s".into()],
        }
    }

    fn line(spec: &GuestSpec) -> String {
        let fds = Descriptors { image: 3, outputs: [6, 7, 8, 9] };
        let words = spec.arguments(&fds, "fs-1");
        words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_guest_has_its_command_line() {
        let want = "-accel tcg -machine q35 -cpu max -m 512 -smp 1 -display none -nodefaults \
            -no-user-config -no-reboot -kernel /boot/vmlinuz -initrd /proc/self/fd/3 -append \
            console=ttyS0 no_timer_check panic=-1 oops=panic root=9p:root \
            rootflags=trans=virtio,version=9p2000.L,msize=512000,cache=loose ro \
            coldplug.overlay=tmpfs coldplug.log=warn coldplug.onfail=poweroff coldplug.timeout=60 \
            coldplug.exec=@coldplug-run coldplug.report=/dev/vport0p4 debug x=\"a b\" \
            -chardev file,id=console,path=/proc/self/fd/9 -serial chardev:console \
            -device virtio-serial-pci -chardev stdio,id=in,signal=off \
            -chardev file,id=out,path=/proc/self/fd/6 -chardev file,id=err,path=/proc/self/fd/7 \
            -chardev file,id=report,path=/proc/self/fd/8 \
            -device virtserialport,nr=1,chardev=in,name=in \
            -device virtserialport,nr=2,chardev=out,name=out \
            -device virtserialport,nr=3,chardev=err,name=err \
            -device virtserialport,nr=4,chardev=report,name=report \
            -fsdev local,id=root,security_model=none,multidevs=remap,readonly=on,path=/a,,b \
            -device virtio-9p-pci,fsdev=root,mount_tag=root -s";
        assert_eq!(line(&spec()), want);
        assert_eq!(SCRIPT_FILE.strip_prefix("etc/coldplug/exec/"), Some(SCRIPT));
    }

    #[test]
    fn options_change_the_command_line() {
        let kvm = line(&GuestSpec { accelerator: "kvm".into(), processors: 4, ..spec() });
        assert!(
            kvm.contains("-accel kvm ") && kvm.contains("-cpu host ") && kvm.contains("-smp 4")
        );
        let writable = line(&GuestSpec { is_writable: true, ..spec() });
        assert!(writable.contains("cache=mmap rw") && writable.contains("readonly=off"));
        assert!(!writable.contains("overlay"), "{writable}");
        let filesystem = SharedFilesystem::Virtiofs;
        let virtiofs = line(&GuestSpec { filesystem, memory: 256, ..spec() });
        for part in [
            "-machine q35,memory-backend=memory ",
            "root=virtiofs:root ro ",
            "-object memory-backend-memfd,id=memory,size=256M,share=on ",
            "path=fs-1,abstract=on",
            "-device vhost-user-fs-pci,chardev=fs,tag=root ",
        ] {
            assert!(virtiofs.contains(part), "{part}: {virtiofs}");
        }
        let interactive = line(&GuestSpec { is_interactive: true, ..spec() });
        assert!(
            interactive.contains("-chardev stdio,id=console,signal=off -serial chardev:console")
        );
        assert!(interactive.contains("-chardev null,id=in "), "{interactive}");
        let emulator = Emulator::of(Architecture::Aarch64);
        let arm = line(&GuestSpec { emulator, ..spec() });
        assert!(arm.contains("-machine virt -cpu cortex-a72") && arm.contains("console=ttyAMA0"));
    }
}
