//! Programs of the root with their interpreters and shared libraries.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use goblin::elf::Elf;

use super::manifest::{Content, Manifest, Node};
use super::{Error, source};
use crate::escape;
use crate::kmod::elf_machine::Machine;
use crate::sys::inside::inside;
use crate::sys::modfile::ModuleFile;

/// Directories of shared libraries. Their subdirectories are searched too, because Debian has one
/// per architecture.
const LIBRARIES: [&str; 4] = ["lib", "lib64", "usr/lib", "usr/lib64"];
/// The C library, which is in the directory of its architecture.
const LIBC: &str = "libc.so.6";

/// Adds the program `path` of the root with its libraries, for this reason.
///
/// # Errors
/// It or a library cannot be read.
#[cfg(feature = "stacks")] // for the programs of assemble.d
pub(super) fn add_program(
    manifest: &mut Manifest,
    path: &str,
    root: &Path,
    reason: &str,
) -> Result<(), Error> {
    let file = inside(root, Path::new(path));
    let bytes = source::read(&file)?;
    add(manifest, &file, &bytes, root)?;
    manifest.add(path, Node::of_root(0o755, Content::File(file)).because(reason))
}

/// Adds the interpreter of a program and its shared libraries, and those that these need.
///
/// # Errors
/// [`Error::NoLibrary`]; a library that cannot be read.
pub(super) fn add(
    manifest: &mut Manifest,
    program: &Path,
    bytes: &[u8],
    root: &Path,
) -> Result<(), Error> {
    let reason = format!("library of {}", escape::path(program));
    let search = Search::new(root, ModuleFile::machine(program));
    let mut wanted = VecDeque::from(needed(bytes, &origin(program, root)));
    let mut added = Vec::new();
    while let Some(library) = wanted.pop_front() {
        if added.contains(&library.name) {
            continue;
        }
        let path = search.find(&library).ok_or_else(|| Error::NoLibrary {
            program: program.into(),
            library: library.name.clone(),
        })?;
        let file = inside(root, Path::new(&path));
        wanted.extend(needed(&source::read(&file)?, &origin(&file, root)));
        let node = Node::of_root(0o755, Content::File(file)).because(&*reason);
        manifest.add(&path, node)?;
        added.push(library.name);
    }
    Ok(())
}

/// A shared library or an interpreter that an ELF file needs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Library {
    /// A name, or the path of an interpreter.
    name: String,
    /// The directories of DT_RUNPATH or DT_RPATH of the file that needs it.
    dirs: Arc<[String]>,
}

/// Returns the interpreter and the shared libraries of an ELF file in the directory `origin`; a
/// static program and a script have none.
fn needed(bytes: &[u8], origin: &str) -> Vec<Library> {
    let Ok(elf) = Elf::parse(bytes) else { return Vec::new() };
    // ld.so(8) ignores DT_RPATH if there is a DT_RUNPATH.
    let lists = if elf.runpaths.is_empty() { elf.rpaths } else { elf.runpaths };
    let dirs = lists.iter().flat_map(|list| list.split(':')).filter_map(|dir| expand(dir, origin));
    let dirs: Arc<[String]> = dirs.collect();
    let names = elf.interpreter.into_iter().chain(elf.libraries);
    names.map(|name| Library { name: name.to_owned(), dirs: dirs.clone() }).collect()
}

/// Returns the directory of a file below `root`, relative to it.
fn origin(file: &Path, root: &Path) -> String {
    let below = file.strip_prefix(root).unwrap_or(file);
    below.parent().map(|dir| dir.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Returns a directory of DT_RUNPATH relative to the root; `None` if it is relative to the current
/// directory or depends on the processor.
fn expand(dir: &str, origin: &str) -> Option<String> {
    let dir = dir.replace("${ORIGIN}", "$ORIGIN");
    let path = match dir.strip_prefix("$ORIGIN") {
        Some(below) => format!("/{origin}{below}"),
        None => dir,
    };
    if !path.starts_with('/') || path.contains('$') {
        return None;
    }
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => _ = names.pop(),
            name => names.push(name),
        }
    }
    Some(names.join("/"))
}

