//! Tests of modprobe on trees of files, with a kernel that keeps its modules below /sys of the
//! tree.

mod insert;
mod parallel;
mod query;
mod remove;

use std::ffi::CStr;
use std::fs;
use std::io::Read;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::io::Errno;

use super::*;
use crate::applet::tool::Sink;
use crate::sys::module::{InitFlags, Kernel, ModuleOps};
use crate::sys::{self, Root};

/// A kernel. A module file holds the name of the module, and an errno if the kernel is to refuse
/// it.
struct Fake(PathBuf);

impl Fake {
    fn module(&self, name: &str) -> PathBuf {
        self.0.join("sys/module").join(name)
    }

    fn load(&self, image: &str, args: &CStr) -> Result<(), Errno> {
        let mut words = image.split_whitespace();
        let name = words.next().unwrap();
        if let Some(number) = words.next() {
            return Err(Errno::from_raw_os_error(number.parse().unwrap()));
        }
        let directory = self.module(name);
        if directory.is_dir() {
            return Err(Errno::EXIST);
        }
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("initstate"), "live\n").unwrap();
        fs::write(directory.join("refcnt"), "0\n").unwrap();
        fs::write(directory.join("args"), args.to_bytes()).unwrap();
        Ok(())
    }
}

impl ModuleOps for Fake {
    fn finit_module(&self, file: BorrowedFd<'_>, args: &CStr, _: InitFlags) -> Result<(), Errno> {
        let mut text = String::new();
        let mut file = fs::File::from(file.try_clone_to_owned().unwrap());
        std::io::Seek::rewind(&mut file).unwrap();
        file.read_to_string(&mut text).unwrap();
        self.load(&text, args)
    }

    fn init_module(&self, image: &[u8], args: &CStr) -> Result<(), Errno> {
        self.load(std::str::from_utf8(image).unwrap(), args)
    }

    /// modprobe loads from files and slices alone.
    fn init_module_at(&self, _: *const [u8], _: &CStr) -> Result<(), Errno> {
        Err(Errno::NOSYS)
    }

    fn command(
        &self,
        command: &[u8],
        module: &ModuleName,
        options: &[u8],
    ) -> sys::Result<ExitStatus> {
        Kernel.command(command, module, options)
    }

    fn delete_module(&self, name: &CStr, force: bool) -> Result<(), Errno> {
        let directory = self.module(name.to_str().unwrap());
        let users = fs::read_to_string(directory.join("refcnt")).map_err(|_| Errno::NOENT)?;
        if users.trim() != "0" && !force {
            return Err(Errno::AGAIN);
        }
        fs::remove_dir_all(directory).unwrap();
        for other in fs::read_dir(self.0.join("sys/module")).unwrap() {
            let other = other.unwrap().path();
            if fs::remove_dir(other.join("holders").join(name.to_str().unwrap())).is_ok() {
                let held = fs::read_dir(other.join("holders")).unwrap().count();
                fs::write(other.join("refcnt"), format!("{held}\n")).unwrap();
            }
        }
        Ok(())
    }
}

/// A machine. Module a depends on b and b on c; x, y and z have no dependencies.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new(conf: &str) -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        let tree = "lib/modules/1";
        for name in ["a", "b", "c", "x", "y", "z"] {
            // kmod requires at least six bytes.
            machine.put(&format!("{tree}/{name}.ko"), &format!("{name}       \n"));
        }
        machine.put(&format!("{tree}/bad.ko"), "bad       8\n");
        let dep = "a.ko: b.ko c.ko\nb.ko: c.ko\nc.ko:\nx.ko:\ny.ko:\nz.ko:\nbad.ko:\n\
                   user.ko: bad.ko\ngone.ko:\n";
        machine.put(&format!("{tree}/modules.dep"), dep);
        machine.put(&format!("{tree}/modules.alias"), "alias dev:x* x\nalias dev:*y y\n");
        machine.put(&format!("{tree}/modules.builtin"), "kernel/inside.ko\n");
        machine.put("etc/modprobe.d/t.conf", conf);
        fs::create_dir_all(machine.path("sys/module")).unwrap();
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Returns the loaded modules with their parameters.
    fn loaded(&self) -> String {
        let entries = fs::read_dir(self.path("sys/module")).unwrap();
        let mut names: Vec<String> = entries
            .map(|e| {
                let directory = e.unwrap().path();
                let args = fs::read_to_string(directory.join("args")).unwrap_or_default();
                let name = directory.file_name().unwrap().to_str().unwrap().to_owned();
                if args.is_empty() { name } else { format!("{name}({args})") }
            })
            .collect();
        names.sort();
        names.join(" ")
    }

    /// Runs modprobe. Returns whether it succeeded, and its output without the path of the tree.
    fn modprobe(&self, words: &str) -> (bool, String) {
        self.modprobe_below(words, "")
    }

    fn modprobe_below(&self, words: &str, running: &str) -> (bool, String) {
        let sink = Sink::default();
        let root = self.0.path().to_str().unwrap();
        let result = self.run(Arc::new(Fake(root.into())), &sink, words, running);
        (
            result.is_ok(),
            sink.take().replace(&format!("{root}/lib/modules/1"), "").replace(root, ""),
        )
    }

    fn run(
        &self,
        kernel: Arc<dyn ModuleOps>,
        sink: &Sink,
        words: &str,
        running: &str,
    ) -> Result<(), Fail> {
        self.run_with(kernel, sink, (words, running), false)
    }

    /// Runs modprobe as the kernel or an install command of PID 1 does.
    fn modprobe_automatically(&self, words: &str) -> bool {
        let kernel = Arc::new(Fake(self.path("")));
        self.run_with(kernel, &Sink::default(), (words, ""), true).is_ok()
    }

    fn run_with(
        &self,
        kernel: Arc<dyn ModuleOps>,
        sink: &Sink,
        (words, running): (&str, &str),
        is_automatic: bool,
    ) -> Result<(), Fail> {
        let root = self.0.path().to_str().unwrap();
        let tool = Tool::for_test(Root::at(root), kernel, sink);
        let words = format!("modprobe -d {root} -S 1 {}", words.replace("ROOT", root));
        let args: Vec<OsString> = words.split(' ').map(Into::into).collect();
        let options = Options::parse(&tool, &args, "".as_ref()).unwrap();
        Modprobe::new(&tool, Options { is_automatic, ..options }, running.as_bytes()).run()
    }
}

#[track_caller]
fn check(conf: &str, before: &str, words: &str, want: (bool, &str), live: &str) {
    let machine = Machine::new(conf);
    if !before.is_empty() {
        assert_eq!(machine.modprobe(&format!("-a {before}")), (true, String::new()));
    }
    let (success, output) = machine.modprobe(words);
    assert_eq!((success, output.as_str()), want, "{words}");
    assert_eq!(machine.loaded(), live, "{words}");
}
