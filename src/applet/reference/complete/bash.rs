//! The completion of bash.

use std::fmt::Write;

use super::{Completed, HEAD, kinds, last_name, operands, options, runs_command, usages};
use crate::applet::COMMANDS;

/// Returns the script.
pub(super) fn script() -> String {
    let mut options_of = String::new();
    let mut operands_of = String::new();
    let mut actions_of = String::new();
    for usage in usages() {
        let words: Vec<String> = options(usage).iter().flat_map(words).collect();
        let _ = writeln!(options_of, "\t'{}') REPLY='{}' ;;", usage.name, words.join(" "));
        let words: Vec<String> = operands(usage)
            .iter()
            .map(|(word, many)| {
                let kinds = kinds(usage, word).join("+");
                let kinds = if kinds.is_empty() { "-".to_owned() } else { kinds };
                format!("{kinds}{}", if *many { "*" } else { "" })
            })
            .collect();
        if runs_command(usage) {
            let _ = writeln!(operands_of, "\t'{}') REPLY=COMMAND ;;", usage.name);
        } else if !words.is_empty() {
            let _ = writeln!(operands_of, "\t'{}') REPLY='{}' ;;", usage.name, words.join(" "));
        }
        if !usage.actions.is_empty() {
            let names: Vec<_> = usage.actions.iter().map(|action| last_name(action)).collect();
            let _ = writeln!(actions_of, "\t{}) REPLY='{}' ;;", usage.name, names.join(" "));
        }
    }
    let commands: Vec<_> = COMMANDS.iter().map(|applet| applet.0.name).collect();
    SCRIPT
        .replace("@HEAD@", HEAD)
        .replace("@COMMANDS@", &commands.join(" "))
        .replace("@OPTIONS@\n", &options_of)
        .replace("@OPERANDS@\n", &operands_of)
        .replace("@ACTIONS@\n", &actions_of)
}

/// Returns the names of an option. Behind a colon is what completes its value, behind a question
/// mark that of one that may be missing.
fn words(opt: &Completed) -> Vec<String> {
    let kinds = if opt.kinds.is_empty() { "-".to_owned() } else { opt.kinds.join("+") };
    let value = match (opt.value, opt.is_optional) {
        (None, _) => String::new(),
        (Some(_), true) => format!("?{kinds}"),
        (Some(_), false) => format!(":{kinds}"),
    };
    let letter = opt.letter.map(|letter| format!("-{letter}{value}"));
    letter.into_iter().chain([format!("--{}{value}", opt.long)]).collect()
}

const SCRIPT: &str = r#"# bash completion for coldplug, and for the tools of kmod if they are links to it.
# @HEAD@

# Sets REPLY to the options of command $1: behind a colon is what completes the value, behind a
# question mark that of a value that may be missing.
_coldplug_options() {
	REPLY=
	case $1 in
@OPTIONS@
	esac
}

# Sets REPLY to what completes the operands of command $1, in their order; * is for all that follow.
# COMMAND is a command with its arguments: the options of $1 end there.
_coldplug_operands() {
	REPLY=
	case $1 in
@OPERANDS@
	esac
}

# Sets REPLY to the actions of command $1.
_coldplug_actions() {
	REPLY=
	case $1 in
@ACTIONS@
	esac
}

# Sets REPLY to what completes the value of option $2 of command $1, after the mark of $3.
_coldplug_value() {
	local option
	_coldplug_options "$1"
	for option in $REPLY; do
		if [[ $option == "$2"[$3]* ]]; then
			REPLY=${option#*[:?]}
			return
		fi
	done
	REPLY=
}

# Adds the lines of standard input that begin with word $1, with $2 in front of each. The lines
# come from files that anyone may have made: they are not expanded, and because readline inserts
# them as they are, lines with characters that the shell may expand are skipped.
_coldplug_filter() {
	local line
	while IFS= read -r line; do
		[[ $line && $line == "$1"* && $line != *[!A-Za-z0-9_.,:=@%+-]* ]] && COMPREPLY+=("$2$line")
	done
}

# Adds the paths that standard input holds, with $1 in front of each. Readline quotes them.
_coldplug_paths() {
	local line
	compopt -o filenames 2>/dev/null
	while IFS= read -r line; do
		[[ $line ]] && COMPREPLY+=("$1$line")
	done
}

# Completes the command that begins at word $1 of the line, and its arguments.
_coldplug_run() {
	if declare -F _comp_command_offset >/dev/null; then
		_comp_command_offset "$1"
	elif declare -F _command_offset >/dev/null; then
		_command_offset "$1"
	elif (($1 == COMP_CWORD)); then
		_coldplug_paths "" <<<"$(compgen -c -- "$2")"
	else
		_coldplug_paths "" <<<"$(compgen -f -- "$2")"
	fi
}

# Adds completions of word $2 by kinds $1, which are separated by plus signs. $3 is a module.
_coldplug_add() {
	local kinds=$1 word=$2 head= kind
	if [[ $kinds == LIST+* ]]; then
		kinds=${kinds#LIST+}
		[[ $word == *,* ]] && head=${word%,*}, word=${word##*,}
		compopt -o nospace 2>/dev/null
	fi
	local all
	IFS=+ read -ra all <<<"$kinds"
	for kind in "${all[@]}"; do
		case $kind in
		-) ;;
		FILE) _coldplug_paths "$head" <<<"$(compgen -f -- "$word")" ;;
		DIR) _coldplug_paths "$head" <<<"$(compgen -d -- "$word")" ;;
		RELEASE) _coldplug_filter "$word" "$head" <<<"$(cd /lib/modules 2>/dev/null && ls)" ;;
		MODULE)
			_coldplug_filter "${word//-/_}" "$head" <<<"$(sed -n \
				's,^\([^:]*/\)*\([^/:]*\)\.ko[.a-z]*:.*,\2,p' \
				"/lib/modules/$(uname -r)/modules.dep" 2>/dev/null | tr - _)"
			;;
		LOADED)
			_coldplug_filter "${word//-/_}" "$head" <<<"$(cut -d ' ' -f 1 /proc/modules 2>/dev/null)"
			;;
		PARAMETER)
			compopt -o nospace 2>/dev/null
			_coldplug_filter "$word" "$head" <<<"$(
				coldplug modinfo -F parm -- "$3" 2>/dev/null | sed 's/:.*/=/'
			)"
			;;
		*) [[ $kind == "$word"* ]] && COMPREPLY+=("$head$kind") ;;
		esac
	done
}

