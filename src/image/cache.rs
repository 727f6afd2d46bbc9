//! The cache of `image build`: packed modules by content, so that a module is compressed, or decoded
//! for the names of its firmware, only once.
//!
//! An entry is a file, named by the hash of what it was made from: the version of this format, the
//! format of the modules with the parameters and the version of the encoder, and the content of the
//! module file. So an entry never becomes stale. Numbers are little-endian.
//!
//! ```text
//! DIR/KEY     KEY is 64 hexadecimal digits, a BLAKE3 hash
//!
//! offset  length
//! 0       32      BLAKE3 hash of all that follows
//! 32      32      the key, so that an entry under another name is not used
//! 64      4       length N of the firmware names
//! 68      N       the firmware names, each with a NUL
//! 68+N    1       1 if the packed module follows, 0 if the module file is used unchanged
//! 69+N            the packed module
//! ```
//!
//! Entries are written in one step and never changed, so builders may share the directory. A damaged
//! entry is made again.

use std::fmt::Write as _;
use std::fs::{self, File, FileTimes, Metadata};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::fs::Access;
use rustix::io::Errno;

use super::Error;
use super::pack::{ModuleFormat, Packed, encoder_version};
use crate::escape;
use crate::sys::atomic_file::AtomicFile;
use crate::sys::{self, regular_file};

/// The directory that is used if it exists and no other is named.
const DEFAULT_DIR: &str = "/var/cache/coldplug";

/// Version of the entries. To be raised if the content of an entry is found or stored in another
/// way.
const VERSION: u32 = 1;

/// Largest entry in bytes: above the 4 GiB of a file in an archive nothing is stored.
const ENTRY_LIMIT: usize = u32::MAX as usize;

/// Entries that no build has used for this time are removed.
const MAX_AGE: Duration = Duration::from_secs(30 * 24 * 3600);
/// The use of an entry is recorded at most once in this time.
const USE_INTERVAL: Duration = Duration::from_secs(24 * 3600);
/// Size of all entries in bytes, above which those used longest ago are removed: five kernels with
/// all drivers.
const MAX_SIZE: u64 = 512 << 20;

/// Length of a BLAKE3 hash in bytes.
const HASH_LEN: usize = 32;
/// Offset of the length of the firmware names.
const NAMES_AT: usize = 2 * HASH_LEN;

/// Which cache a build uses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum CacheChoice {
    /// [`DEFAULT_DIR`], if it can be used.
    #[default]
    Default,
    /// This directory, which is made if it does not exist.
    Dir(PathBuf),
    /// None.
    Off,
}

/// Name of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key([u8; HASH_LEN]);

/// An open cache.
#[derive(Debug)]
pub(super) struct Cache {
    dir: PathBuf,
    now: SystemTime,
    has_grown: AtomicBool,
    notices: Mutex<Vec<String>>,
}

impl Cache {
    /// Opens the cache of a build. Returns `None` if it has none, or if the default directory cannot
    /// be used.
    ///
    /// # Errors
    /// The named directory cannot be made or written, or may be written by other users, who could
    /// put their modules into the image.
    pub(super) fn open(choice: &CacheChoice) -> Result<Option<Self>, Error> {
        match choice {
            CacheChoice::Off => Ok(None),
            CacheChoice::Default => Ok(Self::at(Path::new(DEFAULT_DIR)).ok()),
            CacheChoice::Dir(dir) => {
                let mut builder = fs::DirBuilder::new();
                let made = builder.recursive(true).mode(0o755).create(dir);
                made.map_err(Error::io("mkdir", dir))?;
                Self::at(dir).map(Some)
            }
        }
    }

    fn at(dir: &Path) -> Result<Self, Error> {
        let metadata = fs::metadata(dir).map_err(Error::io("open", dir))?;
        let own = rustix::process::geteuid().as_raw();
        if !metadata.is_dir() {
            return Err(Error::System(sys::Error::new("open", escape::path(&dir), Errno::NOTDIR)));
        }
        if metadata.mode() & 0o022 != 0 || ![0, own].contains(&metadata.uid()) {
            return Err(Error::OpenCache(dir.to_owned()));
        }
        rustix::fs::access(dir, Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|errno| Error::System(sys::Error::new("write", escape::path(&dir), errno)))?;
        Ok(Self {
            dir: dir.to_owned(),
            now: SystemTime::now(),
            has_grown: AtomicBool::new(false),
            notices: Mutex::default(),
        })
    }

