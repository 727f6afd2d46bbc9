//! The rescue shell of an image: busybox with links for its commands, or another shell with the
//! shared libraries that it needs; and the hash of its password.

use std::fs;
use std::path::{Path, PathBuf};

use super::manifest::{Content, Manifest, Node};
use super::{Error, libraries, source};
use crate::sys::crypt::PasswordHash;
use crate::sys::inside::inside;

/// Where a shell is looked for below the root of the build, the best first.
const SHELLS: [&str; 6] =
    ["bin/busybox", "usr/bin/busybox", "sbin/busybox", "bin/bash", "usr/bin/bash", "bin/dash"];
/// Path of the shell in the image.
const SH: &str = "bin/sh";
/// Why it is in the image.
const REASON: &str = "--shell";
/// Path of the password hash in the image.
const PASSWORD: &str = "etc/coldplug/shell-password";
/// The commands of busybox that get a link. The tools of kmod are coldplug itself, and reboot(8)
/// would ask an init that does not listen.
const LINKS: &str = "ash awk basename blkid blockdev cat chmod chroot clear cmp cp cpio cut date \
    dd df dirname dmesg du echo env false fdisk find free fsfreeze grep gunzip gzip head hexdump \
    hostname ifconfig ip kill less ln losetup ls lsof lspci lsusb md5sum mkdir mkfifo mknod more \
    mount mountpoint mv nc netstat nslookup od ping printf ps pwd readlink realpath rm rmdir route \
    sed sha256sum sleep sort stat strings stty swapoff swapon sync sysctl tail tar tee test time \
    top touch tr true tty umount uname uniq vi watch wc wget which xargs xxd xz xzcat yes zcat";

/// A shell that an image is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shell {
    /// The first of [`SHELLS`] below the root of the build.
    Any,
    /// This program of the build machine.
    Program(PathBuf),
}

/// Adds a shell with what it needs.
///
/// # Errors
///
/// There is none, or it or a library cannot be read.
pub(super) fn add(manifest: &mut Manifest, shell: &Shell, root: &Path) -> Result<(), Error> {
    let program = match shell {
        Shell::Program(path) => path.clone(),
        Shell::Any => {
            let found = SHELLS.iter().map(|path| inside(root, Path::new(path)));
            found
                .into_iter()
                .find(|path| path.is_file())
                .ok_or_else(|| Error::NoShell(root.into()))?
        }
    };
    let bytes = source::read(&program)?;
    let name = program.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| Error::NotUtf8(program.clone()))?;
    libraries::add(manifest, &program, &bytes, root)?;
    let path = format!("bin/{name}");
    let node = Node::of_root(0o755, Content::File(program.clone())).because(REASON);
    manifest.add(&path, node)?;
    let mut links = vec![SH.to_owned()];
    if name.contains("busybox") {
        let known = LINKS.split_whitespace().filter(|link| has_applet(&bytes, link));
        links.extend(known.map(|link| format!("bin/{link}")));
    }
    for link in links.iter().filter(|link| **link != path) {
        let node = Node::of_root(0o777, Content::Link(format!("/{path}"))).because(REASON);
        manifest.add(link, node)?;
    }
    Ok(())
}

/// Returns whether a busybox has a command: it holds the names of all, each with a NUL at its end.
fn has_applet(busybox: &[u8], name: &str) -> bool {
    let word = format!("\0{name}\0");
    busybox.windows(word.len()).any(|bytes| bytes == word.as_bytes())
}

/// Adds the password that guards the shell. `text` is its hash, or the path of a file with it.
///
/// # Errors
///
/// The file cannot be read, or the hash is of no supported kind.
pub(super) fn add_password(manifest: &mut Manifest, text: &str) -> Result<(), Error> {
    let hash = match text.starts_with('$') {
        true => text.to_owned(),
        false => fs::read_to_string(text).map_err(Error::io("read", Path::new(text)))?,
    };
    let hash = hash.trim_end();
    PasswordHash::parse(hash).map_err(Error::Password)?;
    let content = Content::Bytes(format!("{hash}\n").into_bytes());
    manifest.add(PASSWORD, Node::of_root(0o600, content).because("--shell-password-hash"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(manifest: &Manifest) -> Vec<String> {
        manifest.iter().map(|(name, _)| name.to_owned()).collect()
    }

    #[test]
    fn busybox_gets_links_for_the_commands_it_has() {
        let scratch = tempfile::tempdir().unwrap();
        let mut manifest = Manifest::default();
        let error = add(&mut manifest, &Shell::Any, scratch.path()).unwrap_err();
        assert!(error.to_string().contains("no busybox or bash"), "{error}");
        fs::create_dir_all(scratch.path().join("usr/bin")).unwrap();
        let busybox = scratch.path().join("usr/bin/busybox");
        fs::write(&busybox, "text\0ash\0cat\0lsmod\0reboot\0").unwrap();
        add(&mut manifest, &Shell::Any, scratch.path()).unwrap();
        assert_eq!(names(&manifest), ["bin", "bin/ash", "bin/busybox", "bin/cat", "bin/sh"]);
    }

    #[test]
    fn a_password_is_checked_before_it_is_stored() {
        let hash = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5";
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("hash");
        fs::write(&file, format!("{hash}\n")).unwrap();
        for text in [hash, file.to_str().unwrap()] {
            let mut manifest = Manifest::default();
            add_password(&mut manifest, text).unwrap();
            let (name, node) = manifest.iter().last().unwrap();
            assert_eq!((name, node.mode), (PASSWORD, 0o600));
            assert_eq!(node.content, Content::Bytes(format!("{hash}\n").into_bytes()));
        }
        for text in ["$5$x", "secret", &hash[..50]] {
            assert!(add_password(&mut Manifest::default(), text).is_err(), "{text}");
        }
    }
}
