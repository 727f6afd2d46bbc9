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

use std::collections::BTreeMap;
use std::fmt;

use super::Outside;
use super::names::{List, Names, Target, is_nothing, key};
use super::reader::{self, Fate, Item};
use super::shell::{MODPROBE, exports};
use super::statement::{Statement, When};
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
    let defined = variables.defined.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let mut converter = Converter { defined: defined.collect(), ..Converter::default() };
    let mut slots = vec![Slot::default(); items.len()];
    for (at, item) in items.iter().enumerate() {
        if let Fate::Counts(statement) = &item.fate {
            converter.take(at, statement);
        }
    }
    converter.group(&items);
    for (at, item) in items.iter().enumerate() {
        converter.line(at, item, &mut slots);
    }
    collect(items, slots)
}

/// What an item comes to.
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

/// What belongs to a module and goes into one line.
#[derive(Debug, Default)]
struct Group {
    items: Vec<usize>,
    above: Vec<String>,
    below: Vec<String>,
    commands: Vec<(When, String)>,
}

#[derive(Debug, Default)]
struct Converter {
    names: Names,
    defined: BTreeMap<String, String>,
    /// Items that another one has the place of.
    replaced: BTreeMap<usize, usize>,
    /// The items that count for what they set, by that: its word, and a name.
    live: BTreeMap<(&'static str, String), Vec<usize>>,
    /// By module; with the name as it is written.
    groups: BTreeMap<String, (String, Group)>,
    /// The names that lead through an alias, by that.
    through: BTreeMap<String, Vec<String>>,
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
        let live = self.live.entry((word, key(name))).or_default();
        match live.first() {
            // Of commands the first counts, of all else the last.
            Some(first) if matches!(statement, Statement::Command { .. }) => {
                self.replaced.insert(at, *first);
                return;
            }
            _ if !add => {
                self.replaced.extend(live.drain(..).map(|old| (old, at)));
            }
            _ => {}
        }
        live.push(at);
        match statement {
            Statement::Alias { name, result } => {
                self.names.aliases.insert(key(name), result.clone());
            }
            Statement::Probe { all, name, words, add } => {
                let list = self.names.lists.entry(key(name)).or_default();
                // A list of the other kind gives way; modutils looked for `probe` first.
                if !add || list.all != *all {
                    *list = List { all: *all, words: Vec::new() };
                }
                list.words.extend(words.iter().cloned());
            }
            _ => {}
        }
    }

    /// Puts together what belongs to one module, and finds the names that lead through others.
    fn group(&mut self, items: &[Item]) {
        for (at, item) in items.iter().enumerate() {
            let Fate::Counts(statement) = &item.fate else { continue };
            let (Statement::Pull { name, .. } | Statement::Command { name, .. }) = statement else {
                continue;
            };
            if self.replaced.contains_key(&at) || self.names.lists.contains_key(&key(name)) {
                continue;
            }
            if let Target::Modules(modules) = self.names.target(name) {
                for module in modules {
                    let (_, group) = self
                        .groups
                        .entry(key(&module))
                        .or_insert_with(|| (module.clone(), Group::default()));
                    group.add(at, statement);
                }
            }
        }
        for name in self.names.aliases.keys() {
            let way = self.names.way(name);
            for middle in way.iter().skip(1).rev().skip(1) {
                self.through.entry(middle.clone()).or_default().push(name.clone());
            }
        }
    }

    /// Writes what an item comes to.
    fn line(&self, at: usize, item: &Item, slots: &mut [Slot]) {
        let Fate::Counts(statement) = &item.fate else { return };
        if let Some(by) = self.replaced.get(&at) {
            let first = if *by < at { "the first such line counts" } else { "replaced below" };
            slots[at].why = Some(first.into());
            return;
        }
        match statement {
            Statement::Alias { name, result } => self.alias(&mut slots[at], name, result),
            Statement::Probe { name, all, .. } => self.list(&mut slots[at], at, name, *all),
            Statement::Options { name, words, .. } => self.options(at, name, words, slots),
            Statement::Pull { name, .. } | Statement::Command { name, .. } => {
                self.of_module(&mut slots[at], at, name);
            }
            Statement::Nothing(why) => slots[at].why = Some((*why).into()),
        }
    }

    fn alias(&self, slot: &mut Slot, name: &str, result: &str) {
        if self.names.lists.contains_key(&key(name)) {
            slot.why = Some(format!("the list called {name} comes before it"));
            return;
        }
        self.stands_for(slot, name);
        let others = self.names.way(name).len() > 2
            || self.names.lists.contains_key(&key(result)) && !is_nothing(result);
        if others && !slot.wrong {
            let text = format!("# alias {name} {result}  # which stands for others itself");
            slot.lines.insert(0, text);
        }
    }

