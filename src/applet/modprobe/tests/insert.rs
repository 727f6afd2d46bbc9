//! Loading by name and file, install commands, masks and rules.

use super::*;

#[test]
fn modules_are_loaded_with_their_dependencies() {
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
fn blacklisted_modules_are_not_loaded() {
    check("blacklist x", "", "dev:x:y", (true, ""), "y");
    check("blacklist x", "", "x", (true, ""), "x");
    check("blacklist x", "", "-b x", (true, ""), "");
    check("blacklist b", "", "a", (true, ""), "a b c");
    check("install x /bin/true", "", "x", (true, ""), "");
    check("install x /bin/true", "", "-i x", (true, ""), "x");
    let machine = Machine::new("");
    machine.put("proc/cmdline", "modprobe.blacklist=x y.q=\"1 2\"\n");
    assert_eq!(machine.modprobe("dev:x:y"), (true, String::new()));
    assert_eq!(machine.loaded(), "y(q=\"1 2\" )");
}

#[test]
fn failures_end_modprobe_as_in_kmod() {
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
fn the_failing_file_is_named() {
    let inserted = "modprobe: ERROR: could not insert";
    check(
        "",
        "",
        "user",
        (
            false,
            &format!(
                "{inserted} 'user': Exec format error\n\
                 modprobe: ERROR: /bad.ko: not an ELF module, or damaged\n"
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
                 modprobe: ERROR: /gone.ko: No such file or directory\n\
                 hint: run depmod, or install the module\n"
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
            "modprobe: FATAL: Failed to get module from path ./nope.ko: \
             No such file or directory\n",
        ),
        "",
    );
}

#[test]
fn install_commands_replace_the_load() {
    check(
        "install x /bin/false $CMDLINE_OPTS\noptions x o=1",
        "",
        "x p=1",
        (
            false,
            "modprobe: ERROR: Error running install command '/bin/false o=1 p=1' for module x: \
             retcode 1\n\
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
    // If the command of a module loads the same module, the command is not run again.
    let machine = Machine::new("install x /bin/false\ninstall y /bin/false");
    assert!(machine.modprobe_below("x", "y x").0);
    assert!(!machine.modprobe_below("y", "x").0);
    assert_eq!(machine.loaded(), "x");
}

#[test]
fn parameters_are_text_for_a_person_and_data_for_the_kernel() {
    let machine = Machine::new("");
    let out = machine.path("out");
    let print = r#"for word in $CMDLINE_OPTS; do echo "<$word>"; done"#;
    let config = format!("install y {{ {print}; }} > {}\n", out.display());
    machine.put("etc/modprobe.d/t.conf", &config);
    machine.put("proc/cmdline", "y.a=$(echo$IFS'b') y.c=`d` y.e=f");
    let written = || fs::read_to_string(&out).unwrap();
    assert!(machine.modprobe_automatically("y"));
    assert_eq!(written(), "<a=$(echo$IFS'b')>\n<c=`d`>\n<e=f>\n");
    assert!(machine.modprobe("-q y").0);
    assert!(written().starts_with("<a=b>\n"), "{}", written());
}

#[test]
fn a_missing_module_directory_is_reported() {
    let machine = Machine::new("");
    fs::remove_dir_all(machine.path("lib")).unwrap();
    let (success, output) = machine.modprobe("x");
    assert!(
        !success
            && output.contains(": No such file or directory: this kernel has no modules\nhint: "),
        "{output}"
    );
    assert!(!Path::new("/nonexistent/lib").exists());
}

#[test]
fn masked_modules_are_never_loaded() {
    let output = |what: &str| format!("modprobe: ERROR: could not insert {what}\n");
    let by = "masked by /etc/modprobe.d/t.conf line 1";
    for (conf, words, want, live) in [
        ("mask x", "x", output(&format!("'x': {by}")), ""),
        ("mask x", "-i x", output(&format!("'x': {by}")), ""),
        ("mask x", "-D x", output(&format!("'x': {by}")), ""),
        ("mask x\ninstall x /bin/true", "x", output(&format!("'x': {by}")), ""),
        ("mask x", "ROOT/lib/modules/1/x.ko", output(&format!("'x': {by}")), ""),
        ("mask x", "-a x y", output(&format!("'x': {by}")), "y"),
        ("mask x", "-q x", String::new(), ""),
        ("mask y", "dev:x:y", output(&format!("'y': {by}")), "x"),
        ("mask c", "a", output(&format!("'a': needs c, which is {by}")), ""),
    ] {
        check(conf, "", words, (false, &want), live);
    }
    // A softdep that is masked, or needs a masked module, is skipped.
    check("mask c\nsoftdep x pre: c b post: y", "", "x", (true, ""), "x y");
    check("mask inside", "", "inside", (true, ""), "");
    check("mask inside", "", "-D inside", (true, "builtin inside\n"), "");
    // A loaded module is not affected.
    let machine = Machine::new("");
    machine.modprobe("-a c x");
    machine.put("etc/modprobe.d/t.conf", "mask c\nmask x\n");
    assert_eq!(machine.modprobe("a"), (true, String::new()));
    assert_eq!(machine.modprobe("-r x"), (true, String::new()));
    assert_eq!(machine.loaded(), "a b c");
    machine.put("proc/cmdline", "coldplug.mask=y\n");
    let (success, output) = machine.modprobe("y");
    assert!(!success && output.contains("'y': masked by coldplug.mask= on the kernel"), "{output}");
}

#[test]
fn rules_are_applied() {
    let softdeps = "softdep x pre: y\nsoftdep x pre: z";
    check(softdeps, "", "x", (true, ""), "x y");
    check(&format!("{softdeps}\nrule merge-softdeps"), "", "x", (true, ""), "x y z");
    check(&format!("{softdeps}\nrule merge-softdeps"), "x y z", "-r x", (true, ""), "");
    let conf = "install x /bin/true\nsoftdep x pre: y";
    check(conf, "", "x", (true, ""), "x y");
    check(&format!("{conf}\nrule install-first"), "", "x", (true, ""), "y");
}
