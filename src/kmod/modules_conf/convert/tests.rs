use proptest::prelude::*;

use super::super::{Machine, is_modules_conf, lines};
use super::*;
use crate::kmod::conf::Config;

fn converted(text: &str) -> Converted {
    let files = [("/etc/more", "alias more m0re\n"), ("/etc/b\u{fc}", "x\n")];
    convert("m", text.as_bytes(), &Machine(files.into()))
}

/// Returns the lines that are neither empty nor comments.
fn effective(text: &str) -> String {
    let converted = converted(text);
    assert_eq!(converted.invalid, [], "{text}");
    let lines = converted.lines.iter().map(|line| line.text.as_str());
    lines.filter(|l| !l.is_empty() && !l.starts_with('#')).collect::<Vec<_>>().join("\n")
}

#[test]
fn aliases_and_lists() {
    for (text, want) in [
        ("alias eth0 3c59x", "alias eth0 3c59x"),
        ("alias eth0 ne\nalias eth0 3c59x", "alias eth0 3c59x"),
        ("alias a b\nalias b c", "alias a c\nalias b c"),
        ("alias net-pf-10 off\nalias a null", "install net-pf-10 /bin/true\ninstall a /bin/true"),
        ("probeall scsi_hostadapter aic7xxx", "alias scsi_hostadapter aic7xxx"),
        ("probeall s a b\nadd probeall s c", "alias s a\nalias s b\nalias s c"),
        ("probeall s a\nprobeall s b", "alias s b"),
        ("probe eth0 ne 3c59x", "install eth0 /sbin/modprobe ne || /sbin/modprobe 3c59x"),
        (
            "alias /dev/sg* /dev/sg\nprobeall /dev/sg hosts sg",
            "alias /dev/sg* hosts\nalias /dev/sg* sg\nalias /dev/sg hosts\nalias /dev/sg sg",
        ),
        ("alias s x\nprobeall s a", "alias s a"),
        ("probe s a\nprobeall s b c", "alias s b\nalias s c"),
    ] {
        assert_eq!(effective(text), want, "{text}");
    }
}

#[test]
fn options_of_an_alias_override_those_of_the_module() {
    for (text, want) in [
        ("options sb io=0x220 irq=5", "options sb io=0x220 irq=5"),
        ("options -k sb io=1", "options sb io=1"),
        ("options a x='b c' \"y=1\" z=\"\"", "options a x=\"b c\" y=1 z="),
        ("options a x=1\noptions a y=2", "options a y=2"),
        ("options a x=1\nadd options a y=2", "options a x=1\noptions a y=2"),
        ("options dummy0 -o dummy0 a=1 b c=2", "options dummy0 a=1"),
        ("options a -o x", ""),
        ("options a \"b c=1\" =2", ""),
        ("options a x=1\noptions a", ""),
        // Of two values of a parameter the kernel uses the last, modutils that of the alias.
        ("alias e m\noptions e x=1\noptions m x=2", "alias e m\noptions m x=2\noptions e x=1"),
        (
            "alias a b\nalias b c\noptions a x=1\noptions b x=2\noptions c x=3",
            "alias a c\nalias b c\noptions c x=3\noptions b x=2\noptions a x=2\noptions a x=1",
        ),
        ("alias a off\noptions a x=1", "install a /bin/true"),
        ("probe a b c\noptions a x=1", "install a /sbin/modprobe b || /sbin/modprobe c"),
        ("options a x=b\\\\c", "options a x=bc"),
        ("options a x=\"b\\c\"", "options a x=b\\\\c"),
    ] {
        assert_eq!(effective(text), want, "{text}");
    }
}

#[test]
fn a_module_gets_one_line() {
    let own = "/sbin/modprobe --ignore-install m $CMDLINE_OPTS";
    for (text, want) in [
        ("above m a b", "softdep m post: b a".to_owned()),
        ("below m a b\nabove m c", "softdep m pre: b a post: c".into()),
        ("above m a\nabove m b", "softdep m post: b".into()),
        ("above m a\nadd above m b a", "softdep m post: b a".into()),
        ("above m a\nabove m", "".into()),
        ("install m /bin/x $y \\\\\"z\\\"", "install m /bin/x $y \\\\\\\\\"z\\\\\"".into()),
        ("install m one\ninstall m two", "install m one".into()),
        ("post-install m x || :", format!("install m {own} && ( x || : )")),
        ("pre-install m y &\npost-install m x", format!("install m ( y & ) && {own} && ( x )")),
        ("install m i\npost-install m x", "install m ( i ) && ( x )".into()),
        (
            "pre-remove m x\npost-remove m y",
            "remove m ( x ) && /sbin/modprobe -r --ignore-remove m && ( y )".into(),
        ),
        ("remove m x", "remove m x".into()),
        (
            "below m a b\npost-install m x\nabove m c",
            format!(
                "install m /sbin/modprobe -q b; /sbin/modprobe -q a; {own} \
                 && ( x ) && {{ /sbin/modprobe -q c; :; }}\n\
                 remove m /sbin/modprobe -r -q c; /sbin/modprobe -r --ignore-remove m"
            ),
        ),
        (
            "alias e m\npost-install e x\nabove e c",
            format!(
                "alias e m\ninstall m {own} && ( x ) && {{ /sbin/modprobe -q c; :; }}\n\
                 remove m /sbin/modprobe -r -q c; /sbin/modprobe -r --ignore-remove m"
            ),
        ),
        ("alias e off\npost-install e x", "install e /bin/true".into()),
        ("probeall p a b\nabove p x", "alias p a\nalias p b".into()),
        (
            "define A \"a'b\"\nremove m echo $AB${A}",
            "remove m export A='a'\\\\''b'; echo $AB${A}".into(),
        ),
        ("remove m modprobe -k x", "remove m modprobe x".into()),
    ] {
        assert_eq!(effective(text), want, "{text}");
    }
}