    /// The line of a list stands where its last words are.
    fn list(&self, slot: &mut Slot, at: usize, name: &str, all: bool) {
        let list = self.names.lists.get(&key(name));
        let word = if all { "probeall" } else { "probe" };
        let live = self.live.get(&(word, key(name)));
        if list.is_some_and(|list| list.all != all) {
            slot.why = Some(format!("the other list called {name} is the one"));
        } else if live.and_then(|live| live.last()) != Some(&at) {
            slot.why = Some(format!("added to {name} below"));
        } else {
            self.stands_for(slot, name);
        }
    }

    /// The lines that make `name` what it stands for.
    fn stands_for(&self, slot: &mut Slot, name: &str) {
        match self.names.target(name) {
            Target::Modules(modules) => {
                slot.lines.extend(modules.iter().map(|module| format!("alias {name} {module}")));
            }
            Target::Nothing => slot.lines.push(format!("install {name} /bin/true")),
            Target::Command(command) => slot.lines.push(format!("install {name} {command}")),
            Target::Circle => {
                slot.wrong = true;
                slot.why = Some(format!("'{name}' goes in a circle, or too far"));
            }
        }
    }

    fn options(&self, at: usize, name: &str, words: &[String], slots: &mut [Slot]) {
        if let Some(why) = self.unused(name) {
            slots[at].why = Some(format!("no options: {why}"));
            return;
        }
        let (text, rest) = parameters(words);
        match rest {
            _ if text.is_empty() => {
                slots[at].why = Some("no parameter".into());
                return;
            }
            Some(rest) => slots[at]
                .lines
                .push(format!("# options {name} {rest}  # modutils passed no such words on")),
            None => {}
        }
        let lower = self.names.way(name).split_off(1);
        let lower = lower.into_iter().filter_map(|next| self.live.get(&("options", next)));
        let last = lower.flatten().copied().max().filter(|last| *last > at);
        let names = self.through.get(&key(name)).into_iter().flatten().map(String::as_str);
        for asked in std::iter::once(name).chain(names) {
            let line = format!("options {asked} {text}");
            match last {
                None => slots[at].lines.push(line),
                Some(last) => {
                    slots[last].later.push((self.names.way(name).len(), line));
                    slots[at].why = Some("below those of the module, over which they go".into());
                }
            }
        }
    }

    /// A line that belongs to the module behind `name`: with all others of it where the last of them stands.
    fn of_module(&self, slot: &mut Slot, at: usize, name: &str) {
        if let Some(why) = self.unused(name) {
            slot.why = Some(format!("never done: {why}"));
            return;
        }
        let Target::Modules(modules) = self.names.target(name) else { return };
        for module in modules {
            let Some((written, group)) = self.groups.get(&key(&module)) else { continue };
            if group.items.last() == Some(&at) {
                slot.lines.extend(group.lines(written, &self.defined));
            }
        }
        if slot.lines.is_empty() {
            slot.why = Some("in a line below".into());
        } else if key(name) != key(&name_of(&slot.lines)) {
            let text = format!("# of {name}: done whenever the module is loaded or removed");
            slot.lines.insert(0, text);
        }
    }

    /// Why lines about `name` were never used, if so.
    fn unused(&self, name: &str) -> Option<String> {
        if self.names.lists.contains_key(&key(name)) {
            return Some(format!("{name} is a list"));
        }
        match self.names.target(name) {
            Target::Modules(_) => None,
            Target::Nothing => Some(format!("{name} is off")),
            Target::Command(_) => Some(format!("{name} stands for a list")),
            Target::Circle => Some(format!("{name} goes in a circle, or too far")),
        }
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
            word if word.contains('=') => kept.push(parameter(word)),
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
        Some((key, value)) if value.contains([' ', '\t']) && !value.contains('"') => {
            format!("{key}=\"{value}\"")
        }
        _ => word.to_owned(),
    }
}

impl Group {
    fn add(&mut self, at: usize, statement: &Statement) {
        match statement {
            Statement::Pull { above, names, .. } => {
                let list = if *above { &mut self.above } else { &mut self.below };
                for name in names {
                    if !list.contains(name) {
                        list.push(name.clone());
                    }
                }
            }
            Statement::Command { when, command, .. } => {
                self.commands.push((*when, command.clone()))
            }
            _ => return,
        }
        if self.items.last() != Some(&at) {
            self.items.push(at);
        }
    }

