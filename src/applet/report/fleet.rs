//! `report --fleet DIR`: the records of many boots.

use std::fs;
use std::path::{Path, PathBuf};

use super::input::Input;
use crate::applet::message::{Error, warn};
use crate::escape;
use crate::report::saved::SavedRecord;
use crate::report::view;
use crate::sys;

/// Returns the percentiles of the boots whose records are files of `dir`. Files that hold none are
/// named on standard error and skipped.
///
/// # Errors
/// The directory cannot be read, or holds no record.
pub(super) fn text(dir: &Path) -> Result<String, Error> {
    let mut records: Vec<(String, SavedRecord)> = Vec::new();
    for path in files(dir)? {
        match Input::read(&path) {
            Ok(input) => records.push((name(&path), input.record)),
            Err(error) => warn("report", &format!("skipped: {error}")),
        }
    }
    match records.is_empty() {
        true => Err(Error::Failed(format!("{}: no boot record in it", escape::path(dir)))),
        false => Ok(view::fleet(&records)),
    }
}

/// Returns the entries of a directory that are not directories, sorted by name.
fn files(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |error: std::io::Error| Error::from(sys::Error::io("read", dir, &error));
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| escape::path(name).into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_without_a_record_are_skipped() {
        let scratch = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| fs::write(scratch.path().join(name), text).unwrap();
        put("b.json", r#"{"modules": [], "root": {}, "verdict": "ok", "time_ms": 5}"#);
        put("a.log", "[ 1.0] x\n{\"modules\": [], \"root\": {}, \"verdict\": \"no-root\"}\n");
        put("README", "no record");
        fs::create_dir(scratch.path().join("sub")).unwrap();
        let text = text(scratch.path()).unwrap();
        assert!(text.starts_with("boots: 2; verdicts: no-root 1, ok 1\n"), "{text}");
        let error = super::text(&scratch.path().join("sub")).unwrap_err().to_string();
        assert!(error.ends_with("/sub: no boot record in it"), "{error}");
        assert!(super::text(&scratch.path().join("none")).is_err());
    }
}
