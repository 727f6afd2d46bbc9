//! `insmod FILE [PARAMETER=VALUE...]`: one file into the kernel, without dependencies and configuration.

use std::ffi::OsString;
use std::path::Path;

use super::Exit;
use super::args::{Arg, Args, Opt};
use super::explain;
use super::module_file::{errno_of, parameters};
use super::tool::{Level, Tool};
use crate::sys::Cause;
use crate::sys::module::InitFlags;
use crate::sys::module_errno::insmod_text;

const FORCE_MODVERSION: char = '\u{1}';
const FORCE_VERMAGIC: char = '\u{2}';

const OPTIONS: &[Opt] = &[
    Opt('f', "force", false),
    Opt(FORCE_MODVERSION, "force-modversion", false),
    Opt(FORCE_VERMAGIC, "force-vermagic", false),
    Opt('s', "syslog", false),
    Opt('v', "verbose", false),
    Opt('V', "version", false),
    Opt('h', "help", false),
];

const HELP: &str = "[options] filename [module options]
Options:
\t-f, --force             insert although version and symbol versions differ
\t    --force-modversion  ignore symbol versions
\t    --force-vermagic    ignore the version magic
\t-s, --syslog            messages go to the system log
\t-v, --verbose           more messages
\t-V, --version           show version
\t-h, --help              show this help
";

pub(super) fn run(args: &[OsString]) -> Exit {
    let tool = Tool::new(args, Level::Error);
    let mut args = Args::new(args, Vec::new(), OPTIONS);
    let mut operands = Vec::new();
    let mut flags = InitFlags::default();
    loop {
        match args.next() {
            Ok(None) => break,
            Ok(Some(Arg::Operand(word))) => operands.push(word),
            Ok(Some(Arg::Opt(letter, _))) => match letter {
                'f' => (flags.ignore_modversions, flags.ignore_vermagic) = (true, true),
                FORCE_MODVERSION => flags.ignore_modversions = true,
                FORCE_VERMAGIC => flags.ignore_vermagic = true,
                's' => tool.use_syslog(),
                'v' => tool.louder(),
                'V' => return tool.version(),
                _ => return tool.help(HELP),
            },
            Err(text) => return tool.bad_option(&text),
        }
    }
    insert(&tool, &operands, flags)
}

fn insert(tool: &Tool, operands: &[OsString], flags: InitFlags) -> Exit {
    let Some((file, words)) = operands.split_first() else {
        tool.error("missing filename.");
        return Exit::Failure;
    };
    let name = file.to_string_lossy();
    if name == "-" {
        tool.error("this tool does not support loading from stdin!");
        return Exit::Failure;
    }
    if let Err(error) = std::fs::metadata(file) {
        let reason = Cause::from(&error);
        tool.error(&format!("could not load module {name}: {reason}"));
        return Exit::Failure;
    }
    let log = explain::log_mark(tool);
    let path = Path::new(file);
    match tool.load(path, &parameters(words), flags) {
        Ok(()) => Exit::Success,
        Err(error) => {
            let words = insmod_text(errno_of(&error));
            tool.error(&format!("could not insert module {name}: {words}"));
            explain::load_failure(tool, path, &error, log.as_ref());
            Exit::Failure
        }
    }
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
        let tool = Tool::on(Root::at("/nonexistent"), ops, &sink);
        let words: Vec<OsString> = words.iter().map(Into::into).collect();
        assert_eq!(insert(&tool, &words, InitFlags::default()), Exit::Failure);
        sink.take()
    }

    #[test]
    fn what_can_not_be_loaded_is_said_in_kmods_words() {
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
