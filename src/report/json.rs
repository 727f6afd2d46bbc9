//! The record as one JSON object; docs/record.md describes its fields.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Record;
use crate::load::ModuleRecord;
use crate::sys::DeferredDevice;

impl Record {
    /// Returns the record as one line of JSON.
    pub fn to_json(&self) -> String {
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "kernel": self.kernel,
            "verdict": self.verdict.map(|v| v.to_string()),
            "init_boottime_ns": self.init_entry.as_nanos(),
            "time_ms": millis(self.time),
            "exit": self.exit,
            "root": self.root.to_json(),
            "network": self.network.as_ref().map(super::NetworkRecord::to_json),
            "modaliases": self.modaliases,
            "modules": self.modules.iter().map(module).collect::<Vec<_>>(),
            "uevents": {
                "received": self.uevents.received,
                "added": self.uevents.added,
                "lost": self.uevents.lost,
                "truncated": self.uevents.truncated,
                "gaps": self.uevents.gaps,
                "foreign": self.uevents.foreign,
                "scans": self.uevents.scans,
                "rescans": self.uevents.rescans,
            },
            "lookup_us": micros(self.lookup),
            "memory": {"init": self.memory.0, "loader": self.memory.1},
            "deferred": self.deferred.iter().map(deferred).collect::<Vec<_>>(),
            "phases_us": self.phases.iter().map(phase).collect::<Vec<_>>(),
            "warnings": self.warnings,
        })
        .to_string()
    }
}

/// Returns whole microseconds; they last for 584,000 years.
fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Returns whole milliseconds.
pub(super) fn millis(time: Duration) -> u64 {
    micros(time) / 1000
}

fn phase((name, end): &(&str, Duration)) -> Value {
    json!([name, micros(*end)])
}

fn deferred(d: &DeferredDevice) -> Value {
    json!({"device": d.device, "supplier": d.supplier, "reason": d.reason})
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
    put("name", text(m.name.as_str()));
    put("outcome", text(m.outcome.as_str()));
    put("why", text(&m.why));
    put("device", origin.and_then(|o| o.device.as_deref()).and_then(text));
    put("modalias", origin.and_then(|o| text(&o.request)));
    put("alias", origin.and_then(|o| o.pattern.as_deref()).and_then(text));
    put("path", m.path.as_deref().and_then(text));
    put("options", Some(m.options.as_str()).filter(|o| !o.is_empty()).and_then(text));
    put("road", m.method.map(|r| r.as_str().into()));
    put("start_us", Some(m.start.as_micros().into()));
    put("live_us", m.live.map(|live| live.as_micros().into()));
    put("end_us", Some(m.end.as_micros().into()));
    put("error", m.outcome.reason().map(Value::from));
    Value::Object(object)
}

impl ModuleRecord {
    /// Returns the object of the module in the record.
    pub fn to_json(&self) -> Value {
        module(self)
    }
}
