//! Opens LUKS devices: reads the header, derives the volume key, and creates the device of dm-crypt.

use std::fmt;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::Node;
use super::mapped::{self, Mapped};
use crate::disk::Source;
use crate::disk::luks::algorithms::{
    CryptoError, KernelCipher, KernelCrypto, KernelHash, kernel_hash_name,
};
use crate::disk::luks::cipher::Cipher;
use crate::disk::luks::hash::Hash;
use crate::disk::luks::header::{self, Header, Kdf, KeySlot};
use crate::disk::luks::table::{Data, Options};
use crate::sys::key_memory::{Argon2Memory, KeyMemory};
use crate::sys::keyring::LogonKey;
use crate::sys::{self, Cause, Root, af_alg, procfs};

/// Largest key file in bytes, as in cryptsetup.
const MAX_KEY_FILE: u64 = 8 << 20;

/// A LUKS device whose header was read.
#[derive(Debug)]
pub(crate) struct Inspected {
    /// The device with the encrypted data.
    pub(crate) node: Node,
    /// The header.
    pub(crate) header: Header,
    /// Where the header and the key slots are: the device, or a detached header.
    place: PathBuf,
}

/// Why a device cannot be used, or not yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InspectError {
    /// It cannot be read.
    System(sys::Error),
    /// The header is damaged, or needs something that is not supported.
    Header(header::Error),
}

impl fmt::Display for InspectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => error.fmt(f),
            Self::Header(error) => error.fmt(f),
        }
    }
}

/// A volume key.
#[derive(Debug)]
pub(crate) struct VolumeKey {
    /// The key.
    pub(crate) bytes: KeyMemory,
    /// Number of the key slot that held it.
    pub(crate) slot: u32,
    /// Number of the digest that it fits.
    digest: u32,
}

/// Why a device stays locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UnlockError {
    /// No key slot holds a key for this secret.
    WrongKey,
    /// The same of those that could be tried; the failure of one that could not.
    WrongKeyOfSome(Box<Self>),
    /// There is no key slot of this number, or none at all.
    NoSlot(Option<u32>),
    /// Argon2 needs more memory than there is, both in bytes.
    NeedsMemory { slot: u32, needed: u64, available: u64 },
    /// The kernel does not have a cipher or hash of a key slot.
    MissingAlgorithm { slot: u32, name: String },
    /// A key slot cannot be read, or the kernel has refused something.
    Failed { slot: u32, cause: String },
}

impl fmt::Display for UnlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mebibytes = |bytes: u64| bytes.div_ceil(1 << 20);
        match self {
            Self::WrongKey => f.write_str("no key slot has this passphrase or key"),
            Self::WrongKeyOfSome(untried) => {
                write!(f, "no other key slot has this passphrase or key; {untried}")
            }
            Self::NoSlot(Some(slot)) => write!(f, "no key slot {slot}"),
            Self::NoSlot(None) => f.write_str("no key slot"),
            Self::NeedsMemory { slot, needed, available } => write!(
                f,
                "key slot {slot}: Argon2 needs {} MiB of memory, {} MiB are available",
                mebibytes(*needed),
                available >> 20
            ),
            Self::MissingAlgorithm { slot, name } => {
                write!(f, "key slot {slot}: the kernel does not offer {name} to programs")
            }
            Self::Failed { slot, cause } => write!(f, "key slot {slot}: {cause}"),
        }
    }
}

/// Reads the header of a device, or a detached one from a file or another device.
///
/// # Errors
/// It cannot be read, is damaged, or needs something that is not supported.
pub(crate) fn inspect(node: &Node, header: Option<&Path>) -> Result<Inspected, InspectError> {
    let place = header.unwrap_or(&node.path).to_owned();
    let source = Opened::open(&place).map_err(InspectError::System)?;
    let header = Header::read(&source).map_err(InspectError::Header)?;
    Ok(Inspected { node: node.clone(), header, place })
}

impl Inspected {
    /// Returns the names and aliases of the modules that [`unlock`] and [`map`] need. Those of
    /// ciphers that are built into the kernel do not exist.
    pub(crate) fn modules(&self) -> Vec<String> {
        let mut modules = vec!["dm_mod".to_owned(), "dm_crypt".to_owned()];
        let mut add = |alias: String| {
            if !modules.contains(&alias) {
                modules.push(alias);
            }
        };
        Cipher::parse(&self.header.segment.cipher).aliases().into_iter().for_each(&mut add);
        for slot in &self.header.key_slots {
            let cipher = Cipher::parse(&slot.area.cipher);
            if !matches!(cipher.kernel_name.as_str(), "xts(aes)" | "cbc(aes)") {
                add("algif_skcipher".to_owned());
                cipher.aliases().into_iter().for_each(&mut add);
            }
        }
        for hash in self.hashes().filter(|name| Hash::from_name(name).is_none()) {
            add("algif_hash".to_owned());
            add("crypto-hmac".to_owned());
            add(format!("crypto-{}", kernel_hash_name(hash)));
        }
        modules
    }

