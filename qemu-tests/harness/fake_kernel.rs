//! A kernel as far as modules are concerned, as files: /proc/modules and /sys/module of a fake
//! root.

use crate::supervisor::Call;
use crate::transcript;
use std::collections::HashMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Flags of finit_module(2) and delete_module(2).
const INIT_FLAGS: [(u64, &str); 3] =
    [(1, " IGNORE_MODVERSIONS"), (2, " IGNORE_VERMAGIC"), (4, " COMPRESSED_FILE")];
const DELETE_FLAGS: [(u64, &str); 2] = [(0x800, " NONBLOCK"), (0x200, " TRUNC")];

/// A kernel whose modules are live as soon as they are loaded.
#[derive(Debug)]
pub struct FakeKernel {
    root: PathBuf,
    /// Errno for the load of a module NAME, or for its removal, as `-NAME`.
    answers: HashMap<String, i32>,
    /// Loaded modules and the modules that each uses; the newest last.
    live: Vec<(String, Vec<String>)>,
    calls: Vec<String>,
}

impl FakeKernel {
    /// Makes the kernel of the fake root at `root`, without modules.
    pub fn new(root: &Path) -> Self {
        fs::create_dir_all(root.join("sys/module")).unwrap();
        let kernel = Self {
            root: root.to_owned(),
            answers: HashMap::new(),
            live: Vec::new(),
            calls: Vec::new(),
        };
        kernel.show();
        kernel
    }

    /// Sets the answer to the load of `name`, or to the removal of NAME if `name` is `-NAME`.
    pub fn refuse(&mut self, name: &str, errno: i32) {
        self.answers.insert(name.to_owned(), errno);
    }

    /// Adds a live module, which uses the modules `needs`.
    pub fn add(&mut self, name: &str, needs: Vec<String>) {
        let home = self.home(name);
        fs::create_dir_all(home.join("holders")).unwrap();
        fs::write(home.join("initstate"), "live\n").unwrap();
        for need in &needs {
            fs::create_dir_all(self.home(need).join("holders").join(name)).unwrap();
        }
        self.live.push((name.to_owned(), needs));
        self.show();
    }

    /// Returns the calls since the last call of this function, without repetitions.
    pub fn take_calls(&mut self) -> Vec<String> {
        let mut calls = std::mem::take(&mut self.calls);
        calls.dedup();
        calls
    }

    /// Carries out `call` and returns 0 or an errno.
    pub fn answer(&mut self, call: Call) -> i32 {
        let (line, errno) = match call {
            Call::File { path, args, flags } => {
                let inside = path.strip_prefix(&self.root).unwrap_or(&path);
                let inside = transcript::shown(inside.as_os_str().as_bytes());
                let flags = names(flags, &INIT_FLAGS);
                let line = format!("finit_module /{inside} '{args}'{flags}");
                let image = fs::read(&path).unwrap();
                (line, self.insert(&name_of(&path), &image))
            }
            Call::Image { bytes, args } => {
                let name = strings(&bytes, "name=").pop().unwrap_or_default();
                let forced =
                    if strings(&bytes, "vermagic=").is_empty() { "" } else { ", vermagic" };
                let line = format!("init_module {name} ({} bytes{forced}) '{args}'", bytes.len());
                (line, self.insert(&name, &bytes))
            }
            Call::Delete { name, flags } => {
                let line = format!("delete_module {name}{}", names(flags, &DELETE_FLAGS));
                (line, self.delete(&name, flags))
            }
        };
        let word = if errno == 0 { String::new() } else { format!(" = {}", errno_name(errno)) };
        self.calls.push(line + &word);
        errno
    }

    fn insert(&mut self, name: &str, image: &[u8]) -> i32 {
        if let Some(errno) = self.answers.get(name) {
            return *errno;
        }
        if self.is_live(name) {
            return libc::EEXIST;
        }
        let needs = strings(image, "depends=").pop().unwrap_or_default();
        let needs: Vec<String> =
            needs.split(',').filter(|n| !n.is_empty()).map(|n| n.replace('-', "_")).collect();
        if needs.iter().any(|need| !self.is_live(need)) {
            return libc::ENOENT;
        }
        self.add(name, needs);
        0
    }

