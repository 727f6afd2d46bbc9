//! The record as one JSON object; docs/record.md describes its fields.

use std::time::Duration;

use serde_json::{Map, Value};

use super::writer::JsonWriter;
use super::{MemoryUse, Record, UeventCounts};
use crate::escape;
use crate::load::{ModuleRecord, Point};
use crate::sys::{BootTime, DeferredDevice};

/// Version of the record. It is raised when the meaning of a field changes or a field goes.
const SCHEMA: u64 = 1;

impl Record {
    /// Returns the record as one line of JSON.
    pub(crate) fn to_json(&self) -> String {
        let mut json = JsonWriter::default();
        json.begin("", '{');
        json.number("schema", SCHEMA);
        json.text("version", env!("CARGO_PKG_VERSION"));
        json.text("kernel", &self.kernel);
        json.text_or_null("verdict", self.verdict.map(|v| v.to_string()).as_deref());
        json.number("init_boottime_ns", self.init_entry.as_nanos());
        json.number("time_ms", millis(self.time));
        json.literal(
            "exit",
            &self.exit.map_or_else(|| "null".to_owned(), |status| status.to_string()),
        );
        self.root.write(&mut json);
        match &self.network {
            Some(network) => network.write(&mut json),
            None => json.literal("network", "null"),
        }
        json.number_or_null("jobs", self.jobs.map(|jobs| jobs as u64));
        json.number("modaliases", self.modaliases);
        json.begin("modules", '[');
        self.modules.iter().for_each(|m| module(m, &mut json));
        json.end(']');
        uevents(&self.uevents, &mut json);
        json.number("lookup_us", micros(self.lookup));
        memory(&self.memory, &mut json);
        json.begin("deferred", '[');
        self.deferred.iter().for_each(|d| deferred(d, &mut json));
        json.end(']');
        kernel_times(&self.kernel_times, &mut json);
        json.begin("phases_us", '[');
        self.phases.iter().for_each(|(name, end)| json.pair(name, micros(*end)));
        json.end(']');
        self.waits.write(&mut json);
        json.text_or_null("switch", self.switch);
        json.text_or_null("previous", self.previous.as_deref());
        json.texts("warnings", &self.warnings);
        json.end('}');
        json.finish()
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

fn uevents(counts: &UeventCounts, json: &mut JsonWriter) {
    json.begin("uevents", '{');
    json.number("received", counts.received);
    json.number("added", counts.added);
    json.number("lost", counts.lost);
    json.number("truncated", counts.truncated);
    json.number("gaps", counts.gaps);
    json.number("foreign", counts.foreign);
    json.number("scans", counts.scans);
    json.number("rescans", counts.rescans);
    json.end('}');
}

fn memory(memory: &MemoryUse, json: &mut JsonWriter) {
    json.begin("memory", '{');
    json.number_or_null("init", memory.init);
    json.number_or_null("worker", memory.worker);
    json.number_or_null("available_start", memory.available_start);
    json.number_or_null("available_switch", memory.available_switch);
    json.end('}');
}

fn deferred(device: &DeferredDevice, json: &mut JsonWriter) {
    json.begin("", '{');
    json.text("device", &device.device);
    json.text_or_null("supplier", device.supplier.as_deref());
    json.text_or_null("reason", device.reason.as_deref());
    json.end('}');
}

/// Writes the pairs of times of the kernel; null if there are none.
fn kernel_times(times: &[(&str, BootTime)], json: &mut JsonWriter) {
    if times.is_empty() {
        return json.literal("kernel_us", "null");
    }
    json.begin("kernel_us", '[');
    times.iter().for_each(|(name, time)| json.pair(name, time.as_micros()));
    json.end(']');
}

/// Writes the object of one module, without fields that are unknown.
fn module(m: &ModuleRecord, json: &mut JsonWriter) {
    json.begin("", '{');
    json.text("name", &m.name.text());
    json.text("outcome", m.outcome.as_str());
    json.text("why", &m.why);
    put_text("requester", m.requester(), json);
    if let Some(origin) = &m.origin {
        put_text("device", origin.device.as_deref(), json);
        json.text("modalias", &origin.request);
        put_text("alias", origin.pattern.as_deref(), json);
        put_text("supplier_of", origin.supplier_of.as_deref(), json);
    }
    for (name, list) in [("needs", &m.needs), ("after", &m.after)] {
        if !list.is_empty() {
            json.modules(name, list);
        }
    }
    put_text("path", m.path.as_deref().map(escape::bytes).as_deref(), json);
    put_text("options", Some(&*escape::bytes(&m.options)).filter(|o| !o.is_empty()), json);
    put_text("method", m.method.map(|method| method.as_str()), json);
    put_number("lane", m.lane.map(|lane| lane as u64), json);
    put_time("queued_us", Some(m.queued).filter(|queued| *queued != BootTime::ZERO), json);
    put_time("start_us", Some(m.start), json);
    put_time("read_us", m.stamps.get(Point::Read), json);
    put_time("decoded_us", m.stamps.get(Point::Decoded), json);
    put_time("kernel_us", m.stamps.get(Point::Kernel), json);
    put_time("live_us", m.live, json);
    put_time("end_us", Some(m.end), json);
    put_number("size", m.size, json);
    put_text("error", m.outcome.reason().as_deref(), json);
    json.end('}');
}

fn put_text(name: &str, value: Option<&str>, json: &mut JsonWriter) {
    if let Some(value) = value {
        json.text(name, value);
    }
}

fn put_number(name: &str, value: Option<u64>, json: &mut JsonWriter) {
    if let Some(value) = value {
        json.number(name, value);
    }
}

fn put_time(name: &str, time: Option<BootTime>, json: &mut JsonWriter) {
    put_number(name, time.map(BootTime::as_micros), json);
}

impl ModuleRecord {
    /// Returns the object of the module in the record.
    pub(crate) fn to_json(&self) -> Value {
        let mut json = JsonWriter::default();
        module(self, &mut json);
        serde_json::from_str(&json.finish()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AddressOrigin, NetworkRecord, RootRecord, Verdict, Waits};
    use super::*;
    use crate::disk::seen::SeenDevice;
    use crate::load::{LoadError, LoadMethod, Origin, Outcome};
    use harness::record_check;
    use std::collections::BTreeSet;
    use std::net::Ipv4Addr;

    fn at(us: u64) -> BootTime {
        BootTime::from_nanos(us * 1000)
    }

    /// Returns a module with everything that is known of one.
    fn full_module() -> ModuleRecord {
        let mut module = ModuleRecord {
            origin: Some(Origin {
                device: Some("pci0/x".into()),
                request: "pci:v1".into(),
                pattern: Some("pci:*".into()),
                supplier_of: Some("pci0/y".into()),
            }),
            path: Some(b"kernel/a.ko".to_vec()),
            options: b"x=\xf6".to_vec(),
            needs: vec!["b".into()],
            after: vec!["c".into()],
            method: Some(LoadMethod::Init),
            lane: Some(3),
            queued: at(10),
            start: at(20),
            live: Some(at(60)),
            end: at(70),
            size: Some(4096),
            ..ModuleRecord::new(
                "a".into(),
                Outcome::Failed(LoadError::UnknownModule),
                "softdep of d".into(),
            )
        };
        for (point, us) in [(Point::Read, 30), (Point::Decoded, 40), (Point::Kernel, 50)] {
            module.stamps.set(point, at(us));
        }
        module
    }

    fn full_root() -> RootRecord {
        let seen = SeenDevice {
            name: "sda1".into(),
            size: 512,
            disk: Some("sda".into()),
            partition: Some(1),
            table: Some("gpt"),
            kinds: vec!["ext4"],
            uuid: Some("u".into()),
            label: Some("l".into()),
            part_uuid: Some("p".into()),
            part_label: Some("q".into()),
            error: Some("EIO".into()),
            links: vec!["disk/by-id/x".into()],
            ..SeenDevice::default()
        };
        RootRecord {
            spec: "LABEL=x".into(),
            slot: Some("A".into()),
            device: Some("/dev/sda1".into()),
            found: Some(at(90)),
            fstype: Some("ext4".into()),
            layers: vec!["verity".into()],
            failed: vec!["LABEL=y: no".into()],
            awaited: Some(("LABEL=x".into(), Duration::from_secs(1))),
            seen: vec![seen],
            near_misses: vec!["LABEL=X".into()],
            modules: vec!["ext4".into()],
        }
    }

    /// Returns a record with everything that a boot may record.
    fn full_record() -> Record {
        let address = Some(Ipv4Addr::LOCALHOST);
        let mut waits = Waits::default();
        waits.add("root device LABEL=x".into(), at(30), at(90));
        Record {
            kernel: "6.1".into(),
            init_entry: at(5),
            verdict: Some(Verdict::Ok),
            time: Duration::from_millis(3),
            root: full_root(),
            network: Some(NetworkRecord {
                interface: "eth0".into(),
                address,
                prefix: Some(8),
                origin: AddressOrigin::Dhcp,
                router: address,
                dhcp_server: address,
                next_server: address,
                root_path: Some("/r".into()),
            }),
            modules: vec![full_module()],
            modaliases: 9,
            uevents: UeventCounts { received: 1, scans: 2, ..UeventCounts::default() },
            phases: vec![("mounts", Duration::from_micros(2))],
            switch: Some("pivot_root"),
            lookup: Duration::from_micros(1),
            jobs: Some(4),
            waits,
            kernel_times: vec![("init", at(5))],
            memory: MemoryUse {
                init: Some(1),
                worker: Some(2),
                available_start: Some(3),
                available_switch: Some(4),
            },
            deferred: vec![DeferredDevice {
                device: "eth".into(),
                supplier: Some("clk".into()),
                reason: Some("why".into()),
            }],
            warnings: vec!["one".into()],
            previous: Some("verdict=no-root".into()),
            exit: Some(-1),
        }
    }

    fn parsed(record: &Record) -> Value {
        serde_json::from_str(&record.to_json()).unwrap()
    }

    #[test]
    fn records_fit_the_schema() {
        let empty = Record::default();
        let mut never_tried = full_record();
        never_tried.modules =
            vec![ModuleRecord::new("a".into(), Outcome::Blacklisted, "device".into())];
        for record in [empty, full_record(), never_tried] {
            let problems = record_check::problems(&parsed(&record));
            assert!(problems.is_empty(), "{problems:?}\n{}", record.to_json());
        }
    }

    /// Returns the names of the members of an object.
    fn names(object: &Value) -> BTreeSet<String> {
        object.as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn a_full_record_has_every_field_of_the_schema() {
        let (record, schema) = (parsed(&full_record()), record_check::schema());
        let root = &record["root"];
        for (object, place) in [
            (&record, "/properties"),
            (root, "/$defs/root/properties"),
            (&root["awaited"], "/$defs/awaited/properties"),
            (&root["seen"][0], "/$defs/seen/properties"),
            (&record["network"], "/$defs/network/properties"),
            (&record["modules"][0], "/$defs/module/properties"),
            (&record["uevents"], "/$defs/uevents/properties"),
            (&record["memory"], "/$defs/memory/properties"),
            (&record["deferred"][0], "/$defs/deferred/properties"),
            (&record["waits"][0], "/$defs/wait/properties"),
        ] {
            assert_eq!(names(object), names(schema.pointer(place).unwrap()), "{place}");
        }
    }

    /// Returns the words in backquotes of a text.
    fn quoted(text: &str) -> impl Iterator<Item = &str> {
        text.split('`').skip(1).step_by(2)
    }

    #[test]
    fn the_document_has_every_field_of_the_schema() {
        const DOCUMENT: &str = include_str!("../../docs/record.md");
        let schema = record_check::schema();
        let mut tables = DOCUMENT.split("| field | meaning |").skip(1);
        for (place, parts) in [
            ("/properties", &["network", "uevents", "memory", "deferred", "wait"][..]),
            ("/$defs/root/properties", &["awaited", "seen"]),
            ("/$defs/module/properties", &[]),
        ] {
            let rows = tables.next().unwrap().lines().skip(2).take_while(|l| l.starts_with('|'));
            let rows: Vec<&str> = rows.collect();
            let fields = rows.iter().flat_map(|row| quoted(row.split('|').nth(1).unwrap()));
            let fields: BTreeSet<String> = fields.map(str::to_owned).collect();
            assert_eq!(fields, names(schema.pointer(place).unwrap()), "{place}");
            let named: BTreeSet<&str> = rows.iter().flat_map(|row| quoted(row)).collect();
            for part in parts {
                let members = schema.pointer(&format!("/$defs/{part}/properties")).unwrap();
                for name in names(members) {
                    assert!(named.contains(name.as_str()), "`{name}` of `{part}`");
                }
            }
        }
    }
}
