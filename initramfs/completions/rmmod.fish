# fish completion for rmmod, if it is a link to coldplug.
# Made by BLESS=1 cargo test --lib reference from the usages of the commands.
complete -c rmmod -f -w 'coldplug rmmod'