_coldplug() {
	COMPREPLY=()
	# Readline takes --option=value for three words.
	local words=() starts=() word joined= i
	for ((i = 1; i <= COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if [[ ${#words[@]} -gt 0 && ($word == = || $joined) && ${words[-1]} == -* ]]; then
			words[-1]+=$word
			[[ $word == = ]] && joined=1 || joined=
		else
			words+=("$word") starts+=("$i") joined=
		fi
	done
	local command=${COMP_WORDS[0]##*/} current=${words[-1]} at=0 REPLY
	if [[ $command == coldplug ]]; then
		if ((${#words[@]} == 1)); then
			COMPREPLY=($(compgen -W '@COMMANDS@ help --help --version' -- "$current"))
			return
		fi
		command=${words[0]} at=1
		if [[ $command == help ]]; then
			_coldplug_actions "${words[1]}"
			((${#words[@]} == 2)) && REPLY='@COMMANDS@'
			COMPREPLY=($(compgen -W "$REPLY" -- "$current"))
			return
		fi
	fi
	local actions expected= ended= removes= fleet= runs= operands=()
	_coldplug_actions "$command"
	actions=$REPLY
	_coldplug_operands "$command"
	[[ $REPLY == COMMAND ]] && runs=1
	for ((i = at; i < ${#words[@]} - 1; i++)); do
		word=${words[i]}
		if [[ $expected ]]; then
			expected=
		elif [[ $ended || $word != -?* ]]; then
			if [[ $actions ]]; then
				command+=" $word" actions=
			elif [[ $runs ]]; then
				_coldplug_run "${starts[i]}" "$current"
				return
			else
				operands+=("$word")
			fi
		elif [[ $word == -- ]]; then
			ended=1
		elif [[ $word == --* ]]; then
			[[ $word == --remove || $word == --all ]] && removes+=" $word"
			[[ $word == --fleet ]] && fleet=1
			_coldplug_value "$command" "$word" :
			expected=$REPLY
		else
			[[ $word == -*r* || $word == -*a* ]] && removes+=" $word"
			[[ $word == -*f* ]] && fleet=1
			# The value of the first letter may follow at once, that of the last is the next word.
			_coldplug_value "$command" "${word:0:2}" :
			if [[ ! $REPLY || ${#word} == 2 ]]; then
				_coldplug_value "$command" "-${word: -1}" :
				expected=$REPLY
			fi
		fi
	done
	if [[ $expected ]]; then
		_coldplug_add "$expected" "$current"
	elif [[ ! $ended && $current == --*=* ]]; then
		_coldplug_value "$command" "${current%%=*}" ':?'
		[[ $COMP_WORDBREAKS == *=* ]] && word= || word=${current%%=*}=
		_coldplug_add "$REPLY" "${current#*=}"
		COMPREPLY=("${COMPREPLY[@]/#/$word}")
	elif [[ ! $ended && $current == -* ]]; then
		_coldplug_options "$command"
		local names=() option
		for option in $REPLY; do
			# An optional value follows an equals sign.
			[[ $option == --*\?* ]] && names+=("${option%%\?*}=")
			[[ $option == --* || $current != --* ]] && names+=("${option%%[:?]*}")
		done
		COMPREPLY=($(compgen -W "${names[*]}" -- "$current"))
		[[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
	elif [[ $runs ]]; then
		_coldplug_run "${starts[-1]}" "$current"
	elif [[ $actions ]]; then
		COMPREPLY=($(compgen -W "$actions" -- "$current"))
	else
		_coldplug_operands "$command"
		local kinds count=${#operands[@]}
		read -ra kinds <<<"$REPLY"
		((count >= ${#kinds[@]})) && count=$((${#kinds[@]} - 1))
		((count < 0)) && return
		((count < ${#operands[@]})) && [[ ${kinds[count]} != *\* ]] && return
		word=${kinds[count]%\*}
		# modprobe -a and -r take modules alone.
		[[ $command == modprobe && $removes ]] && word=MODULE
		[[ $command == modprobe && $removes == *r* ]] && word=LOADED
		# report --fleet takes a directory.
		[[ $command == report && $fleet ]] && word=DIR
		_coldplug_add "$word" "$current" "${operands[0]}"
	fi
}
complete -F _coldplug coldplug
# Another name is that of a link which has a completion of its own beside this file.
case ${BASH_SOURCE[0]##*/} in
modprobe | insmod | rmmod | lsmod | modinfo | depmod) complete -F _coldplug "${BASH_SOURCE[0]##*/}" ;;
esac
"#;
