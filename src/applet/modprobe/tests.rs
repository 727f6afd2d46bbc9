//! modprobe on trees of files, with a kernel that keeps its modules below the tree's /sys.

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

/// A kernel. A module's file holds its name, and an errno's number where the kernel refuses it.
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
        let folder = self.module(name);
        if folder.is_dir() {
            return Err(Errno::EXIST);
        }
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("initstate"), "live\n").unwrap();
        fs::write(folder.join("refcnt"), "0\n").unwrap();
        fs::write(folder.join("args"), args.to_bytes()).unwrap();
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

    fn command(&self, command: &str, module: &ModuleName) -> sys::Result<ExitStatus> {
        Kernel.command(command, module)
    }

    fn delete_module(&self, name: &CStr, force: bool) -> Result<(), Errno> {
        let folder = self.module(name.to_str().unwrap());
        let users = fs::read_to_string(folder.join("refcnt")).map_err(|_| Errno::NOENT)?;
        if users.trim() != "0" && !force {
            return Err(Errno::AGAIN);
        }
        fs::remove_dir_all(folder).unwrap();
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

/// A machine: modules a → b → c, and x, y, z on their own.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new(conf: &str) -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        let tree = "lib/modules/1";
        for name in ["a", "b", "c", "x", "y", "z"] {
            // Six bytes at least.
            machine.put(&format!("{tree}/{name}.ko"), &format!("{name}       \n"));
        }
        machine.put(&format!("{tree}/bad.ko"), "bad       8\n");
        let dep = "a.ko: b.ko c.ko\nb.ko: c.ko\nc.ko:\nx.ko:\ny.ko:\nz.ko:\nbad.ko:\nuser.ko: bad.ko\ngone.ko:\n";
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

    /// What is in the kernel, with its parameters.
    fn live(&self) -> String {
        let entries = fs::read_dir(self.path("sys/module")).unwrap();
        let mut names: Vec<String> = entries
            .map(|e| {
                let folder = e.unwrap().path();
                let args = fs::read_to_string(folder.join("args")).unwrap_or_default();
                let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
                if args.is_empty() { name } else { format!("{name}({args})") }
            })
            .collect();
        names.sort();
        names.join(" ")
    }

    /// Runs modprobe; gives whether it succeeded, and what it said, the tree's path cut out.
    fn modprobe(&self, words: &str) -> (bool, String) {
        self.modprobe_below(words, "")
    }

    fn modprobe_below(&self, words: &str, running: &str) -> (bool, String) {
        let sink = Sink::default();
        let root = self.0.path().to_str().unwrap();
        let exit = self.run(Arc::new(Fake(root.into())), &sink, words, running);
        (
            exit == Exit::Success,
            sink.take().replace(&format!("{root}/lib/modules/1"), "").replace(root, ""),
        )
    }

    fn run(&self, kernel: Arc<dyn ModuleOps>, sink: &Sink, words: &str, running: &str) -> Exit {
        let root = self.0.path().to_str().unwrap();
        let tool = Tool::on(Root::at(root), kernel, sink);
        let words = format!("modprobe -d {root} -S 1 {}", words.replace("ROOT", root));
        let args: Vec<OsString> = words.split(' ').map(Into::into).collect();
        let options = Options::read(&tool, &args, "").unwrap();
        Modprobe::new(&tool, options, running).run()
    }
}

#[track_caller]
fn check(conf: &str, before: &str, words: &str, want: (bool, &str), live: &str) {
    let machine = Machine::new(conf);
    if !before.is_empty() {
        assert_eq!(machine.modprobe(&format!("-a {before}")), (true, String::new()));
    }
    let (good, said) = machine.modprobe(words);
    assert_eq!((good, said.as_str()), want, "{words}");
    assert_eq!(machine.live(), live, "{words}");
}

