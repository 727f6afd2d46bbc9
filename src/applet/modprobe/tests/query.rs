//! Queries: the configuration, aliases and symbols.

use super::*;

#[test]
fn queries_load_nothing() {
    check("", "", "-R dev:x:y", (true, "x\ny\n"), "");
    check("", "", "--show-alias inside", (true, "inside\n"), "");
    let machine = Machine::new(
        "softdep s pre: p q post: r\nbad line\nblacklist u-v\noptions o  x\nweakdep w k\n\
         mask m-*\nrule merge-softdeps",
    );
    let (success, output) = machine.modprobe("-c");
    let errors =
        "modprobe: ERROR: /etc/modprobe.d/t.conf line 2: ignoring bad line starting with 'bad'\n";
    let config = "blacklist u_v\nmask m_*\nrule merge-softdeps\noptions o  x\n\
                  softdep s pre: p q post: r\nweakdep w k\n\n\
                  # End of configuration files. Dumping indexes now:\n\n\
                  alias dev:*y y\nalias dev:x* x\n";
    assert_eq!((success, output), (true, format!("{errors}{config}")));
    assert_eq!(
        machine.modprobe("--show-exports x").1.lines().last(),
        Some("modprobe: FATAL: could not get symbols of x: Exec format error")
    );
}

#[test]
fn the_configuration_is_printed_as_json() {
    let machine = Machine::new(
        "softdep s pre: p post: r\nblacklist u-v\noptions o x=\"1\"\nweakdep w k l\nmask m-*\n\
         install i /bin/true\nremove i /bin/false\nalias x* o\nrule install-first\n",
    );
    machine.put("proc/cmdline", "module_blacklist=kb\n");
    let (success, output) = machine.modprobe("-c --json");
    let value: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert!(success);
    assert_eq!(
        value,
        serde_json::json!({
            "alias": [{"pattern": "x*", "module": "o"}],
            "blacklist": ["u_v"],
            "index_alias": [
                {"pattern": "dev:*y", "module": "y"}, {"pattern": "dev:x*", "module": "x"},
            ],
            "install": [{"module": "i", "command": "/bin/true"}],
            "kernel_blacklist": ["kb"],
            "mask": [{"module": "m_*", "place": "/etc/modprobe.d/t.conf line 5"}],
            "options": [{"module": "o", "options": "x=\"1\""}],
            "remove": [{"module": "i", "command": "/bin/false"}],
            "rule": ["install-first"],
            "softdep": [{"module": "s", "pre": ["p"], "post": ["r"]}],
            "weakdep": [{"module": "w", "names": ["k", "l"]}],
        })
    );
    let want = "modprobe: ERROR: --json requires --show-config\n";
    assert_eq!(machine.modprobe("--json x"), (false, want.to_owned()));
}
