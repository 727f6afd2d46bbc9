//! The check of a new root and its init, which the mount worker does: a disk that does not answer
//! blocks whoever reads it.
//!
//! The init passes if execve(2) would start it: every rule here is one of the kernel's. The text of
//! a refusal is that of its errno, followed by what the errno leaves open.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{
    FileType, Mode, OFlags, ResolveFlags, Stat, StatVfsMountFlags, fstat, fstatvfs, openat2, stat,
};
use rustix::io::Errno;

use super::SYSROOT;
use super::early_mounts::moved_mounts;
use super::fstab;
use super::root_check::{Answer, InitRequest, Tried};
use super::switch_root::INITS;
use crate::escape;
use crate::kmod::elf_machine::Machine;
use crate::kmod::program::{
    self, ElfHead, HEAD_LEN, Kernel, MAX_SCRIPTS, Program, ProgramError, Segments,
};
use crate::sys::read_at::read_at;
use crate::sys::{self, Root, errno, process};

/// Sysctl that an x86-64 kernel has if it executes 32-bit programs.
const IA32_SYSCTL: &str = "/proc/sys/abi/vsyscall32";
/// Part of an fstab that is read, in bytes.
const FSTAB_LIMIT: u64 = 1 << 20;
/// The shell of `coldplug.exec=`.
const SHELL: &str = "/bin/sh";

/// Checks the root at /sysroot, and creates the mount points that it lacks if it can be written.
pub(super) fn check(dir: &Root, request: &InitRequest) -> Answer {
    let sysroot = dir.join(SYSROOT);
    let new = match open_root(dir, &sysroot) {
        Ok(new) => new,
        Err(error) => return Answer::Refused(error.to_string()),
    };
    if let Some(device) = &request.device
        && !dir.join(device).exists()
    {
        return Answer::Gone;
    }
    let checker = match running_kernel() {
        Ok(kernel) => Checker { new, kernel, limit: request.limit },
        Err(error) => return Answer::Refused(error.to_string()),
    };
    let mut answer = checker.find_init(request);
    match &mut answer {
        Answer::Ready { missing, .. } => {
            for path in moved_mounts() {
                let _ = fs::create_dir(sysroot.join(path));
            }
            // A root without these directories goes without the mounts.
            *missing = missing_mount_points(&sysroot);
        }
        Answer::NoInit { missing, usr, .. } => {
            if checker.is_read_only() {
                *missing = missing_mount_points(&sysroot);
            }
            *usr = escape::line(&checker.usr_parameters().unwrap_or_default()).into_owned();
        }
        _ => {}
    }
    answer
}

/// Returns the mount points that the root lacks.
fn missing_mount_points(sysroot: &Path) -> String {
    let missing = moved_mounts().filter(|path| !sysroot.join(path).is_dir());
    missing.map(|path| format!("/{path}")).collect::<Vec<_>>().join(", ")
}

/// Opens the new root.
fn open_root(dir: &Root, sysroot: &Path) -> sys::Result<OwnedFd> {
    let failed = |op, path: &Path| {
        let object = path.display().to_string();
        move |errno: Errno| sys::Error::new(op, object, errno)
    };
    let old = dir.join("/");
    let new = File::open(sysroot).map_err(|e| sys::Error::io("open", sysroot, &e))?;
    let new_device = fstat(&new).map_err(failed("fstat", sysroot))?.st_dev;
    if stat(&old).map_err(failed("stat", &old))?.st_dev == new_device {
        return Err(sys::Error::new("switch_root", sysroot.display(), Errno::XDEV));
    }
    Ok(new.into())
}