#[test]
fn modules_go_in_with_what_they_need() {
    check("", "", "a", (true, ""), "a b c");
    check("", "", "a p=1 q=r", (true, ""), "a(p=1 q=r) b c");
    check("options a o=1\noptions b o=2", "", "a p=1", (true, ""), "a(o=1 p=1) b(o=2 ) c");
    check("", "c", "-v b", (true, "insmod /b.ko \n"), "b c");
    check("options b o=1", "c", "-v b", (true, "insmod /b.ko o=1 \n"), "b(o=1 ) c");
    check("", "", "-a x z", (true, ""), "x z");
    check("", "", "-n a", (true, "insmod /c.ko \ninsmod /b.ko \ninsmod /a.ko \n"), "");
    check("", "a", "-D a", (true, "insmod /c.ko \ninsmod /b.ko \ninsmod /a.ko \n"), "a b c");
    check("", "", "dev:x:y", (true, ""), "x y");
    check("", "", "ROOT/lib/modules/1/b.ko p=1", (true, ""), "b(p=1) c");
    check("", "", "inside", (true, ""), "");
    check("softdep b pre: x post: y", "", "a", (true, ""), "a b c x y");
    check("softdep x pre: bad", "", "x", (true, ""), "x");
    check("softdep x pre: y", "", "-i x", (true, ""), "x");
}

#[test]
fn what_is_not_wanted_stays_out() {
    check("blacklist x", "", "dev:x:y", (true, ""), "y");
    check("blacklist x", "", "x", (true, ""), "x");
    check("blacklist x", "", "-b x", (true, ""), "");
    check("blacklist b", "", "a", (true, ""), "a b c");
    check("install x /bin/true", "", "x", (true, ""), "");
    check("install x /bin/true", "", "-i x", (true, ""), "x");
    let machine = Machine::new("");
    machine.put("proc/cmdline", "modprobe.blacklist=x y.q=\"1 2\"\n");
    assert_eq!(machine.modprobe("dev:x:y"), (true, String::new()));
    assert_eq!(machine.live(), "y(q=\"1 2\" )");
}

#[test]
fn failures_are_said_and_end_where_kmod_ends() {
    let inserted = "modprobe: ERROR: could not insert";
    let not_found = "modprobe: FATAL: Module nope not found in directory \n";
    check("", "", "nope", (false, not_found), "");
    check("", "", "-a nope x", (false, &not_found.replace("FATAL", "WARNING")), "x");
    check("", "", "-q nope", (false, ""), "");
    check("", "", "-q -a nope x", (false, ""), "x");
    check(
        "",
        "x",
        "--first-time x",
        (false, &format!("{inserted} 'x': Module already in kernel\n")),
        "x",
    );
    check(
        "",
        "",
        "--first-time inside",
        (false, &format!("{inserted} 'inside': Module already in kernel\n")),
        "",
    );
    check("", "", "", (false, "modprobe: FATAL: Module  not found in directory \n"), "");
}

#[test]
fn the_file_that_fails_is_named() {
    let inserted = "modprobe: ERROR: could not insert";
    check(
        "",
        "",
        "user",
        (
            false,
            &format!(
                "{inserted} 'user': Exec format error\n\
                 modprobe: ERROR: /bad.ko: not a module: no ELF file, or a damaged one\n"
            ),
        ),
        "",
    );
    check(
        "",
        "",
        "gone",
        (
            false,
            &format!(
                "{inserted} 'gone': Unknown symbol in module, or unknown parameter (see dmesg)\n\
                 modprobe: ERROR: /gone.ko: there is no such file; depmod has to be run, or the module installed\n"
            ),
        ),
        "",
    );
    check(
        "alias ghost nothing",
        "",
        "ghost",
        (
            false,
            &format!(
                "modprobe: ERROR: could not find module by name='nothing'\n\
                 {inserted} 'nothing': Unknown symbol in module, or unknown parameter (see dmesg)\n"
            ),
        ),
        "",
    );
    check("alias ghost nothing", "", "-D ghost", (true, ""), "");
    check(
        "",
        "",
        "./nope.ko",
        (
            false,
            "modprobe: FATAL: Failed to get module from path ./nope.ko: No such file or directory\n",
        ),
        "",
    );
}