    /// Returns the hashes of the key slots and digests.
    fn hashes(&self) -> impl Iterator<Item = &str> {
        let slots = self.header.key_slots.iter().flat_map(|slot| {
            let kdf = match &slot.kdf {
                Kdf::Pbkdf2 { hash, .. } => Some(hash.as_str()),
                Kdf::Argon2(_) => None,
            };
            [Some(slot.split_hash.as_str()), kdf].into_iter().flatten()
        });
        slots.chain(self.header.digests.iter().map(|digest| digest.hash.as_str()))
    }
}

/// Derives the volume key from a passphrase or the content of a key file. All key slots are tried,
/// preferred ones first, or one by its number.
///
/// # Errors
/// No key slot fits, or none could be tried: the error of the first one.
pub(crate) fn unlock(
    dir: &Root,
    device: &Inspected,
    secret: &[u8],
    slot: Option<u32>,
) -> Result<VolumeKey, UnlockError> {
    let slots = device.header.slots_to_try(slot);
    if slots.is_empty() {
        return Err(UnlockError::NoSlot(slot));
    }
    let (mut is_wrong, mut untried) = (false, None);
    for slot in slots {
        match try_slot(dir, device, slot, secret) {
            Ok(key) => return Ok(key),
            Err(UnlockError::WrongKey) => is_wrong = true,
            Err(error) => untried = untried.or(Some(error)),
        }
    }
    Err(match untried {
        None => UnlockError::WrongKey,
        Some(error) if is_wrong => UnlockError::WrongKeyOfSome(Box::new(error)),
        Some(error) => error,
    })
}

/// Returns whether `secret` unlocks the LUKS device or image file at `path`. For the benchmark.
#[must_use]
pub fn unlocks(path: &Path, secret: &[u8]) -> bool {
    let dir = Root::default();
    let node = Node { path: path.to_owned(), number: (0, 0), size: 0 };
    inspect(&node, None).is_ok_and(|device| unlock(&dir, &device, secret, None).is_ok())
}

fn try_slot(
    dir: &Root,
    device: &Inspected,
    slot: &KeySlot,
    secret: &[u8],
) -> Result<VolumeKey, UnlockError> {
    let number = slot.number;
    let failed = |cause: String| UnlockError::Failed { slot: number, cause };
    let system = |error: sys::Error| failed(error.to_string());
    let crypto = |error: CryptoError| match error {
        CryptoError::Missing(name) => UnlockError::MissingAlgorithm { slot: number, name },
        CryptoError::Failed(cause) => failed(cause),
    };
    let Some(digest) = device.header.digest_of(number) else { return Err(UnlockError::WrongKey) };
    let mut memory = argon2_memory(dir, slot)?;
    let mut area = KeyMemory::new(slot.area.length).map_err(system)?;
    let source = Opened::open(&device.place).map_err(system)?;
    source.0.read_exact_at(&mut area, slot.area.offset).map_err(|e| failed(e.to_string()))?;
    let mut key = KeyMemory::new(slot.key_size).map_err(system)?;
    let blocks = memory.as_mut().map_or(&mut [][..], Argon2Memory::blocks);
    slot.open(secret, &mut area, blocks, &Kernel, &mut key).map_err(crypto)?;
    match digest.is_of(&key, &Kernel).map_err(crypto)? {
        true => Ok(VolumeKey { bytes: key, slot: number, digest: digest.number }),
        false => Err(UnlockError::WrongKey),
    }
}

/// Returns the memory for Argon2, if the key slot uses it.
///
/// # Errors
/// There is less. The kernel would grant it all the same, and later end a process to get it.
fn argon2_memory(dir: &Root, slot: &KeySlot) -> Result<Option<Argon2Memory>, UnlockError> {
    let blocks = slot.kdf.blocks();
    let needed = (blocks as u64).saturating_mul(1024);
    let available = procfs::available_memory(dir).unwrap_or(u64::MAX);
    let too_little = || UnlockError::NeedsMemory { slot: slot.number, needed, available };
    match blocks {
        0 => Ok(None),
        _ if needed > available => Err(too_little()),
        _ => Argon2Memory::new(blocks).map(Some).map_err(|_| too_little()),
    }
}

