//! What a distribution installs: `make install` and its kin, the packages of Debian, hooks, manual
//! pages and completions.

use harness::files::put;
use harness::run::{Need, RELEASE, Test};
use harness::{packages, paths, tests, tool};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![
    [RELEASE[0], Need::Command("make", "make")] =>
    uninstall_removes_what_install_has_put_there,
    units_name_the_installed_program;
    [RELEASE[0], Need::Command("lintian", "lintian")] =>
    lintian_finds_nothing_in_the_packages;
    [] =>
    kernel_hooks_call_coldplug_for_the_steps_of_a_package,
    update_initramfs_has_the_options_of_initramfs_tools,
    the_hook_removes_recorded_images_without_the_program,
    manual_pages_name_every_command_and_option;
    [Need::Command("man", "man-db"), Need::Command("mandoc", "mandoc")] =>
    manual_pages_have_no_faults;
    [Need::Command("bash", "bash")] => bash_completes_commands_and_options;
    [Need::Command("zsh", "zsh")] => zsh_completes_commands_and_options;
    [Need::Command("fish", "fish")] => fish_completes_commands_and_options;
];

/// Runs make(1) in the checkout for the directory `root`.
fn make(root: &Path, words: &[&str]) {
    let mut make = tool::command("make", "make");
    make.arg("-sC").arg(paths::checkout()).args(words);
    make.env("CARGO_TARGET_DIR", paths::target());
    tool::run(make.arg(format!("DESTDIR={}", root.display())));
}

/// Returns the paths of files and links below `root`.
fn below(root: &Path) -> BTreeSet<String> {
    let list = tool::run(
        tool::command("find", "findutils").arg(root).args(["!", "-type", "d", "-printf", "/%P\n"]),
    );
    list.lines().map(str::to_owned).collect()
}

const EVERYTHING: [&str; 4] = ["install", "install-links", "install-hooks", "install-debian"];

fn uninstall_removes_what_install_has_put_there() {
    for prefix in ["/usr", "/usr/local"] {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        let prefix_word = format!("PREFIX={prefix}");
        let mut words = EVERYTHING.to_vec();
        words.push(&prefix_word);
        make(root, &words);
        let installed = below(root);
        for path in [
            "/etc/kernel/postinst.d/initramfs-coldplug",
            "/etc/kernel/postrm.d/initramfs-coldplug",
            "/etc/kernel/postrm.d/coldplug",
            "PREFIX/bin/coldplug",
            "PREFIX/bin/lsmod",
            "PREFIX/lib/coldplug/coldplug-init",
            "PREFIX/lib/coldplug/coldplug-init-boot",
            "PREFIX/lib/coldplug/coldplug-init-stacks",
            "PREFIX/lib/coldplug/coldplug-load",
            "PREFIX/lib/dracut/modules.d/99coldplug/module-setup.sh",
            "PREFIX/lib/initcpio/hooks/coldplug",
            "PREFIX/lib/initcpio/install/coldplug",
            "PREFIX/lib/kernel/install.d/50-coldplug.install",
            "PREFIX/lib/systemd/system/coldplug-autoclean.timer",
            "PREFIX/sbin/modprobe",
            "PREFIX/sbin/depmod",
            "PREFIX/sbin/update-initramfs",
            "PREFIX/share/bash-completion/completions/coldplug",
            "PREFIX/share/fish/vendor_completions.d/coldplug.fish",
            "PREFIX/share/man/man5/coldplug-image.conf.5",
            "PREFIX/share/man/man8/coldplug.8",
            "PREFIX/share/zsh/vendor-completions/_coldplug",
        ] {
            assert!(installed.contains(&path.replace("PREFIX", prefix)), "{path}: {installed:#?}");
        }
        let link = fs::read_link(root.join(&prefix[1..]).join("sbin/modprobe")).unwrap();
        assert_eq!(link, Path::new(prefix).join("bin/coldplug"));
        // What others have put in such a place stays.
        let own = root.join(&prefix[1..]).join("sbin/rmmod");
        fs::remove_file(&own).unwrap();
        symlink("/bin/kmod", &own).unwrap();
        make(root, &["uninstall", &prefix_word]);
        assert_eq!(below(root), BTreeSet::from([format!("{prefix}/sbin/rmmod")]));
    }
}

fn units_name_the_installed_program() {
    let scratch = tempfile::tempdir().unwrap();
    make(scratch.path(), &["install", "PREFIX=/opt/x"]);
    let units = scratch.path().join("opt/x/lib/systemd/system");
    let text = fs::read_to_string(units.join("coldplug-settings.service")).unwrap();
    assert!(text.contains("ExecStart=/opt/x/bin/coldplug settings restore\n"), "{text}");
}

