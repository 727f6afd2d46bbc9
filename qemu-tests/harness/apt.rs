//! Packages of Debian's archive, downloaded with a private apt: its source list, package lists and
//! cache lie in one directory.
//!
//! The apt settings of this machine are only read, for the mirror; `apt update` need not have run.
//! Formats: sources.list(5), one line or deb822.
//!
//! ```text
//! deb [options] URI SUITE COMPONENT…
//!
//! Types: deb
//! URIs: URI…
//! Suites: SUITE…
//! ```

use crate::run::unavailable;
use crate::tool;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Release names that mark an entry as one of Debian's main archive.
const RELEASES: [&str; 7] = ["bookworm", "trixie", "forky", "stable", "testing", "sid", "unstable"];

/// The key that signs the archive.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Suffix of the suites of security updates.
const SECURITY: &str = "-security";

/// An archive and a suite in it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    uri: String,
    suite: String,
}

/// An apt for one Debian release, with all of its state below one directory.
#[derive(Debug)]
pub struct Apt {
    dir: PathBuf,
    /// The architecture that packages are for.
    arch: String,
}

impl Apt {
    /// Sets up an apt for `suites` and `arch` in `dir`, and downloads the package lists.
    ///
    /// # Panics
    ///
    /// If `apt-get update` cannot be started. Without a mirror or the network the test is ignored.
    pub fn update(dir: &Path, arch: &str, suites: &[&str]) -> Self {
        tool::find("apt-get", "apt");
        if !Path::new(KEYRING).exists() {
            unavailable(format!("{KEYRING} is missing: install debian-archive-keyring"));
        }
        let apt = Self { dir: dir.to_owned(), arch: arch.to_owned() };
        for sub in ["lists/partial", "cache/archives/partial", "state"] {
            fs::create_dir_all(dir.join(sub)).unwrap();
        }
        let known = machine_sources();
        let list = dir.join("sources.list");
        fs::write(&list, source_list(&known, suites)).unwrap();
        // A mirror may be in the middle of an update of the security updates, which no test needs.
        if tool::attempt(apt.command("apt-get").arg("update")).is_err() {
            let rest = suites.iter().copied().filter(|suite| !suite.ends_with(SECURITY));
            fs::write(&list, source_list(&known, &rest.collect::<Vec<_>>())).unwrap();
            tool::fetch(apt.command("apt-get").arg("update"));
        }
        apt
    }

    /// Returns the dependency of the meta package `meta` whose name starts with `prefix`.
    pub fn dependency(&self, meta: &str, prefix: &str) -> String {
        let names = self.dependencies(meta);
        let found = names.iter().find(|name| name.starts_with(prefix));
        found.unwrap_or_else(|| panic!("{meta} depends on no {prefix}…: {names:?}")).clone()
    }

    /// Returns the dependencies of `package`.
    pub fn dependencies(&self, package: &str) -> Vec<String> {
        let text = tool::run(self.command("apt-cache").args(["depends", package]));
        let names = text.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
        names.map(str::to_owned).collect()
    }

    /// Downloads `package` into `dir`, which holds no other package, and returns the file.
    pub fn download(&self, package: &str, dir: &Path) -> PathBuf {
        tool::fetch(self.command("apt-get").current_dir(dir).args(["download", package]));
        tool::files(dir)
            .into_iter()
            .find(|file| file.extension().is_some_and(|e| e == "deb"))
            .unwrap_or_else(|| panic!("apt-get download {package} left no .deb"))
    }

    fn command(&self, name: &str) -> Command {
        let mut command = tool::command(name, "apt");
        let dir = self.dir.display();
        command.env("LC_ALL", "C").arg("-q");
        for option in [
            format!("Dir::Etc::sourcelist={dir}/sources.list"),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            format!("Dir::State={dir}/state"),
            format!("Dir::State::lists={dir}/lists"),
            format!("Dir::Cache={dir}/cache"),
            format!("APT::Architecture={}", self.arch),
            format!("APT::Architectures={}", self.arch),
            "APT::Sandbox::User=".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::Retries=3".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
        ] {
            command.args(["-o", &option]);
        }
        command
    }
}