/// Creates the device of dm-crypt. The key goes to the kernel through the keyring of this thread and
/// leaves it when the device is there. A device of this name and UUID that exists stays as it is.
///
/// # Errors
/// The kernel has no keyring, is older than Linux 4.15, or refuses the table: ENOENT means that it
/// does not have the cipher.
pub(crate) fn map(
    dir: &Root,
    device: &Inspected,
    key: &VolumeKey,
    name: &str,
    options: &Options,
) -> Result<Mapped, InspectError> {
    let data = Data { number: device.node.number, size: device.node.size };
    let description = (key.bytes.len(), key.digest);
    let mapping = device.header.mapping(name, data, description, options);
    let mapping = mapping.map_err(InspectError::Header)?;
    if !keyring_works(&sys::release()) {
        let cause = Cause::Other("dm-crypt takes keys from the keyring since Linux 4.15".into());
        return Err(InspectError::System(sys::Error::new("create", name, cause)));
    }
    let _key = LogonKey::add(&device.header.key_description(key.digest), &key.bytes)
        .map_err(InspectError::System)?;
    let made = mapped::create_all(dir, &[mapping]).map_err(|error| {
        if error.cause != Errno::NOENT {
            return InspectError::System(error);
        }
        let cipher = &device.header.segment.cipher;
        let cause = Cause::Other(format!("the kernel does not have the cipher {cipher}"));
        InspectError::System(sys::Error::from_parts(error.op, error.object.clone(), cause))
    })?;
    let none = || sys::Error::new("create", name, Errno::NODEV);
    made.into_iter().next().ok_or_else(|| InspectError::System(none()))
}

/// Returns whether dm-crypt of a kernel takes keys from the keyring without fault.
fn keyring_works(release: &str) -> bool {
    let mut parts = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (4, 15)
}

/// Reads a key from a file or device: `size` bytes at `offset`, or all from there on.
///
/// # Errors
/// It cannot be read, ends before, or is larger than 8 MiB.
pub(crate) fn read_key(path: &Path, offset: u64, size: Option<u64>) -> sys::Result<KeyMemory> {
    let file = Opened::open(path)?;
    let failed = |cause: Cause| sys::Error::new("read", crate::escape::path(path), cause);
    let rest = file.size().saturating_sub(offset);
    let size = size.unwrap_or(rest);
    if size > rest {
        return Err(failed(Cause::UnexpectedEnd));
    }
    let limit = || failed(Cause::TooLarge(8 << 20));
    let length = usize::try_from(size).map_err(|_| limit())?;
    if size > MAX_KEY_FILE {
        return Err(limit());
    }
    let mut key = KeyMemory::new(length)?;
    file.0.read_exact_at(&mut key, offset).map_err(|e| failed(Cause::from(&e)))?;
    Ok(key)
}

/// An open file or block device.
struct Opened(File, u64);

impl Opened {
    fn open(path: &Path) -> sys::Result<Self> {
        let failed = |e: io::Error| sys::Error::io("open", path, &e);
        let mut file = File::open(path).map_err(failed)?;
        // A block device has no length in its metadata.
        let size = file.seek(SeekFrom::End(0)).map_err(failed)?;
        Ok(Self(file, size))
    }
}

impl Source for Opened {
    fn size(&self) -> u64 {
        self.1
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }
}

/// The kernel's algorithms, through AF_ALG sockets.
struct Kernel;

/// Converts an error of such a socket. Kernels without these sockets, or without the algorithm,
/// return different numbers.
fn crypto_error(name: &str, error: sys::Error) -> CryptoError {
    match &error.cause {
        Cause::Errno(Errno::NOENT | Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT) => {
            CryptoError::Missing(name.to_owned())
        }
        _ => CryptoError::Failed(error.to_string()),
    }
}

impl KernelCrypto for Kernel {
    fn hash(&self, name: &str, key: Option<&[u8]>) -> Result<Box<dyn KernelHash>, CryptoError> {
        match af_alg::Hash::open(name, key) {
            Ok(hash) => Ok(Box::new(hash)),
            Err(error) => Err(crypto_error(name, error)),
        }
    }

    fn cipher(&self, name: &str, key: &[u8]) -> Result<Box<dyn KernelCipher>, CryptoError> {
        match af_alg::Cipher::open(name, key) {
            Ok(cipher) => Ok(Box::new(cipher)),
            Err(error) => Err(crypto_error(name, error)),
        }
    }
}

impl KernelHash for af_alg::Hash {
    fn digest(&mut self, parts: &[&[u8]], out: &mut [u8]) -> Result<usize, CryptoError> {
        Self::digest(self, parts, out).map_err(|e| CryptoError::Failed(e.to_string()))
    }
}

impl KernelCipher for af_alg::Cipher {
    fn crypt(&mut self, encrypt: bool, iv: &[u8], data: &mut [u8]) -> Result<(), CryptoError> {
        Self::crypt(self, encrypt, iv, data).map_err(|e| CryptoError::Failed(e.to_string()))
    }
}
