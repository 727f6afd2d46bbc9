//! The modules that compute the hash of module signatures.

use super::inserter::Inserter;
use crate::kmod::catalog::Catalog;
use crate::kmod::conf::Config;
use crate::kmod::name::ModuleName;

/// Hashes that modules are signed with. The signature of a hash module shows which one is in use.
const HASHES: [&str; 2] = ["sha256", "sha512"];

/// Returns the modules that the kernel checks the signatures of all other modules with.
///
/// The kernel hashes each file, which takes longer than the rest of most loads. Accelerated hash
/// modules, which use instructions of the processor, are therefore worth loading before all others.
pub(super) fn hash_modules(
    catalog: &Catalog,
    config: &Config,
    inserter: &Inserter,
) -> Vec<ModuleName> {
    let modules = |hash: &str| -> Vec<ModuleName> {
        let found = catalog.lookup(config, &format!("crypto-{hash}"));
        found.into_iter().filter(|f| !f.is_builtin()).map(|f| f.module).collect()
    };
    let mut signed = HASHES.into_iter().flat_map(modules);
    let hash = signed.find_map(|module| inserter.signature_hash(&catalog.dep(&module)?.path));
    hash.map(modules).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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
        for (file, want) in [
            (signed(4), &["fast256", "slow256"][..]),
            (signed(6), &["fast512"]),
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
            let found = hash_modules(&catalog, &Config::default(), &inserter);
            let names: Vec<&str> = found.iter().map(ModuleName::as_str).collect();
            assert_eq!(names, want);
        }
    }
}
