//! Images of other initramfs programs for the kernels of the tests, built in systems of Debian that
//! have these programs installed. The systems are made by debootstrap(8) and kept in the cache
//! ([`debian`]).
//!
//! | builder | generic | for one machine |
//! | --- | --- | --- |
//! | initramfs-tools | `MODULES=most`, as installed | `MODULES=list`, and a hook that adds the list |
//! | dracut | `--no-hostonly` | `--hostonly --drivers LIST` |
//! | tiny-initramfs | has none | `--auto-modules=no --include-modules=LIST` |
//!
//! Images for one machine are stand-ins: the builders themselves look at the /sys of the machine
//! that they run on, which is not the one that boots. The list names the drivers of the root disk
//! and its filesystem, which is what they find there.

use crate::kernel::Tree;
use crate::{debian, image, tool};
use std::path::{Path, PathBuf};

/// Packages of the systems besides the essential ones.
const BOOKWORM: &str = "systemd-sysv,udev,dbus,kmod,e2fsprogs,initramfs-tools,dracut-core,\
    tiny-initramfs-core,busybox-static,zstd";
/// The same with the programs for LUKS, LVM and md.
const BOOKWORM_STORAGE: &str = "systemd-sysv,udev,dbus,kmod,e2fsprogs,initramfs-tools,dracut-core,\
    tiny-initramfs-core,busybox-static,zstd,cryptsetup-initramfs,lvm2,mdadm";
const SID: &str =
    "systemd-sysv,udev,dbus,kmod,e2fsprogs,initramfs-tools,dracut-core,busybox-static,zstd";

/// Lays a writable layer over the system `$1`, puts the modules `$2` of the release `$3` into it,
/// runs the script `$5` there, and copies the image to `$6`. Debian's kernels read each of these
/// compressions; the builders look for that in the configuration of the kernel.
const BUILD: &str = r#"
set -e
mount -t tmpfs none "$4"
mkdir "$4/upper" "$4/work" "$4/root"
mount -t overlay -o "lowerdir=$1,upperdir=$4/upper,workdir=$4/work" none "$4/root"
mount -t proc proc "$4/root/proc"
mkdir -p "$4/root/lib/modules/$3" "$4/root/tmp"
mount --bind "$2" "$4/root/lib/modules/$3"
for name in BLK_DEV_INITRD DEVTMPFS UNIX RD_GZIP RD_XZ RD_ZSTD; do
  echo "CONFIG_$name=y"
done > "$4/root/boot/config-$3"
LC_ALL=C chroot "$4/root" sh -ec "$5" sh "$3"
cp "$4/root/tmp/image" "$6"
"#;

/// Writes the image of initramfs-tools for the kernel `$1`, with all modules that most machines
/// need.
const INITRAMFS_TOOLS: &str = r#"
conf=/etc/cryptsetup-initramfs/conf-hook
if [ -e $conf ]; then echo CRYPTSETUP=y >> $conf; fi
mkinitramfs -o /tmp/image "$1"
"#;

/// A release of Debian, and what is installed there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum System {
    /// Debian 12.
    Bookworm,
    /// Debian 12 with cryptsetup, LVM and mdadm.
    BookwormStorage,
    /// Debian unstable of the day on which the cache was filled.
    Sid,
}

impl System {
    /// Returns its directory in the cache, which is made first.
    pub fn home(self) -> PathBuf {
        let (suite, packages) = self.packages();
        debian::with_packages(suite, packages)
    }

    fn packages(self) -> (&'static str, &'static str) {
        match self {
            Self::Bookworm => ("bookworm", BOOKWORM),
            Self::BookwormStorage => ("bookworm", BOOKWORM_STORAGE),
            Self::Sid => ("sid", SID),
        }
    }
}

/// A program that builds images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Builder {
    /// Scripts of klibc or busybox with udev.
    InitramfsTools,
    /// systemd and udev.
    Dracut,
    /// One program in C without discovery, which loads a list of modules.
    TinyInitramfs,
}

impl Builder {
    /// Returns the Debian package of the program.
    pub fn package(self) -> &'static str {
        match self {
            Self::InitramfsTools => "initramfs-tools-core",
            Self::Dracut => "dracut-core",
            Self::TinyInitramfs => "tiny-initramfs-core",
        }
    }

    /// Returns the script that writes /tmp/image for the kernel `$1`: a generic one, or one with
    /// `modules` only.
    fn script(self, modules: Option<&[&str]>) -> String {
        match (self, modules) {
            (Self::InitramfsTools, None) => INITRAMFS_TOOLS.to_owned(),
            (Self::InitramfsTools, Some(modules)) => {
                let hook = format!(
                    "[ \"$1\" != prereqs ] || exit 0\n\
                     . /usr/share/initramfs-tools/hook-functions\n\
                     manual_add_modules {}\n",
                    modules.join(" ")
                );
                format!(
                    "hooks=/etc/initramfs-tools/hooks/listed\n\
                     echo MODULES=list > /etc/initramfs-tools/conf.d/listed\n\
                     printf '%s\\n' '#!/bin/sh' '{hook}' > $hooks\n\
                     chmod +x $hooks\n{INITRAMFS_TOOLS}"
                )
            }
            (Self::Dracut, None) => {
                "dracut --force --no-hostonly --zstd --kver \"$1\" /tmp/image".to_owned()
            }
            (Self::Dracut, Some(modules)) => format!(
                "dracut --force --hostonly --no-hostonly-cmdline --zstd --drivers '{}' \
                 --kver \"$1\" /tmp/image",
                modules.join(" ")
            ),
            (Self::TinyInitramfs, modules) => format!(
                "mktirfs -o /tmp/image --auto-modules=no --microcode=no --include-modules='{}' \"$1\"",
                modules.unwrap_or_default().join(",")
            ),
        }
    }
}

/// Returns the image that `builder` of `system` writes for `tree`: a generic one, or one with
/// `modules` and their dependencies only.
///
/// # Panics
///
/// If it cannot be built. Without root or a mirror the test is ignored.
pub fn built(system: System, builder: Builder, tree: &Tree, modules: Option<&[&str]>) -> PathBuf {
    let home = system.home();
    let script = builder.script(modules);
    let inputs = (&home, &tree.root, &tree.release, &script);
    image::kept("peer", BUILD.as_bytes(), &inputs, |out| build(&home, tree, &script, out))
}

fn build(home: &Path, tree: &Tree, script: &str, out: &Path) {
    let mount_point = tempfile::tempdir().unwrap();
    let mut command = tool::command("unshare", "util-linux");
    command.args(["--mount", "sh", "-c", BUILD, "sh"]).arg(home).arg(tree.modules());
    command.arg(&tree.release).arg(mount_point.path()).arg(script).arg(out);
    tool::run(&mut command);
}