    fn delete(&mut self, name: &str, flags: u64) -> i32 {
        if let Some(errno) = self.answers.get(&format!("-{name}")) {
            return *errno;
        }
        let Some(at) = self.live.iter().position(|(n, _)| n == name) else {
            return libc::ENOENT;
        };
        if self.users(name) > 0 && flags & 0x200 == 0 {
            return libc::EAGAIN;
        }
        let (_, needs) = self.live.remove(at);
        fs::remove_dir_all(self.home(name)).unwrap();
        for need in needs {
            let _ = fs::remove_dir(self.home(&need).join("holders").join(name));
        }
        self.show();
        0
    }

    fn is_live(&self, name: &str) -> bool {
        self.live.iter().any(|(n, _)| n == name)
    }

    fn users(&self, name: &str) -> usize {
        self.live.iter().filter(|(_, needs)| needs.iter().any(|n| n == name)).count()
    }

    fn home(&self, name: &str) -> PathBuf {
        self.root.join("sys/module").join(name)
    }

    /// Writes the files that change with each load and removal.
    fn show(&self) {
        let mut table = String::new();
        for (name, _) in self.live.iter().rev() {
            let users = self.users(name);
            fs::write(self.home(name).join("refcnt"), format!("{users}\n")).unwrap();
            table += &format!("{name} 16384 {users} - Live 0x0000000000000000\n");
        }
        fs::create_dir_all(self.root.join("proc")).unwrap();
        fs::write(self.root.join("proc/modules"), table).unwrap();
    }
}

/// `a/b-c.ko.xz` → `b_c`
fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split('.').next().unwrap_or_default().replace('-', "_")
}

/// Returns the NUL-terminated strings of a module file that start with `key`, without the key.
fn strings(image: &[u8], key: &str) -> Vec<String> {
    image
        .split(|b| *b == 0)
        .filter_map(|s| s.strip_prefix(key.as_bytes()))
        .map(|s| String::from_utf8_lossy(s).into_owned())
        .collect()
}

fn names(flags: u64, table: &[(u64, &str)]) -> String {
    let known = table.iter().fold(0, |all, (bit, _)| all | bit);
    assert_eq!(flags & !known, 0, "a flag without a name");
    table.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect()
}

/// The errnos that transcripts name.
const ERRNOS: [(&str, i32); 19] = [
    ("EPERM", libc::EPERM),
    ("ENOENT", libc::ENOENT),
    ("ESRCH", libc::ESRCH),
    ("EIO", libc::EIO),
    ("ENOEXEC", libc::ENOEXEC),
    ("EAGAIN", libc::EAGAIN),
    ("ENOMEM", libc::ENOMEM),
    ("EBUSY", libc::EBUSY),
    ("EEXIST", libc::EEXIST),
    ("ENODEV", libc::ENODEV),
    ("EINVAL", libc::EINVAL),
    ("EFBIG", libc::EFBIG),
    ("ENOSYS", libc::ENOSYS),
    ("EBADMSG", libc::EBADMSG),
    ("EOPNOTSUPP", libc::EOPNOTSUPP),
    ("ENOKEY", libc::ENOKEY),
    ("EKEYREJECTED", libc::EKEYREJECTED),
    ("ETXTBSY", libc::ETXTBSY),
    ("ETIMEDOUT", libc::ETIMEDOUT),
];

/// Returns the errno called `name`.
///
/// # Panics
///
/// If the table above has no such errno.
pub fn errno(name: &str) -> i32 {
    ERRNOS.iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("no errno {name}")).1
}

fn errno_name(errno: i32) -> &'static str {
    ERRNOS.iter().find(|(_, e)| *e == errno).map_or("?", |(name, _)| name)
}
