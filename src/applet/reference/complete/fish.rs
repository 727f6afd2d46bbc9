//! The completion of fish.

use std::fmt::Write;

use super::{Completed, HEAD, kinds, last_name, operands, options, runs_command, usages};
use crate::applet::COMMANDS;
use crate::applet::usage::Usage;

/// Returns the script for `coldplug`.
pub(super) fn script() -> String {
    let commands: Vec<_> = COMMANDS.iter().map(|applet| applet.0).collect();
    let with_actions = commands.iter().filter(|usage| !usage.actions.is_empty());
    let with_actions: Vec<_> = with_actions.map(|usage| usage.name).collect();
    let with_actions = with_actions.join(" ");
    let mut text = FUNCTIONS.replace("@HEAD@", HEAD).replace("@WITH_ACTIONS@", &with_actions);
    let names: Vec<_> = commands.iter().map(|usage| usage.name).collect();
    for usage in &commands {
        let start = "complete -c coldplug -n '__coldplug_is' -f -a";
        let _ = writeln!(text, "{start} {} -d {}", usage.name, quoted(usage.summary));
    }
    text += "complete -c coldplug -n '__coldplug_is' -f -a help -d 'describe a command'\n";
    text += "complete -c coldplug -n '__coldplug_is' -s V -l version -d 'print the version'\n";
    let names = names.join(" ");
    let _ = writeln!(text, "complete -c coldplug -n '__coldplug_is help' -f -a '{names}'");
    for usage in usages() {
        let names: Vec<_> = usage.actions.iter().map(|action| last_name(action)).collect();
        if !names.is_empty() {
            let _ = writeln!(
                text,
                "complete -c coldplug -n '__coldplug_is help {}' -f -a '{}'",
                usage.name,
                names.join(" ")
            );
        }
        add(&mut text, usage);
    }
    text
}

/// Returns the script for a tool that is a link to the program.
pub(super) fn tool(name: &str) -> String {
    format!(
        "# fish completion for {name}, if it is a link to coldplug.\n# {HEAD}\n\
         complete -c {name} -f -w 'coldplug {name}'\n"
    )
}

fn add(text: &mut String, usage: &Usage) {
    let is_it = format!("complete -c coldplug -n '__coldplug_is {}'", usage.name);
    for action in usage.actions {
        let _ = writeln!(text, "{is_it} -f -a {} -d {}", last_name(action), quoted(action.summary));
    }
    let is_before = if runs_command(usage) {
        add_function(text, usage);
        format!("complete -c coldplug -n '__coldplug_has_options {}'", usage.name)
    } else {
        is_it.clone()
    };
    for opt in options(usage) {
        let letter = opt.letter.map_or_else(String::new, |letter| format!(" -s {letter}"));
        let value = value(&opt);
        let meaning = quoted(opt.meaning);
        let _ = writeln!(text, "{is_before}{letter} -l {}{value} -d {meaning}", opt.long);
    }
    if runs_command(usage) {
        let values = format!("(__coldplug_values_of_{})", usage.name);
        let _ =
            writeln!(text, "{is_it} -f -a '(__fish_complete_subcommand --fcs-skip=2 {values})'");
        return;
    }
    if usage.name == "report" {
        let is_fleet = "__coldplug_is report; and __fish_contains_opt -s f fleet";
        let words = "(__coldplug_any DIR)";
        let _ = writeln!(text, "complete -c coldplug -n '{is_fleet}' -f -a '{words}'");
    }
    let words = operands(usage);
    let mut all: Vec<String> = words.iter().flat_map(|(word, _)| kinds(usage, word)).collect();
    all.dedup();
    let has_files = all.iter().any(|kind| kind == "FILE");
    let rest: Vec<&str> = all.iter().map(String::as_str).filter(|kind| *kind != "FILE").collect();
    match (has_files, &rest[..]) {
        (true, []) => {}
        (true, rest) => {
            let _ = writeln!(text, "{is_it} -a '(__coldplug_any {})'", rest.join(" "));
        }
        (false, []) => {
            let _ = writeln!(text, "{is_it} -f");
        }
        (false, rest) => {
            let _ = writeln!(text, "{is_it} -f -a '(__coldplug_any {})'", rest.join(" "));
        }
    }
}