#[test]
fn install_commands_run_in_the_modules_place() {
    check(
        "install x /bin/false $CMDLINE_OPTS\noptions x o=1",
        "",
        "x p=1",
        (
            false,
            "modprobe: ERROR: Error running install command '/bin/false o=1 p=1' for module x: retcode 1\n\
             modprobe: ERROR: could not insert 'x': Invalid argument\n",
        ),
        "",
    );
    check(
        "install x /bin/true $CMDLINE_OPTS",
        "",
        "-v x",
        (true, "install /bin/true $CMDLINE_OPTS \n"),
        "",
    );
    let machine = Machine::new("");
    let out = machine.path("out");
    let line = format!("install y echo $MODPROBE_MODULE:$MODPROBE_OPTIONS > {}\n", out.display());
    machine.put("etc/modprobe.d/t.conf", &line);
    assert!(machine.modprobe("-q y").0);
    assert_eq!(fs::read_to_string(out).unwrap(), "y:-q\n");
    // A command that comes back to its own module finds it without the command.
    let machine = Machine::new("install x /bin/false\ninstall y /bin/false");
    assert!(machine.modprobe_below("x", "y x").0);
    assert!(!machine.modprobe_below("y", "x").0);
    assert_eq!(machine.live(), "x");
}

#[test]
fn modules_come_out_with_what_is_then_unused() {
    check("", "a z", "-r a", (true, ""), "z");
    check("", "a", "-rv x", (true, ""), "a b c");
    check("", "x", "-rv x", (true, "rmmod x\n"), "");
    check("", "x", "-rn x", (true, "rmmod x\n"), "x");
    check("", "x", "-r nope x", (false, "modprobe: FATAL: Module nope not found.\n"), "x");
    check("", "x", "-ra nope x", (false, "modprobe: WARNING: Module nope not found.\n"), "");
    check("", "x", "-q -r nope x", (false, ""), "");
    check("", "", "-r inside", (false, "modprobe: FATAL: Module inside is builtin.\n"), "");
    check("", "", "-r x", (true, ""), "");
    check(
        "",
        "",
        "--first-time -r x",
        (false, "modprobe: FATAL: Module x is not in kernel.\n"),
        "",
    );
    check("softdep x pre: y post: z", "x", "-rv x", (true, "rmmod z\nrmmod x\nrmmod y\n"), "");
    check("remove x /bin/true $CMDLINE_OPTS", "x", "-rv x", (true, "remove /bin/true \n"), "x");
    check(
        "remove x /bin/false",
        "x",
        "-r x",
        (false, "modprobe: FATAL: Error running remove command for x\n"),
        "x",
    );
    check("remove x /bin/false", "x", "-ri x", (true, ""), "");
}

#[test]
fn what_is_in_use_stays() {
    let machine = Machine::new("");
    machine.modprobe("-a x y");
    machine.put("sys/module/x/refcnt", "1\n");
    machine.put("sys/module/x/holders/y/z", "");
    assert_eq!(
        machine.modprobe("-r x"),
        (false, "modprobe: FATAL: Module x is in use.\n".to_owned())
    );
    let busy = "modprobe: ERROR: could not remove 'x': Resource temporarily unavailable\n";
    assert_eq!(machine.modprobe("-r -w 5 x"), (false, busy.to_owned()));
    assert_eq!(
        machine.modprobe("-ra x"),
        (false, "modprobe: WARNING: Module x is in use.\n".to_owned())
    );
    assert_eq!(machine.live(), "x y");
    machine.modprobe("--remove-holders -w 5 x");
    assert_eq!(machine.live(), "x");
}

