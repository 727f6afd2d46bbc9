//! What a distribution installs: `make install` and its kin, the packages of Debian, and hooks.

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
    the_hook_removes_recorded_images_without_the_program;
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
            "PREFIX/share/bash-completion/completions/modprobe",
            "PREFIX/share/fish/vendor_completions.d/coldplug.fish",
            "PREFIX/share/fish/vendor_completions.d/modprobe.fish",
            "PREFIX/share/man/man5/coldplug-depmod.d.5",
            "PREFIX/share/man/man5/coldplug-image.conf.5",
            "PREFIX/share/man/man5/coldplug-modprobe.d.5",
            "PREFIX/share/man/man5/modprobe.d.5",
            "PREFIX/share/man/man7/coldplug.cmdline.7",
            "PREFIX/share/man/man8/coldplug.8",
            "PREFIX/share/man/man8/coldplug-modprobe.8",
            "PREFIX/share/man/man8/modprobe.8",
            "PREFIX/share/zsh/vendor-completions/_coldplug",
            "PREFIX/share/zsh/vendor-completions/_coldplug-kmod",
        ] {
            assert!(installed.contains(&path.replace("PREFIX", prefix)), "{path}: {installed:#?}");
        }
        let link = fs::read_link(root.join(&prefix[1..]).join("sbin/modprobe")).unwrap();
        assert_eq!(link, Path::new(prefix).join("bin/coldplug"));
        // What others have put in such a place stays.
        let own = root.join(&prefix[1..]).join("sbin/rmmod");
        fs::remove_file(&own).unwrap();
        symlink("/bin/kmod", &own).unwrap();
        let page = root.join(&prefix[1..]).join("share/man/man8/lsmod.8");
        fs::remove_file(&page).unwrap();
        fs::write(&page, ".TH LSMOD 8\n").unwrap();
        let file_page = root.join(&prefix[1..]).join("share/man/man5/depmod.d.5");
        fs::remove_file(&file_page).unwrap();
        fs::write(&file_page, ".TH DEPMOD.D 5\n").unwrap();
        make(root, &["uninstall", &prefix_word]);
        let left = ["sbin/rmmod", "share/man/man5/depmod.d.5", "share/man/man8/lsmod.8"];
        assert_eq!(below(root), BTreeSet::from(left.map(|path| format!("{prefix}/{path}"))));
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
    let pages: Vec<_> = list.lines().filter_map(|line| line.rsplit_once("/man5/")).collect();
    assert!(pages.iter().any(|(_, name)| name.starts_with("coldplug-modprobe.d.5")), "{list}");
    assert!(
        pages.iter().all(|(_, name)| name.is_empty() || name.starts_with("coldplug-")),
        "{list}"
    );
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
    let path = |name: &str| format!("{}\n", root.join(name).display());
    let (own, shared) = (path("boot/initrd.img-6.1"), path("boot/initrd"));
    let unmounted = path("efi/linux/6.2.img");
    for (release, paths) in
        [("6.1", [&*own, &*shared].concat()), ("6.2", [&*shared, &*unmounted].concat())]
    {
        put(root, &format!("var/lib/coldplug/images/{release}"), paths.as_bytes(), 0o644);
    }
    let left = ["initrd.img-6.1.old", ".initrd.img-6.1.new"];
    for name in ["initrd.img-6.1", "initrd.img-6.3", "initrd"].iter().chain(&left) {
        put(root, &format!("boot/{name}"), b"", 0o644);
    }
    for (release, want) in [
        ("6.1", &["boot/initrd", "boot/initrd.img-6.3", "hook", "var/lib/coldplug/images/6.2"][..]),
        ("6.2", &["boot/initrd.img-6.3", "hook", "var/lib/coldplug/images/6.2"]),
    ] {
        let mut command = Command::new(root.join("hook"));
        command.args([release, "/boot/vmlinuz"]).env_clear().env("PATH", "/usr/bin:/bin");
        command.env("DEB_MAINT_PARAMS", "remove");
        assert_eq!(tool::run(&mut command), "");
        let left: Vec<_> = tool::files(root).into_iter().collect();
        let want: Vec<_> = want.iter().map(|name| root.join(name)).collect();
        assert_eq!(left, want);
    }
}
