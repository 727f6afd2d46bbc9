//! One module into the kernel, by the first of three roads that takes it:
//!
//! 1. a plain file: finit_module(2)
//! 2. a file in the codec that /sys/module/compression names: finit_module(2) with the compressed flag
//! 3. anything else, or where the kernel's decompressor will not: decoded here, init_module(2)

use std::ffi::{CStr, CString};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::io::Errno;

use super::outcome::LoadMethod;
use crate::kmod::compress::{Compression, IMAGE_LIMIT};
use crate::kmod::name::ModuleName;
use crate::kmod::signature;
use crate::kmod::strip_versions;
use crate::sys::Root;
use crate::sys::errno;
use crate::sys::modfile::{ImageError, ModuleFile};
use crate::sys::module::{InitFlags, ModuleOps};
use crate::sys::module_errno::meaning;
use crate::sys::sysfs::{self, InitState};

use super::images::Images;

/// Takes modules of one directory into the kernel.
pub struct Inserter {
    /// The kernel, or what stands for it.
    pub ops: Arc<dyn ModuleOps>,
    /// What paths are relative to.
    pub dir: PathBuf,
    /// The codec that the kernel decompresses by itself; `None` to decode everything here.
    pub kernel: Option<Compression>,
}

impl fmt::Debug for Inserter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inserter")
            .field("dir", &self.dir)
            .field("kernel", &self.kernel)
            .finish_non_exhaustive()
    }
}

/// Why a module did not get in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InsertError {
    /// There is no such file.
    Missing,
    /// The file cannot be read or decoded.
    Image(ImageError),
    /// The kernel said no.
    Kernel(Errno),
}

impl fmt::Display for InsertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("no such file"),
            Self::Image(error) => error.fmt(f),
            Self::Kernel(errno) => {
                f.write_str(&errno::text(*errno))?;
                meaning(*errno).map_or(Ok(()), |meaning| write!(f, " ({})", meaning.cause))
            }
        }
    }
}

impl Inserter {
    /// Loads the file `path` with `args`. Gives the method that was taken, and the kernel's last answer.
    ///
    /// # Errors
    /// The file is missing or damaged, or the kernel refuses it; EEXIST is an error here.
    pub fn insert(
        &self,
        path: &str,
        args: &str,
        flags: InitFlags,
    ) -> (Option<LoadMethod>, Result<(), InsertError>) {
        self.by_file(path, args, flags, |file, args| {
            let mut image = file.image(IMAGE_LIMIT).map_err(InsertError::Image)?;
            if flags.ignore_modversions {
                strip_versions::strip_modversions(&mut image);
            }
            if flags.ignore_vermagic && strip_versions::strip_vermagic(&mut image).is_none() {
                return Err(InsertError::Kernel(Errno::NODATA));
            }
            let answer = uninterrupted(|| self.ops.init_module(&image, args));
            answer.map_err(InsertError::Kernel)
        })
    }

    /// The hash that the file `path` is signed with; `None` where it is not signed, or cannot be read.
    pub(super) fn signed_with(&self, path: &str) -> Option<&'static str> {
        let image = ModuleFile::open(&self.dir.join(path)).ok()?.image(IMAGE_LIMIT).ok()?;
        signature::parse(&image).map(|signature| signature.hash)
    }

    /// As [`Self::insert`], one of many loads that share `images`.
    pub(super) fn insert_among(
        &self,
        images: &Images,
        root: &Root,
        module: &ModuleName,
        (path, args): (&str, &str),
    ) -> (Option<LoadMethod>, Result<(), InsertError>) {
        let state = |module: &ModuleName| sysfs::initstate(root, module);
        self.by_file(path, args, InitFlags::default(), |file, args| {
            let mut bench = images.bench();
            let mut image = images.buffer(|module| state(module).is_some());
            let decoded =
                file.image_into(&mut bench.decoder, &mut bench.file, &mut image, IMAGE_LIMIT);
            images.put_bench(bench);
            decoded.map_err(InsertError::Image)?;
            if state(module).is_some() {
                // Somebody else loads it: that it stands there does not show how far ours has come.
                let answer = uninterrupted(|| self.ops.init_module(&image, args));
                images.put(image);
                return answer.map_err(InsertError::Kernel);
            }
            let (load, place) = images.lend(module, image);
            let answer = loop {
                match self.ops.init_module_at(place, args) {
                    Err(Errno::INTR) if images.has(load) => {}
                    answer => break answer,
                }
            };
            let had_it = images.end(load);
            match answer {
                // Somebody else was faster, and the image was taken away from under ours.
                Err(_) if !had_it && state(module) == Some(InitState::Live) => {
                    Err(InsertError::Kernel(Errno::EXIST))
                }
                answer => answer.map_err(InsertError::Kernel),
            }
        })
    }

    /// By the kernel's own reading of the file, or else by `image`.
    fn by_file(
        &self,
        path: &str,
        args: &str,
        flags: InitFlags,
        image: impl FnOnce(&mut ModuleFile, &CStr) -> Result<(), InsertError>,
    ) -> (Option<LoadMethod>, Result<(), InsertError>) {
        let Ok(args) = CString::new(args) else {
            return (None, Err(InsertError::Kernel(Errno::INVAL)));
        };
        let mut file = match ModuleFile::open(&self.dir.join(path)) {
            Ok(file) => file,
            Err(e) if e.cause == Errno::NOENT => return (None, Err(InsertError::Missing)),
            Err(e) => return (None, Err(InsertError::Image(ImageError::Read(e)))),
        };
        let compressed = file.compression() != Compression::Plain;
        if !compressed || Some(file.compression()) == self.kernel {
            let method = if compressed { LoadMethod::KernelDecompress } else { LoadMethod::File };
            let flags = InitFlags { compressed, ..flags };
            let answer = uninterrupted(|| self.ops.finit_module(file.fd(), &args, flags));
            if !wants_image(answer, compressed) {
                return (Some(method), answer.map_err(InsertError::Kernel));
            }
        }
        (Some(LoadMethod::Image), image(&mut file, &args))
    }
}