#[test]
fn orphans_go_however_deep() {
    let machine = |users: &[(&str, &str)]| {
        let machine = Machine::new("");
        machine.modprobe("-a a x");
        for (module, user) in users {
            fs::create_dir_all(machine.path(&format!("sys/module/{module}/holders/{user}")))
                .unwrap();
            let folder = machine.path(&format!("sys/module/{module}"));
            let held = fs::read_dir(folder.join("holders")).unwrap().count();
            fs::write(folder.join("refcnt"), format!("{held}\n")).unwrap();
        }
        machine
    };
    let chain = [("b", "a"), ("c", "a"), ("c", "b")];
    let used = [("b", "a"), ("c", "a"), ("c", "b"), ("c", "x")];
    for (users, words, said, live) in [
        (&chain[..], "-rv a", "rmmod a\nrmmod b\n", "c x"),
        (&chain, "-rv --orphans a", "rmmod a\nrmmod b\nrmmod c\n", "x"),
        (&chain, "-nv --orphans a", "rmmod a\nrmmod b\nrmmod c\n", "a b c x"),
        (&used, "-rv --orphans a", "rmmod a\nrmmod b\n", "c x"),
    ] {
        let machine = machine(users);
        assert_eq!(machine.modprobe(words), (true, said.to_owned()));
        assert_eq!(machine.live(), live, "{words}");
    }
}

#[test]
fn removal_goes_round_no_circle_and_needs_no_file() {
    for conf in ["softdep x pre: y\nsoftdep y pre: x", "softdep x post: y\nsoftdep y post: x"] {
        check(conf, "", "x", (true, ""), "x y");
        check(conf, "x", "-r x", (true, ""), "");
        let (good, said) = {
            let machine = Machine::new(conf);
            machine.modprobe("x");
            machine.modprobe("-rn x")
        };
        assert!(good && said.lines().count() == 2, "{said}");
    }
    let machine = Machine::new("");
    machine.put("sys/module/lost/initstate", "live\n");
    machine.put("sys/module/lost/refcnt", "0\n");
    assert_eq!(machine.modprobe("-rv lost"), (true, "rmmod lost\n".to_owned()));
    assert_eq!(machine.live(), "");
}

#[test]
fn queries_answer_without_a_kernel() {
    check("", "", "-R dev:x:y", (true, "x\ny\n"), "");
    check("", "", "--show-alias inside", (true, "inside\n"), "");
    let machine = Machine::new(
        "softdep s pre: p q post: r\nbad line\nblacklist u-v\noptions o  x\nweakdep w k\nmask m-*\nrule merge-softdeps",
    );
    let (good, said) = machine.modprobe("-c");
    let errors =
        "modprobe: ERROR: /etc/modprobe.d/t.conf line 2: ignoring bad line starting with 'bad'\n";
    let config = "blacklist u_v\nmask m_*\nrule merge-softdeps\noptions o  x\nsoftdep s pre: p q post: r\nweakdep w k\n\n\
                  # End of configuration files. Dumping indexes now:\n\nalias dev:*y y\nalias dev:x* x\n";
    assert_eq!((good, said), (true, format!("{errors}{config}")));
    assert_eq!(
        machine.modprobe("--show-exports x").1.lines().last(),
        Some("modprobe: FATAL: could not get symbols of x: Exec format error")
    );
}

#[test]
fn the_configuration_is_json_as_well() {
    let machine = Machine::new(
        "softdep s pre: p post: r\nblacklist u-v\noptions o x=\"1\"\nweakdep w k l\nmask m-*\n\
         install i /bin/true\nremove i /bin/false\nalias x* o\nrule install-first\n",
    );
    machine.put("proc/cmdline", "module_blacklist=kb\n");
    let (good, said) = machine.modprobe("-c --json");
    let value: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(good);
    assert_eq!(
        value,
        serde_json::json!({
            "alias": [{"pattern": "x*", "module": "o"}],
            "blacklist": ["u_v"],
            "index_alias": [{"pattern": "dev:*y", "module": "y"}, {"pattern": "dev:x*", "module": "x"}],
            "install": [{"module": "i", "command": "/bin/true"}],
            "kernel_blacklist": ["kb"],
            "mask": [{"module": "m_*", "place": "/etc/modprobe.d/t.conf line 5"}],
            "options": [{"module": "o", "options": "x=\"1\""}],
            "remove": [{"module": "i", "command": "/bin/false"}],
            "rule": ["install-first"],
            "softdep": [{"module": "s", "pre": ["p"], "post": ["r"]}],
            "weakdep": [{"module": "w", "names": ["k", "l"]}],
        })
    );
    let want = "modprobe: ERROR: --json is for --show-config.\n";
    assert_eq!(machine.modprobe("--json x"), (false, want.to_owned()));
}