fn lintian_finds_nothing_in_the_packages() {
    let scratch = tempfile::tempdir().unwrap();
    let packages = packages::build(scratch.path());
    let names = ["coldplug-kmod_", "coldplug_"];
    assert_eq!(packages.len(), names.len());
    let mut lintian = tool::command("lintian", "lintian");
    lintian.args(["--allow-root", "--profile", "debian", "--fail-on", "error,warning"]);
    assert_eq!(tool::run(lintian.args(&packages)), "");
    let fields = |package: &Path| {
        let mut query = tool::command("dpkg-deb", "dpkg");
        query.args(["-f", package.to_str().unwrap(), "Provides", "Conflicts", "Version"]);
        tool::run(&mut query)
    };
    let text = fields(&packages[1]);
    assert!(text.contains("Provides: linux-initramfs-tool\n"), "{text}");
    assert!(text.contains("Conflicts: linux-initramfs-tool"), "{text}");
    assert!(text.contains(&format!("Version: {}\n", env!("CARGO_PKG_VERSION"))), "{text}");
    let list = tool::run(tool::command("dpkg-deb", "dpkg").arg("-c").arg(&packages[1]));
    assert!(list.lines().all(|line| line.contains(" root/root ")), "{list}");
}

/// Runs a script of initramfs/ with a `coldplug` that prints its arguments, and returns what was
/// printed, and whether the script was successful.
fn call(script: &str, words: &[&str], environment: &[(&str, &str)]) -> (String, bool) {
    let bin = tempfile::tempdir().unwrap();
    for name in ["coldplug", "dpkg-trigger"] {
        let text = format!("#!/bin/sh\necho {name} \"$@\"\n");
        put(bin.path(), name, text.as_bytes(), 0o755);
    }
    let mut command = Command::new(paths::checkout().join("initramfs").join(script));
    command.args(words).env_clear().envs(environment.iter().copied());
    command.env("PATH", format!("{}:/usr/bin:/bin", bin.path().display()));
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8(text).unwrap().trim_end().to_owned(), output.status.success())
}

fn kernel_hooks_call_coldplug_for_the_steps_of_a_package() {
    let update = "coldplug image update --kernel 6.1";
    let remove = "coldplug image remove --kernel 6.1";
    let (postinst, postrm) =
        ("hooks/postinst.d/initramfs-coldplug", "hooks/postrm.d/initramfs-coldplug");
    let boot = ["6.1", "/boot/vmlinuz-6.1"];
    for (script, words, parameters, want) in [
        // `make install` of a kernel tree.
        (postinst, &boot[..], None, update),
        (postinst, &["6.1"], None, update),
        (postinst, &["6.1", "vmlinuz"], None, update),
        (postinst, &boot, Some("configure"), update),
        (postinst, &boot, Some("configure 6.1.1-1"), update),
        (postinst, &boot, Some("'configure' '6.1.1-1'"), update),
        (postinst, &boot, Some("abort-upgrade 6.1.1-1"), ""),
        (
            postinst,
            &["6.1", "/srv/kernels/vmlinuz-6.1"],
            None,
            "coldplug image update --kernel 6.1 --output /srv/kernels/initrd.img-%v",
        ),
        (postrm, &boot, None, remove),
        (postrm, &boot, Some("remove"), remove),
        (postrm, &boot, Some("purge"), remove),
        (postrm, &boot, Some("upgrade 6.1.1-2"), ""),
        (postrm, &boot, Some("failed-upgrade 6.1.1-2"), ""),
        (postrm, &boot, Some("abort-install"), ""),
        (postrm, &[], None, ""),
        (
            postrm,
            &["6.1", "/srv/kernels/vmlinuz-6.1"],
            Some("remove"),
            "coldplug image remove --kernel 6.1 --output /srv/kernels/initrd.img-%v",
        ),
    ] {
        let environment: Vec<_> = parameters.map(|p| ("DEB_MAINT_PARAMS", p)).into_iter().collect();
        let found = call(script, words, &environment);
        assert_eq!(found, (want.to_owned(), true), "{script} {words:?} {parameters:?}");
        let none = call(script, words, &[("INITRD", "No")]);
        assert_eq!(none, (String::new(), true), "{script} {words:?}");
    }
    let (text, done) = call(postinst, &[], &[]);
    assert!(!done && text.contains("the release of the kernel is missing"), "{text}");
}

