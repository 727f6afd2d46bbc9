//! `--json`: one object per module, all in one array.

use serde_json::{Map, Value};

use super::Info;
use crate::escape;
use crate::kmod::modinfo::{self, Parameter};
use crate::report::json::object;

/// Returns the object of a module: the fields for which `shows` returns true, each with its values
/// in order.
pub(super) fn module(
    name: &str,
    filename: Option<&[u8]>,
    info: &Info,
    shows: &dyn Fn(&[u8]) -> bool,
) -> Value {
    let mut members = vec![("module", name.into()), ("builtin", filename.is_none().into())];
    if shows(b"filename") {
        members.push(("filename", filename.map(text).into()));
    }
    members.push(("fields", fields(info, shows)));
    if shows(b"parm") {
        let parameters = modinfo::parameters(&info.strings()).0;
        members.push(("parameters", parameters.iter().map(parameter).collect()));
    }
    object(members)
}

/// Returns all fields except the parameters, by name.
fn fields(info: &Info, shows: &dyn Fn(&[u8]) -> bool) -> Value {
    let mut fields: Map<String, Value> = Map::new();
    for (key, value) in info.pairs() {
        if matches!(key, b"parm" | b"parmtype") || !shows(key) {
            continue;
        }
        let values = fields.entry(text(key)).or_insert_with(|| Vec::<Value>::new().into());
        if let Value::Array(values) = values {
            values.push(text(value).into());
        }
    }
    Value::Object(fields)
}

fn parameter(parameter: &Parameter<'_>) -> Value {
    object(vec![
        ("name", text(parameter.name).into()),
        ("description", parameter.description.map(text).into()),
        ("type", parameter.kind.map(text).into()),
    ])
}

/// Returns text for JSON, in which a byte that is not UTF-8 is written `\xf6`.
fn text(bytes: &[u8]) -> String {
    escape::bytes(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_lists_and_parameters_objects() {
        let strings = ["license=GPL", "alias=a", "parm=p:text", "parmtype=p:int", "alias=b"];
        let info = Info {
            strings: strings.iter().map(|s| s.as_bytes().to_vec()).collect(),
            extra: vec![("sig_key", b"0A:FF".to_vec())],
        };
        assert_eq!(
            module("m", Some(b"/m.ko"), &info, &|_| true),
            json!({
                "module": "m",
                "builtin": false,
                "filename": "/m.ko",
                "fields": {"license": ["GPL"], "alias": ["a", "b"], "sig_key": ["0A:FF"]},
                "parameters": [{"name": "p", "description": "text", "type": "int"}],
            })
        );
        assert_eq!(
            module("m", None, &info, &|key| key == b"alias"),
            json!({"module": "m", "builtin": true, "fields": {"alias": ["a", "b"]}})
        );
    }
}
