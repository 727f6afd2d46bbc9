//! Module files in the format of the image: packed on all processors, and handed on in order.

use std::cmp::Reverse;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use zstd::zstd_safe::{CParameter, ParamSwitch, Strategy};

use super::cache::{Cache, Key};
use super::{Error, firmware, source};
use crate::depmod::pool;
use crate::kmod::compress::{self, Compression, DecodeError, IMAGE_LIMIT};
use crate::sys;
use crate::sys::regular_file::FileBytes;

/// Parameters of zstd for modules: a fast strategy, with blocks split where the statistics of the
/// data change, as they do between the sections of a module. docs/benchmarks.md has the
/// measurements.
const ZSTD: [CParameter; 6] = [
    CParameter::CompressionLevel(9),
    CParameter::Strategy(Strategy::ZSTD_lazy2),
    CParameter::HashLog(19),
    CParameter::SearchLog(4),
    CParameter::MinMatch(4),
    CParameter::UseBlockSplitter(ParamSwitch::Enable),
];

/// Modules from this size in bytes on are compressed without a buffer of their size.
pub(super) const LARGE: usize = 16 << 20;

/// Number of items that are handed out at a time, the largest first: enough to keep all processors
/// busy, few enough that memory use stays at some modules.
const CHUNK: usize = 64;
/// Size in bytes of the files of such items, except that one file may be larger.
const CHUNK_SIZE: u64 = 64 << 20;

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

    /// Returns whether a module of this format is made by an encoder from a file with this
    /// compression.
    fn encodes(self, stored: Compression) -> bool {
        match self {
            Self::Zstd => stored == Compression::Plain,
            Self::AllZstd => stored != Compression::Zstd,
            Self::Plain | Self::Stored => false,
        }
    }

    /// Returns whether the cache spares work for a file with this compression. Decoded modules are
    /// not kept: they are large, and the names of firmware come with them.
    fn is_cached(self, stored: Compression) -> bool {
        self != Self::Plain && (self != Self::Stored || stored != Compression::Plain)
    }
}

/// A module file in the format of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packed {
    /// Its content; `None` if it is that of the module file.
    pub(super) data: Option<Vec<u8>>,
    /// Names of the firmware that the module may request.
    pub(super) firmware: Vec<String>,
}

/// Packs modules, one at a time. Each thread has one.
pub(super) struct Packer<'a> {
    format: ModuleFormat,
    cache: Option<&'a Cache>,
    /// Keeps its memory between modules. What it makes of one does not depend on those before.
    encoder: zstd::bulk::Compressor<'static>,
    buffer: Vec<u8>,
}

impl<'a> Packer<'a> {
    /// Makes a packer of modules in `format`. Packed modules are taken from the cache and put there.
    pub(super) fn new(format: ModuleFormat, cache: Option<&'a Cache>) -> Self {
        Self { format, cache, encoder: zstd::bulk::Compressor::default(), buffer: Vec::new() }
    }

    /// Reads the module file at `path` and converts it. The module itself never changes. The content
    /// of the result is `None` only if the file is unchanged and too large to be kept.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is not a module, or has to be decompressed and is damaged.
    ///
    /// If it has or decodes to more than `limit` bytes, the error is [`DecodeError::TooLarge`]; only
    /// the largest limit, [`IMAGE_LIMIT`], permits any plain module.
    pub(super) fn file(&mut self, path: &Path, limit: usize) -> Result<Packed, Error> {
        let stored = source::read(path)?;
        let cache = self.cache.filter(|_| self.format.is_cached(Compression::detect(&stored)));
        let Some(cache) = cache else { return self.pack(path, stored, limit) };
        let key = Key::new(self.format, &stored);
        if let Some(found) = cache.get(&key) {
            return Ok(with_stored(found, stored));
        }
        let (packed, stored) = self.convert(path, stored, limit)?;
        cache.put(&key, &packed);
        Ok(with_stored(packed, stored))
    }

    /// Returns the content that the module file at `path` has in the image.
    ///
    /// # Errors
    ///
    /// Those of [`Self::file`].
    pub(super) fn content(&mut self, path: &Path, limit: usize) -> Result<FileBytes, Error> {
        match self.file(path, limit)?.data {
            Some(data) => Ok(FileBytes::Read(data)),
            None => source::read(path),
        }
    }

