//! Files of roots and images: placed with the directories above them, and with the libraries that a
//! program needs.

use crate::arch::Arch;
use crate::{kernel, tool};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Writes a file and the directories above it.
pub fn put(dir: &Path, name: &str, bytes: &[u8], mode: u32) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Puts the program `from` into `dir` as `name`.
pub fn install(dir: &Path, from: &Path, name: &str) {
    put(dir, name, &fs::read(from).unwrap(), 0o755);
}

/// Returns the shared libraries and the loader that ldd(1) lists for `program`.
pub fn libraries(program: &Path) -> Vec<PathBuf> {
    tool::run(tool::command("ldd", "libc-bin").arg(program))
        .split_ascii_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}

/// Puts Debian's kmod into `dir` as `name`, with the libraries it needs.
pub fn install_kmod(dir: &Path, name: &str) {
    install_with_libraries(dir, &fs::canonicalize(tool::find("kmod", "kmod")).unwrap(), name);
}

/// Puts `program` into `dir` as `name`, with the libraries it needs.
pub fn install_with_libraries(dir: &Path, program: &Path, name: &str) {
    install(dir, program, name);
    for library in libraries(program) {
        install(dir, &library, library.to_str().unwrap().trim_start_matches('/'));
    }
}

/// Returns the bytes of Debian's static busybox for machines of `arch`.
pub fn busybox_for(arch: Arch) -> Vec<u8> {
    if arch == Arch::X86_64 {
        return busybox();
    }
    let kept = kernel::cache().join(format!("busybox-{}", arch.debian()));
    if !kept.exists() {
        // The first release for this architecture.
        let suite = if arch == Arch::Riscv64 { "trixie" } else { "bookworm" };
        let (apt, _lock) = kernel::apt(suite, arch.debian());
        let dir = tempfile::tempdir_in(kernel::cache()).unwrap();
        let package = apt.download("busybox-static", dir.path());
        tool::run(tool::command("dpkg-deb", "dpkg").arg("-x").args([&package, dir.path()]));
        let places = ["bin/busybox", "usr/bin/busybox"].map(|place| dir.path().join(place));
        let place = places.iter().find(|place| place.exists()).expect("a package holds busybox");
        fs::rename(place, &kept).unwrap();
    }
    fs::read(kept).unwrap()
}

/// Returns the bytes of Debian's static busybox.
pub fn busybox() -> Vec<u8> {
    fs::read(tool::find("busybox", "busybox-static")).unwrap()
}