/// Returns a sources.list for `suites` with the mirrors in `known`. Security updates are left out
/// if no mirror for them is known, as after debootstrap.
fn source_list(known: &[Source], suites: &[&str]) -> String {
    let line = |suite: &&str| match mirror(known, suite) {
        Some(mirror) => Some(format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n")),
        None if suite.ends_with(SECURITY) => None,
        None => unavailable(format!(
            "no Debian mirror for {suite} in the apt sources: set COLDPLUG_MIRROR"
        )),
    };
    suites.iter().filter_map(line).collect()
}

/// Returns the text of a sources.list(5) for `suites`, as [`Apt::update`] uses it. Without a mirror
/// the test is ignored.
pub fn sources_of(suites: &[&str]) -> String {
    source_list(&machine_sources(), suites)
}

/// Returns a mirror of `suite`. Without one the test is ignored.
///
/// # Panics
///
/// If no test runs and the source list of this machine names none.
pub fn mirror_of(suite: &str) -> String {
    mirror(&machine_sources(), suite).unwrap_or_else(|| {
        unavailable(format!("no Debian mirror for {suite}: set COLDPLUG_MIRROR"))
    })
}

/// Returns the archive of `suite`; `COLDPLUG_MIRROR` and `COLDPLUG_SECURITY_MIRROR` override the
/// source list.
fn mirror(known: &[Source], suite: &str) -> Option<String> {
    let (variable, fits): (_, fn(&str) -> bool) = if suite.ends_with(SECURITY) {
        ("COLDPLUG_SECURITY_MIRROR", |s| s.ends_with(SECURITY))
    } else {
        ("COLDPLUG_MIRROR", |s| RELEASES.contains(&s))
    };
    let own = || known.iter().find(|s| fits(&s.suite)).map(|s| s.uri.clone());
    std::env::var(variable).ok().or_else(own)
}

/// Returns the entries of this machine's source lists.
fn machine_sources() -> Vec<Source> {
    let mut found = read(Path::new("/etc/apt/sources.list"));
    let mut parts: Vec<_> = fs::read_dir("/etc/apt/sources.list.d")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    parts.sort();
    found.extend(parts.iter().flat_map(|path| read(path)));
    found
}

fn read(path: &Path) -> Vec<Source> {
    let text = fs::read_to_string(path).unwrap_or_default();
    if path.extension().is_some_and(|e| e == "sources") {
        text.split("\n\n").flat_map(stanza).collect()
    } else {
        text.lines().filter_map(one_line).collect()
    }
}

/// `deb [options] URI SUITE COMPONENT…`
fn one_line(line: &str) -> Option<Source> {
    let rest = line.trim().strip_prefix("deb ")?.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(options) => options.split_once(']')?.1,
        None => rest,
    };
    let mut words = rest.split_ascii_whitespace();
    Some(Source { uri: words.next()?.to_owned(), suite: words.next()?.to_owned() })
}

/// Parses one deb822 paragraph: every URI with every suite.
fn stanza(text: &str) -> Vec<Source> {
    let field = |name: &str| {
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(|value| value.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>())
            .unwrap_or_default()
    };
    if field("Enabled") == ["no"] || !field("Types").iter().any(|t| t == "deb") {
        return Vec::new();
    }
    let suites = field("Suites");
    field("URIs")
        .iter()
        .flat_map(|uri| suites.iter().map(|s| Source { uri: uri.clone(), suite: s.clone() }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(uri: &str, suite: &str) -> Source {
        Source { uri: uri.into(), suite: suite.into() }
    }

    #[test]
    fn one_line_sources() {
        for (line, want) in [
            ("deb http://m/debian bookworm main", Some(source("http://m/debian", "bookworm"))),
            ("deb [arch=amd64 a=b] http://m/d trixie main", Some(source("http://m/d", "trixie"))),
            ("# deb http://m/debian bookworm main", None),
            ("deb-src http://m/debian bookworm main", None),
            ("deb http://m/debian", None),
        ] {
            assert_eq!(one_line(line), want, "{line}");
        }
    }

    #[test]
    fn deb822_sources() {
        let both =
            "# note\nTypes: deb deb-src\nURIs: http://m/d\nSuites: bookworm bookworm-updates\n";
        assert_eq!(
            stanza(both),
            [source("http://m/d", "bookworm"), source("http://m/d", "bookworm-updates")]
        );
        assert!(stanza("Types: deb-src\nURIs: http://m/d\nSuites: bookworm\n").is_empty());
        assert!(stanza("Enabled: no\nTypes: deb\nURIs: http://m/d\nSuites: sid\n").is_empty());
    }

    #[test]
    fn a_suite_finds_its_mirror() {
        let known = [
            source("http://other", "cloud-sdk"),
            source("http://m/sec", "bookworm-security"),
            source("http://m/debian", "bookworm"),
        ];
        let list = source_list(&known, &["trixie", "bookworm-security"]);
        let places: Vec<_> = list.lines().map(|l| l.split("] ").nth(1).unwrap()).collect();
        assert_eq!(places, ["http://m/debian trixie main", "http://m/sec bookworm-security main"]);
        let list = source_list(&known[2..], &["bookworm", "bookworm-security"]);
        assert_eq!(list.lines().count(), 1);
    }
}
