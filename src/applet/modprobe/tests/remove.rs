//! Removal of modules and their dependencies.

use super::*;

#[test]
fn modules_are_removed_with_unused_dependencies() {
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
fn modules_in_use_are_kept() {
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
    assert_eq!(machine.loaded(), "x y");
    machine.modprobe("--remove-holders -w 5 x");
    assert_eq!(machine.loaded(), "x");
}

#[test]
fn orphans_are_removed_at_any_depth() {
    let machine = |users: &[(&str, &str)]| {
        let machine = Machine::new("");
        machine.modprobe("-a a x");
        for (module, user) in users {
            fs::create_dir_all(machine.path(&format!("sys/module/{module}/holders/{user}")))
                .unwrap();
            let directory = machine.path(&format!("sys/module/{module}"));
            let held = fs::read_dir(directory.join("holders")).unwrap().count();
            fs::write(directory.join("refcnt"), format!("{held}\n")).unwrap();
        }
        machine
    };
    let chain = [("b", "a"), ("c", "a"), ("c", "b")];
    let used = [("b", "a"), ("c", "a"), ("c", "b"), ("c", "x")];
    for (users, words, output, live) in [
        (&chain[..], "-rv a", "rmmod a\nrmmod b\n", "c x"),
        (&chain, "-rv --orphans a", "rmmod a\nrmmod b\nrmmod c\n", "x"),
        (&chain, "-nv --orphans a", "rmmod a\nrmmod b\nrmmod c\n", "a b c x"),
        (&used, "-rv --orphans a", "rmmod a\nrmmod b\n", "c x"),
    ] {
        let machine = machine(users);
        assert_eq!(machine.modprobe(words), (true, output.to_owned()));
        assert_eq!(machine.loaded(), live, "{words}");
    }
}

#[test]
fn removal_ends_in_softdep_cycles_and_needs_no_file() {
    for conf in ["softdep x pre: y\nsoftdep y pre: x", "softdep x post: y\nsoftdep y post: x"] {
        check(conf, "", "x", (true, ""), "x y");
        check(conf, "x", "-r x", (true, ""), "");
        let (success, output) = {
            let machine = Machine::new(conf);
            machine.modprobe("x");
            machine.modprobe("-rn x")
        };
        assert!(success && output.lines().count() == 2, "{output}");
    }
    let machine = Machine::new("");
    machine.put("sys/module/lost/initstate", "live\n");
    machine.put("sys/module/lost/refcnt", "0\n");
    assert_eq!(machine.modprobe("-rv lost"), (true, "rmmod lost\n".to_owned()));
    assert_eq!(machine.loaded(), "");
}

#[test]
fn a_long_chain_of_softdeps_is_cut() {
    let mut conf = String::new();
    let mut dep = String::new();
    for n in 0..5000 {
        conf.push_str(&format!("softdep m{n} post: m{}\n", n + 1));
        dep.push_str(&format!("m{n}.ko:\n"));
    }
    let machine = Machine::new(&conf);
    machine.put("lib/modules/1/modules.dep", &dep);
    // A test runs on a quarter of the stack that main has.
    let (_, text) = machine.modprobe("-r -D m0");
    let cut = "modprobe: FATAL: m1000: more than 1000 modules in one chain of softdeps\n";
    assert_eq!(text, cut);
}
