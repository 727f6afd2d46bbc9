//! Why the kernel refused a module: one sentence with the cause and what to look at, and what the kernel
//! itself said last about it.

use std::path::Path;

use rustix::io::Errno;

use super::module_file::read_image;
use super::tool::{Level, Tool};
use crate::kmod::conf::Config;
use crate::kmod::elf;
use crate::kmod::name::ModuleName;
use crate::kmod::signature;
use crate::load::InsertError;
use crate::sys::kmsg::LogPosition;
use crate::sys::modfile::ImageError;
use crate::sys::module_errno::{KERNEL_LOG, meaning};
use crate::sys::{procfs, release};

/// The kernel's log before a module is tried; `None` where nothing is shown.
pub(super) fn log_mark(tool: &Tool) -> Option<LogPosition> {
    tool.shows(Level::Error).then(|| LogPosition::end(&tool.root))
}

/// Says why the module file at `path`, which was tried after `log` was marked, did not get in. Nothing is looked
/// at where nothing is shown.
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
    let module = ModuleName::new(&path.to_string_lossy());
    let cause = match error {
        InsertError::Missing => {
            "there is no such file; depmod has to be run, or the module installed".into()
        }
        InsertError::Image(ImageError::Read(error)) => error.to_string(),
        InsertError::Image(ImageError::Decode(error)) => error.to_string(),
        InsertError::Kernel(Errno::KEYREJECTED) => rejected(image.as_deref()).to_owned(),
        InsertError::Kernel(errno) => refused(tool, path, &module, info.as_deref(), *errno),
    };
    tool.error(&format!("{}: {cause}", path.display()));
    // The kernel knows it by the name in the file, whatever the file is called.
    let name = value(info.as_deref(), "name").unwrap_or(module.as_str());
    let unsigned = image.as_deref().is_none_or(|image| signature::parse(image).is_none());
    let line = kernel_line(log, name, unsigned);
    if let (InsertError::Kernel(_), Some(line)) = (error, line) {
        tool.error(&format!("the kernel says: {line}"));
    }
}

/// The first value of `key` in a module's own strings.
fn value<'a>(info: Option<&'a [(String, String)]>, key: &str) -> Option<&'a str> {
    info?.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
}

/// The last line of the kernel's log about the module `name`; lockdown's lines and those about an
/// `unsigned` one don't name it.
fn kernel_line(log: &LogPosition, name: &str, unsigned: bool) -> Option<String> {
    log.last_record(|line| {
        line.contains(name)
            || line.starts_with("Lockdown:")
            || (unsigned && line.contains("unsigned module"))
    })
}

fn refused(
    tool: &Tool,
    path: &Path,
    module: &ModuleName,
    info: Option<&[(String, String)]>,
    errno: Errno,
) -> String {
    match errno {
        Errno::PERM => return forbidden(tool, module).to_owned(),
        Errno::NOEXEC => return wrong_format(info),
        Errno::INVAL if std::fs::metadata(path).is_ok_and(|m| m.len() < 6) => {
            return "too short to be a module".to_owned();
        }
        _ => {}
    }
    let Some(meaning) = meaning(errno) else {
        return format!("its init returned this error; see {KERNEL_LOG}");
    };
    match meaning.see {
        "" => meaning.cause.to_owned(),
        see => format!("{}; see {see}", meaning.cause),
    }
}

/// EKEYREJECTED: no signature where one is wanted, or one that is not that of these bytes.
fn rejected(image: Option<&[u8]>) -> &'static str {
    match image.map(signature::parse) {
        Some(None) => {
            "it has no signature, and the kernel wants one (module.sig_enforce, lockdown)"
        }
        Some(Some(_)) => {
            "its signature is wrong: the file was changed after it was signed; see modinfo -F signer"
        }
        None => {
            "its signature is wrong, or it has none and the kernel wants one (module.sig_enforce, lockdown)"
        }
    }
}

