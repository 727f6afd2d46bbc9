//! Insertion of one module file, by the first of three load methods that works:
//!
//! 1. a plain file: finit_module(2)
//! 2. a file in the compression that /sys/module/compression names: finit_module(2) with
//!    MODULE_INIT_COMPRESSED_FILE
//! 3. any other file, or if the kernel's decompressor refuses it: decode here, init_module(2)

use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::decode_buffers::{DecodeBuffers, DecodeContext};
use super::error::InsertError;
use super::method::LoadMethod;
use super::signature_hash::IS_SOUGHT;
use super::stamps::{Point, Stamps};
use crate::kmod::compress::{Compression, IMAGE_LIMIT};
use crate::kmod::name::ModuleName;
use crate::kmod::signature;
use crate::kmod::strip_versions;
use crate::sys::modfile::{ImageError, ModuleFile};
use crate::sys::module::{InitFlags, ModuleOps};
use crate::sys::sysfs::{self, InitState};
use crate::sys::{self, BootTime, Root};

/// Number of bytes at the end of a plain file that are searched for a signature. The largest known
/// signature has 4 KiB.
const MAX_SIGNATURE: usize = 64 << 10;
/// Maximum size of the decoded file that is searched for a signature: ten times the largest hash
/// module.
const LOOK_AHEAD_LIMIT: usize = 4 << 20;

/// Inserts modules of one directory.
pub(crate) struct Inserter {
    /// The kernel, or its substitute in dry runs and tests.
    pub(crate) ops: Arc<dyn ModuleOps>,
    /// Directory that paths are relative to.
    pub(crate) dir: PathBuf,
    /// Compression that the kernel decodes itself; `None` to decode all files here.
    pub(crate) kernel: Option<Compression>,
}

/// An attempt to insert a module file.
#[derive(Debug)]
pub(crate) struct Insertion {
    /// The load method that was used last.
    pub(crate) method: Option<LoadMethod>,
    /// When it got how far.
    pub(super) stamps: Stamps,
    /// The kernel's last answer.
    pub(crate) result: Result<(), InsertError>,
}

impl fmt::Debug for Inserter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inserter")
            .field("dir", &self.dir)
            .field("kernel", &self.kernel)
            .finish_non_exhaustive()
    }
}

impl Inserter {
    /// Loads the file `path` with the parameters `args`. The result is an error if the file is
    /// missing or damaged, or the kernel refuses it; EEXIST is an error here.
    pub(crate) fn insert(&self, path: &Path, args: &[u8], flags: InitFlags) -> Insertion {
        self.insert_file(path, args, flags, |file, args, stamps| {
            let DecodeContext { mut decoder, file: mut bytes } = DecodeContext::default();
            let mut image = Vec::new();
            let decoded = file.image_into(&mut decoder, &mut bytes, &mut image, IMAGE_LIMIT);
            note_image(decoded, stamps)?;
            if flags.ignore_modversions {
                strip_versions::strip_modversions(&mut image);
            }
            if flags.ignore_vermagic && strip_versions::strip_vermagic(&mut image).is_none() {
                return Err(InsertError::Kernel(Errno::NODATA));
            }
            stamps.note(Point::Kernel);
            let answer = uninterrupted(|| self.ops.init_module(&image, args));
            answer.map_err(InsertError::Kernel)
        })
    }

