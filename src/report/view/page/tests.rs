use super::super::super::saved::tests::record;
use super::*;

const FLEET: &str = include_str!("../../../../qemu-tests/data/records/fleet.json");
/// A boot with few threads.
const VIRTIO: &str = include_str!("../../../../qemu-tests/data/records/virtio.json");
/// A boot of the fleet machine by version 0.1.0, which recorded no threads.
const OLD_FLEET: &str = include_str!("../../../../qemu-tests/data/records/fleet-0.1.0.json");

/// A record whose texts and numbers are meant to do harm.
const HOSTILE: &str = r#""kernel": "</title><script>alert(1)</script>", "verdict": "\"><img src=x>",
    "init_boottime_ns": 18446744073709551615, "time_ms": 1e300, "version": "\u0000\u001b[2J",
    "warnings": ["</li></ul><script>alert(2)</script>"], "waits": [
    {"for": "</text><script>", "from_us": 5, "to_us": 1}],
    "phases_us": [["</title>", 5], ["b", 3], ["c", "NaN"]], "kernel_us": [["<b>", 1]],
    "deferred": [{"device": "<i>", "supplier": "&amp;"}], "modules": [
    {"name": "</script><script>alert(3)</script>", "outcome": "loaded", "start_us": 9, "end_us": 2,
     "device": "' onload='alert(4)", "modalias": "\" onfocus=\"alert(5)", "alias": "-->"},
    {"name": "\ud83d\ude00\u202e\ufffe", "outcome": "failed", "start_us": 1, "live_us": -7,
     "end_us": 18446744073709551615, "lane": 18446744073709551615, "needs": ["a", 7, null]},
    {"name": "", "outcome": "<", "start_us": 2.5, "end_us": []}]"#;

/// Returns the names of all tags of a document, and fails if one is not closed in order.
fn tags(document: &str) -> Vec<String> {
    let is_void = |tag: &str| matches!(tag, "meta" | "input" | "!DOCTYPE");
    let (mut open, mut tags) = (Vec::new(), Vec::new());
    let mut rest = document;
    while let Some((_, after)) = rest.split_once('<') {
        let (tag, after) = after.split_once('>').unwrap();
        rest = after;
        let name = tag.split([' ', '\n', '/']).find(|word| !word.is_empty()).unwrap().to_owned();
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop().as_deref(), Some(name), "before {after:.200}"),
            None if tag.ends_with('/') || is_void(&name) => {}
            None => {
                if matches!(name.as_str(), "script" | "style") {
                    rest = after.split_once(&format!("</{name}>")).unwrap().1;
                } else {
                    open.push(name.clone());
                }
            }
        }
        tags.push(name);
    }
    assert!(open.is_empty(), "{open:?}");
    tags
}

#[test]
fn texts_of_a_record_add_no_element() {
    for document in [page(&record(HOSTILE)), chart(&record(HOSTILE))] {
        let tags = tags(&document);
        let scripts = tags.iter().filter(|tag| *tag == "script").count();
        assert!(scripts <= 1 && !tags.iter().any(|tag| tag == "img" || tag == "i" || tag == "b"));
        for text in ["\" onfocus", "' onload", "<script>alert"] {
            assert!(!document.contains(text), "{text}");
        }
        assert!(document.chars().all(|c| c == '\n' || !c.is_control()));
    }
}

