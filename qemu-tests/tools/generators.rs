//! What other programs call: the plugin of kernel-install, the module of dracut, the hooks of
//! mkinitcpio, and the recipes of distributions. Boots with dracut and kernel-install are in
//! boots/generators.rs; mkinitcpio, makepkg, abuild, Buildroot and bitbake are not in Debian, so that
//! their functions are run here alone.

use harness::files::put;
use harness::run::{Need, RELEASE, Test};
use harness::{paths, tests, tool};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![
    [] =>
    the_plugin_builds_an_image_if_it_is_asked_to,
    aliases_of_all_devices_are_loaded_until_no_new_one_comes;
    [Need::Command("bash", "bash")] =>
    scripts_have_no_syntax_error,
    the_build_hook_of_mkinitcpio_replaces_kmod;
    [RELEASE[0], Need::Command("bash", "bash"), Need::Command("make", "make")] =>
    recipes_install_what_make_installs;
];

fn source(path: &str) -> PathBuf {
    paths::checkout().join("initramfs").join(path)
}

/// Runs the plugin with a `coldplug` that prints its arguments, and returns what was printed, and
/// the exit status.
fn plugin(words: &[&str], environment: &[(&str, &str)]) -> (String, Option<i32>) {
    let bin = tempfile::tempdir().unwrap();
    put(bin.path(), "coldplug", b"#!/bin/sh\necho coldplug \"$@\"\n", 0o755);
    let mut command = Command::new(source("kernel-install/50-coldplug.install"));
    command.args(words).env_clear().envs(environment.iter().copied());
    command.env("PATH", format!("{}:/usr/bin:/bin", bin.path().display()));
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8(text).unwrap().trim_end().to_owned(), output.status.code())
}

fn the_plugin_builds_an_image_if_it_is_asked_to() {
    const ADD: &[&str] = &["add", "6.1", "/efi/token/6.1", "/boot/vmlinuz-6.1"];
    let asked = [
        ("KERNEL_INSTALL_INITRD_GENERATOR", "coldplug"),
        ("KERNEL_INSTALL_LAYOUT", "bls"),
        ("KERNEL_INSTALL_STAGING_AREA", "/tmp/area"),
        ("KERNEL_INSTALL_VERBOSE", "0"),
    ];
    let quiet = "coldplug image build --configured --kernel 6.1 --quiet --output \
        /tmp/area/initrd.img-6.1";
    let verbose = &quiet.replace(" --quiet", "");
    for (words, name, value, want) in [
        (ADD, "KERNEL_INSTALL_LAYOUT", "bls", quiet),
        (ADD, "KERNEL_INSTALL_LAYOUT", "uki", quiet),
        (ADD, "KERNEL_INSTALL_VERBOSE", "1", verbose),
        (ADD, "KERNEL_INSTALL_IMAGE_TYPE", "pe", quiet),
        (ADD, "KERNEL_INSTALL_LAYOUT", "other", ""),
        (ADD, "KERNEL_INSTALL_IMAGE_TYPE", "uki", ""),
        (ADD, "KERNEL_INSTALL_INITRD_GENERATOR", "dracut", ""),
        (ADD, "KERNEL_INSTALL_INITRD_GENERATOR", "", ""),
        (&[ADD, &["/boot/initrd"]].concat(), "KERNEL_INSTALL_LAYOUT", "bls", ""),
        (&["remove", "6.1", "/efi/token/6.1"], "KERNEL_INSTALL_LAYOUT", "bls", ""),
    ] {
        let environment = [&asked[..], &[(name, value)]].concat();
        assert_eq!(plugin(words, &environment), (want.to_owned(), Some(0)), "{name}={value}");
    }
    let (text, status) = plugin(&["add", "6.1"], &asked);
    assert_eq!(status, Some(2));
    assert!(text.contains("kernel-install add RELEASE KERNEL"), "{text}");
}