    /// Returns the entry for a module file, if there is one. A damaged one is not returned, and a
    /// warning names it.
    pub(super) fn get(&self, key: &Key) -> Option<Packed> {
        let path = self.path(key);
        let bytes = regular_file::read(&path, ENTRY_LIMIT).ok()?;
        let entry = parse(key, bytes);
        match &entry {
            Some(_) => self.record_use(&path),
            None => self.warn(format!("{}: damaged; made again", escape::path(&path))),
        }
        entry
    }

    /// Adds an entry. The first failure is a warning, because the image is complete without it.
    pub(super) fn put(&self, key: &Key, packed: &Packed) {
        let path = self.path(key);
        let write = || {
            let mut file = AtomicFile::create(&path, 0o644)?;
            file.write_all(&bytes(key, packed))?;
            file.commit()
        };
        match write() {
            Ok(_) => self.has_grown.store(true, Ordering::Relaxed),
            Err(error) => {
                let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
                let start = "cannot write to the cache: ";
                if !notices.iter().any(|notice| notice.starts_with(start)) {
                    notices.push(format!("{start}{}", sys::Error::io("write", &path, &error)));
                }
            }
        }
    }

    /// Removes what has not been used for long, if the build has added entries. Returns the warnings
    /// of the build about the cache.
    pub(super) fn finish(self) -> Vec<String> {
        if self.has_grown.load(Ordering::Relaxed) {
            self.prune(MAX_SIZE);
        }
        self.notices.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, key: &Key) -> PathBuf {
        let mut name = String::new();
        for byte in key.0 {
            let _ = write!(name, "{byte:02x}");
        }
        self.dir.join(name)
    }

    fn warn(&self, notice: String) {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).push(notice);
    }

    /// Sets the mtime of an entry, by which [`Self::prune`] goes.
    fn record_use(&self, path: &Path) {
        let used = fs::metadata(path).and_then(|metadata| metadata.modified());
        if used.is_ok_and(|used| self.age(used) > USE_INTERVAL) {
            // An entry of another user keeps its mtime.
            let times = FileTimes::new().set_modified(self.now);
            let _ = File::open(path).and_then(|file| file.set_times(times));
        }
    }

    fn age(&self, used: SystemTime) -> Duration {
        self.now.duration_since(used).unwrap_or_default()
    }

    /// Removes old entries, and then those used longest ago until the rest has `max_size` bytes.
    /// Files with other names are not touched.
    fn prune(&self, max_size: u64) {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let entries = entries.filter(|entry| is_entry(entry.file_name().as_encoded_bytes()));
        let with_metadata = |entry: fs::DirEntry| Some((entry.path(), entry.metadata().ok()?));
        let mut entries: Vec<(PathBuf, Metadata)> = entries.filter_map(with_metadata).collect();
        let age = |metadata: &Metadata| metadata.modified().map_or(MAX_AGE, |used| self.age(used));
        entries.sort_by_cached_key(|(path, metadata)| (age(metadata), path.clone()));
        let mut size = 0;
        for (path, metadata) in &entries {
            size += metadata.len();
            if size > max_size || age(metadata) >= MAX_AGE {
                // Another builder may have removed it.
                let _ = fs::remove_file(path);
            }
        }
    }
}

impl Key {
    /// Returns the key of a module file with the content `stored`.
    pub(super) fn new(format: ModuleFormat, stored: &[u8]) -> Self {
        Self::made_by(&format!("{VERSION} {format:?} {}", encoder_version()), stored)
    }

    fn made_by(maker: &str, stored: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        // Of a fixed length, so that it cannot be taken for the start of a module.
        let maker = blake3::hash(maker.as_bytes());
        hasher.update(maker.as_bytes());
        hasher.update(stored);
        Self(*hasher.finalize().as_bytes())
    }
}

