//! Module files in the format of the image: packed on all processors, and handed on in order.

use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use zstd::zstd_safe::{CParameter, Strategy};

use super::{Error, source};
use crate::kmod::compress::{self, Compression, DecodeError, IMAGE_LIMIT};
use crate::sys;
use crate::sys::regular_file::FileBytes;

/// Parameters of zstd for modules and archives: one strategy with few, short searches. All of them
/// are set, so that zstd's table of levels has no effect. Measured on the 1,121 modules of Debian's
/// 6.1 cloud kernel (72 MB): level 3 compresses them to 24.5 MB in 0.5 s, level 9 to 22.2 MB in
/// 1.9 s, level 15 to 21.6 MB in 8.7 s and level 19 to 20.4 MB in 27 s. These parameters compress
/// them to 21.6 MB in 7.3 s, with a third of the encoder's code.
pub(super) const ZSTD: [CParameter; 5] = [
    CParameter::CompressionLevel(16),
    CParameter::Strategy(Strategy::ZSTD_btopt),
    CParameter::SearchLog(2),
    CParameter::MinMatch(4),
    CParameter::TargetLength(16),
];

/// Number of results that one worker may be ahead of the consumer: enough to even out large and
/// small modules, few enough that memory use stays at some modules per processor.
const MAX_AHEAD: usize = 4;

/// Format of the module files in an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ModuleFormat {
    /// Plain modules compressed with zstd, compressed modules unchanged.
    #[default]
    Zstd,
    /// All modules compressed with zstd: `coldplug-init-boot` decodes nothing else.
    AllZstd,
    /// All modules decompressed.
    Plain,
    /// All module files unchanged.
    Stored,
}

impl ModuleFormat {
    /// Returns the path of a module file in the image: its suffix names the format of its content.
    #[must_use]
    pub(crate) fn path(self, path: &[u8]) -> Vec<u8> {
        match self {
            Self::Stored => path.to_owned(),
            Self::Zstd if path.ends_with(b".ko") => [path, b".zst"].concat(),
            Self::Zstd => path.to_owned(),
            Self::AllZstd => Self::Zstd.path(&Self::Plain.path(path)),
            Self::Plain => {
                let suffixes = [&b".zst"[..], b".xz", b".gz"];
                let stem = suffixes.iter().find_map(|suffix| path.strip_suffix(*suffix));
                stem.filter(|stem| stem.ends_with(b".ko")).unwrap_or(path).to_owned()
            }
        }
    }

    /// Converts the content of a module file into this format. The module itself never changes.
    ///
    /// # Errors
    ///
    /// The file has to be decompressed and is damaged.
    ///
    /// If it has more than `limit` bytes, the error is [`DecodeError::TooLarge`]; only the largest
    /// limit, [`IMAGE_LIMIT`], permits any plain module.
    pub(crate) fn pack(self, stored: FileBytes, limit: usize) -> Result<FileBytes, DecodeError> {
        match (self, Compression::detect(&stored)) {
            (Self::Zstd, Compression::Plain) if stored.len() > limit && limit < IMAGE_LIMIT => {
                Err(DecodeError::TooLarge(limit))
            }
            (Self::Zstd, Compression::Plain) => match &stored {
                FileBytes::Read(module) => compress_zstd(module),
                FileBytes::Mapped(module) => compress_large(module.as_ref()),
            }
            .map(FileBytes::Read)
            .map_err(|e| DecodeError::Damaged(Compression::Zstd, e.to_string())),
            (Self::AllZstd, Compression::Plain) => Self::Zstd.pack(stored, limit),
            (Self::AllZstd, Compression::Xz | Compression::Gzip) => {
                Self::Zstd.pack(Self::Plain.pack(stored, limit)?, limit)
            }
            (Self::Plain, codec) if codec != Compression::Plain => {
                compress::decode(&stored, limit).map(FileBytes::Read)
            }
            _ => Ok(stored),
        }
    }
}

fn compress_zstd(module: &[u8]) -> io::Result<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::default();
    for parameter in ZSTD {
        compressor.set_parameter(parameter)?;
    }
    compressor.compress(module)
}

/// Does the same without a buffer of the size of the module.
fn compress_large(module: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 0)?;
    for parameter in ZSTD {
        encoder.set_parameter(parameter)?;
    }
    // kmod needs the size in the frame.
    encoder.set_pledged_src_size(Some(module.len() as u64))?;
    encoder.write_all(module)?;
    encoder.finish()
}

/// Reads the module file at `path` and converts it, as [`ModuleFormat::pack`] does.
pub(super) fn pack_file(
    format: ModuleFormat,
    path: &Path,
    limit: usize,
) -> Result<FileBytes, Error> {
    let stored = source::read(path)?;
    format.pack(stored, limit).map_err(|e| Error::Decode(path.to_owned(), e))
}

/// Does as [`in_order`] within a share of the machine's memory. `work` receives the number of bytes
/// that a module may have. A larger one is left until its turn comes, so that there is only one of
/// them in memory.
///
/// # Errors
///
/// The first error of `consume`.
pub(super) fn in_order_within_memory<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T, usize) -> Result<R, Error> + Sync,
    mut consume: impl FnMut(&T, Result<R, Error>) -> Result<(), Error>,
) -> Result<(), Error> {
    // Each worker has results that wait, one that it sends and one that it makes.
    let share = sys::buffer_share(sys::processors() * (MAX_AHEAD + 2));
    in_order(
        items,
        |item| work(item, share),
        |item, result| match result {
            Err(Error::Decode(_, DecodeError::TooLarge(limit))) if limit == share => {
                consume(item, work(item, IMAGE_LIMIT))
            }
            result => consume(item, result),
        },
    )
}

