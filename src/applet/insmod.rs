//! `insmod FILE [PARAMETER=VALUE...]`: loads one file, without dependencies and configuration.

use std::ffi::OsString;
use std::path::Path;

use super::args::{Arg, Args};
use super::explain;
use super::message::Error;
use super::module_file::{errno_of, parameters};
use super::tool::{Fail, Level, Tool};
use super::usage::{Opt, SYSLOG, Usage, VERSION};
use crate::escape;
use crate::sys::Cause;
use crate::sys::module::InitFlags;
use crate::sys::module_errno::insmod_text;

const FORCE_MODVERSION: char = '\u{1}';
const FORCE_VERMAGIC: char = '\u{2}';

pub(super) static USAGE: Usage = Usage::tool("insmod", "load a module file")
    .text(
        "[option…] FILE [PARAMETER=VALUE…]\n\n\
         Loads the module in FILE, without its dependencies and without configuration.",
    )
    .options(&[
        Opt('f', "force: same as --force-modversion --force-vermagic"),
        Opt(FORCE_MODVERSION, "force-modversion: ignore symbol versions"),
        Opt(FORCE_VERMAGIC, "force-vermagic: ignore the version magic"),
        SYSLOG,
        Opt('v', "verbose: print more messages"),
        VERSION,
    ]);

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    let tool = Tool::kmod(args, Level::Error);
    let mut args = Args::new(args, Vec::new(), &USAGE);
    let mut operands = Vec::new();
    let mut flags = InitFlags::default();
    while let Some(arg) = args.next().map_err(|error| tool.bad_option(error))? {
        match arg {
            Arg::Operand(word) => operands.push(word),
            Arg::Opt(letter, _) => match letter {
                'f' => (flags.ignore_modversions, flags.ignore_vermagic) = (true, true),
                FORCE_MODVERSION => flags.ignore_modversions = true,
                FORCE_VERMAGIC => flags.ignore_vermagic = true,
                's' => tool.use_syslog(),
                'v' => tool.increase_verbosity(),
                _ => return Err(tool.version()),
            },
        }
    }
    Ok(insert(&tool, &operands, flags)?)
}

fn insert(tool: &Tool, operands: &[OsString], flags: InitFlags) -> Result<(), Fail> {
    let Some((file, words)) = operands.split_first() else {
        return Err(tool.error("missing filename."));
    };
    let name = escape::path(file);
    if file == "-" {
        return Err(tool.error("this tool does not support loading from stdin!"));
    }
    std::fs::metadata(file).map_err(|error| {
        tool.error(&format!("could not load module {name}: {}", Cause::from(&error)))
    })?;
    let log = explain::log_mark(tool);
    let path = Path::new(file);
    tool.load(path, &parameters(words), flags).map_err(|error| {
        let text = insmod_text(errno_of(&error));
        let fail = tool.error(&format!("could not insert module {name}: {text}"));
        explain::load_failure(tool, path, &error, log.as_ref());
        fail
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::tool::Sink;
    use crate::sys::Root;
    use crate::sys::module::{Kernel, ModuleOps};
    use std::sync::Arc;

    fn try_insert(words: &[&str]) -> String {
        let sink = Sink::default();
        let ops: Arc<dyn ModuleOps> = Arc::new(Kernel);
        let tool = Tool::for_test(Root::at("/nonexistent"), ops, &sink);
        let words: Vec<OsString> = words.iter().map(Into::into).collect();
        assert_eq!(insert(&tool, &words, InitFlags::default()), Err(Fail::Continue));
        sink.take()
    }

    #[test]
    fn failures_have_the_messages_of_kmod() {
        let scratch = tempfile::tempdir().unwrap();
        let short = scratch.path().join("short.ko");
        std::fs::write(&short, "abc").unwrap();
        let short = short.to_str().unwrap();
        for (words, want) in [
            (vec![], "modprobe: ERROR: missing filename.\n".to_owned()),
            (
                vec!["-"],
                "modprobe: ERROR: this tool does not support loading from stdin!\n".to_owned(),
            ),
            (
                vec!["/no.ko"],
                "modprobe: ERROR: could not load module /no.ko: No such file or directory\n"
                    .to_owned(),
            ),
            (
                vec![short],
                format!(
                    "modprobe: ERROR: could not insert module {short}: Invalid parameters\n\
                     modprobe: ERROR: {short}: too short to be a module\n"
                ),
            ),
        ] {
            assert_eq!(try_insert(&words), want);
        }
    }
}