/// Adds the function that prints the options whose value is the next word. Letters are first:
/// `__fish_complete_subcommand` takes the names before them for its own options.
fn add_function(text: &mut String, usage: &Usage) {
    let options = options(usage);
    let with_value = || options.iter().filter(|opt| opt.value.is_some() && !opt.is_optional);
    let letters = with_value().filter_map(|opt| opt.letter).map(|letter| format!("-{letter}"));
    let names = with_value().map(|opt| format!("--{}", opt.long));
    let words = letters.chain(names).collect::<Vec<_>>().join(" ");
    let name = usage.name;
    let _ =
        writeln!(text, "function __coldplug_values_of_{name}\n    printf '%s\\n' {words}\nend\n");
}

/// Returns the words of complete(1) for the value of an option.
fn value(opt: &Completed) -> String {
    let rest: Vec<&str> =
        opt.kinds.iter().map(String::as_str).filter(|kind| *kind != "FILE").collect();
    let has_files = rest.len() < opt.kinds.len();
    let words = if rest.is_empty() {
        String::new()
    } else {
        format!(" -a '(__coldplug_any {})'", rest.join(" "))
    };
    match (opt.value, opt.is_optional) {
        (None, _) => String::new(),
        (Some(_), true) => words,
        (Some(_), false) if has_files => format!(" -r -F{words}"),
        (Some(_), false) => format!(" -x{words}"),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

const FUNCTIONS: &str = r#"# fish completion for coldplug.
# @HEAD@

# Returns whether the command before the cursor is the one with these names: none, a command, or a
# command and its action.
function __coldplug_is
    set -l words (string match -rv -- '^-' (commandline -opc))
    set -e words[1]
    if test (count $words) -eq 0 -o (count $argv) -eq 0
        test (count $words) -eq 0 -a (count $argv) -eq 0
        return
    end
    test "$words[1]" = "$argv[1]"; or return
    # A command without actions has operands.
    if contains -- $words[1] help @WITH_ACTIONS@
        test "$words[2]" = "$argv[2]"
    end
end

# Returns whether options of the command $argv may follow: they end at its first operand.
function __coldplug_has_options
    set -l words (commandline -opc)
    test "$words[2]" = "$argv"; or return
    set -e words[1..2]
    set -l values (__coldplug_values_of_$argv)
    while set -q words[1]
        if test "$words[1]" = --; or not string match -q -- '-*' $words[1]
            return 1
        end
        if contains -- $words[1] $values
            set words $words[3..-1]
        else
            set words $words[2..-1]
        end
    end
    true
end

# Prints completions by kinds.
function __coldplug_any
    set -l word (string replace -r '^--[a-z-]+=' '' -- (commandline -ct))
    set -l head ''
    if test "$argv[1]" = LIST
        set -e argv[1]
        set -l before (string match -r '.*,' -- $word)
        set head "$before"
    end
    set -l words (commandline -opc)
    # modprobe -r takes modules that are loaded.
    if contains -- modprobe $words; and string match -qr -- '^(--remove|-[a-z]*r[a-z]*)$' $words
        set argv (string replace -r '^(MODULE|PARAMETER)$' LOADED -- $argv | sort -u)
    end
    for kind in $argv
        switch $kind
            case DIR
                __fish_complete_directories $word
            case RELEASE
                set -l releases /lib/modules/*
                string replace -r '.*/' "$head" -- $releases
            case MODULE
                sed -n 's,^\([^:]*/\)*\([^/:]*\)\.ko[.a-z]*:.*,\2,p' /lib/modules/(uname -r)/modules.dep 2>/dev/null | tr - _ | string replace -r '^' "$head"
            case LOADED
                cut -d ' ' -f 1 /proc/modules 2>/dev/null
            case PARAMETER
                set -l module (string match -rv -- '^-|^coldplug$|^modprobe$|^insmod$' $words)
                if test (count $module) -gt 0
                    coldplug modinfo -F parm $module[1] 2>/dev/null | string replace -r ':.*' '='
                end
            case '*'
                echo $head$kind
        end
    end
end

"#;
