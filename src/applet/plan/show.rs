//! A simulated boot as text and as JSON.

use serde_json::{Map, Value, json};

use crate::applet::scan::source_name;
use crate::applet::table::{Row, table};
use crate::escape;
use crate::kmod::catalog::Match;
use crate::load::{ModuleRecord, Outcome};
use crate::machine::capture::Device;
use crate::scan::simulation::SimulatedBoot;

/// Returns the text: a section with the modules that are loaded, in order, and sections with all
/// others and the reason for each.
pub(super) fn to_text(release: &str, boot: &SimulatedBoot<'_>) -> String {
    let loaded = with(boot, Outcome::is_live);
    let mut text = format!("loaded with kernel {release}, in this order ({})\n", loaded.len());
    let rows: Vec<Row> = loaded.iter().enumerate().map(|(at, m)| loaded_row(at, m, boot)).collect();
    text += &table("  ", &rows);
    let builtin = builtin(boot).into_iter().map(|(device, found)| builtin_row(device, found));
    section(&mut text, "builtin", builtin.collect());
    let rows = |modules: Vec<&ModuleRecord>| modules.iter().map(|m| not_loaded(m, boot)).collect();
    section(&mut text, "excluded", rows(with(boot, is_excluded)));
    section(&mut text, "not loaded", rows(with(boot, |o| !o.is_live() && !is_excluded(o))));
    let none = unmatched(boot).into_iter().map(|device| {
        let driver = device.driver.clone().unwrap_or_else(|| "-".to_owned());
        vec![device.path.clone(), driver, device.modalias.text().into_owned()]
    });
    section(&mut text, "devices without a module", none.collect());
    section(&mut text, "warnings", boot.warnings.iter().map(|w| vec![w.clone()]).collect());
    text
}

fn section(text: &mut String, title: &str, rows: Vec<Row>) {
    if !rows.is_empty() {
        text.push_str(&format!("\n{title} ({})\n", rows.len()));
        text.push_str(&table("  ", &rows));
    }
}

fn with<'a>(boot: &'a SimulatedBoot<'_>, test: fn(&Outcome) -> bool) -> Vec<&'a ModuleRecord> {
    boot.modules.iter().filter(|module| test(&module.outcome)).collect()
}

fn is_excluded(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Blacklisted | Outcome::Disabled | Outcome::Masked(_))
}

/// Returns the devices whose modules are builtin, each with the first of these.
fn builtin<'a>(boot: &'a SimulatedBoot<'_>) -> Vec<(&'a Device, &'a Match)> {
    let first = |found: &'a [Match]| found.first().filter(|found| found.is_builtin());
    boot.devices.iter().filter_map(|(device, found)| Some((*device, first(found)?))).collect()
}

fn unmatched<'a>(boot: &SimulatedBoot<'a>) -> Vec<&'a Device> {
    boot.devices.iter().filter(|(_, found)| found.is_empty()).map(|(device, _)| *device).collect()
}

fn loaded_row(at: usize, module: &ModuleRecord, boot: &SimulatedBoot<'_>) -> Row {
    let mut why = reason(module, boot);
    if module.outcome == Outcome::Commanded {
        why += ", by its install command";
    }
    if !module.options.is_empty() {
        why += &format!("; options {}", escape::bytes(&module.options));
    }
    vec![format!("{:>3}", at + 1), module.name.to_string(), why]
}

fn builtin_row(device: &Device, found: &Match) -> Row {
    let pattern = found.pattern.as_deref().unwrap_or_default();
    let alias = format!("{pattern} ({})", source_name(found.source));
    vec![found.module.to_string(), device.path.clone(), alias]
}

fn not_loaded(module: &ModuleRecord, boot: &SimulatedBoot<'_>) -> Row {
    let what = match &module.outcome {
        Outcome::Missing => {
            format!("no file {}", escape::bytes(module.path.as_deref().unwrap_or_default()))
        }
        other => other.reason().unwrap_or_else(|| other.as_str().to_owned()),
    };
    vec![module.name.to_string(), what, reason(module, boot)]
}

/// Returns why a module is wanted: the device and the alias that matched, or another module.
fn reason(module: &ModuleRecord, boot: &SimulatedBoot<'_>) -> String {
    let Some(origin) = &module.origin else { return module.why.clone() };
    let Some(device) = &origin.device else { return format!("requested as {}", origin.request) };
    let mut reason = match &origin.pattern {
        Some(pattern) => {
            let source = source(module, device, boot).unwrap_or("an alias");
            format!("{device} by {pattern} ({source})")
        }
        None => format!("{device} has {}", origin.request),
    };
    if let Some(consumer) = &origin.supplier_of {
        reason += &format!(", supplier of {consumer}");
    }
    reason
}

/// Returns the source of the alias by which `device` matched `module`.
fn source(module: &ModuleRecord, device: &str, boot: &SimulatedBoot<'_>) -> Option<&'static str> {
    let (_, found) = boot.devices.iter().find(|(d, _)| d.path == device)?;
    Some(source_name(found.iter().find(|f| f.module == module.name)?.source))
}

/// Returns one JSON object, with the modules as in the record of a boot, but without times.
pub(super) fn to_json(release: &str, boot: &SimulatedBoot<'_>) -> String {
    let builtin = builtin(boot).into_iter().map(|(device, found)| {
        json!({
            "name": found.module.text(),
            "device": device.path,
            "modalias": device.modalias.text(),
            "alias": found.pattern,
            "source": source_name(found.source),
        })
    });
    let unmatched = unmatched(boot).into_iter().map(|device| {
        json!({
            "device": device.path,
            "modalias": device.modalias.text(),
            "driver": device.driver,
        })
    });
    json!({
        "kernel": release,
        "modules": boot.modules.iter().map(|m| module(m, boot)).collect::<Vec<_>>(),
        "builtin": builtin.collect::<Vec<_>>(),
        "unmatched": unmatched.collect::<Vec<_>>(),
        "warnings": boot.warnings,
    })
    .to_string()
}

fn module(module: &ModuleRecord, boot: &SimulatedBoot<'_>) -> Value {
    let Value::Object(fields) = module.to_json() else { return Value::Null };
    // Nothing is loaded, and the order of the steps shows what waits for what.
    let is_kept = |(key, _): &(String, Value)| {
        let is_order = matches!(&**key, "lane" | "needs" | "after" | "requester");
        !key.ends_with("_us") && key != "method" && !is_order
    };
    let mut fields: Map<String, Value> = fields.into_iter().filter(is_kept).collect();
    let device = module.origin.as_ref().and_then(|origin| origin.device.as_deref());
    if let Some(source) = device.and_then(|device| source(module, device, boot)) {
        fields.insert("source".to_owned(), source.into());
    }
    Value::Object(fields)
}
