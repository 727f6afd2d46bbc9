# fish completion for coldplug. Commands and options are read from the help of the program.

function __coldplug_commands
    command coldplug help 2>/dev/null | string replace -rf '^  ([a-z][a-z-]*) +(.*)' '$1\t$2'
end

function __coldplug_command
    set -l words (commandline -opc)
    test (count $words) -ge 2; and echo $words[2]
end

function __coldplug_words
    set -l name (__coldplug_command)
    test -n "$name"; or return
    set -l help (command coldplug help $name 2>/dev/null)
    string replace -rf "^(?:usage:)? *coldplug $name ([a-z][a-z|-]*).*" '$1' -- $help | string split '|' | sort -u
    string match -ra -- '(?<=^|[ ,])--[a-z][a-z-]*' $help | sort -u
end

complete -c coldplug -n 'test -z (__coldplug_command)' -f -a '(__coldplug_commands)'
complete -c coldplug -n 'test -n (__coldplug_command)' -a '(__coldplug_words)'
