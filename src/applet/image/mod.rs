//! `coldplug image`: builds initramfs images, keeps those of the installed kernels up to date, and
//! shows, extracts and compares their contents.

mod build;
mod cat;
mod diff;
mod extract;
mod input;
mod list;
mod settings;
mod update;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::message::Error;
use super::out;

const HELP: &str = "\
usage: coldplug image build --kernel RELEASE -o OUT [option…]
       coldplug image update [-k RELEASE|all] [option…]
       coldplug image remove -k RELEASE [option…]
       coldplug image list [--names | --sizes] IMAGE [PATTERN…]
       coldplug image extract [-C DIR] [--parts] [--max-size SIZE] [-v] IMAGE [PATTERN…]
       coldplug image cat [--max-size SIZE] IMAGE PATH…
       coldplug image diff [--max-size SIZE] IMAGE IMAGE

build  Write an initramfs image to OUT.
  -k, --kernel RELEASE    kernel release of the modules, as printed by uname -r
  -o, --output OUT        path of the image; '-' is standard output
  -r, --root DIR          use /lib/modules, /lib/firmware and modprobe.d below DIR (default: /)
      --all               include all modules (default)
  -m, --modules A,B       include these modules and their dependencies: names, globs or @sets
                          (@crypt @filesystems @lvm @network @raid @soc @storage @usb-input
                          @virtio)
      --init BINARY       program for /init (default: coldplug-init, or coldplug-init-stacks if the
                          image can have a root on LUKS, LVM or md, in the directory of this
                          program or in ../lib/coldplug; else this program. For a kernel of
                          another machine: in the directory ARCH of these, such as aarch64)
      --boot-only         take coldplug-init-boot for /init, which is half as large: it only boots
                          from a filesystem on a disk; it has no rescue prompt and no tools.
                          Modules that xz or gzip has compressed are compressed with zstd instead
      --modules-as FORMAT zstd: compress plain modules (default); plain: decompress all
                          modules; stored: keep the files unchanged.
                          With --compress, plain makes the smaller image
      --cache DIR         keep packed modules in DIR, which makes the next build fast
                          (default: /var/cache/coldplug if it exists and can be written)
      --no-cache          pack all modules anew
      --compress CODEC    compress the whole archive: none (default), zstd or gzip
      --as-list           write to OUT a list for the kernel's gen_init_cpio instead of an archive,
                          and what only the image has to the directory OUT.files
      --list FILE         read the files, links and device nodes from FILE, a list for
                          gen_init_cpio, instead of the built-in list; '-' is standard input
      --no-firmware       leave out firmware
      --generic           leave out the root's crypttab with its key files, mdadm.conf, settings
                          of LVM and host name
      --shell[=PATH]      include a shell for a boot that fails: busybox or bash of the root, or
                          the program PATH, with the libraries it needs
      --shell-password-hash HASH|FILE
                          ask for a password before a shell; its hash as made by
                          'openssl passwd -6', or a file that holds it
      --configured        begin with the options of image.conf below the root; those of the
                          command line replace them
  -q, --quiet             print no summary
The date of all entries is SOURCE_DATE_EPOCH if it is set, else 0.

update   Build the images of the installed kernels as image.conf says, and check each before it
         replaces the one that is there. If that fails or there is no space, the old image stays.
         Images that were written for kernels which are not installed any more are removed.
  -k, --kernel RELEASE    only of this kernel; with 'all' of every installed one (default)
  -o, --output OUT        path of the images, with %v for the release (default: as in image.conf,
                            else /boot/initrd.img-%v); '%v' may be missing if there is one kernel
  -r, --root DIR          the system below DIR, with its image.conf (default: /)
  -q, --quiet             print no summary

remove   Remove the image that was written for a kernel.
  -k, --kernel RELEASE    release of the kernel
  -o, --output OUT, -r, --root DIR, -q, --quiet   as for update

list     Print mode, owner, size and name of each entry of IMAGE; '-' is standard input.
         A last line tells of an appended bootconfig.
         If the image is damaged, print the entries before the damage and exit with status 1.
  -n, --names             print the names alone
  -s, --sizes             print instead how large the parts of the image are, packed and unpacked,
                          and which modules it has for which reasons, the largest first