/// Returns whether a file of the directory is an entry, or one that a killed builder has left
/// incomplete (`.KEY.PID-NUMBER`).
fn is_entry(name: &[u8]) -> bool {
    let key = match name.strip_prefix(b".") {
        Some(rest) => rest.split(|byte| *byte == b'.').next().unwrap_or_default(),
        None => name,
    };
    key.len() == 2 * HASH_LEN && key.iter().all(u8::is_ascii_hexdigit)
}

/// Returns the bytes of an entry.
fn bytes(key: &Key, packed: &Packed) -> Vec<u8> {
    let data = packed.data.as_deref();
    let mut bytes = vec![0; HASH_LEN];
    bytes.reserve(HASH_LEN + 5 + data.map_or(0, <[u8]>::len));
    bytes.extend(key.0);
    let names: Vec<u8> =
        packed.firmware.iter().flat_map(|name| [name.as_bytes(), &[0]].concat()).collect();
    // A .modinfo is limited to far less than 4 GiB.
    bytes.extend(u32::try_from(names.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend(names);
    bytes.push(u8::from(data.is_some()));
    bytes.extend(data.unwrap_or_default());
    let hash = blake3::hash(&bytes[HASH_LEN..]);
    bytes[..HASH_LEN].copy_from_slice(hash.as_bytes());
    bytes
}

/// Parses an entry. Returns `None` if it is damaged, or not the one with this key.
fn parse(key: &Key, mut bytes: Vec<u8>) -> Option<Packed> {
    let (hash, rest) = bytes.split_first_chunk::<HASH_LEN>()?;
    if blake3::hash(rest) != blake3::Hash::from_bytes(*hash) || !rest.starts_with(&key.0) {
        return None;
    }
    let (len, rest) = bytes.get(NAMES_AT..)?.split_first_chunk()?;
    let (names, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*len)).ok()?)?;
    let has_data = *rest.first()? == 1;
    let names = names.split_inclusive(|byte| *byte == 0);
    let name = |name: &[u8]| String::from_utf8(name.strip_suffix(&[0])?.to_vec()).ok();
    let firmware = names.map(name).collect::<Option<_>>()?;
    let data_at = bytes.len() - (rest.len() - 1);
    let data = has_data.then(|| bytes.split_off(data_at));
    Some(Packed { data, firmware })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    fn packed(firmware: &[&str], data: Option<&[u8]>) -> Packed {
        let firmware = firmware.iter().map(|name| (*name).to_owned()).collect();
        Packed { data: data.map(<[u8]>::to_vec), firmware }
    }

    fn open(dir: &Path) -> Cache {
        Cache::open(&CacheChoice::Dir(dir.to_owned())).unwrap().unwrap()
    }

    #[test]
    fn entries_are_kept() {
        let scratch = tempfile::tempdir().unwrap();
        let cache = open(&scratch.path().join("a/b"));
        for (content, entry) in [
            ("1", packed(&[], Some(b"x"))),
            ("2", packed(&["a.bin", "b/c.bin"], Some(b""))),
            ("3", packed(&["a.bin"], None)),
            ("4", packed(&[], None)),
        ] {
            let key = Key::new(ModuleFormat::Zstd, content.as_bytes());
            assert_eq!(cache.get(&key), None);
            cache.put(&key, &entry);
            assert_eq!(cache.get(&key), Some(entry));
            assert_eq!(cache.get(&Key::new(ModuleFormat::AllZstd, content.as_bytes())), None);
        }
        assert_eq!(cache.finish(), Vec::<String>::new());
    }

    #[test]
    fn keys_differ_by_version_and_content() {
        let keys = [("1 Zstd", "a"), ("2 Zstd", "a"), ("1 Zst", "da"), ("1 Zstd", "b"), ("", "1")]
            .map(|(maker, content)| Key::made_by(maker, content.as_bytes()).0);
        assert_eq!(keys.iter().collect::<std::collections::BTreeSet<_>>().len(), keys.len());
        // The parameters and the version of the encoder are part of the key.
        let text = encoder_version();
        assert!(text.contains("zstd 105") && text.contains("MinMatch(4)"), "{text}");
    }

    #[test]
    fn damage_anywhere_is_found() {
        let scratch = tempfile::tempdir().unwrap();
        let cache = open(scratch.path());
        let [key, other] = ["1", "2"].map(|text| Key::new(ModuleFormat::Zstd, text.as_bytes()));
        let entry = packed(&["a.bin"], Some(b"a module"));
        let good = bytes(&key, &entry);
        let mut damages: Vec<Vec<u8>> = (0..good.len()).map(|len| good[..len].to_vec()).collect();
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            damages.push(bytes);
        }
        damages.push([&good[..], b"x"].concat());
        damages.push(bytes(&other, &entry));
        for damaged in &damages {
            fs::write(cache.path(&key), damaged).unwrap();
            assert_eq!(cache.get(&key), None);
        }
        cache.put(&key, &entry);
        assert_eq!(cache.get(&key), Some(entry));
        let notices = cache.finish();
        assert_eq!(notices.len(), damages.len());
        assert!(notices[0].ends_with(": damaged; made again"), "{notices:?}");
    }

    #[test]
    fn only_entries_of_the_cache_are_removed_the_oldest_first() {
        let scratch = tempfile::tempdir().unwrap();
        let cache = open(scratch.path());
        let days = |days| SystemTime::now() - Duration::from_secs(days * 24 * 3600);
        let name = |n: usize| format!("{n:064x}");
        let put = |name: &str, age: u64| {
            let file = File::create(scratch.path().join(name)).unwrap();
            file.set_len(100).unwrap();
            file.set_modified(days(age)).unwrap();
        };
        for (n, age) in [(1, 0), (2, 40), (3, 3), (4, 2), (5, 29)] {
            put(&name(n), age);
        }
        put(&format!(".{}.7-0", name(6)), 31);
        put("README", 100);
        put(&"0".repeat(63), 100);
        let left = || {
            let entries = fs::read_dir(scratch.path()).unwrap().flatten();
            let mut names: Vec<_> = entries.map(|e| e.file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        let foreign = ["README".to_owned(), "0".repeat(63)];
        let with_foreign = |entries: &[usize]| {
            let mut names: Vec<_> =
                entries.iter().map(|n| name(*n)).chain(foreign.clone()).collect();
            names.sort();
            names
        };
        cache.prune(1000);
        assert_eq!(left(), with_foreign(&[1, 3, 4, 5]));
        cache.prune(250);
        assert_eq!(left(), with_foreign(&[1, 4]));
    }

    #[test]
    fn a_use_makes_an_entry_young() {
        let scratch = tempfile::tempdir().unwrap();
        let cache = open(scratch.path());
        let key = Key::new(ModuleFormat::Zstd, b"1");
        cache.put(&key, &packed(&[], None));
        let age = |cache: &Cache| {
            let used = fs::metadata(cache.path(&key)).unwrap().modified().unwrap();
            SystemTime::now().duration_since(used).unwrap_or_default()
        };
        let old = SystemTime::now() - MAX_AGE;
        File::open(cache.path(&key)).unwrap().set_modified(old).unwrap();
        assert!(age(&cache) >= MAX_AGE);
        assert!(cache.get(&key).is_some());
        assert!(age(&cache) < USE_INTERVAL);
    }

    #[test]
    fn a_named_directory_has_to_be_usable() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("cache");
        let refusal = |dir: &Path| {
            Cache::open(&CacheChoice::Dir(dir.to_owned())).map(|_| ()).unwrap_err().to_string()
        };
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, Permissions::from_mode(0o777)).unwrap();
        assert!(refusal(&dir).ends_with("other users may write to it"), "{}", refusal(&dir));
        let file = scratch.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(refusal(&file).starts_with("mkdir "), "{}", refusal(&file));
        assert!(refusal(Path::new("/proc/none")).starts_with("mkdir /proc/none: "));
        assert!(Cache::open(&CacheChoice::Off).unwrap().is_none());
    }
}