    fn pack(&mut self, path: &Path, stored: FileBytes, limit: usize) -> Result<Packed, Error> {
        let (packed, stored) = self.convert(path, stored, limit)?;
        Ok(with_stored(packed, stored))
    }

    /// Returns the packed module, and the content of its file.
    fn convert(
        &mut self,
        path: &Path,
        stored: FileBytes,
        limit: usize,
    ) -> Result<(Packed, FileBytes), Error> {
        let codec = Compression::detect(&stored);
        let failed = |error| Error::Decode(path.to_owned(), error);
        let decoded = match codec {
            Compression::Plain => None,
            _ => Some(compress::decode(&stored, limit).map_err(failed)?),
        };
        let image = decoded.as_deref().unwrap_or(&stored);
        let firmware = firmware::names(path, image)?;
        let data = match self.format {
            ModuleFormat::Plain => decoded,
            format if format.encodes(codec) => Some(self.encode(image, limit).map_err(failed)?),
            _ => None,
        };
        Ok((Packed { data, firmware }, stored))
    }

    fn encode(&mut self, module: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
        if module.len() > limit && limit < IMAGE_LIMIT {
            return Err(DecodeError::TooLarge(limit));
        }
        // By size alone: which of the two it is must not depend on the machine's memory.
        let encoded = match module.len() < LARGE {
            true => self.encode_small(module).map(|()| self.buffer.clone()),
            false => encode_large(module),
        };
        encoded.map_err(|e| DecodeError::Damaged(Compression::Zstd, e.to_string()))
    }

    /// Compresses a module into the buffer.
    fn encode_small(&mut self, module: &[u8]) -> io::Result<()> {
        for parameter in ZSTD {
            self.encoder.set_parameter(parameter)?;
        }
        self.buffer.clear();
        self.buffer.reserve(zstd::zstd_safe::compress_bound(module.len()));
        self.encoder.compress_to_buffer(module, &mut self.buffer).map(drop)
    }
}

/// Returns the module with the content of its file, if that is unchanged and in memory.
fn with_stored(packed: Packed, stored: FileBytes) -> Packed {
    match (packed, stored) {
        (Packed { data: None, firmware }, FileBytes::Read(stored)) => {
            Packed { data: Some(stored), firmware }
        }
        (packed, _) => packed,
    }
}

/// Compresses a module without a buffer of its size.
fn encode_large(module: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 0)?;
    for parameter in ZSTD {
        encoder.set_parameter(parameter)?;
    }
    // kmod needs the size in the frame.
    encoder.set_pledged_src_size(Some(module.len() as u64))?;
    encoder.write_all(module)?;
    encoder.finish()
}

/// Returns a text that changes when the encoder may compress to other bytes.
pub(super) fn encoder_version() -> String {
    format!("zstd {} {ZSTD:?}", zstd::zstd_safe::version_number())
}

/// Calls `work` for each item on all processors, and `consume` with the results in the items'
/// order.
///
/// All this happens within a share of the machine's memory: `work` receives the number of bytes
/// that a module may have. A larger one is left until its turn comes, so that there is only one of
/// them in memory. Of some items at a time those with large files are started first, so that no
/// processor waits for one of them at the end.
///
/// # Errors
///
/// The first error of `consume`, which also ends the work.
pub(super) fn in_order_within_memory<T: Sync, S, R: Send>(
    items: &[T],
    file: impl Fn(&T) -> Option<&Path>,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &T, usize) -> Result<R, Error> + Sync,
    mut consume: impl FnMut(&T, Result<R, Error>) -> Result<(), Error>,
) -> Result<(), Error> {
    let share = sys::buffer_share(CHUNK + sys::processors());
    let size = |item| file(item).and_then(|path| fs::metadata(path).ok()).map_or(0, |m| m.len());
    let sizes: Vec<u64> = items.iter().map(size).collect();
    let mut start = 0;
    while start < items.len() {
        let end = start + chunk_len(&sizes[start..]);
        let chunk = items[start..end].iter().zip(&sizes[start..end]);
        let mut order: Vec<(usize, (&T, &u64))> = chunk.enumerate().collect();
        start = end;
        order.sort_by_key(|(_, (_, size))| Reverse(**size));
        let results = pool::map(
            &order,
            &state,
            |state, (_, (item, _))| work(state, item, share),
            &mut |_| {},
        );
        let mut results: Vec<_> = order.into_iter().zip(results).collect();
        results.sort_by_key(|((at, _), _)| *at);
        for ((_, (item, _)), result) in results {
            match result {
                Err(Error::Decode(_, DecodeError::TooLarge(limit))) if limit == share => {
                    consume(item, work(&mut state(), item, IMAGE_LIMIT))?;
                }
                result => consume(item, result)?,
            }
        }
    }
    Ok(())
}

