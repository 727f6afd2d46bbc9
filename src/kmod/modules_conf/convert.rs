//! What counts of a modules.conf, as lines of modprobe.d(5).
//!
//! ```text
//! alias A B, alias B M         alias A M, alias B M
//! alias A off                  install A /bin/true
//! probeall A M N               alias A M, alias A N
//! probe A M N                  install A modprobe M || modprobe N
//! options A …                  options A …, below those of the modules that A stands for
//! above M A B, below M C D     softdep M pre: D C post: B A
//! pre-install, post-install…   install M ( pre ) && modprobe --ignore-install M $CMDLINE_OPTS && ( post )
//! ```
//!
//! What modutils did when a module was asked for by an alias is done whenever the module is loaded: modprobe.d has
//! commands and softdeps of modules only. Of a module's softdeps only the first line counts there, and a softdep
//! cancels its install command; so a module gets one line in which everything is.

use std::fmt;

use super::Outside;
use super::group::Group;
use super::names::{List, Names, Target, is_nothing, key};
use super::reader::{self, Fate, Item};
use super::statement::{Statement, When, is_parameter};
use super::table::Table;
use super::words::Variables;
use crate::kmod::Warning;

/// A line of modprobe.d, and the line it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The file of that, as it was given or included.
    pub file: String,
    /// Its number there; that of its last physical line.
    pub line: usize,
    /// The text, without a newline.
    pub text: String,
}

/// A modules.conf in modprobe.d's language.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Converted {
    /// The lines; every line of the input that says something has one at least.
    pub lines: Vec<Output>,
    /// Lines that are not of the language. They stand among `lines` as comments.
    pub wrong: Vec<Warning>,
    /// Lines that do not count as it is not known whether they should, also comments there.
    pub unsure: Vec<Warning>,
}

impl fmt::Display for Converted {
    /// The lines, each with its newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{}", line.text))
    }
}

/// Converts `text`, which is what `file` holds. `outside` answers what it asks of the machine; no command is run.
pub fn convert(file: &str, text: &[u8], outside: &dyn Outside) -> Converted {
    let (items, variables) = reader::read(file, text, outside);
    let slots = vec![Slot::default(); items.len()];
    let mut converter = Converter { variables, slots, ..Converter::default() };
    for step in [Converter::take, Converter::group, Converter::line] {
        for (at, item) in items.iter().enumerate() {
            if let (Fate::Counts(statement), None) = (&item.fate, &converter.slots[at].why) {
                step(&mut converter, at, statement);
            }
        }
    }
    collect(items, converter.slots)
}

const CIRCLE: &str = "goes in a circle, or too far";

/// What a statement comes to.
#[derive(Debug, Clone, Default)]
struct Slot {
    lines: Vec<String>,
    /// Why it has no line of its own.
    why: Option<String>,
    /// Set where that is its own fault.
    wrong: bool,
    /// Options of names that lead here, each with how far.
    later: Vec<(usize, String)>,
}

impl Slot {
    /// Adds a line that comes from so far, behind those that come from less far.
    fn later(&mut self, far: usize, line: String) {
        let at = self.later.partition_point(|(other, _)| *other <= far);
        self.later.insert(at, (far, line));
    }
}

/// A key for what a line sets.
fn setting(word: &str, name: &str) -> String {
    [word, &key(name)].join(" ")
}

#[derive(Debug, Default)]
struct Converter {
    names: Names,
    variables: Variables,
    /// The items that count for what they set, by that: its word, and a name.
    live: Table<Vec<usize>>,
    /// By module.
    groups: Table<Group>,
    /// The names that lead through an alias, by that.
    through: Table<Vec<String>>,
    slots: Vec<Slot>,
}

/// What later lines with the same name replace or add to, and whether this one adds.
fn sets(statement: &Statement) -> Option<(&'static str, &str, bool)> {
    Some(match statement {
        Statement::Alias { name, .. } => ("alias", name, false),
        Statement::Options { name, add, .. } => ("options", name, *add),
        Statement::Pull { above: true, name, add, .. } => ("above", name, *add),
        Statement::Pull { above: false, name, add, .. } => ("below", name, *add),
        Statement::Probe { all: true, name, add, .. } => ("probeall", name, *add),
        Statement::Probe { all: false, name, add, .. } => ("probe", name, *add),
        Statement::Command { when, name, .. } => (word(*when), name, false),
        Statement::Nothing(_) => return None,
    })
}

fn word(when: When) -> &'static str {
    match when {
        When::PreInstall => "pre-install",
        When::Install => "install",
        When::PostInstall => "post-install",
        When::PreRemove => "pre-remove",
        When::Remove => "remove",
        When::PostRemove => "post-remove",
    }
}