    /// Returns the hash that the first signed one of these files is signed with; `None` if none is
    /// signed. A file that cannot be read, or is unusually large, counts as not signed.
    pub(super) fn signature_hash(&self, paths: &[Vec<u8>]) -> Option<Cow<'static, str>> {
        if !IS_SOUGHT {
            return None;
        }
        paths.iter().find_map(|path| {
            let mut file = ModuleFile::open(&self.dir.join(sys::path(path))).ok()?;
            let end = match file.compression() {
                Compression::Plain => file.end(MAX_SIGNATURE).ok()?,
                _ => file.image(LOOK_AHEAD_LIMIT).ok()?,
            };
            signature::parse(&end).map(|signature| signature.hash)
        })
    }

    /// Does the same as [`Self::insert`] for one of many loads that share `buffers`.
    pub(super) fn insert_with_buffers(
        &self,
        buffers: &DecodeBuffers,
        root: &Root,
        module: &ModuleName,
        (path, args): (&Path, &[u8]),
    ) -> Insertion {
        let state = |module: &ModuleName| sysfs::initstate(root, module);
        self.insert_file(path, args, InitFlags::default(), |file, args, stamps| {
            let mut context = buffers.acquire_context();
            let mut image = buffers.image_buffer(|module| state(module).is_some());
            let limit = buffers.image_limit();
            let decoded =
                file.image_into(&mut context.decoder, &mut context.file, &mut image, limit);
            buffers.return_context(context);
            note_image(decoded, stamps)?;
            stamps.note(Point::Kernel);
            if state(module).is_some() {
                // Another program loads it: its entry in /sys/module does not show whether the
                // kernel has copied this image.
                let answer = uninterrupted(|| self.ops.init_module(&image, args));
                buffers.return_image(image);
                return answer.map_err(InsertError::Kernel);
            }
            let (load, memory) = buffers.pin(module, image);
            let answer = loop {
                match self.ops.init_module_at(memory, args) {
                    Err(Errno::INTR) if buffers.is_pinned(load) => {}
                    answer => break answer,
                }
            };
            let had_image = buffers.unpin(load);
            match answer {
                // Another program was faster, and the image was reused before the kernel copied it.
                Err(_) if !had_image && state(module) == Some(InitState::Live) => {
                    Err(InsertError::Kernel(Errno::EXIST))
                }
                answer => answer.map_err(InsertError::Kernel),
            }
        })
    }

    /// Has the kernel read the file, or else calls `insert_image`.
    fn insert_file(
        &self,
        path: &Path,
        args: &[u8],
        flags: InitFlags,
        insert_image: impl FnOnce(&mut ModuleFile, &CStr, &mut Stamps) -> Result<(), InsertError>,
    ) -> Insertion {
        let mut stamps = Stamps::default();
        let refused = |error| Insertion { method: None, stamps, result: Err(error) };
        let Ok(args) = CString::new(args) else {
            return refused(InsertError::Kernel(Errno::INVAL));
        };
        let mut file = match ModuleFile::open(&self.dir.join(path)) {
            Ok(file) => file,
            Err(e) if e.cause == Errno::NOENT => return refused(InsertError::Missing),
            Err(e) => return refused(InsertError::Image(ImageError::Read(e))),
        };
        let compressed = file.compression() != Compression::Plain;
        if !compressed || Some(file.compression()) == self.kernel {
            let method = if compressed { LoadMethod::FinitCompressed } else { LoadMethod::Finit };
            let flags = InitFlags { compressed, ..flags };
            stamps.note(Point::Kernel);
            let answer = uninterrupted(|| self.ops.finit_module(file.fd(), &args, flags));
            if !is_about_method(answer, compressed) {
                let result = answer.map_err(InsertError::Kernel);
                return Insertion { method: Some(method), stamps, result };
            }
        }
        // The times are those of the method that was used last.
        stamps = Stamps::default();
        let result = insert_image(&mut file, &args, &mut stamps);
        Insertion { method: Some(LoadMethod::Init), stamps, result }
    }
}

/// Notes that the image of a file has been decoded, whose bytes had been read at the time in
/// `decoded`.
fn note_image(
    decoded: Result<BootTime, ImageError>,
    stamps: &mut Stamps,
) -> Result<(), InsertError> {
    stamps.set(Point::Read, decoded.map_err(InsertError::Image)?);
    stamps.note(Point::Decoded);
    Ok(())
}

/// Returns whether an answer may be about the load method and not about the module: the call does
/// not exist, or the kernel's decompressor refuses a file that ours accepts. EINVAL also means a
/// bad parameter; then the image gets the same answer.
fn is_about_method(answer: Result<(), Errno>, compressed: bool) -> bool {
    match answer {
        Err(Errno::NOSYS) => true,
        Err(Errno::OPNOTSUPP | Errno::INVAL) => compressed,
        _ => false,
    }
}