/// Whether an answer may be about the method and not about the module: no such call, or a decompressor
/// that does not take what ours does (EINVAL is also a bad parameter; then the image gives the same).
fn wants_image(answer: Result<(), Errno>, compressed: bool) -> bool {
    match answer {
        Err(Errno::NOSYS) => true,
        Err(Errno::OPNOTSUPP | Errno::INVAL) => compressed,
        _ => false,
    }
}

/// A signal may end the wait for another load of the same module; then it is asked again.
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
    use crate::kmod::name::ModuleName;
    use crate::sys;
    use std::os::fd::BorrowedFd;
    use std::process::ExitStatus;
    use std::sync::Mutex;

    /// A kernel that answers finit_module with what it is told, and init_module with success.
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
        fn command(&self, _: &str, _: &ModuleName) -> sys::Result<ExitStatus> {
            Err(sys::Error::new("exec", "sh", Errno::NOSYS))
        }
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
        let (method, result) = inserter.insert("m.ko", "a=1", InitFlags::default());
        let calls = ops.1.lock().unwrap().join(", ");
        let end = result.map_or_else(|e| e.to_string(), |()| "ok".into());
        (calls, format!("{} {end}", method.map_or("none", LoadMethod::as_str)))
    }

    #[test]
    fn the_first_road_that_is_open_is_taken() {
        let plain = vec![b'x'; 100];
        let packed = zstd::bulk::compress(&plain, 3).unwrap();
        let zstd = Some(Compression::Zstd);
        let ok = [Ok(())];
        for (file, kernel, answers, calls, end) in [
            (&plain, None, &ok[..], "finit a=1 false", "file ok"),
            (
                &plain,
                zstd,
                &[Err(Errno::INTR), Ok(())],
                "finit a=1 false, finit a=1 false",
                "file ok",
            ),
            (&plain, None, &[Err(Errno::NOSYS)], "finit a=1 false, init 100", "image ok"),
            (
                &plain,
                None,
                &[Err(Errno::INVAL)],
                "finit a=1 false",
                "file Invalid argument (a parameter value is wrong, or it was built for \
                 another kernel configuration)",
            ),
            (&packed, zstd, &ok, "finit a=1 true", "kernel-decompress ok"),
            (&packed, zstd, &[Err(Errno::INVAL)], "finit a=1 true, init 100", "image ok"),
            (
                &packed,
                zstd,
                &[Err(Errno::EXIST)],
                "finit a=1 true",
                "kernel-decompress File exists (it is loaded or built in, or another \
                 driver is already registered in its place)",
            ),
            (&packed, Some(Compression::Xz), &[], "init 100", "image ok"),
            (&packed, None, &[], "init 100", "image ok"),
        ] {
            assert_eq!(run(file, kernel, answers), (calls.to_owned(), end.to_owned()));
        }
    }

    #[test]
    fn a_damaged_file_says_so() {
        let packed = zstd::bulk::compress(&[b'x'; 10_000], 3).unwrap();
        let (calls, end) = run(&packed[..packed.len() - 3], None, &[]);
        assert!(calls.is_empty() && end.starts_with("image damaged zstd data"), "{end}");
    }
}