impl Converter {
    /// Takes in a statement that counts.
    fn take(&mut self, at: usize, statement: &Statement) {
        let Some((word, name, add)) = sets(statement) else { return };
        let live = self.live.of(&setting(word, name));
        if !live.is_empty() && !add {
            // Of commands the first counts, of all else the last.
            if matches!(statement, Statement::Command { .. }) {
                self.slots[at].why = Some("the first such line counts".into());
                return;
            }
            for old in live.drain(..) {
                self.slots[old].why = Some("replaced below".into());
            }
        }
        live.push(at);
        match statement {
            Statement::Alias { name, result } => {
                result.clone_into(self.names.aliases.of(&key(name)))
            }
            Statement::Probe { all, name, words, add } => {
                let list = self.names.lists.of(&key(name));
                // A list of the other kind gives way.
                if !add || list.all != *all {
                    *list = List { all: *all, words: Vec::new() };
                }
                list.words.extend_from_slice(words);
            }
            _ => {}
        }
    }

    /// Puts together what belongs to one module, and finds the names that lead through others.
    fn group(&mut self, at: usize, statement: &Statement) {
        match statement {
            Statement::Pull { name, .. } | Statement::Command { name, .. } => {
                for module in self.modules(name) {
                    self.groups.of(&key(&module)).add(at, statement, &module);
                }
            }
            Statement::Alias { name, .. } => {
                let way = self.names.way(name);
                for middle in way.iter().skip(1).take(way.len().saturating_sub(2)) {
                    self.through.of(middle).push(name.clone());
                }
            }
            _ => {}
        }
    }

    /// The modules that lines about `name` are about.
    fn modules(&self, name: &str) -> Vec<String> {
        match self.names.target(name) {
            Target::Modules(modules) if !self.names.lists.has(&key(name)) => modules,
            _ => Vec::new(),
        }
    }

    /// Writes what a statement comes to.
    fn line(&mut self, at: usize, statement: &Statement) {
        let mut slot = std::mem::take(&mut self.slots[at]);
        match statement {
            Statement::Alias { name, result } => self.alias(&mut slot, name, result),
            Statement::Probe { name, all, .. } => self.list(&mut slot, at, name, *all),
            Statement::Options { name, words, .. } => self.options(&mut slot, at, name, words),
            Statement::Pull { name, .. } | Statement::Command { name, .. } => {
                self.of_module(&mut slot, at, name);
            }
            Statement::Nothing(why) => slot.why = Some((*why).into()),
        }
        self.slots[at] = slot;
    }

    fn alias(&self, slot: &mut Slot, name: &str, result: &str) {
        if self.names.lists.has(&key(name)) {
            slot.why = Some("the list of this name comes before it".into());
            return;
        }
        self.stands_for(slot, name);
        let others = self.names.way(name).len() > 2
            || self.names.lists.has(&key(result)) && !is_nothing(result);
        if others && !slot.wrong {
            let text = ["# alias", name, result, " # which stands for others itself"].join(" ");
            slot.lines.insert(0, text);
        }
    }

    /// The line of a list stands where its last words are.
    fn list(&self, slot: &mut Slot, at: usize, name: &str, all: bool) {
        let list = self.names.lists.get(&key(name));
        let word = if all { "probeall" } else { "probe" };
        let live = self.live.get(&setting(word, name));
        if list.is_some_and(|list| list.all != all) {
            slot.why = Some("the other list of this name is the one".into());
        } else if live.and_then(|live| live.last()) != Some(&at) {
            slot.why = Some("in a list below".into());
        } else {
            self.stands_for(slot, name);
        }
    }

    /// The lines that make `name` what it stands for.
    fn stands_for(&self, slot: &mut Slot, name: &str) {
        match self.names.target(name) {
            Target::Modules(modules) => {
                slot.lines.extend(modules.iter().map(|module| ["alias", name, module].join(" ")));
            }
            Target::Nothing => slot.lines.push(["install", name, "/bin/true"].join(" ")),
            Target::Command(command) => slot.lines.push(["install", name, &command].join(" ")),
            Target::Circle => {
                slot.wrong = true;
                slot.why = Some([name, CIRCLE].join(" "));
            }
        }
    }

    fn options(&mut self, slot: &mut Slot, at: usize, name: &str, words: &[String]) {
        let (text, rest) = parameters(words);
        if let Some(why) = self.unused(name) {
            slot.why = Some(["no options: ", &why].concat());
            return;
        }
        if text.is_empty() {
            slot.why = Some("no parameter".into());
            return;
        }
        if let Some(rest) = rest {
            let why = " # modutils passed no such words on";
            slot.lines.push(["# options", name, &rest, why].join(" "));
        }
        let way = self.names.way(name);
        let lower = way.iter().skip(1).filter_map(|next| self.live.get(&setting("options", next)));
        let last = lower.flatten().copied().max().filter(|last| *last > at);
        let mut names = vec![name];
        names.extend(self.through.get(&key(name)).into_iter().flatten().map(String::as_str));
        for asked in names {
            let line = ["options", asked, &text].join(" ");
            match last {
                None => slot.lines.push(line),
                Some(last) => {
                    self.slots[last].later(way.len(), line);
                    slot.why = Some("below those of the module, over which they go".into());
                }
            }
        }
    }