    /// The lines of the module called `name`.
    fn lines(&self, name: &str, defined: &BTreeMap<String, String>) -> Vec<String> {
        let installs = self.commands.iter().any(|(when, _)| *when <= When::PostInstall);
        let removes = self.commands.iter().any(|(when, _)| *when > When::PostInstall);
        let mut lines = Vec::new();
        if installs {
            lines.push(format!("install {name} {}", self.install(name, defined)));
        } else if !self.above.is_empty() || !self.below.is_empty() {
            lines.push(self.softdep(name));
        }
        if removes || installs && !self.above.is_empty() {
            lines.push(format!("remove {name} {}", self.remove(name, defined)));
        }
        lines
    }

    /// modutils loaded each of a list before what stands left of it.
    fn softdep(&self, name: &str) -> String {
        let mut line = format!("softdep {name}");
        for (word, names) in [("pre:", &self.below), ("post:", &self.above)] {
            if !names.is_empty() {
                line += &format!(" {word}");
                names.iter().rev().for_each(|name| line += &format!(" {name}"));
            }
        }
        line
    }

    fn install(&self, name: &str, defined: &BTreeMap<String, String>) -> String {
        let each = |names: &[String]| -> String {
            names.iter().rev().map(|name| format!("{MODPROBE} -q {name}; ")).collect()
        };
        let own = format!("{MODPROBE} --ignore-install {name} $CMDLINE_OPTS");
        let whens = [When::PreInstall, When::Install, When::PostInstall];
        let main = self.chain(whens, &own, !self.above.is_empty() || !self.below.is_empty());
        let after = match self.above.is_empty() {
            true => String::new(),
            false => format!(" && {{ {}:; }}", each(&self.above)),
        };
        exports(&main, defined) + &each(&self.below) + &main + &after
    }

    fn remove(&self, name: &str, defined: &BTreeMap<String, String>) -> String {
        let before: String =
            self.above.iter().map(|name| format!("{MODPROBE} -r -q {name}; ")).collect();
        let own = format!("{MODPROBE} -r --ignore-remove {name}");
        let whens = [When::PreRemove, When::Remove, When::PostRemove];
        let main = self.chain(whens, &own, !before.is_empty());
        exports(&main, defined) + &before + &main
    }

    /// The commands of `whens` one after the other, up to the first that fails; `own` where there is none
    /// for the second. A single one is left as it is unless it goes `with` others.
    fn chain(&self, whens: [When; 3], own: &str, with: bool) -> String {
        let of = |when: When| self.commands.iter().filter(move |(w, _)| *w == when);
        let mut parts: Vec<String> = Vec::new();
        for when in whens {
            parts.extend(of(when).map(|(_, command)| format!("( {command} )")));
            if when == whens[1] && of(when).next().is_none() {
                parts.push(own.to_owned());
            }
        }
        match (&parts[..], of(whens[1]).next()) {
            ([_], Some((_, command))) if !with => command.clone(),
            _ => parts.join(" && "),
        }
    }
}

/// All lines in order, and what is to be said of them.
fn collect(items: Vec<Item>, slots: Vec<Slot>) -> Converted {
    let mut converted = Converted::default();
    for (item, mut slot) in items.into_iter().zip(slots) {
        let source = item.line.text.trim_matches(super::lines::is_blank);
        let mut warn = |unsure: bool, why: &str| {
            let warning = Warning::new(&item.file, item.line.number, why);
            if unsure { converted.unsure.push(warning) } else { converted.wrong.push(warning) }
        };
        let remark = |why: &str| match why {
            "" => format!("# {source}"),
            why => format!("# {source}  # {why}"),
        };
        let mut lines: Vec<String> =
            item.line.comments.iter().map(|comment| format!("#{comment}")).collect();
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
                lines.push(remark(&format!("wrong: {why}")));
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
        slot.later.sort_by_key(|(way, _)| *way);
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
                "m:10 # alias c d  # 'c' goes in a circle, or too far",
                "m:11 # alias d c  # 'd' goes in a circle, or too far",
                "m:12 # alias a x  # replaced below",
                "m:13 alias a y",
            ]
        );
        let shown = |list: &[Warning]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            shown(&converted.wrong),
            [
                "m line 7: nothing is called 'frob'",
                "m line 10: 'c' goes in a circle, or too far",
                "m line 11: 'd' goes in a circle, or too far",
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
        #![proptest_config(ProptestConfig::with_cases(2000))]

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