/// `find` prints more at each of its first calls, and `coldplug` what it is called with.
fn aliases_of_all_devices_are_loaded_until_no_new_one_comes() {
    let scratch = tempfile::tempdir().unwrap();
    let bin = scratch.path();
    let find =
        "#!/bin/sh\necho >>$0.calls\ncat $0.aliases\nsed -n '1,2s/.*/pci:child &/p' $0.calls\n";
    put(bin, "find", find.as_bytes(), 0o755);
    put(bin, "find.aliases", b"pci:v1*\nacpi:A B:\n", 0o644);
    put(bin, "coldplug", b"#!/bin/sh\nprintf '<%s>' \"$@\"; echo; exit 1\n", 0o755);
    let mut command = Command::new(source("coldplug-load"));
    command.env("PATH", format!("{}:/usr/bin:/bin", bin.display())).current_dir("/");
    let options = "<modprobe><--quiet><--all><--use-blacklist><--><pci:v1*><acpi:A B:>";
    let child = "<pci:child >";
    let want = format!("{options}{child}\n{options}{child}{child}\n");
    assert_eq!(tool::run(&mut command), want);
}

/// Returns the scripts below initramfs/, with the shell that they are for.
fn scripts() -> Vec<(&'static str, PathBuf)> {
    let shell = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let name = path.file_name()?.to_str()?;
        let first = text.lines().next().unwrap_or_default();
        match (name, first) {
            ("PKGBUILD", _) | (_, "#!/bin/bash") => Some("bash"),
            ("APKBUILD", _) | (_, "#!/bin/sh") => Some("sh"),
            _ => None,
        }
    };
    let files = tool::files(&source(""));
    files.into_iter().filter_map(|path| Some((shell(&path)?, path))).collect()
}

fn scripts_have_no_syntax_error() {
    let scripts = scripts();
    for name in ["PKGBUILD", "APKBUILD", "module-setup.sh", "install", "hook", "post-image.sh"] {
        assert!(scripts.iter().any(|(_, path)| path.ends_with(name)), "{name}");
    }
    for (shell, path) in scripts {
        assert_eq!(tool::run(Command::new(shell).arg("-n").arg(&path)), "", "{}", path.display());
    }
}

/// The functions of mkinitcpio are replaced by some that print their arguments.
fn the_build_hook_of_mkinitcpio_replaces_kmod() {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path();
    for name in ["kmod", "modprobe", "busybox"] {
        put(root, &format!("usr/bin/{name}"), b"", 0o755);
    }
    let script = format!(
        "add_binary() {{ echo add_binary \"$@\"; }}; add_symlink() {{ echo add_symlink \"$@\"; }}; \
         add_runscript() {{ echo add_runscript; }}; BUILDROOT={}; . {}; build; help",
        root.display(),
        source("mkinitcpio/install").display()
    );
    let text = tool::run(Command::new("bash").arg("-eu").arg("-c").arg(script));
    for line in ["add_binary coldplug", "add_symlink /usr/bin/modprobe coldplug", "add_runscript"] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    assert!(text.contains("HOOKS=(base coldplug "), "{text}");
    let left: Vec<_> = tool::files(root).into_iter().collect();
    assert_eq!(left, [root.join("usr/bin/busybox")]);
}

/// Returns the paths of the files below `root`.
fn below(root: &Path) -> BTreeSet<String> {
    let names = tool::files(root).into_iter();
    names.map(|path| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()).collect()
}

/// Runs a shell with the release programs, as unpacked by a recipe, in the directory `srcdir`.
fn package(shell: &str, script: &str, srcdir: &Path, pkgdir: &Path) -> BTreeSet<String> {
    let mut command = Command::new(shell);
    command.args(["-euc", script]).current_dir(srcdir).env("CARCH", "x86_64");
    command.env("srcdir", srcdir).env("pkgdir", pkgdir);
    tool::run(&mut command);
    below(pkgdir)
}

/// Returns `paths` without those of systemd units.
fn without_units(paths: &BTreeSet<String>) -> BTreeSet<String> {
    paths.iter().filter(|path| !path.contains("/systemd/")).cloned().collect()
}