/// Calls `work` for each item on all processors, and `consume` with the results in the items'
/// order.
///
/// Worker w of n does items w, w + n, w + 2n… It waits when it is [`MAX_AHEAD`] results ahead, so
/// that few results are in memory at any time.
///
/// # Errors
///
/// The first error of `consume`, which also ends the work.
pub(super) fn in_order<T: Sync, R: Send, E>(
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
    mut consume: impl FnMut(&T, R) -> Result<(), E>,
) -> Result<(), E> {
    let workers = sys::processors().min(items.len().max(1));
    thread::scope(|scope| {
        let work = &work;
        let mut results = Vec::new();
        for worker in 0..workers {
            let (sender, receiver) = mpsc::sync_channel(MAX_AHEAD);
            results.push(receiver);
            scope.spawn(move || {
                let own = items.iter().skip(worker).step_by(workers);
                // After an error there is no receiver.
                own.map(work).try_for_each(|result| sender.send(result))
            });
        }
        for (item, from) in items.iter().zip((0..workers).cycle()) {
            // A worker ends early only if it panics, and the scope propagates the panic.
            let Ok(result) = results[from].recv() else { break };
            consume(item, result)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn suffixes_name_the_format() {
        let cases = [
            ("a/b.ko", "a/b.ko.zst", "a/b.ko", "a/b.ko"),
            ("a/b.ko.xz", "a/b.ko.xz", "a/b.ko", "a/b.ko.xz"),
            ("a/b.ko.gz", "a/b.ko.gz", "a/b.ko", "a/b.ko.gz"),
            ("a/b.ko.zst", "a/b.ko.zst", "a/b.ko", "a/b.ko.zst"),
            ("a/b.xz", "a/b.xz", "a/b.xz", "a/b.xz"),
        ];
        for (path, zstd, plain, stored) in cases {
            assert_eq!(ModuleFormat::Zstd.path(path.as_bytes()), zstd.as_bytes());
            assert_eq!(ModuleFormat::Plain.path(path.as_bytes()), plain.as_bytes());
            let all = if path.contains(".ko") { "a/b.ko.zst" } else { path };
            assert_eq!(ModuleFormat::AllZstd.path(path.as_bytes()), all.as_bytes());
            assert_eq!(ModuleFormat::Stored.path(path.as_bytes()), stored.as_bytes());
        }
    }

    #[test]
    fn packing_keeps_the_module() {
        let module = b"\x7fELF, a module".repeat(100);
        let pack = |format: ModuleFormat, stored: &[u8]| {
            format.pack(FileBytes::Read(stored.to_vec()), 5000).map(|packed| packed.to_vec())
        };
        let packed = pack(ModuleFormat::Zstd, &module).unwrap();
        assert_eq!(Compression::detect(&packed), Compression::Zstd);
        for packed in [&packed, &compress_large(&module).unwrap()] {
            let size = zstd::zstd_safe::get_frame_content_size(packed).unwrap();
            assert_eq!(size, Some(module.len() as u64), "kmod needs the size in the frame");
            assert_eq!(pack(ModuleFormat::Zstd, packed).unwrap(), *packed);
            assert_eq!(pack(ModuleFormat::Plain, packed).unwrap(), module);
        }
        assert_eq!(pack(ModuleFormat::Stored, &module).unwrap(), module);
        assert_eq!(pack(ModuleFormat::Plain, &module).unwrap(), module);
        assert!(pack(ModuleFormat::Plain, &packed[..20]).is_err());
        let large = b"\x7fELF, a module".repeat(400);
        let too_large = Err(DecodeError::TooLarge(5000));
        assert_eq!(pack(ModuleFormat::Zstd, &large), too_large);
        assert_eq!(pack(ModuleFormat::Plain, &compress_large(&large).unwrap()), too_large);
        assert_eq!(pack(ModuleFormat::Plain, &large).unwrap(), large);
    }

    #[test]
    fn results_are_in_order_and_few_are_held() {
        let items: Vec<usize> = (0..500).collect();
        let done = AtomicUsize::new(0);
        let cores = sys::processors();
        let (mut consumed, mut most) = (Vec::new(), 0);
        let work = |item: &usize| {
            done.fetch_add(1, Ordering::SeqCst);
            item * 2
        };
        in_order(&items, work, |item, result| {
            most = most.max(done.load(Ordering::SeqCst) - consumed.len());
            consumed.push((*item, result));
            Ok::<_, ()>(())
        })
        .unwrap();
        assert_eq!(consumed, items.iter().map(|i| (*i, i * 2)).collect::<Vec<_>>());
        assert!(most <= cores * (MAX_AHEAD + 2), "{most} results were held");
        in_order(&[], work, |_, _| Err(())).unwrap();
    }

    #[test]
    fn an_error_ends_the_work() {
        let items: Vec<usize> = (0..10_000).collect();
        let done = AtomicUsize::new(0);
        let work = |_: &usize| done.fetch_add(1, Ordering::SeqCst);
        let result =
            in_order(&items, work, |item, _| if *item == 3 { Err("stop") } else { Ok(()) });
        assert_eq!(result, Err("stop"));
        assert!(done.load(Ordering::SeqCst) < 1000);
    }
}