/// Where libraries for a machine are looked up. Debian's roots may have libraries of several
/// architectures.
struct Search<'a> {
    root: &'a Path,
    machine: Option<Machine>,
    /// The directories of all libraries: those of ld.so(8) before other ones.
    dirs: Vec<String>,
}

impl<'a> Search<'a> {
    fn new(root: &'a Path, machine: Option<Machine>) -> Self {
        let mut search = Self { root, machine, dirs: Vec::new() };
        let below = LIBRARIES.iter().flat_map(|dir| {
            let mut names = crate::sys::sysfs::entry_names(&root.join(dir));
            names.sort_unstable();
            names.into_iter().map(move |name| (*dir, name))
        });
        let mut below: Vec<(&str, String)> = below.collect();
        // Without a merged /usr only one directory of an architecture has the C library.
        let has_libc =
            |name: &str| LIBRARIES.iter().any(|dir| search.fits(&format!("{dir}/{name}/{LIBC}")));
        below.sort_by_cached_key(|(_, name)| !has_libc(name));
        let below = below.into_iter().map(|(dir, name)| format!("{dir}/{name}"));
        search.dirs = LIBRARIES.iter().map(|dir| (*dir).to_owned()).chain(below).collect();
        search
    }

    /// Returns whether a path below the root is a file for the machine.
    fn fits(&self, path: &str) -> bool {
        let file = inside(self.root, Path::new(path));
        file.is_file() && ModuleFile::machine(&file) == self.machine
    }