/// Returns `paths` without the completions that `make install-links` adds, which are no links.
fn without_completions_of_links(paths: &BTreeSet<String>) -> BTreeSet<String> {
    let is_of_link = |path: &str| {
        path.ends_with("/_coldplug-kmod")
            || (path.ends_with(".fish") && !path.ends_with("/coldplug.fish"))
    };
    paths.iter().filter(|path| !is_of_link(path)).cloned().collect()
}

fn recipes_install_what_make_installs() {
    let version = env!("CARGO_PKG_VERSION");
    let scratch = tempfile::tempdir().unwrap();
    let srcdir = scratch.path().join("src");
    fs::create_dir(&srcdir).unwrap();
    let programs = paths::target().join("x86_64-unknown-linux-musl/release");
    for name in ["coldplug", "coldplug-init", "coldplug-init-boot", "coldplug-init-stacks"] {
        fs::copy(programs.join(name), srcdir.join(name)).unwrap();
    }
    let tree = srcdir.join(format!("coldplug-{version}"));
    std::os::unix::fs::symlink(paths::checkout(), &tree).unwrap();
    let make = |words: &str, out: &str| {
        let dir = scratch.path().join(out);
        let mut make = Command::new("make");
        make.arg("-sC").arg(paths::checkout()).args(words.split(' ')).arg("PREFIX=/usr");
        make.arg(format!("BIN={}", srcdir.join("coldplug").display()));
        tool::run(make.arg(format!("DESTDIR={}", dir.display())));
        below(&dir)
    };
    let zsh = "ZSHDIR=/usr/share/zsh/site-functions";

    let file = source("packaging/arch/PKGBUILD");
    let script = format!(". {}; package", file.display());
    let mut arch = package("bash", &script, &srcdir, &scratch.path().join("arch"));
    assert!(arch.remove("usr/share/licenses/coldplug/LICENSE"), "{arch:?}");
    let all = make(&format!("install {zsh}"), "all");
    assert_eq!(arch, all);

    let file = source("packaging/alpine/APKBUILD");
    let script = format!(". {}; cd {}; package", file.display(), tree.display());
    let alpine = package("sh", &script, &srcdir, &scratch.path().join("alpine"));
    assert_eq!(alpine, without_units(&all));

    for (name, pattern) in [
        ("arch/PKGBUILD", "pkgver="),
        ("alpine/APKBUILD", "pkgver="),
        ("buildroot/coldplug/coldplug.mk", "COLDPLUG_VERSION = "),
    ] {
        let text = fs::read_to_string(source("packaging").join(name)).unwrap();
        let line = format!("{pattern}{version}");
        assert!(text.lines().any(|found| found == line), "{name}: {line}");
    }
    buildroot_installs(&srcdir, scratch.path(), &without_units(&make("install", "plain")));
    yocto_installs(version);
}

