//! The hook that removes `modules.weakdep` with a kernel of Debian 12, as `make install-debian`
//! installs it.

use harness::files::put;
use harness::run::{Need, Test};
use harness::{paths, tests, tool};
use std::path::Path;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![
    [Need::Command("make", "make"), Need::Command("run-parts", "debianutils")] =>
    only_a_purge_removes_modules_weakdep;
];

/// Runs the hooks below `root` as the postrm script of a kernel package does.
fn run_hooks(root: &Path, parameters: &str, release: &str) {
    let mut hooks = tool::command("run-parts", "debianutils");
    hooks.args(["--report", "--exit-on-error"]).arg(format!("--arg={release}"));
    hooks.arg(format!("--arg=/boot/vmlinuz-{release}")).arg(root.join("etc/kernel/postrm.d"));
    hooks.env("DPKG_ROOT", root).env("DEB_MAINT_PARAMS", parameters);
    assert_eq!(tool::run(&mut hooks), "", "{parameters}");
}

fn only_a_purge_removes_modules_weakdep() {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path();
    let mut make = tool::command("make", "make");
    make.arg("-sC").arg(paths::checkout()).arg("install-debian");
    tool::run(make.arg(format!("DESTDIR={}", root.display())));
    let other = "lib/modules/6.1.0-50-amd64/modules.weakdep";
    put(root, other, b"", 0o644);
    put(root, "lib/modules/modules.weakdep", b"", 0o644);
    for (parameters, release, is_kept) in [
        ("remove", "6.1.0-49-amd64", true),
        ("upgrade 6.1.177-1", "6.1.0-49-amd64", true),
        ("failed-upgrade 6.1.175-1", "6.1.0-49-amd64", true),
        ("abort-install", "6.1.0-49-amd64", true),
        ("disappear purge 1", "6.1.0-49-amd64", true),
        ("", "6.1.0-49-amd64", true),
        ("purge", "", true),
        ("purge", "6.1.0-49-amd64", false),
        // All is gone already.
        ("purge", "6.1.0-48-amd64", false),
    ] {
        let file = "lib/modules/6.1.0-49-amd64/modules.weakdep";
        if is_kept {
            put(root, file, b"", 0o644);
        }
        run_hooks(root, parameters, release);
        let has = |name: &str| root.join(name).exists();
        assert_eq!(has(file), is_kept, "{parameters} {release}");
        assert!(has(other) && has("lib/modules/modules.weakdep"), "{parameters} {release}");
    }
    // What the package does next.
    std::fs::remove_dir(root.join("lib/modules/6.1.0-49-amd64")).unwrap();
}