/// Returns what decides on the programs that the running kernel executes.
fn running_kernel() -> sys::Result<Kernel> {
    let path = Path::new(process::SELF_EXE);
    let failed = |e: io::Error| sys::Error::io("read", path, &e);
    let head = File::open(path).and_then(|file| read_head(&file)).map_err(failed)?;
    let Ok(Program::Elf(ElfHead { machine: own, .. })) = Program::parse(&head) else {
        return Err(sys::Error::new("read", path.display(), Errno::NOEXEC));
    };
    let machine = sys::machine();
    Ok(Kernel {
        own,
        is_64_bit: machine.contains("64") || machine == "s390x",
        has_ia32: Path::new(IA32_SYSCTL).exists(),
    })
}

/// Why the kernel does not execute a file.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    errno: Errno,
    /// What the errno leaves open; may be empty.
    detail: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&errno::text(self.errno))?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, " ({})", self.detail) }
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self { errno, detail: String::new() }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Errno::from_io_error(&error).unwrap_or(Errno::IO).into()
    }
}

impl From<ProgramError> for Refusal {
    fn from(error: ProgramError) -> Self {
        Self { errno: Errno::NOEXEC, detail: error.to_string() }
    }
}

impl Refusal {
    fn denied(detail: impl Into<String>) -> Self {
        Self { errno: Errno::ACCESS, detail: detail.into() }
    }

    /// Returns the refusal of a program whose interpreter is refused.
    fn of_interpreter(self, path: &[u8]) -> Self {
        let hint = match path {
            [.., b'\r'] => ", as its #! line ends with a carriage return",
            _ => "",
        };
        let detail = format!("interpreter '{}': {self}{hint}", path.escape_ascii());
        Self { errno: self.errno, detail }
    }
}

/// What the programs of one root are checked with.
struct Checker {
    new: OwnedFd,
    kernel: Kernel,
    /// Number of bytes of a program that are read to the end of the check.
    limit: u64,
}

impl Checker {
    /// Returns the first init that passes, or why each of the candidates does not.
    fn find_init(&self, request: &InitRequest) -> Answer {
        let candidates: Vec<&[u8]> = match (request.is_command, &request.init) {
            (true, _) => vec![SHELL.as_bytes()],
            (false, Some(init)) => vec![init],
            (false, None) => INITS.map(str::as_bytes).to_vec(),
        };
        let (mut tried, mut skipped, mut is_unreadable) = (Vec::new(), Vec::new(), false);
        for path in candidates {
            let Err(refusal) = self.check(path, 0) else {
                let (init, missing) = (path.to_owned(), String::new());
                return Answer::Ready { missing, init, skipped };
            };
            is_unreadable |= refusal.errno == Errno::IO;
            let path = escape::bytes(path).into_owned();
            let entry = Tried { path, cause: refusal.to_string() };
            // A person does not expect an init that is missing to run.
            if refusal != Errno::NOENT.into() {
                skipped.push(entry.clone());
            }
            tried.push(entry);
        }
        let (missing, usr) = (String::new(), String::new());
        Answer::NoInit { missing, usr, tried, is_unreadable }
    }

    /// Checks a program and its interpreters; `scripts` of them are scripts that led to it.
    fn check(&self, path: &[u8], scripts: usize) -> Result<(), Refusal> {
        let file = self.open(path)?;
        let head = read_head(&file)?;
        match Program::parse(&head)? {
            Program::Flat => Ok(()),
            Program::Script(_) if scripts == MAX_SCRIPTS => Err(Errno::LOOP.into()),
            Program::Script(interpreter) => {
                self.check(interpreter, scripts + 1).map_err(|e| e.of_interpreter(interpreter))
            }
            Program::Elf(head) => self.check_elf(&file, head),
        }
    }

    fn check_elf(&self, file: &File, head: ElfHead) -> Result<(), Refusal> {
        if !self.kernel.executes(head.machine) {
            return Err(ProgramError::Foreign(head.machine).into());
        }
        let segments = read_segments(file, head)?;
        if let Some(range) = segments.interpreter {
            let len = usize::try_from(range.end - range.start).unwrap_or(0);
            let bytes = read_at(file, range.start, len)?;
            let path = program::interpreter_path(&bytes)?;
            self.check_elf_interpreter(path, head.machine).map_err(|e| e.of_interpreter(path))?;
        }
        self.read(file)
    }

