//! `coldplug image`: builds initramfs images, keeps those of the installed kernels up to date, and
//! shows, extracts and compares their contents.

mod build;
pub(super) use build::defaults;
mod cat;
mod check;
mod diff;
mod extract;
mod input;
mod list;
mod settings;
mod update;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::args::Args;
use super::message::Error;
use super::out;
use super::usage::Usage;

pub(super) static USAGE: Usage = Usage::new(
    "image",
    "build initramfs images, keep those of the kernels up to date; list, extract, compare",
)
.text(
    "\n\n\
     A PATTERN is a glob, in which '*' matches slashes too. What is in a directory that matches is \
     chosen. IMAGE may be any that the kernel unpacks: archives in a row, plain or compressed with \
     gzip, bzip2, lzma, xz, lzo, lz4 or zstd.",
)
.actions(&[
    &build::USAGE,
    &update::USAGE,
    &update::USAGE_OF_REMOVE,
    &list::USAGE,
    &extract::USAGE,
    &cat::USAGE,
    &diff::USAGE,
    &check::USAGE,
]);

/// A parsed command line.
#[derive(Debug)]
enum Command {
    Build(Box<build::Build>),
    Update(update::Request),
    Remove(update::Request),
    List(list::Listing),
    Extract(extract::Extraction),
    Cat(cat::Files),
    Diff(diff::Images),
    Check(check::Check),
}

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    let has_result = args.get(1).is_some_and(|word| word == "diff" || word == "check");
    match parse(args).and_then(execute) {
        Err(error) if has_result => Err(trouble(error)),
        done => done,
    }
}

/// Exit status for an error of a command whose result is a status of 0 or 1.
const TROUBLE: u8 = 2;

/// Prints an error of such a command, and returns the exit status for it.
fn trouble(error: Error) -> Error {
    match error {
        Error::Code(_) | Error::Help(_) => error,
        error => {
            error.print("image");
            Error::Code(TROUBLE)
        }
    }
}

fn execute(command: Command) -> Result<(), Error> {
    match command {
        Command::Build(request) => out::text(&build::build(&request.options, request.quiet)?),
        Command::Update(request) => return update::update(&request),
        Command::Remove(request) => return update::remove(&request),
        Command::List(listing) => return listing.print(),
        Command::Extract(extraction) => return extraction.run(),
        Command::Cat(files) => return files.print(),
        Command::Diff(images) => return images.print(),
        Command::Check(check) => return check.run(),
    }
    Ok(())
}

fn parse(args: &[OsString]) -> Result<Command, Error> {
    let word = match args.get(1) {
        None => return Err(Error::Help(&USAGE)),
        Some(word) if word == "--help" || word == "-h" => return Err(Error::Help(&USAGE)),
        Some(word) => word,
    };
    let words = |usage| Args::new(&args[1..], Vec::new(), usage);
    match word.to_str() {
        Some("build") => build::parse(|| words(&build::USAGE)),
        Some("update") => update::parse(words(&update::USAGE)),
        Some("remove") => update::parse_remove(words(&update::USAGE_OF_REMOVE)),
        Some("list") => list::parse(words(&list::USAGE)),
        Some("extract") => extract::parse(words(&extract::USAGE)),
        Some("cat") => cat::parse(words(&cat::USAGE)),
        Some("diff") => diff::parse(words(&diff::USAGE)),
        Some("check") => check::parse(words(&check::USAGE)),
        _ => Err(Error::unexpected(word)),
    }
}

fn usage(text: &str) -> Error {
    Error::Usage(text.to_owned())
}

/// Splits the operands of a command into the image and the words after it.
fn operands(words: Vec<OsString>) -> Result<(PathBuf, Vec<Vec<u8>>), Error> {
    let mut words = words.into_iter();
    let image = words.next().ok_or_else(|| usage("IMAGE is missing"))?;
    Ok((image.into(), words.map(OsStringExt::into_vec).collect()))
}

#[cfg(test)]
pub(super) use settings::{KEYS, Kind};

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn invalid_arguments_are_rejected() {
        for (args, message) in [
            ("list", "IMAGE is missing"),
            ("list -n -s a", "--names and --sizes exclude each other"),
            ("list -s a b", "--sizes is about the whole image"),
            ("list -x a", "invalid option -- 'x'"),
            ("extract -C d", "IMAGE is missing"),
            ("extract --max-size 1X a", "--max-size '1X' is not a size"),
            ("extract --max-size 99999999T a", "--max-size '99999999T' is not a size"),
            ("extract -", "'-' cannot be read twice"),
            ("cat a", "PATH is missing"),
            ("diff a", "two images are compared"),
            ("diff a b c", "two images are compared"),
            ("diff - b", "'-' cannot be read twice"),
            ("check", "IMAGE is missing"),
            ("check -", "'-' cannot be read twice"),
            ("check a b", "unexpected argument 'b'"),
            ("check --host --board b a", "one machine is checked: --board FILE or --host"),
            ("check -k x/y a", "--kernel 'x/y' is not a release"),
            ("frob", "unexpected argument"),
        ] {
            let words = format!("image {args}");
            let error = parse(&split(&words)).unwrap_err().to_string();
            assert!(error.contains(message), "{args}: {error}");
        }
        for (args, name) in [
            ("image", "image"),
            ("image -h", "image"),
            ("image list -h", "image list"),
            ("image diff a --help", "image diff"),
        ] {
            let help = parse(&split(args)).unwrap_err();
            assert!(matches!(help, Error::Help(usage) if usage.name == name), "{args}");
        }
        for (word, bytes) in [("7", 7), ("2K", 2 << 10), ("3M", 3 << 20), ("4T", 4 << 40)] {
            let args = format!("image extract --max-size {word} a etc x");
            match parse(&split(&args)).unwrap() {
                Command::Extract(extraction) => assert_eq!(extraction.options.limit, bytes),
                other => panic!("{other:?}"),
            }
        }
    }
}