extract  Write the files of IMAGE below a directory, as the kernel unpacks them, and nothing
         elsewhere. If the image is damaged, write nothing.
  -C, --directory DIR     the directory, which is made if it is missing (default: .)
      --parts             write each part of the image into a directory of its own: early, early2, …
                          and the last one into main
      --max-size SIZE     refuse an image that unpacks to more: bytes, or with K, M, G or T
                          (default: 4G)
  -v, --verbose           print the names of the files that are written
cat      Print the content of each PATH, through links, as the running system would read it.
diff     Compare what two images unpack to. The exit status is 0 if nothing differs, 1 if something
         does, and 2 for an error. A module of which only the compression differs is 'recompressed'.
A PATTERN is a glob, in which '*' matches slashes too. What is in a directory that matches is chosen.
The image may be any that the kernel unpacks: archives in a row, plain or compressed with gzip, bzip2,
lzma, xz, lzo, lz4 or zstd.
";

/// A parsed command line.
#[derive(Debug)]
enum Command {
    Help,
    Build(Box<build::Build>),
    Update(update::Request),
    Remove(update::Request),
    List(list::Listing),
    Extract(extract::Extraction),
    Cat(cat::Files),
    Diff(diff::Images),
}

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    // A status of 1 would mean a difference.
    let is_diff = args.get(1).is_some_and(|word| word == "diff");
    match parse(args.iter().cloned()).and_then(execute) {
        Err(error) if is_diff => Err(diff::trouble(error)),
        done => done,
    }
}

fn execute(command: Command) -> Result<(), Error> {
    match command {
        Command::Help => out::text(HELP),
        Command::Build(request) => out::text(&build::build(&request.options, request.quiet)?),
        Command::Update(request) => return update::update(&request),
        Command::Remove(request) => return update::remove(&request),
        Command::List(listing) => return listing.print(),
        Command::Extract(extraction) => return extraction.run(),
        Command::Cat(files) => return files.print(),
        Command::Diff(images) => return images.print(),
    }
    Ok(())
}

fn parse(args: impl Iterator<Item = OsString>) -> Result<Command, Error> {
    let mut parser = lexopt::Parser::from_iter(args);
    let word = match parser.next()? {
        None | Some(lexopt::Arg::Long("help") | lexopt::Arg::Short('h')) => {
            return Ok(Command::Help);
        }
        Some(lexopt::Arg::Value(word)) => word,
        Some(other) => return Err(other.unexpected().into()),
    };
    match word.to_str() {
        Some("build") => build::parse(&mut parser),
        Some("update") => update::parse(&mut parser),
        Some("remove") => update::parse_remove(&mut parser),
        Some("list") => list::parse(&mut parser),
        Some("extract") => extract::parse(&mut parser),
        Some("cat") => cat::parse(&mut parser),
        Some("diff") => diff::parse(&mut parser),
        _ => Err(Error::unexpected(OsStr::new(&word))),
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
mod tests {
    use super::*;

    #[test]
    fn invalid_arguments_are_rejected() {
        for (args, message) in [
            ("list", "IMAGE is missing"),
            ("list -n -s a", "--names and --sizes exclude each other"),
            ("list -s a b", "--sizes is about the whole image"),
            ("list -x a", "invalid option '-x'"),
            ("extract -C d", "IMAGE is missing"),
            ("extract --max-size 1X a", "--max-size '1X' is not a size"),
            ("extract --max-size 99999999T a", "--max-size '99999999T' is not a size"),
            ("extract -", "'-' cannot be read twice"),
            ("cat a", "PATH is missing"),
            ("diff a", "two images are compared"),
            ("diff a b c", "two images are compared"),
            ("diff - b", "'-' cannot be read twice"),
            ("frob", "unexpected argument"),
        ] {
            let words = format!("image {args}");
            let parsed = parse(words.split_whitespace().map(OsString::from));
            let error = parsed.unwrap_err().to_string();
            assert!(error.contains(message), "{args}: {error}");
        }
        let parsed = |args: &str| parse(args.split_whitespace().map(OsString::from)).unwrap();
        for args in ["image", "image -h", "image list -h", "image diff a --help"] {
            assert!(matches!(parsed(args), Command::Help), "{args}");
        }
        for (word, bytes) in [("7", 7), ("2K", 2 << 10), ("3M", 3 << 20), ("4T", 4 << 40)] {
            match parsed(&format!("image extract --max-size {word} a etc x")) {
                Command::Extract(extraction) => assert_eq!(extraction.options.limit, bytes),
                other => panic!("{other:?}"),
            }
        }
    }
}
