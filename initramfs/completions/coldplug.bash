# bash completion for coldplug, and for the tools of kmod if they are links to it.
# Made by BLESS=1 cargo test --lib reference from the usages of the commands.

# Sets REPLY to the options of command $1: behind a colon is what completes the value, behind a
# question mark that of a value that may be missing.
_coldplug_options() {
	REPLY=
	case $1 in
	'init') REPLY='-h --help' ;;
	'image') REPLY='-h --help' ;;
	'image build') REPLY='-k:LIST+RELEASE --kernel:LIST+RELEASE -o:FILE --output:FILE -r:DIR --root:DIR --configured --compress:none+zstd+xz+gzip+lz4 --as-list --manifest:FILE -q --quiet --all -m:LIST+MODULE+@crypt+@filesystems+@gpu+@lvm+@network+@raid+@rescue+@soc+@storage+@usb-input+@virtio+@wireless --modules:LIST+MODULE+@crypt+@filesystems+@gpu+@lvm+@network+@raid+@rescue+@soc+@storage+@usb-input+@virtio+@wireless --board:FILE --host --with:LIST+rescue+gpu+wireless --modules-as:zstd+plain+stored --cache:DIR --no-cache --trim-indexes --no-firmware --microcode?auto+amd+intel+all+DIR --init:FILE --boot-only --list:FILE --include:FILE --fsck?- --keymap?FILE --shell?FILE --shell-password-hash:FILE --generic -h --help' ;;
	'image update') REPLY='-k:RELEASE+all --kernel:RELEASE+all -o:FILE --output:FILE -r:DIR --root:DIR -q --quiet -h --help' ;;
	'image remove') REPLY='-k:RELEASE --kernel:RELEASE -o:FILE --output:FILE -r:DIR --root:DIR -q --quiet -h --help' ;;
	'image list') REPLY='-n --names -s --sizes -h --help' ;;
	'image extract') REPLY='-C:DIR --directory:DIR --parts --max-size:- -v --verbose -h --help' ;;
	'image cat') REPLY='--max-size:- -h --help' ;;
	'image diff') REPLY='--max-size:- -h --help' ;;
	'image check') REPLY='--board:FILE --host -c:- --cmdline:- -k:RELEASE --kernel:RELEASE --max-size:- --strict -j --json -q --quiet -h --help' ;;
	'finish') REPLY='-h --help' ;;
	'scan') REPLY='-r:DIR --root:DIR -k:RELEASE --kernel:RELEASE -j --json -s:FILE --save:FILE -l --serial -f:FILE --from:FILE -h --help' ;;
	'plan') REPLY='-r:DIR --root:DIR -f:FILE --from:FILE -k:RELEASE --kernel:RELEASE -c:- --cmdline:- -j --json -h --help' ;;
	'run') REPLY='-k:RELEASE+FILE --kernel:RELEASE+FILE --kernel-root:DIR -r:DIR --root:DIR --rw --fs:9p+virtiofs -m:- --memory:- --cpus:- --accel:- --modules:LIST+MODULE -a:- --append:- --qemu:- -t:- --timeout:- -v --verbose -h --help' ;;
	'report') REPLY='-s:load+time+name --sort:load+time+name -m:MODULE --module:MODULE -t --tree -c --critical -j --json --html:FILE --svg:FILE -d --diff -f --fleet -p --persist -l --serial -h --help' ;;
	'modprobe') REPLY='-a --all -r --remove --remove-holders --orphans -w:- --wait:- --first-time -i --ignore-install -i --ignore-remove -j:- --jobs:- -b --use-blacklist -k --autoclean -f --force --force-modversion --force-vermagic -D --show-depends -c --show-config --json -R --show-alias --show-modversions --show-exports -n --dry-run -C:FILE --config:FILE -d:DIR --dirname:DIR -S:RELEASE --set-version:RELEASE -s --syslog -q --quiet -v --verbose -V --version -h --help' ;;
	'helper') REPLY='-h --help' ;;
	'helper install') REPLY='-h --help' ;;
	'helper show') REPLY='-h --help' ;;
	'helper off') REPLY='-h --help' ;;
	'autoclean') REPLY='--idle:- --keep:LIST+MODULE -n --dry-run -s --syslog -v --verbose -V --version -h --help' ;;
	'settings') REPLY='-h --help' ;;
	'settings save') REPLY='-h --help' ;;
	'settings restore') REPLY='-h --help' ;;
	'settings show') REPLY='-h --help' ;;
	'slot') REPLY='-e:- --env:- -s:- --slots:- -f --force -h --help' ;;
	'slot status') REPLY='-e:- --env:- -s:- --slots:- -f --force -h --help' ;;
	'slot good') REPLY='-e:- --env:- -s:- --slots:- -f --force -h --help' ;;
	'slot bad') REPLY='-e:- --env:- -s:- --slots:- -f --force -h --help' ;;
	'slot activate') REPLY='-e:- --env:- -s:- --slots:- -f --force -h --help' ;;
	'slot init') REPLY='-e:- --env:- -s:- --slots:- -f --force -h --help' ;;
	'monitor') REPLY='--subsystem:- --action:add+remove+change+move+online+offline+bind+unbind --modalias:- --exec:- -j:- --jobs:- --json -p --properties --count:- -V --version -h --help' ;;
	'insmod') REPLY='-f --force --force-modversion --force-vermagic -s --syslog -v --verbose -V --version -h --help' ;;
	'rmmod') REPLY='-a --all -f --force -s --syslog -v --verbose -V --version -h --help' ;;
	'lsmod') REPLY='-s --syslog -v --verbose --json -V --version -h --help' ;;
	'list') REPLY='-s --syslog -v --verbose --json -V --version -h --help' ;;
	'modinfo') REPLY='-a --author -d --description -l --license -p --parameters -n --filename -0 --null -m --modname -F:alias+author+depends+description+filename+firmware+intree+license+name+parm+retpoline+sig_hashalgo+sig_id+sig_key+signer+softdep+srcversion+vermagic+version --field:alias+author+depends+description+filename+firmware+intree+license+name+parm+retpoline+sig_hashalgo+sig_id+sig_key+signer+softdep+srcversion+vermagic+version --ignore-case --json --key-value -k:RELEASE --set-version:RELEASE -b:DIR --basedir:DIR -V --version -h --help' ;;
	'depmod') REPLY='-a --all -A --quick -b:DIR --basedir:DIR -m:DIR --moduledir:DIR -o:DIR --outdir:DIR -C:FILE --config:FILE -E:FILE --symvers:FILE -F:FILE --filesyms:FILE -e --errsyms -n --show -n --dry-run -P:- --symbol-prefix:- -v --verbose -w --warn -V --version -h --help' ;;
	'convert') REPLY='-o:FILE --output:FILE -k:RELEASE --kernel:RELEASE -h --help' ;;
	'kmod') REPLY='-V --version -h --help' ;;
	'kmod help') REPLY='-V --version -h --help' ;;
	'kmod list') REPLY='-s --syslog -v --verbose --json -V --version -h --help' ;;
	'kmod static-nodes') REPLY='-f:human+tmpfiles+devname --format:human+tmpfiles+devname -o:FILE --output:FILE -h --help' ;;
	'static-nodes') REPLY='-f:human+tmpfiles+devname --format:human+tmpfiles+devname -o:FILE --output:FILE -h --help' ;;
	esac
}