/// Repeats a call that a signal interrupts: a signal may end the wait for another load of the same
/// module.
fn uninterrupted(mut call: impl FnMut() -> Result<(), Errno>) -> Result<(), Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::BorrowedFd;
    use std::process::ExitStatus;
    use std::sync::Mutex;

    /// A kernel that answers finit_module from a list, and init_module with success.
    struct Script(Mutex<Vec<Result<(), Errno>>>, Mutex<Vec<String>>);

    impl ModuleOps for Script {
        fn finit_module(
            &self,
            _: BorrowedFd<'_>,
            args: &CStr,
            flags: InitFlags,
        ) -> Result<(), Errno> {
            self.1.lock().unwrap().push(format!(
                "finit {} {}",
                args.to_str().unwrap(),
                flags.compressed
            ));
            self.0.lock().unwrap().remove(0)
        }
        fn init_module(&self, image: &[u8], _: &CStr) -> Result<(), Errno> {
            self.1.lock().unwrap().push(format!("init {}", image.len()));
            Ok(())
        }
        fn delete_module(&self, _: &CStr, _: bool) -> Result<(), Errno> {
            Err(Errno::NOSYS)
        }
        fn init_module_at(&self, _: *const [u8], _: &CStr) -> Result<(), Errno> {
            Err(Errno::NOSYS)
        }
        fn command(&self, _: &[u8], _: &ModuleName, _: &[u8]) -> sys::Result<ExitStatus> {
            Err(sys::Error::new("exec", "sh", Errno::NOSYS))
        }
    }

    /// Returns whether a file has not reached the kernel.
    fn has_failed(result: &Result<(), InsertError>) -> bool {
        matches!(result, Err(InsertError::Image(_) | InsertError::Missing))
    }

    fn run(
        file: &[u8],
        kernel: Option<Compression>,
        answers: &[Result<(), Errno>],
    ) -> (String, String) {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("m.ko"), file).unwrap();
        let ops = Arc::new(Script(Mutex::new(answers.to_vec()), Mutex::default()));
        let inserter = Inserter { ops: ops.clone(), dir: scratch.path().into(), kernel };
        let insertion = inserter.insert("m.ko".as_ref(), b"a=1", InitFlags::default());
        let Insertion { method, stamps, result } = insertion;
        let is_known =
            [Point::Read, Point::Decoded, Point::Kernel].map(|p| stamps.get(p).is_some());
        let is_decoded = method == Some(LoadMethod::Init) && !has_failed(&result);
        assert_eq!(is_known, [is_decoded, is_decoded, !has_failed(&result)], "{method:?}");
        let calls = ops.1.lock().unwrap().join(", ");
        let end = result.map_or_else(|e| e.to_string(), |()| "ok".into());
        (calls, format!("{} {end}", method.map_or("none", LoadMethod::as_str)))
    }

    #[test]
    fn the_first_method_that_works_is_used() {
        let plain = vec![b'x'; 100];
        let packed = zstd::bulk::compress(&plain, 3).unwrap();
        let zstd = Some(Compression::Zstd);
        let ok = [Ok(())];
        for (file, kernel, answers, calls, end) in [
            (&plain, None, &ok[..], "finit a=1 false", "finit_module ok"),
            (
                &plain,
                zstd,
                &[Err(Errno::INTR), Ok(())],
                "finit a=1 false, finit a=1 false",
                "finit_module ok",
            ),
            (&plain, None, &[Err(Errno::NOSYS)], "finit a=1 false, init 100", "init_module ok"),
            (
                &plain,
                None,
                &[Err(Errno::INVAL)],
                "finit a=1 false",
                "finit_module Invalid argument (a parameter value is wrong, or it was built for \
                 another kernel configuration)",
            ),
            (&packed, zstd, &ok, "finit a=1 true", "finit_module-compressed ok"),
            (&packed, zstd, &[Err(Errno::INVAL)], "finit a=1 true, init 100", "init_module ok"),
            (
                &packed,
                zstd,
                &[Err(Errno::EXIST)],
                "finit a=1 true",
                "finit_module-compressed File exists (it is loaded or built in, or another \
                 driver is already registered in its place)",
            ),
            (&packed, Some(Compression::Xz), &[], "init 100", "init_module ok"),
            (&packed, None, &[], "init 100", "init_module ok"),
        ] {
            assert_eq!(run(file, kernel, answers), (calls.to_owned(), end.to_owned()));
        }
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        let packed = zstd::bulk::compress(&[b'x'; 10_000], 3).unwrap();
        let (calls, end) = run(&packed[..packed.len() - 3], None, &[]);
        assert!(calls.is_empty() && end.starts_with("init_module damaged zstd data"), "{end}");
    }
}