    /// A line that belongs to the module behind `name`: with all others of it where the last of them stands.
    fn of_module(&self, slot: &mut Slot, at: usize, name: &str) {
        if let Some(why) = self.unused(name) {
            slot.why = Some(["never done: ", &why].concat());
            return;
        }
        for module in self.modules(name) {
            let group = self.groups.get(&key(&module)).filter(|group| group.ends_at(at));
            slot.lines.extend(group.into_iter().flat_map(|g| g.lines(&self.variables.defined)));
        }
        if slot.lines.is_empty() {
            slot.why = Some("in a line below".into());
        } else if key(name) != key(&name_of(&slot.lines)) {
            let why = ": done whenever the module is loaded or removed";
            slot.lines.insert(0, ["# of ", name, why].concat());
        }
    }

    /// Why lines about `name` were never used, if so.
    fn unused(&self, name: &str) -> Option<String> {
        if self.names.lists.has(&key(name)) {
            return Some([name, "is a list"].join(" "));
        }
        let is = match self.names.target(name) {
            Target::Modules(_) => return None,
            Target::Nothing => "is off",
            Target::Command(_) => "stands for a list",
            Target::Circle => CIRCLE,
        };
        Some([name, is].join(" "))
    }
}

/// The name that the first of some lines is about.
fn name_of(lines: &[String]) -> String {
    let name = lines.first().and_then(|line| line.split(' ').nth(1));
    name.unwrap_or_default().to_owned()
}

/// `key=value` words as modprobe.d has them, and what follows the first that is none; what insmod is told of the
/// module's name goes with that.
fn parameters(words: &[String]) -> (String, Option<String>) {
    let mut kept = Vec::new();
    let mut passed = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-o" => passed.extend(std::iter::once(word).chain(words.next()).cloned()),
            word if is_parameter(word) => kept.push(parameter(word)),
            _ => {
                passed.push(word.clone());
                passed.extend(words.by_ref().cloned());
            }
        }
    }
    let rest = (!passed.is_empty()).then(|| passed.join(" "));
    (kept.join(" "), rest)
}

/// `k=a b` → `k="a b"`
fn parameter(word: &str) -> String {
    match word.split_once('=') {
        Some((key, value))
            if value.contains(|c: char| c.is_ascii_whitespace()) && !value.contains('"') =>
        {
            [key, "=\"", value, "\""].concat()
        }
        _ => word.to_owned(),
    }
}

/// All lines in order, and what is to be said of them.
fn collect(items: Vec<Item>, slots: Vec<Slot>) -> Converted {
    let mut converted = Converted::default();
    for (item, mut slot) in items.into_iter().zip(slots) {
        let source = item.line.text.trim_ascii();
        let mut warn = |unsure: bool, why: &str| {
            let warning = Warning::new(&item.file, item.line.number, why);
            if unsure { converted.unsure.push(warning) } else { converted.wrong.push(warning) }
        };
        let remark = |why: &str| match why {
            "" => ["# ", source].concat(),
            why => ["# ", source, "  # ", why].concat(),
        };
        let mut lines: Vec<String> =
            item.line.comments.iter().map(|comment| ["#", comment].concat()).collect();
        match &item.fate {
            Fate::Empty if lines.is_empty() => lines.push(String::new()),
            Fate::Empty => {}
            Fate::Done(why) => lines.push(remark(why)),
            Fate::Unsure(why) => {
                lines.push(remark(why.as_deref().unwrap_or("not known whether")));
                if let Some(why) = why {
                    warn(true, why);
                }
            }
            Fate::Wrong(why) => {
                lines.push(remark(&["wrong: ", why].concat()));
                warn(false, why);
            }
            Fate::Counts(_) => {
                if let Some(why) = &slot.why {
                    lines.push(remark(why));
                    if slot.wrong {
                        warn(false, why);
                    }
                }
                lines.append(&mut slot.lines);
            }
        }
        lines.extend(slot.later.into_iter().map(|(_, line)| line));
        let output = |text: String| Output {
            file: item.file.to_string(),
            line: item.line.number,
            // modprobe.d takes the byte behind a backslash as it is.
            text: text.replace('\\', "\\\\"),
        };
        converted.lines.extend(lines.into_iter().map(output));
    }
    converted
}

