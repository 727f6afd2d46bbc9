//! Threads of processes: /proc/PID/task, proc(5).

use std::ffi::CString;
use std::fs;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use super::{Error, Result, Root};
use crate::escape;

/// Returns the number of the calling thread: gettid(2).
pub(crate) fn own_number() -> u32 {
    rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs()
}

/// PR_SET_NAME of prctl(2): sets the name of the calling thread, of at most 15 bytes.
pub(crate) fn set_own_name(name: &str) {
    if let Ok(name) = CString::new(name) {
        // A failure changes only what others see.
        let _ = rustix::thread::set_name(&name);
    }
}

/// The threads of this process.
#[derive(Debug)]
pub(crate) struct OwnThreads(OwnedFd);

impl OwnThreads {
    /// open(2): opens /proc/self/task. What was opened is usable after /proc has been moved to
    /// another root.
    ///
    /// # Errors
    /// /proc is not mounted.
    pub(crate) fn open(root: &Root) -> Result<Self> {
        let path = root.join("proc/self/task");
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(CWD, &path, flags, Mode::empty());
        directory.map(Self).map_err(|e| Error::new("open", escape::path(&path), e))
    }

    /// Returns whether the thread with this number has ended.
    pub(crate) fn has_ended(&self, number: u32) -> bool {
        statat(&self.0, number.to_string(), AtFlags::empty()).err() == Some(Errno::NOENT)
    }
}

/// Returns the names of the threads of process `pid` that have not ended.
pub(crate) fn names(root: &Root, pid: u32) -> Vec<String> {
    let Ok(threads) = fs::read_dir(root.join(format!("proc/{pid}/task"))) else {
        return Vec::new();
    };
    let names = threads.flatten().filter_map(|t| fs::read_to_string(t.path().join("comm")).ok());
    names.map(|name| name.trim_end().to_owned()).collect()
}

/// Returns whether process `pid` is dead, even if some of its threads are still in the kernel: its
/// first thread is a zombie.
pub(crate) fn is_dead(root: &Root, pid: u32) -> bool {
    let stat = fs::read_to_string(root.join(format!("proc/{pid}/stat"))).unwrap_or_default();
    // The name before the state may hold parentheses.
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest.chars().next());
    matches!(state, Some(Some('Z' | 'X')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;

    #[test]
    fn own_threads_are_seen() {
        let root = Root::default();
        let threads = OwnThreads::open(&root).unwrap();
        let (send, receive) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            set_own_name("load-7");
            send.send(own_number()).unwrap();
            let _ = ended.recv();
        });
        let number = receive.recv().unwrap();
        assert!(!threads.has_ended(number));
        assert!(names(&root, std::process::id()).contains(&"load-7".to_owned()));
        drop(end);
        thread.join().unwrap();
        // The kernel wakes the one that joins before the thread has left /proc.
        while !threads.has_ended(number) {
            thread::yield_now();
        }
    }

    #[test]
    fn a_zombie_is_dead() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::at(scratch.path());
        fs::create_dir_all(scratch.path().join("proc/7")).unwrap();
        for (stat, want) in
            [("7 (a) Z) S 1 7", false), ("7 (load) Z 1 7", true), ("", false), ("7 (x) D 1", false)]
        {
            fs::write(scratch.path().join("proc/7/stat"), stat).unwrap();
            assert_eq!(is_dead(&root, 7), want, "{stat}");
        }
        assert!(!is_dead(&root, 8) && names(&root, 8).is_empty());
    }
}