    /// Checks the program of PT_INTERP, which must be for the machine of the program.
    fn check_elf_interpreter(&self, path: &[u8], machine: Machine) -> Result<(), Refusal> {
        let file = self.open(path)?;
        let head = read_head(&file)?;
        match Program::parse(&head)? {
            Program::Elf(head) if head.machine == machine => {
                read_segments(&file, head)?;
                self.read(&file)
            }
            Program::Elf(head) => Err(ProgramError::Foreign(head.machine).into()),
            Program::Script(_) | Program::Flat => Err(ProgramError::Unknown.into()),
        }
    }

    /// Opens a program as the kernel will find it after the switch: absolute links start at the new
    /// root. A file that is not regular is not opened, because that may have an effect.
    fn open(&self, path: &[u8]) -> Result<File, Refusal> {
        let open = |flags| {
            let flags = flags | OFlags::CLOEXEC;
            openat2(&self.new, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)
        };
        let place = open(OFlags::PATH)?;
        check_permission(&fstat(&place)?)?;
        if fstatvfs(&place)?.f_flag.contains(StatVfsMountFlags::NOEXEC) {
            return Err(Refusal::denied("filesystem mounted with noexec"));
        }
        Ok(File::from(open(OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK)?))
    }

    /// Returns whether nothing can be created in the root.
    fn is_read_only(&self) -> bool {
        fstatvfs(&self.new).is_ok_and(|s| s.f_flag.contains(StatVfsMountFlags::RDONLY))
    }

    /// Returns the kernel parameters that mount the /usr of the root's fstab, unless a filesystem
    /// is mounted there.
    fn usr_parameters(&self) -> Option<String> {
        let open = |path: &str, flags| {
            let flags = flags | OFlags::CLOEXEC;
            openat2(&self.new, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)
        };
        let place = open("/etc/fstab", OFlags::PATH).ok()?;
        if FileType::from_raw_mode(fstat(&place).ok()?.st_mode) != FileType::RegularFile {
            return None;
        }
        let usr = open("/usr", OFlags::PATH).ok().and_then(|usr| fstat(usr).ok());
        if usr.is_some_and(|usr| fstat(&self.new).is_ok_and(|root| root.st_dev != usr.st_dev)) {
            return None;
        }
        let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK;
        let file = File::from(open("/etc/fstab", flags).ok()?);
        let mut text = Vec::new();
        file.take(FSTAB_LIMIT).read_to_end(&mut text).ok()?;
        fstab::usr_parameters(&text)
    }

    /// Reads a program: after the switch nothing could report a block that cannot be read.
    fn read(&self, file: &File) -> Result<(), Refusal> {
        io::copy(&mut file.take(self.limit), &mut io::sink())?;
        Ok(())
    }
}

/// Checks that a file is one that can be executed.
fn check_permission(stat: &Stat) -> Result<(), Refusal> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile if stat.st_mode & 0o111 != 0 => Ok(()),
        FileType::RegularFile => {
            Err(Refusal::denied(format!("not executable, mode {:04o}", stat.st_mode & 0o7777)))
        }
        FileType::Directory => Err(Refusal::denied("a directory")),
        _ => Err(Refusal::denied("not a regular file")),
    }
}

fn read_segments(file: &File, head: ElfHead) -> Result<Segments, Refusal> {
    let (offset, len) = head.table();
    let table = match read_at(file, offset, usize::try_from(len).unwrap_or(0)) {
        // The kernel refuses an offset that no file has.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Vec::new(),
        table => table?,
    };
    Ok(head.segments(&table, file.metadata()?.len())?)
}

