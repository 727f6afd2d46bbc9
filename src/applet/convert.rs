//! `convert [FILE] [-o OUT] [-k RELEASE]`: a modules.conf(5) of modutils as modprobe.d(5) has it.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::args::{Arg, Args, Opt};
use super::{Exit, out, scan};
use crate::kmod::modules_conf::{self, Converted};
use crate::sys::atomic_file::AtomicFile;
use crate::sys::modules_conf::HostEnvironment;
use crate::sys::{self, Error};

const HELP: &str = "\
usage: coldplug convert [option…] [FILE]

Writes FILE, a configuration of modutils (default /etc/modules.conf, else /etc/conf.modules), as
modprobe.d has it. What has no equivalent stays as a comment that says why. Commands in it are not
run. Lines that are wrong are named, and the status is then 1.
  -o, --output OUT        write to OUT, which is replaced as a whole (default: standard output)
  -k, --kernel RELEASE    for this kernel (default: the one that runs)
";

const OPTIONS: &[Opt] =
    &[Opt('o', "output", true), Opt('k', "kernel", true), Opt('h', "help", false)];

/// Where modutils looked.
const FILES: [&str; 2] = ["/etc/modules.conf", "/etc/conf.modules"];

/// What a command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    help: bool,
    file: Option<PathBuf>,
    output: Option<PathBuf>,
    kernel: Option<String>,
}

pub(super) fn run(args: &[OsString]) -> Exit {
    let done = parse(args)
        .map_err(|error| format!("{error}; coldplug convert --help shows the usage"))
        .and_then(|options| convert(&options));
    match done {
        Ok(exit) => exit,
        Err(why) => scan::tell("convert", args, Err(why)),
    }
}

fn parse(args: &[OsString]) -> Result<Options, String> {
    let mut args = Args::new(args, Vec::new(), OPTIONS);
    let mut options = Options::default();
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Opt('h', _) => options.help = true,
            Arg::Opt('k', word) => options.kernel = Some(scan::release(word)?),
            Arg::Opt(_, file) => options.output = Some(file.into()),
            Arg::Operand(word) if options.file.is_some() => return Err(scan::unexpected(&word)),
            Arg::Operand(file) => options.file = Some(file.into()),
        }
    }
    Ok(options)
}

fn convert(options: &Options) -> Result<Exit, String> {
    if options.help {
        out::line(HELP.trim_end());
        return Ok(Exit::Success);
    }
    let file = options.file.clone().unwrap_or_else(default_file);
    let text = fs::read(&file).map_err(|e| Error::io("read", &file, &e).to_string())?;
    let release = options.kernel.clone().unwrap_or_else(sys::release);
    let name = file.to_string_lossy();
    let converted = modules_conf::convert(&name, &text, &HostEnvironment::new(&release));
    let text = format!("{}{converted}", head(&name, &release));
    match &options.output {
        Some(path) => replace(path, text.as_bytes()).map_err(|e| e.to_string())?,
        None => out::line(text.trim_end_matches('\n')),
    }
    Ok(report(&converted))
}

fn default_file() -> PathBuf {
    let there = FILES.iter().find(|file| Path::new(file).exists());
    there.unwrap_or(&FILES[0]).into()
}

/// What stands over the lines.
fn head(name: &str, release: &str) -> String {
    let name = name.escape_default();
    format!(
        "# {name} of modutils, in the words of modprobe.d(5), for kernel {release}.\n\
         # The aliases that modutils had by itself are not here: modules of today bring their own.\n\n"
    )
}

/// Names the lines that do not count; only wrong ones are a failure.
fn report(converted: &Converted) -> Exit {
    for warning in converted.wrong.iter().chain(&converted.unsure) {
        out::error(&format!("coldplug convert: {warning}"));
    }
    if converted.wrong.is_empty() { Exit::Success } else { Exit::Failure }
}

/// Puts `bytes` at `path`.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let written = AtomicFile::create_output(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync()?;
        file.commit()
    });
    written.map(|_| ()).map_err(|error| Error::io("write", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &str) -> Vec<OsString> {
        format!("convert {words}").split_whitespace().map(Into::into).collect()
    }

    #[test]
    fn options_are_read() {
        let got = parse(&args("-o out --kernel=2.4.18 in")).unwrap();
        let want = Options {
            help: false,
            file: Some("in".into()),
            output: Some("out".into()),
            kernel: Some("2.4.18".into()),
        };
        assert_eq!(got, want);
        for (words, want) in [
            ("a b", "unexpected argument 'b'"),
            ("-k ../x", "--kernel '../x' is not a release"),
            ("-o", "convert: option requires an argument -- 'o'"),
        ] {
            assert_eq!(parse(&args(words)).unwrap_err(), want);
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
