//! Parallel loading: `-a --jobs=N`.

use super::*;

#[test]
fn jobs_change_neither_result_nor_output() {
    let not_found = "modprobe: WARNING: Module nope not found in directory \n";
    let refused = "modprobe: ERROR: could not insert 'bad': Exec format error\n\
                   modprobe: ERROR: /bad.ko: not an ELF module, or damaged\n";
    let masked = "modprobe: ERROR: could not insert 'a': needs c, which is masked by \
                  /etc/modprobe.d/t.conf line 1\n";
    for (conf, words, want, live) in [
        ("", "-a x y z a", (true, ""), "a b c x y z"),
        ("options b o=1\nsoftdep x post: y", "-a a x", (true, ""), "a b(o=1) c x y"),
        ("", "-a x nope bad z", (false, &format!("{not_found}{refused}")[..]), "x z"),
        ("blacklist x", "-a dev:x:y z", (true, ""), "y z"),
        ("blacklist x", "-a x z", (true, ""), "x z"),
        ("blacklist x", "-a -b x z", (true, ""), "z"),
        ("mask c", "-a a x", (false, masked), "x"),
        ("mask c\nsoftdep x pre: b", "-a x y", (true, ""), "x y"),
        ("install x /bin/true", "-a x y", (true, ""), "y"),
        ("", "-a inside ROOT/lib/modules/1/z.ko y", (true, ""), "y z"),
        ("", "-n -a x", (true, "insmod /x.ko \n"), ""),
        ("", "-v -a b", (true, "insmod /c.ko \ninsmod /b.ko \n"), "b c"),
        ("options x o=1", "-v -a x", (true, "insmod /x.ko o=1 \n"), "x(o=1)"),
    ] {
        check(conf, "", &format!("-j 4 {words}"), want, live);
        let serial = live.replace("(o=1)", "(o=1 )");
        check(conf, "", words, want, &serial);
    }
}

/// A kernel with slow loads that counts parallel ones. The counters are the current number and the
/// highest.
struct Slow(Fake, Mutex<(usize, usize)>);

impl ModuleOps for Slow {
    fn finit_module(&self, file: BorrowedFd<'_>, args: &CStr, f: InitFlags) -> Result<(), Errno> {
        {
            let mut running = self.1.lock().unwrap();
            running.0 += 1;
            running.1 = running.1.max(running.0);
        }
        std::thread::sleep(Duration::from_millis(300));
        self.1.lock().unwrap().0 -= 1;
        self.0.finit_module(file, args, f)
    }

    fn init_module(&self, image: &[u8], args: &CStr) -> Result<(), Errno> {
        self.0.init_module(image, args)
    }

    fn delete_module(&self, name: &CStr, force: bool) -> Result<(), Errno> {
        self.0.delete_module(name, force)
    }

    fn init_module_at(&self, image: *const [u8], args: &CStr) -> Result<(), Errno> {
        self.0.init_module_at(image, args)
    }

    fn command(
        &self,
        command: &[u8],
        module: &ModuleName,
        options: &[u8],
    ) -> sys::Result<ExitStatus> {
        self.0.command(command, module, options)
    }
}

#[test]
fn independent_modules_are_loaded_in_parallel() {
    for (words, want) in [("-j 3 -a x y z", 3), ("-a x y z", 1), ("-j 3 -a a", 1)] {
        let machine = Machine::new("");
        let slow = Arc::new(Slow(Fake(machine.path("")), Mutex::default()));
        let sink = Sink::default();
        assert_eq!(machine.run(slow.clone(), &sink, words, ""), Ok(()));
        assert_eq!(slow.1.lock().unwrap().1, want, "{words}");
    }
}
