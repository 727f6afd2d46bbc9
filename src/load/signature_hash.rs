//! The modules that compute the hash of module signatures.
//!
//! The kernel hashes each file, which takes longer than the rest of most loads. Accelerated hash
//! modules, which use instructions of the processor, are therefore worth loading before all others.

use crate::kmod::catalog::Catalog;
use crate::kmod::conf::Config;
use crate::kmod::name::ModuleName;

/// Hashes that modules are signed with.
const HASHES: [&str; 4] = ["sha256", "sha512", "sha384", "sha1"];
/// Whether the hash in use is looked for.
pub(super) const IS_SOUGHT: bool = cfg!(feature = "full");
/// Maximum number of files that are looked at.
const MAX_FILES: usize = 8;

/// The hashes that modules may be signed with.
pub(super) struct SignatureHashes {
    /// Each hash with the loadable modules that compute it.
    pub(super) modules: Vec<(&'static str, Vec<ModuleName>)>,
    /// Files of some of these modules. The signature of any module shows which hash is in use.
    pub(super) files: Vec<Vec<u8>>,
}

impl SignatureHashes {
    /// Looks up the modules of all hashes.
    pub(super) fn new(catalog: &Catalog, config: &Config) -> Self {
        if !IS_SOUGHT {
            return Self { modules: Vec::new(), files: Vec::new() };
        }
        let loadable = |hash: &str| -> Vec<ModuleName> {
            let found = catalog.lookup(config, format!("crypto-{hash}"));
            found.into_iter().filter(|f| !f.is_builtin()).map(|f| f.module).collect()
        };
        let modules: Vec<_> = HASHES.into_iter().map(|hash| (hash, loadable(hash))).collect();
        let all = modules.iter().flat_map(|(_, modules)| modules);
        let files = all.filter_map(|module| Some(catalog.dep(module)?.path));
        let files = files.take(MAX_FILES).collect();
        Self { modules, files }
    }

    /// Returns the modules that compute `hash`.
    pub(super) fn of(self, hash: &str) -> Vec<ModuleName> {
        let found = self.modules.into_iter().find(|(name, _)| *name == hash);
        found.map(|(_, modules)| modules).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::inserter::Inserter;
    use super::*;
    use crate::sys::moddir::ModuleDir;
    use crate::sys::module::DryRun;

    /// Returns a module with the trailer of a signature over the hash with this number.
    fn signed(hash: u8) -> Vec<u8> {
        let trailer = [1, hash, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        [&b"module?"[..], &trailer, b"~Module signature appended~\n"].concat()
    }

    #[test]
    fn signatures_show_the_hash_in_use() {
        const DEP: &str = "fast256.ko:\nslow256.ko:\nfast512.ko: slow256.ko\n";
        const ALIAS: &str = "alias crypto-sha256 fast256\nalias crypto-sha256 slow256\n\
                             alias crypto-sha512 fast512\n";
        let long = [vec![0; 1 << 20], signed(4)].concat();
        for (file, want) in [
            (signed(4), &["fast256", "slow256"][..]),
            (signed(6), &["fast512"]),
            (long.clone(), &["fast256", "slow256"]),
            (zstd::bulk::compress(&long, 3).unwrap(), &["fast256", "slow256"]),
            // A module that large has no place in front of all others.
            (zstd::bulk::compress(&[vec![0; 8 << 20], signed(4)].concat(), 3).unwrap(), &[]),
            (b"not signed".to_vec(), &[]),
            (signed(2), &[]),
        ] {
            let scratch = tempfile::tempdir().unwrap();
            std::fs::write(scratch.path().join("modules.dep"), DEP).unwrap();
            std::fs::write(scratch.path().join("modules.alias"), ALIAS).unwrap();
            std::fs::write(scratch.path().join("slow256.ko"), &file).unwrap();
            let catalog = Catalog::new(Arc::new(ModuleDir::at(scratch.path())));
            let dir = scratch.path().to_owned();
            let inserter = Inserter { ops: Arc::new(DryRun), dir, kernel: None };
            let hashes = SignatureHashes::new(&catalog, &Config::default());
            let hash = inserter.signature_hash(&hashes.files).unwrap_or_default();
            let found = hashes.of(&hash);
            let names: Vec<_> = found.iter().map(ModuleName::text).collect();
            assert_eq!(names, want);
        }
    }
}
