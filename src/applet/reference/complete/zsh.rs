//! The completion of zsh.

use std::fmt::Write;

use super::{Completed, HEAD, TOOLS, kinds, last_name, operands, options, runs_command, usages};
use crate::applet::COMMANDS;
use crate::applet::usage::Usage;

/// Returns the script for `coldplug`.
pub(super) fn script() -> String {
    let mut cases = String::new();
    let mut actions = String::new();
    for usage in usages() {
        // Options end at a command, and at no other operand.
        let end = if runs_command(usage) { " -A '-*'" } else { "" };
        let specs = specs(usage);
        let _ = writeln!(cases, "\t'{}')\n\t\t_arguments -s -S{end}{specs} ;;", usage.name);
        if !usage.actions.is_empty() {
            let names = usage.actions.iter().map(|action| described(last_name(action), action));
            let names: Vec<_> = names.collect();
            let _ = writeln!(actions, "\t{}) reply=({}) ;;", usage.name, names.join(" "));
        }
    }
    let commands = COMMANDS.iter().map(|applet| described(applet.0.name, applet.0));
    SCRIPT
        .replace("@HEAD@", HEAD)
        .replace("@COMMANDS@", &commands.collect::<Vec<_>>().join("\n\t\t"))
        .replace("@CASES@\n", &cases)
        .replace("@ACTIONS@\n", &actions)
}

/// Returns the script for the tools that are links to the program.
pub(super) fn tools() -> String {
    format!(
        "#compdef {}\n# zsh completion for the tools of kmod that are links to coldplug.\n# {HEAD}\n\
         _coldplug \"$@\"\n",
        TOOLS.join(" ")
    )
}

/// Returns a name with its summary for `_describe`.
fn described(name: &str, usage: &Usage) -> String {
    quoted(&format!("{name}:{}", usage.summary.replace(':', "\\:")))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Returns the words for `_arguments`.
fn specs(usage: &Usage) -> String {
    let mut specs = String::new();
    for opt in options(usage) {
        let _ = write!(specs, " \\\n\t\t\t{}", spec(&opt));
    }
    if runs_command(usage) {
        let command = "'(-)1:command: _command_names -e'";
        return format!("{specs} \\\n\t\t\t{command} \\\n\t\t\t'*::argument: _normal'");
    }
    for (number, (word, many)) in operands(usage).iter().enumerate() {
        let place = if *many { "*".to_owned() } else { (number + 1).to_string() };
        let action = action(&kinds(usage, word));
        let words = quoted(&format!("{place}:{}:{action}", label(word)));
        let _ = write!(specs, " \\\n\t\t\t{words}");
    }
    specs
}

fn spec(opt: &Completed) -> String {
    let meaning: String = opt.meaning.chars().fold(String::new(), |mut text, c| {
        if matches!(c, '[' | ']' | ':' | '\\') {
            text.push('\\');
        }
        text.push(c);
        text
    });
    let value = opt.value.map_or_else(String::new, |word| {
        let colons = if opt.is_optional { "::" } else { ":" };
        format!("{colons}{}:{}", label(word), action(&opt.kinds))
    });
    let text = quoted(&format!("[{meaning}]{value}"));
    // After a letter the value may follow at once, after a name behind an equals sign.
    let (short, long) = match (opt.value, opt.is_optional) {
        (None, _) => ("", ""),
        (Some(_), true) => ("-", "=-"),
        (Some(_), false) => ("+", "="),
    };
    match opt.letter {
        Some(letter) => {
            let names = format!("(-{letter} --{})", opt.long);
            format!("{}{{-{letter}{short},--{}{long}}}{text}", quoted(&names), opt.long)
        }
        None => format!("--{}{long}{text}", opt.long),
    }
}

/// Returns what `_arguments` shows above the completions of a value.
fn label(word: &str) -> String {
    let text = word.trim_end_matches(",…").to_lowercase();
    text.replace(['[', ']', ':'], "")
}

fn action(kinds: &[String]) -> String {
    match kinds {
        [] => " ".to_owned(),
        kinds => format!(" _coldplug_any {}", kinds.join(" ")),
    }
}

const SCRIPT: &str = r#"#compdef coldplug
# zsh completion for coldplug.
# @HEAD@

# Completes a word by kinds.
_coldplug_any() {
	setopt local_options extended_glob
	local kind
	local -a found more
	if [[ $1 == LIST ]]; then
		shift
		compset -P '*,'
		more=(-qS ,)
	fi
	# modprobe -r takes modules that are loaded.
	if [[ $words[1] == modprobe ]] && (( ${words[(I)--remove|-[a-z]#r[a-z]#]} )); then
		set -- ${${@/#%MODULE/LOADED}/#%PARAMETER/LOADED}
	fi
	# report --fleet takes a directory.
	if [[ $words[1] == report ]] && (( ${words[(I)--fleet|-[a-z]#f[a-z]#]} )); then
		set -- ${@/#%FILE/DIR}
	fi
	for kind; do
		case $kind in
		FILE) _files ;;
		DIR) _files -/ ;;
		RELEASE) found+=(/lib/modules/*(N:t)) ;;
		MODULE) found+=($(sed -n 's,^\([^:]*/\)*\([^/:]*\)\.ko[.a-z]*:.*,\2,p' \
			/lib/modules/$(uname -r)/modules.dep 2>/dev/null | tr - _)) ;;
		LOADED) found+=($(cut -d ' ' -f 1 /proc/modules 2>/dev/null)) ;;
		PARAMETER)
			more=(-qS '')
			found+=($(coldplug modinfo -F parm ${${(@)words[2,-2]}[(r)[^-]*]} 2>/dev/null | sed 's/:.*/=/'))
			;;
		*) found+=($kind) ;;
		esac
	done
	(( $#found )) && compadd "${more[@]}" -a found
}

# Completes the options and operands of command $1.
_coldplug_command() {
	case $1 in
@CASES@
	esac
}

# Sets reply to the actions of command $1.
_coldplug_actions() {
	reply=()
	case $1 in
@ACTIONS@
	esac
}

_coldplug() {
	local command=${service:-coldplug}
	# The name `commands` is that of a table of zsh, which `_command_names` reads.
	local -a reply names
	if [[ $command == coldplug ]]; then
		names=(
		@COMMANDS@
		'help:describe a command and its options'
		)
		if (( CURRENT == 2 )); then
			_describe -t commands command names
			return
		fi
		command=$words[2]
		shift words
		(( CURRENT-- ))
		if [[ $command == help ]]; then
			_coldplug_actions $words[2]
			if (( CURRENT == 2 )); then
				_describe -t commands command names
			elif (( CURRENT == 3 && $#reply )); then
				_describe -t actions action reply
			fi
			return
		fi
	fi
	_coldplug_actions $command
	if (( $#reply )); then
		if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then
			_describe -t actions action reply
			return
		fi
		if (( CURRENT > 2 )) && (( ${reply[(I)$words[2]:*]} )); then
			command="$command $words[2]"
			shift words
			(( CURRENT-- ))
		fi
	fi
	_coldplug_command $command
}

_coldplug "$@"
"#;
