//! Hashes and ciphers of the kernel, through sockets of the family AF_ALG: the kernel's
//! crypto/userspace-if.
//!
//! A socket is bound to an algorithm and gets its key. Each accept(2) on it returns a socket for
//! operations: data are written, and the result is read.

use std::os::fd::OwnedFd;

use rustix::io::{Errno, read};
use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, accept_with, send, socket_with,
};

use super::raw::secrets;
use super::{Error, Result};

/// Longest digest of any hash of the kernel in bytes.
const MAX_DIGEST: usize = 64;

/// A hash.
#[derive(Debug)]
pub(crate) struct Hash {
    name: String,
    operations: OwnedFd,
}

impl Hash {
    /// Opens a hash: `ripemd160`, or with a key `hmac(ripemd160)`.
    ///
    /// # Errors
    /// ENOENT: the kernel does not have it. EAFNOSUPPORT: it has no such sockets.
    pub(crate) fn open(name: &str, key: Option<&[u8]>) -> Result<Self> {
        let operations = open("hash", name, key)?;
        Ok(Self { name: name.to_owned(), operations })
    }

    /// Hashes the parts in sequence, writes the digest to the start of `out`, and returns its
    /// length.
    ///
    /// # Errors
    /// The errno of the call.
    pub(crate) fn digest(&mut self, parts: &[&[u8]], out: &mut [u8]) -> Result<usize> {
        let failed = |errno| Error::new("hash with", &self.name, errno);
        for part in parts {
            let mut rest = *part;
            while !rest.is_empty() {
                let sent = send(&self.operations, rest, SendFlags::MORE).map_err(failed)?;
                rest = rest.get(sent..).unwrap_or_default();
            }
        }
        let room = out.len().min(MAX_DIGEST);
        read(&self.operations, &mut out[..room]).map_err(failed)
    }
}

/// A cipher with its mode and a key.
#[derive(Debug)]
pub(crate) struct Cipher {
    name: String,
    operations: OwnedFd,
}

impl Cipher {
    /// Opens a cipher: `xts(serpent)`.
    ///
    /// # Errors
    /// ENOENT: the kernel does not have it. EINVAL: the key has a wrong length.
    pub(crate) fn open(name: &str, key: &[u8]) -> Result<Self> {
        let operations = open("skcipher", name, Some(key))?;
        Ok(Self { name: name.to_owned(), operations })
    }

    /// Encrypts or decrypts `data` in place.
    ///
    /// # Errors
    /// EINVAL: the IV or the data have a wrong length.
    pub(crate) fn crypt(&mut self, encrypt: bool, iv: &[u8], data: &mut [u8]) -> Result<()> {
        let failed = |errno| Error::new("decrypt with", &self.name, errno);
        let sent = secrets::send_to_cipher(&self.operations, encrypt, iv, data).map_err(failed)?;
        let received = read(&self.operations, &mut *data).map_err(failed)?;
        if (sent, received) == (data.len(), data.len()) { Ok(()) } else { Err(failed(Errno::IO)) }
    }
}

/// Returns a socket for operations.
fn open(kind: &'static str, name: &str, key: Option<&[u8]>) -> Result<OwnedFd> {
    let failed = |errno| Error::new("open the kernel's", name, errno);
    let family = AddressFamily::from_raw(secrets::AF_ALG);
    let socket = socket_with(family, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
    let socket = socket.map_err(failed)?;
    secrets::bind_algorithm(&socket, kind, name).map_err(failed)?;
    if let Some(key) = key {
        secrets::set_algorithm_key(&socket, key).map_err(failed)?;
    }
    accept_with(&socket, SocketFlags::CLOEXEC).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Many kernels, and those of containers, have no such sockets.
    #[test]
    fn digests_and_ciphers_of_the_kernel() {
        let mut hash = match Hash::open("sha256", None) {
            Ok(hash) => hash,
            Err(error) => return println!("{error}"),
        };
        let mut out = [0; 64];
        for _ in 0..2 {
            assert_eq!(hash.digest(&[b"a", b"bc"], &mut out).unwrap(), 32);
            assert_eq!(out[..4], [0xba, 0x78, 0x16, 0xbf]);
        }
        let Ok(mut cipher) = Cipher::open("cbc(aes)", &[0; 16]) else { return };
        let mut data = [7; 512];
        cipher.crypt(true, &[1; 16], &mut data).unwrap();
        assert_ne!(data, [7; 512]);
        cipher.crypt(false, &[1; 16], &mut data).unwrap();
        assert_eq!(data, [7; 512]);
        assert!(cipher.crypt(false, &[1; 3], &mut data).is_err());
    }

    #[test]
    fn an_unknown_algorithm_is_an_error() {
        let error = Cipher::open("xts(nothing)", &[0; 32]).unwrap_err();
        assert!(matches!(error.cause, super::super::Cause::Errno(_)), "{error}");
    }
}
