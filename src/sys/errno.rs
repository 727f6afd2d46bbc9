//! The texts of errno: those of glibc's strerror(3), which scripts and people know. The texts of
//! musl differ.

use rustix::io::Errno;

use crate::kmod::elf::ElfError;

const TEXTS: [(Errno, &str); 63] = [
    (Errno::PERM, "Operation not permitted"),
    (Errno::NOENT, "No such file or directory"),
    (Errno::SRCH, "No such process"),
    (Errno::INTR, "Interrupted system call"),
    (Errno::IO, "Input/output error"),
    (Errno::NXIO, "No such device or address"),
    (Errno::TOOBIG, "Argument list too long"),
    (Errno::NOEXEC, "Exec format error"),
    (Errno::BADF, "Bad file descriptor"),
    (Errno::CHILD, "No child processes"),
    (Errno::AGAIN, "Resource temporarily unavailable"),
    (Errno::NOMEM, "Cannot allocate memory"),
    (Errno::ACCESS, "Permission denied"),
    (Errno::FAULT, "Bad address"),
    (Errno::NOTBLK, "Block device required"),
    (Errno::BUSY, "Device or resource busy"),
    (Errno::EXIST, "File exists"),
    (Errno::XDEV, "Invalid cross-device link"),
    (Errno::NODEV, "No such device"),
    (Errno::NOTDIR, "Not a directory"),
    (Errno::ISDIR, "Is a directory"),
    (Errno::INVAL, "Invalid argument"),
    (Errno::NFILE, "Too many open files in system"),
    (Errno::MFILE, "Too many open files"),
    (Errno::NOTTY, "Inappropriate ioctl for device"),
    (Errno::TXTBSY, "Text file busy"),
    (Errno::FBIG, "File too large"),
    (Errno::NOSPC, "No space left on device"),
    (Errno::SPIPE, "Illegal seek"),
    (Errno::ROFS, "Read-only file system"),
    (Errno::MLINK, "Too many links"),
    (Errno::PIPE, "Broken pipe"),
    (Errno::DOM, "Numerical argument out of domain"),
    (Errno::RANGE, "Numerical result out of range"),
    (Errno::DEADLK, "Resource deadlock avoided"),
    (Errno::NAMETOOLONG, "File name too long"),
    (Errno::NOSYS, "Function not implemented"),
    (Errno::NOTEMPTY, "Directory not empty"),
    (Errno::LOOP, "Too many levels of symbolic links"),
    (Errno::NODATA, "No data available"),
    (Errno::TIME, "Timer expired"),
    (Errno::PROTO, "Protocol error"),
    (Errno::BADMSG, "Bad message"),
    (Errno::OVERFLOW, "Value too large for defined data type"),
    (Errno::OPNOTSUPP, "Operation not supported"),
    (Errno::NOBUFS, "No buffer space available"),
    (Errno::TIMEDOUT, "Connection timed out"),
    (Errno::UCLEAN, "Structure needs cleaning"),
    (Errno::NOMEDIUM, "No medium found"),
    (Errno::MEDIUMTYPE, "Wrong medium type"),
    (Errno::NOKEY, "Required key not available"),
    (Errno::KEYREJECTED, "Key was rejected by service"),
    (Errno::PROTONOSUPPORT, "Protocol not supported"),
    (Errno::ADDRINUSE, "Address already in use"),
    (Errno::ADDRNOTAVAIL, "Cannot assign requested address"),
    (Errno::NETDOWN, "Network is down"),
    (Errno::NETUNREACH, "Network is unreachable"),
    (Errno::CONNRESET, "Connection reset by peer"),
    (Errno::CONNREFUSED, "Connection refused"),
    (Errno::HOSTDOWN, "Host is down"),
    (Errno::HOSTUNREACH, "No route to host"),
    (Errno::STALE, "Stale file handle"),
    (Errno::REMOTEIO, "Remote I/O error"),
];

/// strerror(3): returns glibc's text for `errno`.
pub(crate) fn text(errno: Errno) -> String {
    let known = TEXTS.iter().find(|(e, _)| *e == errno);
    known
        .map_or_else(|| format!("Unknown error {}", errno.raw_os_error()), |(_, t)| (*t).to_owned())
}

/// Returns the errno that kmod returns for a damaged module.
pub(crate) fn from_elf(error: ElfError) -> Errno {
    match error {
        ElfError::NotElf => Errno::NOEXEC,
        ElfError::Broken(_) => Errno::INVAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests run with glibc and with musl; only glibc has the texts to compare with.
    #[cfg(target_env = "gnu")]
    #[test]
    fn texts_equal_those_of_glibc() {
        for (errno, text) in TEXTS {
            let full = std::io::Error::from(errno).to_string();
            assert_eq!(full.split(" (os error").next(), Some(text));
        }
    }

    #[test]
    fn an_unknown_errno_keeps_its_number() {
        assert_eq!(text(Errno::from_raw_os_error(4000)), "Unknown error 4000");
    }
}
