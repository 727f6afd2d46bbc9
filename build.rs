//! Passes the commit and the target to the program. Without git the commit is "unknown"; nothing
//! fails.

use std::path::Path;
use std::process::Command;

fn main() {
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    let target = std::env::var("TARGET").unwrap_or_else(|_| "unknown".to_owned());
    println!("cargo::rustc-env=COLDPLUG_COMMIT={commit}");
    println!("cargo::rustc-env=COLDPLUG_TARGET={target}");
    println!("cargo::rerun-if-changed=build.rs");
    // HEAD holds the name of a branch and changes only on checkout; its log changes with every
    // commit. A missing file would cause a rebuild each time.
    for name in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", name]);
        if let Some(path) = path.filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
}

/// Returns the output of git, or `None` if there is no git or no repository.
fn git(words: &[&str]) -> Option<String> {
    let out = Command::new("git").args(words).output().ok().filter(|out| out.status.success())?;
    Some(String::from_utf8(out.stdout).ok()?.trim().to_owned())
}