/// Returns how many of the items with these sizes are handed out at a time.
fn chunk_len(sizes: &[u64]) -> usize {
    let mut sum = 0;
    let fits = sizes.iter().take(CHUNK).take_while(|size| {
        sum += **size;
        sum <= CHUNK_SIZE
    });
    fits.count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::CacheChoice;
    use crate::kmod::elf::tests::LAYOUTS;
    use std::path::PathBuf;
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
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a.ko");
        let cache = Cache::open(&CacheChoice::Dir(scratch.path().join("cache"))).unwrap().unwrap();
        let pack = |format: ModuleFormat, stored: &[u8]| {
            fs::write(&path, stored).unwrap();
            let pack = |cache| Packer::new(format, cache).file(&path, 5000);
            let results = [pack(None), pack(Some(&cache)), pack(Some(&cache))];
            results
                .map(|result| match result {
                    Ok(packed) => Ok((packed.data.unwrap(), packed.firmware)),
                    Err(error) => Err(error.to_string()),
                })
                .into_iter()
                .reduce(|first, other| {
                    assert_eq!(first, other);
                    other
                })
                .unwrap()
        };
        let other = b"from the cache".to_vec();
        let key = Key::new(ModuleFormat::Zstd, b"key");
        cache.put(&key, &Packed { data: Some(other.clone()), firmware: Vec::new() });
        fs::write(&path, "key").unwrap();
        let found = Packer::new(ModuleFormat::Zstd, Some(&cache)).file(&path, 5000).unwrap();
        assert_eq!(found.data, Some(other));
        let module = module(1000);
        let with_firmware = |data: &[u8]| Ok((data.to_vec(), vec!["a.bin".to_owned()]));
        let packed = pack(ModuleFormat::Zstd, &module).unwrap().0;
        assert_eq!(Compression::detect(&packed), Compression::Zstd);
        for packed in [&packed, &encode_large(&module).unwrap()] {
            let size = zstd::zstd_safe::get_frame_content_size(packed).unwrap();
            assert_eq!(size, Some(module.len() as u64), "kmod needs the size in the frame");
            for format in [ModuleFormat::Zstd, ModuleFormat::AllZstd, ModuleFormat::Stored] {
                assert_eq!(pack(format, packed), with_firmware(packed));
            }
            assert_eq!(pack(ModuleFormat::Plain, packed), with_firmware(&module));
        }
        for format in [ModuleFormat::Stored, ModuleFormat::Plain] {
            assert_eq!(pack(format, &module), with_firmware(&module));
        }
        assert!(pack(ModuleFormat::Plain, &packed[..20]).is_err());
        let large = self::module(6000);
        let too_large = "decodes to more than 5000 bytes";
        for (format, stored) in
            [(ModuleFormat::Zstd, &large), (ModuleFormat::Plain, &encode_large(&large).unwrap())]
        {
            let error = pack(format, stored).unwrap_err();
            assert!(error.contains(too_large), "{error}");
        }
        assert_eq!(pack(ModuleFormat::Plain, &large), with_firmware(&large));
    }

    /// The memory of an encoder is used again.
    #[test]
    fn what_was_packed_before_has_no_effect() {
        let scratch = tempfile::tempdir().unwrap();
        let paths: Vec<_> = (0..40).map(|n| scratch.path().join(format!("{n}.ko"))).collect();
        for (n, path) in paths.iter().enumerate() {
            let numbers = (0..n * 3000).map(|i| ((i * i / 7 + n * i) >> (n % 5)).to_le_bytes()[0]);
            let text: Vec<u8> = numbers.collect();
            let info = b"license=GPL\0";
            fs::write(path, LAYOUTS[0].elf(&[(".text", &text), (".modinfo", info)])).unwrap();
        }
        let pack = |packer: &mut Packer<'_>, path: &PathBuf| packer.file(path, 1 << 20).unwrap();
        let new = || Packer::new(ModuleFormat::Zstd, None);
        let alone: Vec<_> = paths.iter().map(|path| pack(&mut new(), path)).collect();
        let mut packer = new();
        for (path, alone) in paths.iter().zip(&alone).rev() {
            assert_eq!(&pack(&mut packer, path), alone);
        }
    }

    /// Returns a module that names firmware, with `len` bytes of content.
    fn module(len: usize) -> Vec<u8> {
        let text = b"a module".repeat(len.div_ceil(8));
        let info = b"firmware=a.bin\0license=GPL\0";
        LAYOUTS[0].elf(&[(".text", &text), (".modinfo", info)])
    }

    #[test]
    fn results_are_in_order_and_few_are_held() {
        let items: Vec<usize> = (0..500).collect();
        let done = AtomicUsize::new(0);
        let (mut consumed, mut most) = (Vec::new(), 0);
        let work = |item: &usize| {
            done.fetch_add(1, Ordering::SeqCst);
            Ok(item * 2)
        };
        in_order(&items, work, |item, result| {
            most = most.max(done.load(Ordering::SeqCst) - consumed.len());
            consumed.push((*item, result.unwrap()));
            Ok(())
        })
        .unwrap();
        assert_eq!(consumed, items.iter().map(|i| (*i, i * 2)).collect::<Vec<_>>());
        assert!(most <= CHUNK, "{most} results were held");
        in_order(&[], |_| Ok(()), |_, _| Err(failure())).unwrap();
    }

    #[test]
    fn an_error_ends_the_work() {
        let items: Vec<usize> = (0..10_000).collect();
        let done = AtomicUsize::new(0);
        let work = |_: &usize| Ok(done.fetch_add(1, Ordering::SeqCst));
        let result =
            in_order(&items, work, |item, _| if *item == 3 { Err(failure()) } else { Ok(()) });
        assert_eq!(result.unwrap_err().to_string(), failure().to_string());
        assert!(done.load(Ordering::SeqCst) < 1000);
    }

    /// A result that is too large for its share of the memory is computed in its turn, and the order
    /// stays.
    #[test]
    fn large_results_are_made_one_at_a_time() {
        let items: Vec<usize> = (0..200).collect();
        let mut consumed = Vec::new();
        in_order_within_memory(
            &items,
            |_| None,
            || (),
            |(), item, limit| match item % 3 {
                0 if limit < IMAGE_LIMIT => {
                    Err(Error::Decode("a".into(), DecodeError::TooLarge(limit)))
                }
                _ => Ok(*item),
            },
            |_, result| {
                consumed.push(result?);
                Ok(())
            },
        )
        .unwrap();
        assert_eq!(consumed, items);
    }

    #[test]
    fn chunks_are_bounded() {
        for (sizes, want) in [
            (vec![1; 1000], CHUNK),
            (vec![1, 2], 2),
            (vec![CHUNK_SIZE, 0, 1], 2),
            (vec![CHUNK_SIZE + 1, 0], 1),
            (vec![u64::MAX / 2, 1], 1),
        ] {
            assert_eq!(chunk_len(&sizes), want, "{sizes:?}");
        }
    }

    fn failure() -> Error {
        Error::UnknownSet("stop".to_owned())
    }

    fn in_order<R: Send>(
        items: &[usize],
        work: impl Fn(&usize) -> Result<R, Error> + Sync,
        consume: impl FnMut(&usize, Result<R, Error>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        in_order_within_memory(items, |_| None, || (), |(), item, _| work(item), consume)
    }
}
