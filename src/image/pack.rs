//! The bytes of modules as an image carries them, made on all cores and taken in order.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use zstd::zstd_safe::{CParameter, Strategy};

use super::Error;
use crate::kmod::compress::{self, Compression, DecodeError, IMAGE_LIMIT};
use crate::sys;

/// How zstd compresses modules and archives: one strategy with few, short searches, named in full so
/// that the table of levels has no say. On the 1,121 modules of Debian's 6.1 cloud kernel (72 MB), of
/// zstd's levels 3 gives 24.5 MB in 0.5 s, 9 gives 22.2 MB in 1.9 s, 15 gives 21.6 MB in 8.7 s and 19
/// gives 20.4 MB in 27 s. This gives 21.6 MB in 7.3 s, with a third of the encoder's code.
pub(super) const ZSTD: [CParameter; 5] = [
    CParameter::CompressionLevel(16),
    CParameter::Strategy(Strategy::ZSTD_btopt),
    CParameter::SearchLog(2),
    CParameter::MinMatch(4),
    CParameter::TargetLength(16),
];

/// Results that one worker may be ahead of the taker: enough to even out large and small modules,
/// few enough that memory stays at some modules per core.
const AHEAD: usize = 4;

/// How modules are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ModulesAs {
    /// Plain ones compressed with zstd, compressed ones as they are.
    #[default]
    Zstd,
    /// All decompressed.
    Plain,
    /// All as they are stored.
    Stored,
}

impl ModulesAs {
    /// The path of a module's file in the image: the ending follows what becomes of the content.
    #[must_use]
    pub fn path(self, path: &str) -> String {
        match self {
            Self::Stored => path.to_owned(),
            Self::Zstd if path.ends_with(".ko") => format!("{path}.zst"),
            Self::Zstd => path.to_owned(),
            Self::Plain => {
                let stem = [".zst", ".xz", ".gz"].iter().find_map(|end| path.strip_suffix(end));
                stem.filter(|stem| stem.ends_with(".ko")).unwrap_or(path).to_owned()
            }
        }
    }

    /// The bytes to carry for a module's file; the module itself is never changed.
    ///
    /// # Errors
    ///
    /// Damaged compressed data, where it has to be decoded.
    pub fn pack(self, stored: Vec<u8>) -> Result<Vec<u8>, DecodeError> {
        match (self, Compression::detect(&stored)) {
            (Self::Zstd, Compression::Plain) => compress_zstd(&stored)
                .map_err(|e| DecodeError::Damaged(Compression::Zstd, e.to_string())),
            (Self::Plain, codec) if codec != Compression::Plain => {
                compress::decode(&stored, IMAGE_LIMIT)
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

/// The file at `path`, packed.
pub(super) fn pack_file(how: ModulesAs, path: &Path) -> Result<Vec<u8>, Error> {
    let stored = fs::read(path).map_err(Error::io("read", path))?;
    how.pack(stored).map_err(|e| Error::Decode(path.to_owned(), e))
}

/// Does `work` for each item on all cores and gives the results to `take` in the items' order.
///
/// Worker w of n does items w, w + n, w + 2n… and waits where it is [`AHEAD`] results ahead, so no
/// more than a few results are held at any time.
///
/// # Errors
///
/// The first error of `take`; the work ends then.
pub(super) fn in_order<T: Sync, R: Send, E>(
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
    mut take: impl FnMut(&T, R) -> Result<(), E>,
) -> Result<(), E> {
    let workers = sys::processors().min(items.len().max(1));
    thread::scope(|scope| {
        let work = &work;
        let mut results = Vec::new();
        for worker in 0..workers {
            let (sender, receiver) = mpsc::sync_channel(AHEAD);
            results.push(receiver);
            scope.spawn(move || {
                let own = items.iter().skip(worker).step_by(workers);
                // Nobody takes any more after an error.
                own.map(work).try_for_each(|result| sender.send(result))
            });
        }
        for (item, from) in items.iter().zip((0..workers).cycle()) {
            // A worker ends early only by a panic, which the scope hands on.
            let Ok(result) = results[from].recv() else { break };
            take(item, result)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn endings_follow_the_content() {
        let cases = [
            ("a/b.ko", "a/b.ko.zst", "a/b.ko", "a/b.ko"),
            ("a/b.ko.xz", "a/b.ko.xz", "a/b.ko", "a/b.ko.xz"),
            ("a/b.ko.gz", "a/b.ko.gz", "a/b.ko", "a/b.ko.gz"),
            ("a/b.ko.zst", "a/b.ko.zst", "a/b.ko", "a/b.ko.zst"),
            ("a/b.xz", "a/b.xz", "a/b.xz", "a/b.xz"),
        ];
        for (path, zstd, plain, stored) in cases {
            assert_eq!(ModulesAs::Zstd.path(path), zstd);
            assert_eq!(ModulesAs::Plain.path(path), plain);
            assert_eq!(ModulesAs::Stored.path(path), stored);
        }
    }

    #[test]
    fn modules_come_out_as_they_went_in() {
        let module = b"\x7fELF, a module".repeat(100);
        let packed = ModulesAs::Zstd.pack(module.clone()).unwrap();
        assert_eq!(Compression::detect(&packed), Compression::Zstd);
        let size = zstd::zstd_safe::get_frame_content_size(&packed).unwrap();
        assert_eq!(size, Some(module.len() as u64), "kmod asks for the size in the frame");
        assert_eq!(ModulesAs::Zstd.pack(packed.clone()).unwrap(), packed);
        assert_eq!(ModulesAs::Stored.pack(module.clone()).unwrap(), module);
        assert_eq!(ModulesAs::Plain.pack(module.clone()).unwrap(), module);
        assert_eq!(ModulesAs::Plain.pack(packed.clone()).unwrap(), module);
        assert!(ModulesAs::Plain.pack(packed[..20].to_vec()).is_err());
    }

    #[test]
    fn results_come_in_order_and_not_too_early() {
        let items: Vec<usize> = (0..500).collect();
        let done = AtomicUsize::new(0);
        let cores = sys::processors();
        let (mut taken, mut most) = (Vec::new(), 0);
        let work = |item: &usize| {
            done.fetch_add(1, Ordering::SeqCst);
            item * 2
        };
        in_order(&items, work, |item, result| {
            most = most.max(done.load(Ordering::SeqCst) - taken.len());
            taken.push((*item, result));
            Ok::<_, ()>(())
        })
        .unwrap();
        assert_eq!(taken, items.iter().map(|i| (*i, i * 2)).collect::<Vec<_>>());
        assert!(most <= cores * (AHEAD + 2), "{most} results were held");
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