#[test]
fn jobs_change_neither_the_end_nor_the_words() {
    let not_found = "modprobe: WARNING: Module nope not found in directory \n";
    let refused = "modprobe: ERROR: could not insert 'bad': Exec format error\n\
                   modprobe: ERROR: /bad.ko: not a module: no ELF file, or a damaged one\n";
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

/// A kernel whose loads take time, and which counts those that run at once.
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

    fn command(&self, command: &str, module: &ModuleName) -> sys::Result<ExitStatus> {
        self.0.command(command, module)
    }
}

#[test]
fn independent_modules_are_loaded_at_once() {
    for (words, want) in [("-j 3 -a x y z", 3), ("-a x y z", 1), ("-j 3 -a a", 1)] {
        let machine = Machine::new("");
        let slow = Arc::new(Slow(Fake(machine.path("")), Mutex::default()));
        let sink = Sink::default();
        assert_eq!(machine.run(slow.clone(), &sink, words, ""), Exit::Success);
        assert_eq!(slow.1.lock().unwrap().1, want, "{words}");
    }
}

#[test]
fn a_missing_directory_is_told() {
    let machine = Machine::new("");
    fs::remove_dir_all(machine.path("lib")).unwrap();
    let (good, said) = machine.modprobe("x");
    assert!(
        !good && said.contains("does not exist: the modules of this kernel are not installed"),
        "{said}"
    );
    assert!(!Path::new("/nonexistent/lib").exists());
}

#[test]
fn what_is_masked_comes_by_no_way() {
    let said = |what: &str| format!("modprobe: ERROR: could not insert {what}\n");
    let by = "masked by /etc/modprobe.d/t.conf line 1";
    for (conf, words, want, live) in [
        ("mask x", "x", said(&format!("'x': {by}")), ""),
        ("mask x", "-i x", said(&format!("'x': {by}")), ""),
        ("mask x", "-D x", said(&format!("'x': {by}")), ""),
        ("mask x\ninstall x /bin/true", "x", said(&format!("'x': {by}")), ""),
        ("mask x", "ROOT/lib/modules/1/x.ko", said(&format!("'x': {by}")), ""),
        ("mask x", "-a x y", said(&format!("'x': {by}")), "y"),
        ("mask x", "-q x", String::new(), ""),
        ("mask y", "dev:x:y", said(&format!("'y': {by}")), "x"),
        ("mask c", "a", said(&format!("'a': needs c, which is {by}")), ""),
    ] {
        check(conf, "", words, (false, &want), live);
    }
    // A softdep is passed over, and one that needs what is masked as well.
    check("mask c\nsoftdep x pre: c b post: y", "", "x", (true, ""), "x y");
    check("mask inside", "", "inside", (true, ""), "");
    check("mask inside", "", "-D inside", (true, "builtin inside\n"), "");
    // What is in the kernel already is there.
    let machine = Machine::new("");
    machine.modprobe("-a c x");
    machine.put("etc/modprobe.d/t.conf", "mask c\nmask x\n");
    assert_eq!(machine.modprobe("a"), (true, String::new()));
    assert_eq!(machine.modprobe("-r x"), (true, String::new()));
    assert_eq!(machine.live(), "a b c");
    machine.put("proc/cmdline", "coldplug.mask=y\n");
    let (good, said) = machine.modprobe("y");
    assert!(!good && said.contains("'y': masked by coldplug.mask= on the kernel"), "{said}");
}

#[test]
fn rules_are_obeyed() {
    let softdeps = "softdep x pre: y\nsoftdep x pre: z";
    check(softdeps, "", "x", (true, ""), "x y");
    check(&format!("{softdeps}\nrule merge-softdeps"), "", "x", (true, ""), "x y z");
    check(&format!("{softdeps}\nrule merge-softdeps"), "x y z", "-r x", (true, ""), "");
    let conf = "install x /bin/true\nsoftdep x pre: y";
    check(conf, "", "x", (true, ""), "x y");
    check(&format!("{conf}\nrule install-first"), "", "x", (true, ""), "y");
}