#[cfg(test)]
mod tests {
    use super::super::{Machine, is_old};
    use super::*;
    use crate::kmod::conf::Config;
    use proptest::prelude::*;

    fn converted(text: &str) -> Converted {
        let files = [("/etc/more", "alias more m0re\n"), ("/etc/b\u{fc}", "x\n")];
        convert("m", text.as_bytes(), &Machine(files.into()))
    }

    /// The lines that are no comments.
    fn said(text: &str) -> String {
        let converted = converted(text);
        assert_eq!(converted.wrong, [], "{text}");
        let lines = converted.lines.iter().map(|line| line.text.as_str());
        lines.filter(|l| !l.is_empty() && !l.starts_with('#')).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn aliases_and_lists() {
        for (text, want) in [
            ("alias eth0 3c59x", "alias eth0 3c59x"),
            ("alias eth0 ne\nalias eth0 3c59x", "alias eth0 3c59x"),
            ("alias a b\nalias b c", "alias a c\nalias b c"),
            (
                "alias net-pf-10 off\nalias a null",
                "install net-pf-10 /bin/true\ninstall a /bin/true",
            ),
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
            assert_eq!(said(text), want, "{text}");
        }
    }

    #[test]
    fn options_go_over_those_of_the_module() {
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
            // Of what the kernel is told twice the last counts; for modutils it was the alias.
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
            assert_eq!(said(text), want, "{text}");
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
                    "install m /sbin/modprobe -q b; /sbin/modprobe -q a; {own} && ( x ) && {{ /sbin/modprobe -q c; :; }}\n\
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
            assert_eq!(said(text), want, "{text}");
        }
    }

    #[test]
    fn what_is_left_out_is_said() {
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
                "m:3 # keep  # it goes with 'path'",
                "m:4 # if -k  # '-k' hangs on who calls: none of its branches counts",
                "m:5 # alias a b  # not known whether",
                "m:6 # endif",
                "m:7 # frob  # wrong: nothing is called 'frob'",
                "m:8 # include /etc/more  # its lines:",
                "/etc/more:1 alias more m0re",
                "m:9 # options a x=`date`  # the command `date` is not run: the line does not count",
                "m:10 # alias c d  # c goes in a circle, or too far",
                "m:11 # alias d c  # d goes in a circle, or too far",
                "m:12 # alias a x  # replaced below",
                "m:13 alias a y",
            ]
        );
        let shown = |list: &[Warning]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            shown(&converted.wrong),
            [
                "m line 7: nothing is called 'frob'",
                "m line 10: c goes in a circle, or too far",
                "m line 11: d goes in a circle, or too far",
            ]
        );
        assert_eq!(
            shown(&converted.unsure),
            [
                "m line 4: '-k' hangs on who calls: none of its branches counts",
                "m line 9: the command `date` is not run: the line does not count",
            ]
        );
    }

    /// Lines of a modules.conf, and much that is none.
    fn line() -> impl Strategy<Value = String> {
        let word = "[a-d]|off|null|eth0|-k|-o|x=1|y='a b'|\\$A|\\$\\{A\\}|`uname -r`|`x`|\"|'|\\\\|/etc/more|[ -~]{0,4}";
        let keyword = "alias|options|add options|above|below|add above|probe|probeall|add probeall|add probe|install|\
                       pre-install|post-install|remove|pre-remove|post-remove|if|if !|if -f|if -n|else|elseif|endif|define|\
                       include|path\\[x\\]=|keep|prune|insmod_opt=|#|\\PC{0,5}";
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
            for line in super::super::lines::lines(text.as_bytes()) {
                let is_said = !line.text.trim().is_empty() || !line.comments.is_empty();
                let here = |l: &&Output| l.file == "m" && l.line == line.number;
                let mine: Vec<&Output> = converted.lines.iter().filter(here).collect();
                prop_assert!(!is_said || mine.iter().any(|l| !l.text.is_empty()), "{}: {text}", line.number);
            }
            // What comes out is modprobe.d, all of it, and is not taken for the old language.
            let out = converted.to_string();
            let (mut config, mut warnings) = (Config::default(), Vec::new());
            config.add_file("out", out.as_bytes(), &mut warnings);
            prop_assert_eq!(warnings, [], "{}", out);
            prop_assert!(!is_old(out.as_bytes()), "{}", out);
            let kept = out.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).count();
            let read = config.aliases.len() + config.options.len() + config.install.len()
                + config.remove.len() + config.softdeps.len();
            prop_assert_eq!(kept, read, "{}", out);
        }

        #[test]
        fn any_bytes_may_come(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let converted = convert("m", &bytes, &Machine::default());
            let mut warnings = Vec::new();
            Config::default().add_file("out", converted.to_string().as_bytes(), &mut warnings);
            prop_assert_eq!(warnings, []);
            is_old(&bytes);
        }
    }
}
