//! The configuration of modutils, in the styles of distributions: converted, and read directly.
//!
//! ```text
//! data/modules.conf/STYLE/modules.conf    or conf.modules
//! data/modules.conf/STYLE/convert.txt     a transcript: what `coldplug convert` makes of it
//! ```
//!
//! For every name in a file, and for `-c`, modprobe must print the same for the old file and for
//! the new one, and kmod's modprobe, which only knows the new format, must print the same as ours.
//! All modules that a file names exist.

use harness::run::Test;
use harness::transcript::{self, Session};
use harness::{note, paths, tests, tool};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const OURS: &str = env!("CARGO_BIN_EXE_coldplug");

/// Release of the kernel.
const RELEASE: &str = "2.4.20-8";

fn styles() -> PathBuf {
    paths::data("modules.conf")
}

/// One style, and a root with the modules that it names.
struct Style {
    dir: PathBuf,
    /// Name of the old file.
    old: &'static str,
    /// Lines of modprobe.d that it is converted to.
    new: String,
    said: String,
    status: Option<i32>,
    root: tempfile::TempDir,
}

impl Style {
    fn new(name: &str) -> Self {
        let dir = styles().join(name);
        let old = if dir.join("modules.conf").exists() { "modules.conf" } else { "conf.modules" };
        let mut command = Command::new(OURS);
        let Output { status, stdout, stderr } =
            command.args(["convert", "--kernel", RELEASE, old]).current_dir(&dir).output().unwrap();
        let (new, said) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        let root = tempfile::tempdir_in(paths::scratch()).unwrap();
        let style = Self { dir, old, new, said, status: status.code(), root };
        style.make_modules();
        style
    }

    /// Returns all words after `keywords` in the new lines, without those of commands.
    fn words_after(&self, keywords: &[&str]) -> BTreeSet<String> {
        let mut words = BTreeSet::new();
        for line in self.new.lines() {
            let mut split = line.split_whitespace();
            match split.next() {
                Some(keyword) if keywords.contains(&keyword) => match keyword {
                    "install" | "remove" | "options" => words.extend(split.next().map(Into::into)),
                    _ => words.extend(split.map(str::to_owned)),
                },
                _ => {}
            }
        }
        words
    }

    /// Makes a module file for every name that may be a module, and the index files.
    fn make_modules(&self) {
        let dir = self.root.path().join("lib/modules").join(RELEASE);
        fs::create_dir_all(dir.join("kernel")).unwrap();
        let module = paths::data("tree/lib/modules/1.0/kernel/sub/late.ko");
        let names = self.words_after(&["alias", "softdep"]);
        let plain = |name: &&String| !name.contains(['/', '*', ':', '?']);
        for name in names.iter().filter(plain) {
            let file = name.replace('-', "_") + ".ko";
            fs::copy(&module, dir.join("kernel").join(file)).unwrap();
        }
        let mut depmod = Command::new(OURS);
        tool::run(depmod.arg("depmod").arg("-b").arg(self.root.path()).arg(RELEASE));
        fs::write(self.root.path().join("new.conf"), &self.new).unwrap();
    }

    /// Returns the output and exit code of modprobe with `words` and the configuration in `file`.
    fn ask(&self, modprobe: &[&str], file: &Path, words: &[&str]) -> String {
        let mut command = Command::new(modprobe[0]);
        command.args(&modprobe[1..]).current_dir(&self.dir).env_remove("MODPROBE_OPTIONS");
        command.arg("-q").arg("-d").arg(self.root.path()).args(["-S", RELEASE]);
        let output = command.arg("-C").arg(file).args(words).output().unwrap();
        let status = output.status.code();
        format!("{}{status:?}", String::from_utf8(output.stdout).unwrap())
    }

    fn ask_all(&self, kmod: &[&str], words: &[&str]) -> [String; 3] {
        let new = self.root.path().join("new.conf");
        let ours = [OURS, "modprobe"];
        [
            self.ask(&ours, Path::new(self.old), words),
            self.ask(&ours, &new, words),
            self.ask(kmod, &new, words),
        ]
    }
}

/// Returns `text` with the spaces normalised; kmod prints none before `post:`.
fn spaced(text: &str) -> String {
    let text = text.replace("post:", " post:");
    let lines = text.lines().map(|l| l.split(' ').filter(|w| !w.is_empty()).collect::<Vec<_>>());
    lines.map(|words| words.join(" ")).collect::<Vec<_>>().join("\n")
}

/// Runs coldplug in the directory of a style.
struct Converter<'a>(&'a Path);

