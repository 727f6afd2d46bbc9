# fish completion for modinfo, if it is a link to coldplug.
# Made by BLESS=1 cargo test --lib reference from the usages of the commands.
complete -c modinfo -f -w 'coldplug modinfo'