# Sets REPLY to what completes the operands of command $1, in their order; * is for all that follow.
# COMMAND is a command with its arguments: the options of $1 end there.
_coldplug_operands() {
	REPLY=
	case $1 in
	'image list') REPLY='FILE -*' ;;
	'image extract') REPLY='FILE -*' ;;
	'image cat') REPLY='FILE FILE*' ;;
	'image diff') REPLY='FILE FILE' ;;
	'image check') REPLY='FILE' ;;
	'run') REPLY=COMMAND ;;
	'report') REPLY='FILE FILE' ;;
	'modprobe') REPLY='MODULE PARAMETER*' ;;
	'helper install') REPLY='FILE' ;;
	'settings save') REPLY='LOADED*' ;;
	'settings restore') REPLY='LOADED*' ;;
	'settings show') REPLY='LOADED*' ;;
	'slot good') REPLY='-' ;;
	'slot bad') REPLY='-' ;;
	'slot activate') REPLY='-' ;;
	'insmod') REPLY='FILE PARAMETER*' ;;
	'rmmod') REPLY='LOADED*' ;;
	'modinfo') REPLY='MODULE+FILE*' ;;
	'depmod') REPLY='RELEASE FILE*' ;;
	'convert') REPLY='FILE' ;;
	'kmod') REPLY='- -*' ;;
	esac
}

# Sets REPLY to the actions of command $1.
_coldplug_actions() {
	REPLY=
	case $1 in
	image) REPLY='build update remove list extract cat diff check' ;;
	helper) REPLY='install show off' ;;
	settings) REPLY='save restore show' ;;
	slot) REPLY='status good bad activate init' ;;
	kmod) REPLY='help list static-nodes' ;;
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
			COMPREPLY=($(compgen -W 'init image finish scan plan run report modprobe helper autoclean settings slot monitor insmod rmmod lsmod list modinfo depmod convert kmod static-nodes help --help --version' -- "$current"))
			return
		fi
		command=${words[0]} at=1
		if [[ $command == help ]]; then
			_coldplug_actions "${words[1]}"
			((${#words[@]} == 2)) && REPLY='init image finish scan plan run report modprobe helper autoclean settings slot monitor insmod rmmod lsmod list modinfo depmod convert kmod static-nodes'
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
