//! Explains why a module was not loaded: the cause, the last message of the kernel about it, and a
//! hint.

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::Errno;

use super::module_file::read_image;
use super::tool::{Level, Tool};
use crate::escape;
use crate::kmod::conf::Config;
use crate::kmod::elf;
use crate::kmod::name::ModuleName;
use crate::kmod::signature;
use crate::load::InsertError;
use crate::sys::kmsg::LogPosition;
use crate::sys::modfile::ImageError;
use crate::sys::module_errno::{KERNEL_LOG, meaning};
use crate::sys::{procfs, release};

/// Cause of a failure.
struct Cause {
    text: Cow<'static, str>,
    /// Where to find out more; may be empty.
    see: &'static str,
}

impl Cause {
    fn new(text: impl Into<Cow<'static, str>>, see: &'static str) -> Self {
        Self { text: text.into(), see }
    }
}

/// Strings of `.modinfo` as pairs.
type Info = [(String, String)];

/// Returns the current end of the kernel log; `None` if no errors are printed.
pub(super) fn log_mark(tool: &Tool) -> Option<LogPosition> {
    tool.shows(Level::Error).then(|| LogPosition::end(&tool.root))
}

/// Explains why the module file at `path` was not loaded. `log` is the end of the kernel log before
/// the attempt. Without it no errors are printed, and nothing is examined.
pub(super) fn load_failure(
    tool: &Tool,
    path: &Path,
    error: &InsertError,
    log: Option<&LogPosition>,
) {
    let Some(log) = log else { return };
    let image = match error {
        InsertError::Missing => None,
        _ => read_image(path).ok(),
    };
    let info = image.as_ref().and_then(|image| elf::modinfo(image).ok());
    let module = ModuleName::new(path.as_os_str().as_bytes());
    let cause = match error {
        InsertError::Missing => Cause::new(error.to_string(), ""),
        InsertError::Image(ImageError::Read(error)) => Cause::new(error.to_string(), ""),
        InsertError::Image(ImageError::Decode(error)) => Cause::new(error.to_string(), ""),
        InsertError::Kernel(Errno::KEYREJECTED) => rejected(image.as_deref()),
        InsertError::Kernel(errno) => refused(tool, path, &module, info.as_deref(), *errno),
    };
    tool.error(&format!("{}: {}", escape::path(path), cause.text));
    if let InsertError::Kernel(_) = error {
        // The kernel uses the name in the file, whatever the name of the file.
        let own = module.text();
        let name = value(info.as_deref(), "name").unwrap_or(&own);
        let unsigned = image.as_deref().is_none_or(|image| signature::parse(image).is_none());
        if let Some(line) = kernel_line(log, name, unsigned) {
            tool.error(&format!("kernel: {line}"));
        }
    }
    match (error, cause.see) {
        (InsertError::Missing, _) => tool.hint("run depmod, or install the module"),
        (_, "") => {}
        (_, see) => tool.hint(&format!("see {see}")),
    }
}

/// Returns the first value of `key`.
fn value<'a>(info: Option<&'a Info>, key: &str) -> Option<&'a str> {
    info?.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
}

/// Returns the last line of the kernel log about the module `name`. Lines of lockdown, and those
/// about an `unsigned` module, do not name it.
fn kernel_line(log: &LogPosition, name: &str, unsigned: bool) -> Option<String> {
    log.last_record(|line| {
        line.contains(name)
            || line.starts_with("Lockdown:")
            || (unsigned && line.contains("unsigned module"))
    })
}

/// Returns the cause of an errno from the kernel.
fn refused(
    tool: &Tool,
    path: &Path,
    module: &ModuleName,
    info: Option<&Info>,
    errno: Errno,
) -> Cause {
    match errno {
        Errno::PERM => return forbidden(tool, module),
        Errno::NOEXEC => return wrong_format(info),
        Errno::INVAL if std::fs::metadata(path).is_ok_and(|m| m.len() < 6) => {
            return Cause::new("too short to be a module", "");
        }
        _ => {}
    }
    match meaning(errno) {
        Some(meaning) => Cause::new(meaning.cause, meaning.see),
        None => Cause::new("its init returned this error", KERNEL_LOG),
    }
}

/// Returns the cause of EKEYREJECTED: there is no signature, or it is not that of these bytes.
fn rejected(image: Option<&[u8]>) -> Cause {
    match image.map(signature::parse) {
        Some(None) => Cause::new(
            "it has no signature, and the kernel requires one (module.sig_enforce, lockdown)",
            "",
        ),
        Some(Some(_)) => Cause::new(
            "its signature is wrong: the file was changed after it was signed",
            "modinfo -F signer",
        ),
        None => Cause::new(
            "its signature is wrong, or it has none and the kernel requires one \
             (module.sig_enforce, lockdown)",
            "",
        ),
    }
}

