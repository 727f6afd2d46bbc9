//! What a benchmark has measured, as JSON: the table, the plots and the gate are made of it.
//!
//! ```text
//! { "part": "boot",                          name of the file, out/bench/boot.json
//!   "versions": { "kmod": "34", … },         of what was compared
//!   "rows": [
//!     { "group": "virtio", "name": "dracut", "what": "/init to the real init", "unit": "ms",
//!       "at": 10,                            what a row of a growing series is measured for
//!       "values": [ 824.1, 824.3, 824.9 ],   one of each run, in order
//!       "note": "generic image" } ] }
//! ```
//! Rows of one group and `what` are compared with each other. `at` and `note` may be left out.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The results of one part of `make bench`.
#[derive(Debug)]
pub struct Results {
    part: &'static str,
    versions: BTreeMap<String, String>,
    rows: Vec<Row>,
}

/// The units of values.
const UNITS: [&str; 5] = ["ms", "bytes", "KiB", "MiB", "instructions"];

/// The figures of one program for one measurement.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// The work: machine, tool or tree. Rows of one group are compared.
    pub group: String,
    /// The program.
    pub name: String,
    /// Quantity, such as `wall time`.
    pub what: String,
    /// Unit of the values: ms, bytes, KiB, instructions or a count.
    pub unit: &'static str,
    /// Size of the work in a growing series.
    pub at: Option<f64>,
    /// One value of each run.
    pub values: Vec<f64>,
    /// What a reader has to know besides.
    pub note: String,
}

impl Row {
    /// Returns the least, the median and the most of the values.
    ///
    /// # Panics
    /// There are none.
    pub fn spread(&self) -> (f64, f64, f64) {
        let mut values = self.values.clone();
        values.sort_by(f64::total_cmp);
        (values[0], values[values.len() / 2], values[values.len() - 1])
    }

    fn to_json(&self) -> Value {
        let Self { group, name, what, unit, at, values, note } = self;
        let mut row = json!({ "group": group, "name": name, "what": what, "unit": unit });
        row["values"] = values.iter().map(|value| (value * 1e3).round() / 1e3).collect();
        if let Some(at) = at {
            row["at"] = json!(at);
        }
        if !note.is_empty() {
            row["note"] = json!(note);
        }
        row
    }
}

impl Results {
    /// Begins the results of this part.
    pub fn new(part: &'static str) -> Self {
        Self { part, versions: BTreeMap::new(), rows: Vec::new() }
    }

    /// Notes the version of a program.
    pub fn version(&mut self, program: &str, version: &str) {
        self.versions.insert(program.to_owned(), version.to_owned());
    }

    /// Adds a row.
    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Writes the results to the directory `BENCH_OUT`, out/bench by default, and returns the path.
    ///
    /// # Panics
    /// The file cannot be written.
    pub fn write(&self) -> PathBuf {
        self.write_to(&dir())
    }

    fn write_to(&self, dir: &Path) -> PathBuf {
        let rows: Vec<Value> = self.rows.iter().map(Row::to_json).collect();
        let all = json!({ "part": self.part, "versions": self.versions, "rows": rows });
        fs::create_dir_all(dir).unwrap();
        let path = dir.join(format!("{}.json", self.part));
        fs::write(&path, format!("{all:#}\n")).unwrap();
        path
    }
}

/// Returns the directory of the results, `BENCH_OUT`, out/bench by default.
pub fn dir() -> PathBuf {
    env::var_os("BENCH_OUT").map_or_else(|| "out/bench".into(), PathBuf::from)
}

/// The results of one part, read from its file.
#[derive(Debug)]
pub struct Part {
    /// Name of the part.
    pub name: String,
    /// Version of each program.
    pub versions: BTreeMap<String, String>,
    /// The rows in their order; rows without values are left out.
    pub rows: Vec<Row>,
}

impl Part {
    /// Reads the results in `file`.
    ///
    /// # Panics
    /// The file is no results.
    pub fn read(file: &Path) -> Self {
        let json: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let row = |row: &Value| Row {
            group: text(&row["group"]),
            name: text(&row["name"]),
            what: text(&row["what"]),
            unit: UNITS.into_iter().find(|unit| row["unit"] == *unit).unwrap_or_default(),
            at: row["at"].as_f64(),
            values: row["values"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_f64)
                .collect(),
            note: text(&row["note"]),
        };
        let rows = json["rows"].as_array().expect("rows").iter().map(row);
        let versions = json["versions"].as_object().expect("versions").iter();
        Self {
            name: text(&json["part"]),
            versions: versions.map(|(name, version)| (name.clone(), text(version))).collect(),
            rows: rows.filter(|row| !row.values.is_empty()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_written_with_the_values_of_each_run() {
        let dir = tempfile::tempdir().unwrap();
        let mut results = Results::new("tools");
        results.version("kmod", "34");
        let row = Row {
            name: "kmod".to_owned(),
            unit: "ms",
            values: vec![3.0, 1.0, 2.0],
            ..Row::default()
        };
        assert_eq!(row.spread(), (1.0, 2.0, 3.0));
        results.add(row);
        results.add(Row { at: Some(8.0), values: vec![0.12345], ..Row::default() });
        let text = fs::read_to_string(results.write_to(dir.path())).unwrap();
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["rows"][0]["values"], json!([3.0, 1.0, 2.0]));
        assert_eq!(read["rows"][1]["at"], json!(8.0));
        assert_eq!(read["rows"][1]["values"], json!([0.123]));
        assert_eq!(read["versions"]["kmod"], "34");
        let part = Part::read(&dir.path().join("tools.json"));
        assert_eq!((part.name.as_str(), part.rows.len()), ("tools", 2));
        assert_eq!(part.rows[0].values, [3.0, 1.0, 2.0]);
        assert_eq!((part.rows[0].unit, part.rows[1].at), ("ms", Some(8.0)));
    }
}
