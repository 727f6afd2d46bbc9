//! Memory for keys and passphrases: its own pages, locked, not part of core dumps, and zeroed before
//! they are freed.

use std::fmt;
use std::ops::{Deref, DerefMut};

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use super::raw::secrets::Pages;
use super::{Error, Result};

/// Bytes that are secret.
pub(crate) struct KeyMemory {
    pages: Pages,
    len: usize,
}

impl KeyMemory {
    /// mmap(2), mlock(2), madvise(2): returns `len` zeros. A kernel that does not lock the pages
    /// may write them to swap, which an initramfs does not have.
    ///
    /// # Errors
    /// There is too little memory.
    pub(crate) fn new(len: usize) -> Result<Self> {
        let pages = Pages::new(len).map_err(|e| Error::new("mmap", "memory for a key", e))?;
        let _ = pages.lock();
        let _ = pages.exclude_from_dumps();
        Ok(Self { pages, len })
    }
}

impl Deref for KeyMemory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.pages.bytes().get(..self.len).unwrap_or_default()
    }
}

impl DerefMut for KeyMemory {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.pages.bytes_mut().get_mut(..self.len).unwrap_or_default()
    }
}

impl fmt::Debug for KeyMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyMemory({} bytes)", self.len)
    }
}

/// Memory of Argon2, up to some GiB.
#[derive(Debug)]
pub(crate) struct Argon2Memory(Pages);

impl Argon2Memory {
    /// mmap(2), madvise(2): maps `count` blocks. With large pages the kernel provides them in a
    /// fraction of the time.
    ///
    /// # Errors
    /// There is too little memory.
    pub(crate) fn new(count: usize) -> Result<Self> {
        let len = count.saturating_mul(size_of::<argon2::Block>());
        let pages = Pages::new(len).map_err(|e| Error::new("mmap", "memory for Argon2", e))?;
        let _ = pages.use_huge_pages();
        let _ = pages.exclude_from_dumps();
        Ok(Self(pages))
    }

    /// Returns the blocks.
    pub(crate) fn blocks(&mut self) -> &mut [argon2::Block] {
        self.0.blocks_mut()
    }
}

/// prctl(2) with PR_SET_DUMPABLE: this process writes no core dump, and only privileged processes
/// may read its memory.
pub(crate) fn hide_process() {
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_bytes_and_prints_none() {
        let mut memory = KeyMemory::new(6).unwrap();
        memory.copy_from_slice(b"secret");
        memory[0] = b'S';
        assert_eq!(&memory[..], b"Secret");
        assert_eq!(format!("{memory:?}"), "KeyMemory(6 bytes)");
        assert!(KeyMemory::new(0).unwrap().is_empty());
    }

    #[test]
    fn too_much_memory_is_an_error() {
        assert_eq!(Argon2Memory::new(9).unwrap().blocks().len(), 9);
        let error = Argon2Memory::new(usize::MAX / 2048).unwrap_err();
        assert_eq!(error.to_string(), "mmap memory for Argon2: Cannot allocate memory");
    }
}