/// Runs the commands of coldplug.mk with the variables that Buildroot sets, and post-image.sh with
/// what they have installed.
fn buildroot_installs(srcdir: &Path, scratch: &Path, want: &BTreeSet<String>) {
    let dir = |name: &str| scratch.join(name).display().to_string();
    let text = format!(
        "generic-package :=\nhost-generic-package :=\nBR2_x86_64 := y\nHOSTARCH := x86_64\n\
         BR2_PACKAGE_COLDPLUG_TOOLS := y\nINSTALL := install\nTARGET_DIR := {}\nHOST_DIR := {}\n\
         COLDPLUG_DL_DIR := {dl}\nHOST_COLDPLUG_DL_DIR := {dl}\n\
         include {}\nall: target host\ntarget: D := {}\nhost: D := {}\n\
         target:\n\tln -s {checkout}/* $D\n\t$(COLDPLUG_EXTRACT_PROGRAMS)\n\
         \t$(COLDPLUG_INSTALL_TARGET_CMDS)\n\
         host:\n\t$(HOST_COLDPLUG_EXTRACT_PROGRAMS)\n\t$(HOST_COLDPLUG_INSTALL_CMDS)\n",
        dir("target"),
        dir("host"),
        source("packaging/buildroot/coldplug/coldplug.mk").display(),
        dir("build"),
        dir("build-host"),
        dl = dir("dl"),
        checkout = paths::checkout().display(),
    );
    // `$(@D)` is the directory of a target of Buildroot, which is not the name of a rule here.
    let text = text.replace("$D", "$(D)");
    let recipe = fs::read_to_string(source("packaging/buildroot/coldplug/coldplug.mk")).unwrap();
    put(scratch, "coldplug.mk", recipe.replace("$(@D)", "$(D)").as_bytes(), 0o644);
    let original = source("packaging/buildroot/coldplug/coldplug.mk").display().to_string();
    let text = text.replace(&original, &dir("coldplug.mk"));
    put(scratch, "Makefile", text.as_bytes(), 0o644);
    for name in ["dl", "build", "build-host"] {
        fs::create_dir(scratch.join(name)).unwrap();
    }
    let mut tar = tool::command("tar", "tar");
    tar.arg("-C").arg(srcdir).arg("-cJf");
    tar.arg(scratch.join("dl/coldplug-x86_64-unknown-linux-musl.tar.xz"));
    tool::run(tar.args([
        "coldplug",
        "coldplug-init",
        "coldplug-init-boot",
        "coldplug-init-stacks",
    ]));
    tool::run(Command::new("make").arg("-sC").arg(scratch));
    let installed = without_completions_of_links(&below(&scratch.join("target")));
    assert_eq!(&without_units(&installed), want);
    let link = fs::read_link(scratch.join("target/usr/sbin/modprobe")).unwrap();
    assert_eq!(link, Path::new("/usr/bin/coldplug"));
    let host = below(&scratch.join("host"));
    for path in ["bin/coldplug", "lib/coldplug/x86_64/coldplug-init-stacks"] {
        assert!(host.contains(path), "{path}: {host:?}");
    }

    // The builder of the host takes the programs for the target.
    let modules = scratch.join("target/lib/modules/6.0.0-test");
    fs::create_dir_all(&modules).unwrap();
    for name in ["dep", "builtin"] {
        fs::write(modules.join(format!("modules.{name}")), "").unwrap();
    }
    let images = scratch.join("images");
    fs::create_dir(&images).unwrap();
    let mut script = Command::new(source("packaging/buildroot/post-image.sh"));
    script.arg(&images).arg("--quiet").env("BINARIES_DIR", &images);
    script.env("TARGET_DIR", dir("target")).env("HOST_DIR", dir("host"));
    assert_eq!(tool::run(&mut script), "");
    let image = images.join("initramfs.img");
    let list =
        Command::new(scratch.join("host/bin/coldplug")).args(["image", "list"]).arg(image).output();
    let list = String::from_utf8(list.unwrap().stdout).unwrap();
    assert!(list.lines().any(|line| line.ends_with(" init")), "{list}");
}

/// bitbake is not to be had: only what the recipe names is checked, and the syntax of its functions.
fn yocto_installs(version: &str) {
    let file = source(&format!("packaging/yocto/coldplug/coldplug_{version}.bb"));
    let recipe = fs::read_to_string(file).unwrap();
    let mut sum = tool::command("md5sum", "coreutils");
    let sum = tool::run(sum.arg(paths::checkout().join("LICENSE")));
    let sum = sum.split(' ').next().unwrap();
    assert!(recipe.contains(&format!("file://LICENSE;md5={sum}")), "{recipe}");
    let class = fs::read_to_string(source("packaging/yocto/coldplug-image.bbclass")).unwrap();
    for (text, name) in [(&recipe, "do_install"), (&class, "coldplug_initramfs")] {
        let start = text.find(&format!("{name}() {{\n")).expect(name);
        let body = &text[start..];
        let body = &body[..body.find("\n}\n").expect(name) + 3];
        // bitbake replaces ${NAME}, which is a variable of the shell as well.
        assert_eq!(tool::run(Command::new("sh").args(["-n", "-c", body])), "");
    }
}
