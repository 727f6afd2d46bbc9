//! `convert [FILE] [-o OUT] [-k RELEASE]`: converts a modules.conf(5) of modutils to modprobe.d(5).

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::args::{self, Arg, Args};
use super::message::{self, Error};
use super::out;
use super::usage::{Opt, Usage};
use crate::escape;
use crate::kmod::modules_conf::{self, Converted};
use crate::sys;
use crate::sys::atomic_file::{AtomicFile, output_name};
use crate::sys::modules_conf::HostEnvironment;
use crate::sys::regular_file::{self, CONFIG_LIMIT};

pub(super) static USAGE: Usage = Usage::new(
    "convert",
    "convert a modules.conf of modutils to modprobe.d",
)
.text(
    "[option…] [FILE]\n\n\
     Converts FILE, a configuration of modutils, to the format of modprobe.d. Without FILE, \
     converts /etc/modules.conf, or /etc/conf.modules if it does not exist. A line without an \
     equivalent becomes a comment with the reason. Commands in FILE are not run. Invalid lines are \
     reported, and the exit status is 1.",
)
.options(&[
    Opt('o', "output=OUT: write to OUT instead of standard output; an error leaves OUT unchanged"),
    Opt(
        'k',
        "kernel=RELEASE: kernel release that replaces `uname -r` (default: the running kernel)",
    ),
]);

/// The files that modutils read.
const FILES: [&str; 2] = ["/etc/modules.conf", "/etc/conf.modules"];

/// A parsed command line.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    file: Option<PathBuf>,
    output: Option<PathBuf>,
    kernel: Option<String>,
}

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    convert(&parse(args)?)
}

fn parse(args: &[OsString]) -> Result<Options, Error> {
    let mut args = Args::new(args, Vec::new(), &USAGE);
    let mut options = Options::default();
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Opt('k', word) => options.kernel = Some(args::release(word)?),
            Arg::Opt(_, file) => options.output = Some(file.into()),
            Arg::Operand(word) if options.file.is_some() => return Err(Error::unexpected(&word)),
            Arg::Operand(file) => options.file = Some(file.into()),
        }
    }
    Ok(options)
}

fn convert(options: &Options) -> Result<(), Error> {
    let file = options.file.clone().unwrap_or_else(default_file);
    let text = regular_file::read_or_null(&file, CONFIG_LIMIT)?;
    let release = options.kernel.clone().unwrap_or_else(sys::release);
    let name = escape::path(&file);
    let converted = modules_conf::convert(&name, &text, &HostEnvironment::new(&release));
    let text = format!("{}{converted}", header(&name, &release));
    match &options.output {
        Some(path) => replace(path, text.as_bytes())?,
        None => out::line(text.trim_end_matches('\n')),
    }
    report(&converted)
}

fn default_file() -> PathBuf {
    let there = FILES.iter().find(|file| Path::new(file).exists());
    there.unwrap_or(&FILES[0]).into()
}

/// Returns the comment at the start of the output.
fn header(name: &str, release: &str) -> String {
    let name = name.escape_default();
    format!(
        "# Converted from {name} of modutils for kernel {release}.\n\
         # The built-in aliases of modutils are left out, because modules have their own \
         aliases.\n\n"
    )
}

/// Prints the warnings. Invalid lines are a failure, undecided lines are not.
fn report(converted: &Converted) -> Result<(), Error> {
    for warning in converted.invalid.iter().chain(&converted.undecided) {
        message::warn("convert", &warning.to_string());
    }
    Error::unless(converted.invalid.is_empty())
}

/// Writes `bytes` to `path`, which is replaced when they are complete.
fn replace(path: &Path, bytes: &[u8]) -> sys::Result<()> {
    let written = AtomicFile::create_output(path, 0o666).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync()?;
        file.commit()
    });
    written.map(|_| ()).map_err(|error| sys::Error::io("write", output_name(path), &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn args(words: &str) -> Vec<OsString> {
        format!("convert {words}").split_whitespace().map(Into::into).collect()
    }

    #[test]
    fn options_are_parsed() {
        let got = parse(&args("-o out --kernel=2.4.18 in")).unwrap();
        let want = Options {
            file: Some("in".into()),
            output: Some("out".into()),
            kernel: Some("2.4.18".into()),
        };
        assert_eq!(got, want);
        for (words, want) in [
            ("a b", "unexpected argument 'b'"),
            ("-k ../x", "--kernel '../x' is not a release"),
            ("-o", "option requires an argument -- 'o'"),
        ] {
            assert_eq!(parse(&args(words)).unwrap_err().to_string(), want);
        }
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_or_not_at_all() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("out");
        fs::write(&path, "old").unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        fs::create_dir(scratch.path().join("dir")).unwrap();
        assert!(replace(&scratch.path().join("dir"), b"x").is_err());
        let none = replace(&scratch.path().join("none/out"), b"x").unwrap_err().to_string();
        assert!(none.starts_with("write ") && none.contains("none/out: No such file"), "{none}");
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 2);
    }
}