    /// Returns the path below the root of a library, or of an interpreter, which is a path already.
    fn find(&self, library: &Library) -> Option<String> {
        let name = &library.name;
        if name.contains('/') {
            let exists = |path: &String| inside(self.root, Path::new(path)).is_file();
            return Some(name.trim_start_matches('/').to_owned()).filter(exists);
        }
        let dirs = library.dirs.iter().chain(&self.dirs);
        dirs.map(|dir| format!("{dir}/{name}")).find(|path| self.fits(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kmod::program::tests::{AARCH64, X86_64, elf};
    use std::fs;

    #[test]
    fn a_dynamic_program_brings_its_libraries() {
        let path = std::env::current_exe().unwrap();
        let bytes = fs::read(&path).unwrap();
        let mut manifest = Manifest::default();
        add(&mut manifest, &path, &bytes, Path::new("/")).unwrap();
        let names: Vec<_> = manifest.iter().map(|(name, _)| name.to_owned()).collect();
        let needed = needed(&bytes, "");
        assert!(!needed.is_empty());
        for library in needed {
            let name = library.name.rsplit('/').next().unwrap();
            assert!(names.iter().any(|path| path.ends_with(name)), "{library:?}: {names:?}");
        }
    }

    /// Returns a 64-bit program that needs `liba.so`, with these tags, each with its text.
    fn dynamic(tags: &[(u64, &str)]) -> Vec<u8> {
        const NEEDED: u64 = 1;
        let mut strings = vec![0];
        let mut table = Vec::new();
        for (tag, text) in [(NEEDED, "liba.so")].iter().chain(tags) {
            table.extend([*tag, strings.len() as u64]);
            strings.extend(text.bytes().chain([0]));
        }
        let at = 64 + 2 * 56;
        let table_len = (table.len() as u64 + 6) * 8;
        // DT_STRTAB, DT_STRSZ and DT_NULL.
        table.extend([5, at + table_len, 10, strings.len() as u64, 0, 0]);
        let mut file = elf(X86_64, 3, None)[..64].to_vec();
        file[56] = 2;
        let len = at + table_len + strings.len() as u64;
        // PT_LOAD and PT_DYNAMIC.
        for (kind, start, len) in [(1_u64, 0, len), (2, at, table_len)] {
            let fields = [(5 << 32) | kind, start, start, start, len, len, 8];
            file.extend(fields.map(u64::to_le_bytes).concat());
        }
        file.extend(table.iter().flat_map(|value| value.to_le_bytes()));
        file.extend(strings);
        file
    }

    #[test]
    fn the_directories_are_those_of_runpath_or_else_rpath() {
        const RPATH: u64 = 15;
        const RUNPATH: u64 = 29;
        for (tags, want) in [
            (&[][..], &[][..]),
            (&[(RUNPATH, "/a:$ORIGIN/b:c")], &["a", "usr/bin/b"]),
            (&[(RPATH, "/a")], &["a"]),
            (&[(RPATH, "/a"), (RUNPATH, "/b")], &["b"]),
        ] {
            let found = needed(&dynamic(tags), "usr/bin");
            let found: Vec<_> = found.iter().map(|lib| (&*lib.name, &lib.dirs[..])).collect();
            let want: Vec<String> = want.iter().map(|dir| (*dir).to_owned()).collect();
            assert_eq!(found, [("liba.so", &want[..])], "{tags:?}");
        }
    }

    #[test]
    fn directories_of_a_library_are_those_of_ld_so() {
        for (dir, want) in [
            ("/usr/lib/x86_64-linux-gnu/systemd", Some("usr/lib/x86_64-linux-gnu/systemd")),
            ("$ORIGIN", Some("usr/bin")),
            ("${ORIGIN}/../lib//x/.", Some("usr/lib/x")),
            ("$ORIGIN/../../../../x", Some("x")),
            ("/opt/$LIB", None),
            ("$ORIGIN/$PLATFORM", None),
            ("lib", None),
            ("", None),
        ] {
            assert_eq!(expand(dir, "usr/bin").as_deref(), want, "{dir}");
        }
        let file = Path::new("/root/usr/bin/x");
        assert_eq!(origin(file, Path::new("/root")), "usr/bin");
        assert_eq!(origin(file, Path::new("/other")), "/root/usr/bin");
    }

    #[test]
    fn the_directory_of_the_program_and_of_its_architecture_come_first() {
        let scratch = tempfile::tempdir().unwrap();
        let put = |path: &str, machine| {
            let path = scratch.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, elf(machine, 3, None)).unwrap();
        };
        put("lib/x86_64-linux-gnu/libc.so.6", X86_64);
        put("lib/aarch64-linux-gnu/libc.so.6", AARCH64);
        for dir in ["lib/aaa", "usr/lib/thunderbird", "usr/lib/x86_64-linux-gnu", "opt/x"] {
            put(&format!("{dir}/libnss3.so"), X86_64);
        }
        put("lib/aarch64-linux-gnu/libnss3.so", AARCH64);
        put("lib/aaa/libother.so", X86_64);
        put("usr/lib/libplain.so", X86_64);
        put("lib/x86_64-linux-gnu/libplain.so", X86_64);
        let search = Search::new(scratch.path(), Some(X86_64));
        let find = |name: &str, dirs: &[&str]| {
            let dirs = dirs.iter().map(|dir| (*dir).to_owned()).collect();
            search.find(&Library { name: name.to_owned(), dirs })
        };
        for (name, dirs, want) in [
            ("libnss3.so", &[][..], "usr/lib/x86_64-linux-gnu/libnss3.so"),
            ("libnss3.so", &["none", "opt/x"], "opt/x/libnss3.so"),
            ("libnss3.so", &["lib/aarch64-linux-gnu"], "usr/lib/x86_64-linux-gnu/libnss3.so"),
            ("libother.so", &[], "lib/aaa/libother.so"),
            ("libplain.so", &[], "usr/lib/libplain.so"),
            ("/opt/x/libnss3.so", &[], "opt/x/libnss3.so"),
        ] {
            assert_eq!(find(name, dirs).as_deref(), Some(want), "{name} {dirs:?}");
        }
    }
}