fn read_head(file: &File) -> io::Result<Vec<u8>> {
    read_at(file, 0, HEAD_LEN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kmod::program::tests::{AARCH64, I386_ELF, X32, X86_64, elf};
    use rustix::fs::CWD;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;
    use std::process::{Command, Stdio};

    /// A directory of programs.
    struct Programs(tempfile::TempDir);

    impl Programs {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// Writes a program. `@` stands for the directory.
        fn put(&self, name: &str, bytes: &[u8], mode: u32) {
            let path = self.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }

        fn script(&self, name: &str, text: &str) {
            let text = text.replace('@', self.0.path().to_str().unwrap());
            self.put(name, text.as_bytes(), 0o755);
        }

        /// Returns the checker of programs below `root`.
        fn checker(root: &Path) -> Checker {
            let new = File::open(root).unwrap().into();
            Checker { new, kernel: running_kernel().unwrap(), limit: 1 << 20 }
        }
    }

    /// Returns the errno of execve(2).
    fn execute(path: &Path) -> Result<(), Errno> {
        let mut command = Command::new(path);
        match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
            Ok(mut child) => {
                let _ = child.kill();
                let _ = child.wait();
                Ok(())
            }
            Err(error) => Err(Errno::from_io_error(&error).unwrap()),
        }
    }

    /// Names of programs, and words of their refusals; none if they can be executed.
    const CASES: [(&str, &str); 38] = [
        ("good", ""),
        ("pie", ""),
        ("link", ""),
        ("interpreted", ""),
        ("script", ""),
        ("script-argument", ""),
        ("script-without-newline", ""),
        ("script-5", ""),
        ("i386", ""),
        ("missing", "No such file or directory"),
        ("good/x", "Not a directory"),
        ("directory", "Permission denied (a directory)"),
        ("fifo", "Permission denied (not a regular file)"),
        ("plain", "Permission denied (not executable, mode 0644)"),
        ("loop", "Too many levels of symbolic links"),
        ("empty", "Exec format error (empty file)"),
        ("text", "Exec format error (neither an ELF program nor a script with #!)"),
        ("aarch64", "64-bit little-endian AArch64 program, not for this kernel"),
        ("x32", "32-bit little-endian x86-64 program, not for this kernel"),
        ("class", "broken ELF file: table of program headers"),
        ("short", "broken ELF file: file ends within its header"),
        ("header", "broken ELF file: file ends within its program headers"),
        ("relocatable", "an ELF file, but not a program"),
        ("no-ld", "interpreter '@/lib/ld': No such file or directory"),
        ("plain-ld", "interpreter '@/plain': Permission denied (not executable"),
        ("empty-ld", "interpreter '@/empty': Exec format error (empty file)"),
        ("short-ld", "interpreter '@/short': Exec format error (broken"),
        ("script-ld", "interpreter '@/script': Exec format error (neither"),
        ("aarch64-ld", "interpreter '@/aarch64': Exec format error (64-bit little-endian AArch64"),
        ("i386-ld", "interpreter '@/i386': Exec format error (32-bit little-endian i386"),
        ("script-missing", "interpreter '@/missing': No such file or directory"),
        ("script-crlf", "'@/good\\r': No such file or directory, as its #! line ends with a carr"),
        ("script-empty", "no interpreter in the first 256 bytes after #!"),
        ("script-long", "no interpreter in the first 256 bytes after #!"),
        ("script-6", "Too many levels of symbolic links"),
        ("script-self", "Too many levels of symbolic links"),
        ("script-aarch64", "interpreter '@/aarch64': Exec format error (64-bit"),
        ("script-text", "interpreter '@/text': Exec format error (neither"),
    ];

    fn programs() -> Programs {
        let programs = Programs::new();
        let dir = programs.0.path().to_str().unwrap();
        let with = |machine, name: &str| elf(machine, 2, Some(&format!("{dir}/{name}")));
        let good = elf(X86_64, 2, None);
        let mut class = good.clone();
        class[4] = 1;
        class[18] = 3;
        for (name, bytes) in [
            ("good", good.clone()),
            ("pie", elf(X86_64, 3, None)),
            ("interpreted", with(X86_64, "pie")),
            ("i386", elf(I386_ELF, 2, None)),
            ("empty", Vec::new()),
            ("text", b"echo hello\n".to_vec()),
            ("aarch64", elf(AARCH64, 2, None)),
            ("x32", elf(X32, 2, None)),
            ("class", class),
            ("short", good[..20].to_vec()),
            ("header", good[..80].to_vec()),
            ("relocatable", elf(X86_64, 1, None)),
            ("no-ld", with(X86_64, "lib/ld")),
            ("plain-ld", with(X86_64, "plain")),
            ("empty-ld", with(X86_64, "empty")),
            ("short-ld", with(X86_64, "short")),
            ("script-ld", with(X86_64, "script")),
            ("aarch64-ld", with(X86_64, "aarch64")),
            ("i386-ld", with(X86_64, "i386")),
        ] {
            programs.put(name, &bytes, 0o755);
        }
        programs.put("plain", &good, 0o644);
        for (name, text) in [
            ("script", "#!@/good\n"),
            ("script-argument", "#! \t@/good -e x\r\n"),
            ("script-without-newline", "#!@/good"),
            ("script-missing", "#!@/missing\n"),
            ("script-crlf", "#!@/good\r\n"),
            ("script-empty", "#! \n"),
            ("script-long", &format!("#!@/good{}\n", "x".repeat(300))),
            ("script-1", "#!@/good\n"),
            ("script-self", "#!@/script-self\n"),
            ("script-aarch64", "#!@/aarch64\n"),
            ("script-text", "#!@/text\n"),
        ] {
            programs.script(name, text);
        }
        for number in 2..=6 {
            let text = format!("#!@/script-{}\n", number - 1);
            programs.script(&format!("script-{number}"), &text);
        }
        fs::create_dir(programs.path("directory")).unwrap();
        rustix::fs::mkfifoat(CWD, programs.path("fifo"), Mode::from(0o755)).unwrap();
        symlink("loop", programs.path("loop")).unwrap();
        symlink("good", programs.path("link")).unwrap();
        programs
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_check_agrees_with_the_kernel() {
        let programs = programs();
        let checker = Programs::checker(Path::new("/"));
        let dir = programs.0.path().to_str().unwrap();
        for (name, words) in CASES {
            let path = programs.path(name);
            let checked = checker.check(path.to_str().unwrap().as_bytes(), 0);
            let text = checked.as_ref().err().map(Refusal::to_string).unwrap_or_default();
            // 32-bit programs run if this kernel can run them.
            if name != "i386" || checker.kernel.has_ia32 {
                assert_eq!(text.is_empty(), words.is_empty(), "{name}: {text}");
                assert!(text.contains(&words.replace('@', dir)), "{name}: {text}");
            }
            let executed = execute(&path);
            assert_eq!(checked.is_ok(), executed.is_ok(), "{name}: {text}, {executed:?}");
            // The kernel has other errors for damaged interpreters of ELF files.
            if let (Err(ours), Err(kernel), false) = (checked, executed, name.ends_with("-ld")) {
                assert_eq!(ours.errno, kernel, "{name}");
            }
        }
    }

    #[test]
    fn init_is_found_inside_the_new_root() {
        let programs = Programs::new();
        let good = fs::read("/proc/self/exe").unwrap();
        let good = &good;
        let request = |init: Option<&str>| InitRequest {
            init: init.map(|init| init.as_bytes().to_owned()),
            limit: 0,
            device: None,
            is_command: false,
        };
        let find = |init| Programs::checker(programs.0.path()).find_init(&request(init));
        let ready = |init: &str| {
            let (missing, init) = (String::new(), init.into());
            Answer::Ready { missing, init, skipped: Vec::new() }
        };
        programs.put("lib/init", b"#!/opt/own\n", 0o755);
        programs.put("opt/own", &elf(X86_64, 2, None), 0o755);
        programs.put("etc/init", good, 0o644);
        fs::create_dir(programs.path("sbin")).unwrap();
        let Answer::NoInit { tried, is_unreadable: false, .. } = find(None) else {
            panic!("an init was found");
        };
        let paths: Vec<&str> = tried.iter().map(|tried| tried.path.as_str()).collect();
        assert_eq!(paths, INITS);
        assert_eq!(tried[0].cause, "No such file or directory");
        symlink("/lib/init", programs.path("bin")).unwrap();
        if cfg!(target_arch = "x86_64") {
            symlink("/lib/init", programs.path("sbin/init")).unwrap();
            assert_eq!(find(None), ready("/sbin/init"));
            assert_eq!(find(Some("/opt/own")), ready("/opt/own"));
            // What is skipped is reported, unless it is missing.
            programs.put("lib/init", b"", 0o755);
            fs::remove_file(programs.path("bin")).unwrap();
            programs.put("bin/init", &elf(X86_64, 2, None), 0o755);
            let skipped =
                |path: &str, cause: &str| Tried { path: path.into(), cause: cause.into() };
            let skipped = vec![
                skipped("/sbin/init", "Exec format error (empty file)"),
                skipped("/etc/init", "Permission denied (not executable, mode 0644)"),
            ];
            let (missing, init) = (String::new(), b"/bin/init".to_vec());
            assert_eq!(find(None), Answer::Ready { missing, init, skipped });
        }
        // A link out of the root must not find a file of the host.
        symlink("../../../../../../bin/sh", programs.path("opt/out")).unwrap();
        for init in ["/opt/out", "/opt"] {
            assert!(matches!(find(Some(init)), Answer::NoInit { .. }), "{init}");
        }
    }

    #[test]
    fn usr_is_found_in_the_fstab_of_the_root() {
        let programs = Programs::new();
        let usr = || Programs::checker(programs.0.path()).usr_parameters();
        assert_eq!(usr(), None);
        fs::create_dir(programs.path("etc")).unwrap();
        rustix::fs::mkfifoat(CWD, programs.path("etc/fstab"), Mode::from(0o644)).unwrap();
        assert_eq!(usr(), None);
        fs::remove_file(programs.path("etc/fstab")).unwrap();
        let mut text = b"# comment\nUUID=2 /usr ext4\n".to_vec();
        text.resize(3 << 20, b'#');
        fs::write(programs.path("opt"), text).unwrap();
        // A link is resolved inside the root.
        symlink("/opt", programs.path("etc/fstab")).unwrap();
        assert_eq!(usr().as_deref(), Some("mount.usr=UUID=2"));
        symlink("/proc", programs.path("usr")).unwrap();
        assert_eq!(usr().as_deref(), Some("mount.usr=UUID=2"));
    }

    #[test]
    fn mount_points_that_a_root_lacks_are_named() {
        let programs = Programs::new();
        fs::create_dir(programs.path("proc")).unwrap();
        fs::write(programs.path("run"), "x").unwrap();
        symlink("proc", programs.path("sys")).unwrap();
        assert_eq!(missing_mount_points(programs.0.path()), "/dev, /run");
        fs::remove_file(programs.path("run")).unwrap();
        for path in ["dev", "run"] {
            fs::create_dir(programs.path(path)).unwrap();
        }
        assert_eq!(missing_mount_points(programs.0.path()), "");
    }

    #[test]
    fn a_root_on_the_same_filesystem_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir(scratch.path().join(SYSROOT)).unwrap();
        let request = InitRequest { init: None, limit: 0, device: None, is_command: false };
        let answer = check(&Root::at(scratch.path()), &request);
        let Answer::Refused(text) = answer else { panic!("{answer:?}") };
        assert!(text.starts_with("switch_root ") && text.ends_with("cross-device link"), "{text}");
    }
}