fn update_initramfs_has_the_options_of_initramfs_tools() {
    let script = "debian/update-initramfs";
    let package = [("DPKG_MAINTSCRIPT_PACKAGE", "lvm2")];
    let hook = [("DEB_MAINT_PARAMS", "configure"), ("DPKG_MAINTSCRIPT_PACKAGE", "linux-image")];
    let deferred = "dpkg-trigger --no-await update-initramfs\n\
        update-initramfs: deferring update (trigger activated)";
    for (line, environment, want) in [
        ("-u", &[][..], "coldplug image update --kernel all --quiet"),
        ("-u -v", &[], "coldplug image update --kernel all"),
        ("-u -k all", &[], "coldplug image update --kernel all --quiet"),
        ("-c -k 6.1", &[], "coldplug image update --kernel 6.1 --quiet"),
        ("-u -t -k 6.1", &[], "coldplug image update --kernel 6.1 --quiet"),
        ("-d -k6.1", &[], "coldplug image remove --kernel 6.1 --quiet"),
        (
            "-c -k 6.1 -b /x",
            &[],
            "coldplug image update --kernel 6.1 --quiet --output /x/initrd.img-%v",
        ),
        ("-u", &package, deferred),
        ("-u -k 6.1", &package, "coldplug image update --kernel 6.1 --quiet"),
        // The hooks that initramfs-tools leaves.
        ("-c -k 6.1 -b /boot", &hook, ""),
        ("-d -k 6.1 -b /boot", &hook, ""),
        ("-u", &hook, deferred),
    ] {
        let words: Vec<_> = line.split(' ').collect();
        assert_eq!(call(script, &words, environment), (want.to_owned(), true), "{line}");
    }
    for (line, want) in [
        ("-c", "update-initramfs: -c needs -k RELEASE"),
        ("-d -k all", "update-initramfs: -d needs -k RELEASE"),
        ("-k 6.1", "update-initramfs: -c, -u or -d is missing"),
        ("-u x", "update-initramfs: unexpected argument 'x'"),
    ] {
        let words: Vec<_> = line.split(' ').collect();
        let (text, done) = call(script, &words, &[]);
        assert!(!done && text.starts_with(want) && text.contains("usage:"), "{line}: {text}");
    }
}

/// The hook stays when the package is removed, and the images do too.
fn the_hook_removes_recorded_images_without_the_program() {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path();
    let hook = paths::checkout().join("initramfs/hooks/postrm.d/initramfs-coldplug");
    let text = fs::read_to_string(hook).unwrap();
    let below = format!("{}/var/lib", root.display());
    put(root, "hook", text.replace("/var/lib", &below).as_bytes(), 0o755);
    let image = root.join("boot/initrd.img-6.1");
    let record = format!("{}\n", image.display());
    for release in ["6.1", "6.2"] {
        put(root, &format!("var/lib/coldplug/images/{release}"), record.as_bytes(), 0o644);
    }
    for name in ["initrd.img-6.1", "initrd.img-6.1.old", ".initrd.img-6.1.new", "initrd.img-6.3"] {
        put(root, &format!("boot/{name}"), b"", 0o644);
    }
    let mut command = Command::new(root.join("hook"));
    command.args(["6.1", "/boot/vmlinuz-6.1"]).env_clear().env("PATH", "/usr/bin:/bin");
    command.env("DEB_MAINT_PARAMS", "remove");
    assert_eq!(tool::run(&mut command), "");
    let left: Vec<_> = tool::files(root).into_iter().collect();
    let want = ["boot/initrd.img-6.3", "hook", "var/lib/coldplug/images/6.2"];
    assert_eq!(left, want.map(|name| root.join(name)));
}

/// Returns the help of the program with these arguments.
fn help(words: &[&str]) -> String {
    tool::run(Command::new(env!("CARGO_BIN_EXE_coldplug")).arg("help").args(words))
}

/// Returns the commands that the program has.
fn commands() -> Vec<String> {
    let text = help(&[]);
    let names = text.lines().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
    names.map(str::to_owned).collect()
}

/// Returns the long options in the help of a command.
fn options(text: &str) -> BTreeSet<String> {
    let words = text.split([' ', ',', '\n', '(']).filter(|word| word.starts_with("--"));
    let name = |word: &str| -> String {
        word.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect()
    };
    words.map(name).filter(|name| name.len() > 2).collect()
}

/// Returns the text of a manual page without its markup.
fn page(name: &str) -> String {
    let path = paths::checkout().join("initramfs/man").join(name);
    fs::read_to_string(path).unwrap().replace('\\', "")
}