/// Returns the cause of EPERM, which has several that user space can tell apart.
fn forbidden(tool: &Tool, module: &ModuleName) -> Cause {
    let root = &tool.root;
    let mut config = Config::default();
    procfs::kernel_command_line(root).modules.add_to(&mut config);
    let lockdown = std::fs::read_to_string(root.join("sys/kernel/security/lockdown"));
    if config.is_refused_by_kernel(module) {
        Cause::new("module_blacklist= on the kernel command line forbids it", "")
    } else if procfs::sysctl(root, "kernel/modules_disabled").is_ok_and(|v| v == "1") {
        Cause::new("kernel.modules_disabled is 1: no module can be loaded until reboot", "")
    } else if lockdown.is_ok_and(|text| !text.contains("[none]")) {
        Cause::new(
            "the kernel is locked down and accepts signed modules only",
            "/sys/kernel/security/lockdown",
        )
    } else {
        Cause::new(
            "loading modules requires CAP_SYS_MODULE (root); a security module may forbid it too",
            "",
        )
    }
}

/// Returns the cause of ENOEXEC: a module of another kernel, or no module.
fn wrong_format(info: Option<&Info>) -> Cause {
    if info.is_none() {
        return Cause::new("not an ELF module, or damaged", "");
    }
    let running = release();
    match value(info, "vermagic").and_then(|built| built.split(' ').next()) {
        Some(version) if !version.is_empty() && version != running => Cause::new(
            format!("it was built for kernel {version}, this is {running}"),
            "modinfo -F vermagic",
        ),
        _ => Cause::new(
            "it was built for another machine or kernel configuration, or its symbols have other \
             versions",
            "modinfo -F vermagic and the kernel log",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::tool::Sink;
    use crate::sys::Root;
    use crate::sys::module::Kernel;
    use std::fs;
    use std::sync::Arc;

    #[test]
    fn eperm_has_four_causes() {
        let scratch = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = scratch.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let sink = Sink::default();
        let tool = Tool::for_test(Root::at(scratch.path()), Arc::new(Kernel), &sink);
        let cause = || forbidden(&tool, &"a_b".into()).text.split(' ').next().unwrap().to_owned();
        assert_eq!(cause(), "loading");
        put("sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
        assert_eq!(cause(), "the");
        put("proc/sys/kernel/modules_disabled", "1\n");
        assert_eq!(cause(), "kernel.modules_disabled");
        put("proc/cmdline", "module_blacklist=a-b\n");
        assert_eq!(cause(), "module_blacklist=");
    }

    #[test]
    fn a_wrong_signature_and_none_differ() {
        let image = fs::read("qemu-tests/data/tree/lib/modules/1.0/kernel/gamma.ko").unwrap();
        assert!(rejected(Some(&image)).text.starts_with("it has no signature"));
        let mut signed = image;
        // PKCS#7 with nothing in it: id type 2, no length.
        signed.extend([0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        signed.extend(b"~Module signature appended~\n");
        assert!(rejected(Some(&signed)).text.starts_with("its signature is wrong: "));
        assert!(rejected(None).text.starts_with("its signature is wrong, or"));
    }

    #[test]
    fn the_message_of_the_kernel_is_added() {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir(scratch.path().join("dev")).unwrap();
        fs::write(scratch.path().join("dev/kmsg"), "4,1,900,-;x_y: Unknown symbol z (err -2)\n")
            .unwrap();
        let sink = Sink::default();
        let tool = Tool::for_test(Root::at(scratch.path()), Arc::new(Kernel), &sink);
        load_failure(
            &tool,
            Path::new("/m/x-y.ko"),
            &InsertError::Kernel(Errno::NOENT),
            log_mark(&tool).as_ref(),
        );
        let output = sink.take();
        assert!(output.starts_with("modprobe: ERROR: /m/x-y.ko: it needs a symbol"), "{output}");
        let end = "ERROR: kernel: x_y: Unknown symbol z (err -2)\nhint: see the kernel log\n";
        assert!(output.ends_with(end), "{output}");
        tool.silence();
        load_failure(
            &tool,
            Path::new("/m/x-y.ko"),
            &InsertError::Kernel(Errno::NOENT),
            log_mark(&tool).as_ref(),
        );
        assert_eq!(sink.take(), "");
    }

    #[test]
    fn a_foreign_module_names_its_kernel() {
        let info = |vermagic: &str| vec![("vermagic".to_owned(), vermagic.to_owned())];
        let running = release();
        for (vermagic, want) in [
            ("0.1 SMP", format!("it was built for kernel 0.1, this is {running}")),
            (running.as_str(), "it was built for another machine".to_owned()),
            ("", "it was built for another machine".to_owned()),
        ] {
            let output = wrong_format(Some(&info(vermagic))).text;
            assert!(output.starts_with(&want), "{output}");
        }
        assert!(wrong_format(None).text.starts_with("not an ELF module"));
    }
}