#[test]
fn documents_are_well_formed_and_whole() {
    let real = [FLEET, OLD_FLEET, VIRTIO].map(|json| SavedRecord::parse(json).unwrap());
    for record in [record(r#""modules": []"#), record(HOSTILE)].iter().chain(&real) {
        tags(&page(record));
        let chart = chart(record);
        tags(&chart);
        assert!(!chart.contains("NaN") && !chart.contains("inf"), "{chart:.500}");
    }
    for (record, line) in real.into_iter().zip([">lane 1<", ">lane 1<", ">thread 1<"]) {
        let page = page(&record);
        for module in record.modules.iter().filter(|module| module.load.is_some()) {
            let bar = format!("aria-label=\"{}: {}", module.name, module.outcome);
            assert!(page.contains(&bar), "{bar}");
        }
        assert!(page.contains(line), "{line}");
        assert!(
            !page.contains("http://") || page.matches("http://").count() == 1,
            "only the name of SVG"
        );
    }
}

/// A row takes the focus if no bar leads to it.
#[test]
fn each_module_can_be_reached_by_keyboard() {
    let mut modules = vec![
        r#"{"name": "drawn", "start_us": 1, "end_us": 9}"#.to_owned(),
        r#"{"name": "late", "start_us": 2000, "end_us": 2001}"#.to_owned(),
        r#"{"name": "waiting"}"#.to_owned(),
    ];
    modules.extend((0..64).map(|n| format!(r#"{{"name": "m{n}", "start_us": 2, "end_us": 9}}"#)));
    let record = record(&format!(r#""time_ms": 1, "modules": [{}]"#, modules.join(", ")));
    let page = page(&record);
    for (name, focus) in [("drawn", -1), ("late", 0), ("waiting", 0), ("m62", -1), ("m63", 0)] {
        let head = |mark| format!("<th scope=\"row\" tabindex=\"{focus}\">{name}{mark}</th>");
        assert!(page.contains(&head("")) || page.contains(&head("\u{a0}\u{25c6}")), "{name}");
    }
}

/// Most time for all views of a hostile record. They take seconds at most.
const MAX_VIEW_TIME: std::time::Duration = std::time::Duration::from_secs(60);

#[test]
fn a_large_hostile_record_takes_little_time() {
    let (slashes, names) = ("/".repeat(1 << 20), vec![r#""m""#; 100_000].join(", "));
    let deep = "/".repeat(4000);
    let module = |n: u64| {
        let device = if n < 20 { &slashes } else { &deep };
        let (queued, start, end) = (n * 3 + 1, n * 3 + 2, n * 3 + 3);
        format!(
            r#"{{"name": "m{n}", "outcome": "loaded", "device": "{device}", "modalias": "a:b",
            "needs": ["m{}", "m0"], "queued_us": {queued}, "start_us": {start}, "end_us": {end}}}"#,
            n + 1
        )
    };
    let modules: Vec<_> = (0..1000).map(module).collect();
    let record = record(&format!(
        r#""root": {{"modules": [{names}], "layers": [{names}], "spec": "{slashes}", "found_us": 6000}},
        "time_ms": 7, "phases_us": [["root device", 6000], ["load", 7000]], "warnings": [{names}],
        "waits": [{{"for": "{slashes}", "from_us": 1, "to_us": 7000}}], "modules": [{}]"#,
        modules.join(", ")
    ));
    let started = std::time::Instant::now();
    assert!(page(&record).contains("m999") && chart(&record).contains("m999"));
    assert!(crate::report::view::tree(&record, None).unwrap().contains("m999"));
    assert!(!crate::report::view::critical(&record).is_empty());
    let took = started.elapsed();
    assert!(took < MAX_VIEW_TIME, "{took:?}");
}

#[test]
fn thousands_of_modules_are_shown() {
    let modules: Vec<String> = (0..5000u64)
        .map(|n| {
            format!(
                r#"{{"name": "m{n}", "outcome": "loaded", "start_us": {}, "end_us": {}}}"#,
                n + 1,
                n + 9
            )
        })
        .collect();
    let record = record(&format!(r#""time_ms": 6, "modules": [{}]"#, modules.join(", ")));
    assert!(page(&record).contains("m4999"));
    assert!(chart(&record).contains("m4999: loaded"));
}

/// The policy of the page names its script by its hash.
#[cfg(feature = "stacks")]
#[test]
fn the_policy_allows_the_script() {
    assert_eq!(sha256_base64(SCRIPT.as_bytes()), SCRIPT_HASH);
}

#[cfg(feature = "stacks")]
fn sha256_base64(bytes: &[u8]) -> String {
    use sha2::Digest;
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = |three: &[u8]| {
        let number = three.iter().chain(&[0, 0]).take(3).fold(0, |n, b| n << 8 | usize::from(*b));
        let digit = |at| char::from(DIGITS[number >> (18 - 6 * at) & 63]);
        (0..=three.len()).map(digit).collect::<String>()
    };
    sha2::Sha256::digest(bytes).chunks(3).map(digits).collect::<String>() + "="
}