/// EPERM has several causes, which can be told apart from outside.
fn forbidden(tool: &Tool, module: &ModuleName) -> &'static str {
    let root = &tool.root;
    let mut config = Config::default();
    procfs::kernel_command_line(root).modules.add_to(&mut config);
    let lockdown = std::fs::read_to_string(root.join("sys/kernel/security/lockdown"));
    if config.is_refused_by_kernel(module) {
        "module_blacklist= on the kernel command line forbids it"
    } else if procfs::sysctl(root, "kernel/modules_disabled").is_ok_and(|v| v == "1") {
        "no more modules are taken: kernel.modules_disabled is 1 until the next start"
    } else if lockdown.is_ok_and(|text| !text.contains("[none]")) {
        "the kernel is locked down and takes signed modules only; see /sys/kernel/security/lockdown"
    } else {
        "loading modules needs CAP_SYS_MODULE (root); a security module may forbid it as well"
    }
}

/// ENOEXEC: another kernel's module, or none at all.
fn wrong_format(info: Option<&[(String, String)]>) -> String {
    if info.is_none() {
        return "not a module: no ELF file, or a damaged one".to_owned();
    }
    let running = release();
    match value(info, "vermagic").and_then(|built| built.split(' ').next()) {
        Some(version) if !version.is_empty() && version != running => {
            format!("it was built for kernel {version}, this is {running}; see modinfo -F vermagic")
        }
        _ => "it was built for another machine or kernel configuration, or its symbols have other versions; see modinfo -F vermagic and the kernel log".to_owned(),
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
    fn eperm_is_told_by_its_cause() {
        let scratch = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = scratch.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let sink = Sink::default();
        let tool = Tool::on(Root::at(scratch.path()), Arc::new(Kernel), &sink);
        let cause = || forbidden(&tool, &"a_b".into()).split(' ').next().unwrap();
        assert_eq!(cause(), "loading");
        put("sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
        assert_eq!(cause(), "the");
        put("proc/sys/kernel/modules_disabled", "1\n");
        assert_eq!(cause(), "no");
        put("proc/cmdline", "module_blacklist=a-b\n");
        assert_eq!(cause(), "module_blacklist=");
    }

    #[test]
    fn a_rejected_signature_is_told_from_none() {
        let image = fs::read("qemu-tests/data/tree/lib/modules/1.0/kernel/gamma.ko").unwrap();
        assert!(rejected(Some(&image)).starts_with("it has no signature"));
        let mut signed = image;
        // PKCS#7 with nothing in it: id type 2, no length.
        signed.extend([0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        signed.extend(b"~Module signature appended~\n");
        assert!(rejected(Some(&signed)).starts_with("its signature is wrong: "));
        assert!(rejected(None).starts_with("its signature is wrong, or"));
    }

    #[test]
    fn the_kernels_own_words_are_added() {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir(scratch.path().join("dev")).unwrap();
        fs::write(scratch.path().join("dev/kmsg"), "4,1,900,-;x_y: Unknown symbol z (err -2)\n")
            .unwrap();
        let sink = Sink::default();
        let tool = Tool::on(Root::at(scratch.path()), Arc::new(Kernel), &sink);
        load_failure(
            &tool,
            Path::new("/m/x-y.ko"),
            &InsertError::Kernel(Errno::NOENT),
            log_mark(&tool).as_ref(),
        );
        let said = sink.take();
        assert!(said.starts_with("modprobe: ERROR: /m/x-y.ko: it needs a symbol"), "{said}");
        assert!(
            said.ends_with("ERROR: the kernel says: x_y: Unknown symbol z (err -2)\n"),
            "{said}"
        );
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
            ("0.1 SMP", format!("it was built for kernel 0.1, this is {running};")),
            (running.as_str(), "it was built for another machine".to_owned()),
            ("", "it was built for another machine".to_owned()),
        ] {
            let said = wrong_format(Some(&info(vermagic)));
            assert!(said.starts_with(&want), "{said}");
        }
        assert!(wrong_format(None).starts_with("not a module"));
    }
}