#[test]
fn lines_without_effect_become_comments() {
    let text = "# head\\\n\nkeep  # why\nif -k\nalias a b\nendif\nfrob\ninclude /etc/more\n\
                options a x=`date`\nalias c d\nalias d c\nalias a x\nalias a y";
    let converted = converted(text);
    let lines: Vec<String> =
        converted.lines.iter().map(|l| format!("{}:{} {}", l.file, l.line, l.text)).collect();
    assert_eq!(
        lines,
        [
            "m:1 # head\\\\",
            "m:2 ",
            "m:3 # why",
            "m:3 # keep  # it applies to 'path' only",
            "m:4 # if -k  # '-k' depends on the caller of modprobe: all branches are ignored",
            "m:5 # alias a b  # undecided",
            "m:6 # endif",
            "m:7 # frob  # invalid: unknown keyword 'frob'",
            "m:8 # include /etc/more  # included lines follow",
            "/etc/more:1 alias more m0re",
            "m:9 # options a x=`date`  # command `date` is not run: the line is ignored",
            "m:10 # alias c d  # c is an alias cycle, or a chain of more than 500 names",
            "m:11 # alias d c  # d is an alias cycle, or a chain of more than 500 names",
            "m:12 # alias a x  # replaced by a later line",
            "m:13 alias a y",
        ]
    );
    let shown = |list: &[Warning]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        shown(&converted.invalid),
        [
            "m line 7: unknown keyword 'frob'",
            "m line 10: c is an alias cycle, or a chain of more than 500 names",
            "m line 11: d is an alias cycle, or a chain of more than 500 names",
        ]
    );
    assert_eq!(
        shown(&converted.undecided),
        [
            "m line 4: '-k' depends on the caller of modprobe: all branches are ignored",
            "m line 9: command `date` is not run: the line is ignored",
        ]
    );
}

/// Generates lines, valid and invalid.
fn line() -> impl Strategy<Value = String> {
    let word = "[a-d]|off|null|eth0|-k|-o|x=1|y='a b'|\\$A|\\$\\{A\\}|`uname -r`|`x`|\
                \"|'|\\\\|/etc/more|[ -~]{0,4}";
    let keyword = "alias|options|add options|above|below|add above|probe|probeall|add probeall|\
                   add probe|install|pre-install|post-install|remove|pre-remove|post-remove|\
                   if|if !|if -f|if -n|else|elseif|endif|define|include|path\\[x\\]=|keep|prune|\
                   insmod_opt=|#|\\PC{0,5}";
    (keyword, prop::collection::vec(word, 0..5), "|\\\\|#x|\r| \\\\ ")
        .prop_map(|(keyword, words, end)| format!("{keyword} {}{end}", words.join(" ")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn every_line_is_converted_commented_or_reported(
        text in prop::collection::vec(line(), 0..14),
    ) {
        let text = text.join("\n");
        let converted = converted(&text);
        for line in lines::lines(text.as_bytes()) {
            let has_text = !line.text.trim().is_empty() || !line.comments.is_empty();
            let here = |l: &&Output| l.file == "m" && l.line == line.number;
            let mine: Vec<&Output> = converted.lines.iter().filter(here).collect();
            let is_present = mine.iter().any(|l| !l.text.is_empty());
            prop_assert!(!has_text || is_present, "{}: {text}", line.number);
        }
        // The result is valid modprobe.d and is not detected as modules.conf.
        let out = converted.to_string();
        let (mut config, mut warnings) = (Config::default(), Vec::new());
        config.add_file("out", out.as_bytes(), &mut warnings);
        prop_assert_eq!(warnings, [], "{}", out);
        prop_assert!(!is_modules_conf(out.as_bytes()), "{}", out);
        let kept = out.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).count();
        let read = config.aliases.len() + config.options.len() + config.install.len()
            + config.remove.len() + config.softdeps.len();
        prop_assert_eq!(kept, read, "{}", out);
    }

    #[test]
    fn any_bytes_are_converted(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let converted = convert("m", &bytes, &Machine::default());
        let mut warnings = Vec::new();
        Config::default().add_file("out", converted.to_string().as_bytes(), &mut warnings);
        prop_assert_eq!(warnings, []);
        is_modules_conf(&bytes);
    }
}
