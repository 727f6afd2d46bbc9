# bash completion for coldplug. Commands and options are read from the help of the program, so that
# they are those of the installed version.

# Prints the commands.
_coldplug_commands() {
	command coldplug help 2>/dev/null | sed -n 's/^  \([a-z][a-z-]*\)  .*/\1/p'
}

# Prints the words that the usage of command $1 has after it, such as build, and its options.
_coldplug_words() {
	command coldplug help "$1" 2>/dev/null | sed -n \
		-e 's/^usage: coldplug '"$1"' \([a-z][a-z|-]*\).*/\1/p' \
		-e 's/^ *coldplug '"$1"' \([a-z][a-z|-]*\).*/\1/p' | tr '|' '\n' | sort -u
}

_coldplug_options() {
	command coldplug help "$1" 2>/dev/null | grep -oE '(^|[ ,])--[a-z][a-z-]*' | tr -d ' ,' | sort -u
}

_coldplug() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
	local command=${COMP_WORDS[1]}
	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		COMPREPLY=($(compgen -W "$(_coldplug_commands) help" -- "$current"))
		return
	fi
	case $command:$previous in
	*:-k | *:--kernel)
		COMPREPLY=($(compgen -W "$(cd /lib/modules 2>/dev/null && ls) all" -- "$current"))
		return
		;;
	help:*)
		COMPREPLY=($(compgen -W "$(_coldplug_commands)" -- "$current"))
		return
		;;
	esac
	case $command:$current in
	*:-*) COMPREPLY=($(compgen -W "$(_coldplug_options "$command")" -- "$current")) ;;
	rmmod:*) COMPREPLY=($(compgen -W "$(cut -d ' ' -f 1 /proc/modules)" -- "$current")) ;;
	*)
		if ((COMP_CWORD == 2)); then
			COMPREPLY=($(compgen -W "$(_coldplug_words "$command")" -- "$current"))
		fi
		;;
	esac
}
complete -o default -F _coldplug coldplug
