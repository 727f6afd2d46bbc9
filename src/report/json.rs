//! The record as one JSON object; docs/record.md describes its fields.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{Record, UeventCounts};
use crate::escape;
use crate::load::ModuleRecord;
use crate::sys::DeferredDevice;

impl Record {
    /// Returns the record as one line of JSON.
    pub(crate) fn to_json(&self) -> String {
        let record = object(vec![
            ("version", env!("CARGO_PKG_VERSION").into()),
            ("kernel", self.kernel.as_str().into()),
            ("verdict", self.verdict.map(|v| v.to_string()).into()),
            ("init_boottime_ns", self.init_entry.as_nanos().into()),
            ("time_ms", millis(self.time).into()),
            ("exit", self.exit.into()),
            ("root", self.root.to_json()),
            ("network", self.network.as_ref().map(super::NetworkRecord::to_json).into()),
            ("modaliases", self.modaliases.into()),
            ("modules", self.modules.iter().map(module).collect()),
            ("uevents", uevents(&self.uevents)),
            ("lookup_us", micros(self.lookup).into()),
            ("memory", memory(self.memory)),
            ("deferred", self.deferred.iter().map(deferred).collect()),
            ("phases_us", self.phases.iter().map(phase).collect()),
            ("switch", self.switch.into()),
            ("previous", self.previous.as_deref().into()),
            ("warnings", strings(&self.warnings)),
        ]);
        escape::json(&record.to_string()).into_owned()
    }
}

/// Makes a JSON object. The macro `json!` is twice as much code for each member.
pub(crate) fn object(members: Vec<(&str, Value)>) -> Value {
    let mut object = Map::new();
    for (name, value) in members {
        object.insert(name.to_owned(), value);
    }
    Value::Object(object)
}

/// Makes a JSON array of texts.
pub(crate) fn strings(list: &[String]) -> Value {
    list.iter().map(String::as_str).collect()
}

/// Returns whole microseconds; they last for 584,000 years.
fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Returns whole milliseconds.
pub(super) fn millis(time: Duration) -> u64 {
    micros(time) / 1000
}

fn uevents(counts: &UeventCounts) -> Value {
    object(vec![
        ("received", counts.received.into()),
        ("added", counts.added.into()),
        ("lost", counts.lost.into()),
        ("truncated", counts.truncated.into()),
        ("gaps", counts.gaps.into()),
        ("foreign", counts.foreign.into()),
        ("scans", counts.scans.into()),
        ("rescans", counts.rescans.into()),
    ])
}

fn memory((init, loader): (Option<u64>, Option<u64>)) -> Value {
    object(vec![("init", init.into()), ("loader", loader.into())])
}

fn phase((name, end): &(&str, Duration)) -> Value {
    vec![Value::from(*name), micros(*end).into()].into()
}

fn deferred(d: &DeferredDevice) -> Value {
    object(vec![
        ("device", d.device.as_str().into()),
        ("supplier", d.supplier.as_deref().into()),
        ("reason", d.reason.as_deref().into()),
    ])
}

/// Returns the object of one module, without fields that are unknown.
pub(super) fn module(m: &ModuleRecord) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            object.insert(key.to_owned(), value);
        }
    };
    let text = |s: &str| Some(Value::from(s));
    let origin = m.origin.as_ref();
    put("name", text(&m.name.text()));
    put("outcome", text(m.outcome.as_str()));
    put("why", text(&m.why));
    put("device", origin.and_then(|o| o.device.as_deref()).and_then(text));
    put("modalias", origin.and_then(|o| text(&o.request)));
    put("alias", origin.and_then(|o| o.pattern.as_deref()).and_then(text));
    put("supplier_of", origin.and_then(|o| o.supplier_of.as_deref()).and_then(text));
    put("path", m.path.as_deref().map(|path| escape::bytes(path).into()));
    put("options", Some(escape::bytes(&m.options)).filter(|o| !o.is_empty()).map(Value::from));
    put("road", m.method.map(|r| r.as_str().into()));
    put("start_us", Some(m.start.as_micros().into()));
    put("live_us", m.live.map(|live| live.as_micros().into()));
    put("end_us", Some(m.end.as_micros().into()));
    put("error", m.outcome.reason().map(Value::from));
    Value::Object(object)
}

#[cfg(feature = "host")]
impl ModuleRecord {
    /// Returns the object of the module in the record.
    pub(crate) fn to_json(&self) -> Value {
        module(self)
    }
}