impl Session for Converter<'_> {
    fn run(&mut self, command: &str) -> Vec<String> {
        let mut words = command.split(' ');
        assert_eq!(words.next(), Some("coldplug"));
        let output = Command::new(OURS).args(words).current_dir(self.0).output().unwrap();
        let mut lines = transcript::streams(&output.stdout, &output.stderr);
        lines.extend(transcript::exit(output.status.code()));
        lines
    }
}

#[track_caller]
fn check(name: &str) {
    let style = Style::new(name);
    transcript::check(&style.dir.join("convert.txt"), &mut Converter(&style.dir));
    assert_eq!(style.status, Some(i32::from(name == "wrong")), "{}", style.said);

    let kmod = tool::find("modprobe", "kmod");
    let kmod = [kmod.to_str().unwrap()];
    let [old, new, theirs] = style.ask_all(&kmod, &["-c"]);
    assert!(new.contains("\nalias ") || new.starts_with("alias "), "{new}");
    assert_eq!(old, new, "{name}: -c");
    assert_eq!(spaced(&new), spaced(&theirs), "{name}: -c of kmod");
    let mut asked = 0;
    for word in style.words_after(&["alias", "options", "install", "remove", "softdep"]) {
        // A name that the pattern matches.
        let word = word.replace('*', "3");
        for query in ["-R", "-D"] {
            let [old, new, theirs] = style.ask_all(&kmod, &[query, &word]);
            assert_eq!(old, new, "{name}: {query} {word}");
            // From kmod 31 on a name that starts with a slash is a file, as it is here; Debian's
            // kmod is older.
            if !word.starts_with('/') {
                assert_eq!(new, theirs, "{name}: {query} {word} of kmod");
            }
            asked += usize::from(new.len() > "Some(0)".len());
        }
    }
    note!("{name}: {asked} answers");
    assert!(asked > 2, "{asked} answers");
}

macro_rules! styles {
    ($($style:ident)*) => {
        $(fn $style() { check(stringify!($style)); })*
        const STYLES: &[&str] = &[$(stringify!($style)),*];
        /// The tests of this module, by what they need.
        pub(crate) const TESTS: &[Test] = tests![
            [] => $($style,)* every_style_is_checked, the_format_of_modprobe_d_is_kept,
            modprobe_reports_wrong_lines, the_output_file_is_written
        ];
    };
}

styles! { document redhat debian suse alsa pcmcia slackware scsi ppp conditions wrong }

fn every_style_is_checked() {
    let entries = fs::read_dir(styles()).unwrap();
    let mut found: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    found.sort();
    let mut styles = STYLES.to_vec();
    styles.sort_unstable();
    assert_eq!(found, styles);
}

/// A file that already has the format of modprobe.d is read as such.
fn the_format_of_modprobe_d_is_kept() {
    let scratch = tempfile::tempdir_in(paths::scratch()).unwrap();
    let kmod = tool::find("modprobe", "kmod");
    let kmod = [kmod.to_str().unwrap()];
    let style = Style::new("redhat");
    for text in [
        "alias eth0 off\noptions a x=1 # no comment\ninstall b /bin/x \\\\y\n",
        "blacklist a\nabove a b\noptions c d=1\n",
        "softdep a pre: b\nkeep\n",
        "options a x=1 \\\n  if=2\nremove c one; \\\n  if x; then y; fi\n",
    ] {
        let file = scratch.path().join("modules.conf");
        fs::write(&file, text).unwrap();
        let ours = style.ask(&[OURS, "modprobe"], &file, &["-c"]);
        assert_eq!(spaced(&ours), spaced(&style.ask(&kmod, &file, &["-c"])), "{text}");
    }
}

/// modprobe reports the same errors in an old file as convert.
fn modprobe_reports_wrong_lines() {
    let style = Style::new("wrong");
    let mut command = Command::new(OURS);
    command.arg("modprobe").current_dir(&style.dir).arg("-d").arg(style.root.path());
    let output =
        command.args(["-S", RELEASE, "-C", "modules.conf", "-R", "eth0"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.replace("modprobe: ERROR: ", "coldplug convert: "), style.said);
    assert_eq!(output.stdout, b"ne2k_pci\n");
}

fn the_output_file_is_written() {
    let scratch = tempfile::tempdir_in(paths::scratch()).unwrap();
    let path = scratch.path().join("modutils.conf");
    let style = Style::new("ppp");
    let mut command = Command::new(OURS);
    command.args(["convert", "modules.conf", "-k", RELEASE, "-o"]).arg(&path);
    let output = command.current_dir(&style.dir).output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty());
    assert_eq!(fs::read_to_string(&path).unwrap(), style.new);
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
}