fn manual_pages_name_every_command_and_option() {
    let overview = page("coldplug.8");
    for name in commands() {
        let heads = overview.lines().filter(|line| line.starts_with(".B"));
        let mut words = heads.flat_map(|line| line.split([' ', ',', '"']));
        assert!(words.any(|word| word == name), "coldplug.8 lacks {name}");
    }
    let build = page("coldplug-image.8");
    for option in options(&help(&["image"])) {
        assert!(build.contains(&option), "coldplug-image.8 lacks {option}");
    }
    let conf = page("coldplug-image.conf.5");
    let of_build = help(&["image"]);
    let of_build = of_build.split("\nupdate ").next().unwrap();
    let lines = of_build.lines().filter(|line| line.trim_start().starts_with('-'));
    for option in options(&lines.collect::<Vec<_>>().join("\n")) {
        let key = &option[2..];
        let is_named = conf.lines().any(|line| {
            line.strip_prefix(".BI ")
                .or_else(|| line.strip_prefix(".BR "))
                .is_some_and(|rest| rest.starts_with(&format!("{key}=")))
        });
        assert_eq!(is_named, !["as-list", "configured", "kernel", "root"].contains(&key), "{key}");
    }
}

fn manual_pages_have_no_faults() {
    for page in tool::files(&paths::checkout().join("initramfs/man")) {
        let mut mandoc = tool::command("mandoc", "mandoc");
        assert_eq!(tool::run(mandoc.args(["-Tlint", "-W", "warning"]).arg(&page)), "");
        let mut man = tool::command("man", "man-db");
        man.args(["--warnings", "-E", "UTF-8", "-Tutf8", "-l"]).arg(&page);
        let output = man.env("MANPAGER", "cat").output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && errors.is_empty(), "{}: {errors}", page.display());
    }
}

/// Runs a shell with `coldplug` in its PATH, and returns the words that it prints.
fn words_of(shell: &str, script: &str) -> BTreeSet<String> {
    let bin = tempfile::tempdir().unwrap();
    symlink(env!("CARGO_BIN_EXE_coldplug"), bin.path().join("coldplug")).unwrap();
    let mut command = tool::command(shell, shell);
    command.arg("-c").arg(script).env("HOME", bin.path()).env("LC_ALL", "C.UTF-8");
    command.current_dir(bin.path()).env("TERM", "dumb");
    command.env("PATH", format!("{}:/usr/bin:/bin", bin.path().display()));
    tool::run(&mut command).split_whitespace().map(str::to_owned).collect()
}

/// Command lines to complete, words that are among the completions, and words that are not.
const COMPLETED: [(&str, &str, &str); 5] = [
    ("coldplug ", "image plan modprobe report", "assemble build"),
    ("coldplug im", "image", "plan"),
    ("coldplug image ", "build cat diff extract list update remove", "plan"),
    ("coldplug image build --mod", "--modules --modules-as", "--kernel"),
    ("coldplug depmod --", "--all --basedir", "--modules-as"),
];

fn completes(shell: &str, script: impl Fn(&str) -> String) {
    for (line, wanted, unwanted) in COMPLETED {
        let found = words_of(shell, &script(line));
        for word in wanted.split(' ') {
            assert!(found.contains(word), "{shell}: '{line}': {word} is not in {found:?}");
        }
        for word in unwanted.split(' ') {
            assert!(!found.contains(word), "{shell}: '{line}': {word} is in {found:?}");
        }
    }
}

fn completion(name: &str) -> String {
    paths::checkout().join("initramfs/completions").join(name).display().to_string()
}

fn bash_completes_commands_and_options() {
    completes("bash", |line| {
        let words: Vec<_> = line.split(' ').map(|word| format!("'{word}'")).collect();
        format!(
            ". {}; COMP_WORDS=({}); COMP_CWORD={}; _coldplug; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            completion("coldplug.bash"),
            words.join(" "),
            words.len() - 1
        )
    });
}

/// The completion functions of zsh need an editor; `compadd` and `_files` are replaced.
fn zsh_completes_commands_and_options() {
    completes("zsh", |line| {
        let words: Vec<_> = line.split(' ').map(|word| format!("'{word}'")).collect();
        let last = line.rsplit(' ').next().unwrap_or_default();
        format!(
            "compadd() {{ eval \"print -l -- \\${{(M)$2:#{last}*}}\" }}; _files() {{ }}; \
             words=({}); CURRENT={}; . {}",
            words.join(" "),
            words.len(),
            completion("_coldplug")
        )
    });
}

fn fish_completes_commands_and_options() {
    completes("fish", |line| {
        format!("source {}; complete -C '{line}' | cut -f 1", completion("coldplug.fish"))
    });
}
