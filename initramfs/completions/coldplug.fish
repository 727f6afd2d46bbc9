# fish completion for coldplug.
# Made by BLESS=1 cargo test --lib reference from the usages of the commands.

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
    if contains -- $words[1] help image helper settings slot kmod
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

complete -c coldplug -n '__coldplug_is' -f -a init -d 'run as PID 1 of an initramfs: load modules, mount the root, switch to it'
complete -c coldplug -n '__coldplug_is' -f -a image -d 'build initramfs images, keep those of the kernels up to date; list, extract, compare'
complete -c coldplug -n '__coldplug_is' -f -a finish -d 'load the modules that a boot with coldplug.settle=root left'
complete -c coldplug -n '__coldplug_is' -f -a scan -d 'show devices, their drivers and the modules for them, or save them to a file'
complete -c coldplug -n '__coldplug_is' -f -a plan -d 'show which modules a boot would load, in what order and why'
complete -c coldplug -n '__coldplug_is' -f -a run -d 'run a command in a virtual machine, with a directory of this one as its root'
complete -c coldplug -n '__coldplug_is' -f -a report -d 'show the record of a boot: what was loaded, why, and what the boot waited for'
complete -c coldplug -n '__coldplug_is' -f -a modprobe -d 'load or remove modules with their dependencies; also for the kernel'
complete -c coldplug -n '__coldplug_is' -f -a helper -d 'show or set the program that the kernel runs to load modules'
complete -c coldplug -n '__coldplug_is' -f -a autoclean -d 'remove unused modules that were loaded on demand'
complete -c coldplug -n '__coldplug_is' -f -a settings -d 'save, restore or show the settings of modules'
complete -c coldplug -n '__coldplug_is' -f -a slot -d 'show the slots of an A/B system, or mark one as good or bad'
complete -c coldplug -n '__coldplug_is' -f -a monitor -d 'show uevents of the kernel, or run a command for each'
complete -c coldplug -n '__coldplug_is' -f -a insmod -d 'load a module file'
complete -c coldplug -n '__coldplug_is' -f -a rmmod -d 'remove modules'
complete -c coldplug -n '__coldplug_is' -f -a lsmod -d 'show loaded modules'
complete -c coldplug -n '__coldplug_is' -f -a list -d 'same as lsmod'
complete -c coldplug -n '__coldplug_is' -f -a modinfo -d 'show information about modules'
complete -c coldplug -n '__coldplug_is' -f -a depmod -d 'index the modules of a kernel: dependencies, aliases, symbols'
complete -c coldplug -n '__coldplug_is' -f -a convert -d 'convert a modules.conf of modutils to modprobe.d'
complete -c coldplug -n '__coldplug_is' -f -a kmod -d 'kmod\'s own commands: list, static-nodes'
complete -c coldplug -n '__coldplug_is' -f -a static-nodes -d 'show the device nodes that load a module when they are opened'
complete -c coldplug -n '__coldplug_is' -f -a help -d 'describe a command'
complete -c coldplug -n '__coldplug_is' -s V -l version -d 'print the version'
complete -c coldplug -n '__coldplug_is help' -f -a 'init image finish scan plan run report modprobe helper autoclean settings slot monitor insmod rmmod lsmod list modinfo depmod convert kmod static-nodes'
complete -c coldplug -n '__coldplug_is init' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is init' -f
complete -c coldplug -n '__coldplug_is help image' -f -a 'build update remove list extract cat diff check'
complete -c coldplug -n '__coldplug_is image' -f -a build -d 'write an initramfs image'
complete -c coldplug -n '__coldplug_is image' -f -a update -d 'build the images of the installed kernels as image.conf says'
complete -c coldplug -n '__coldplug_is image' -f -a remove -d 'remove the image that was written for a kernel'
complete -c coldplug -n '__coldplug_is image' -f -a list -d 'print mode, owner, size and name of each entry of an image'
complete -c coldplug -n '__coldplug_is image' -f -a extract -d 'write the files of an image below a directory'
complete -c coldplug -n '__coldplug_is image' -f -a cat -d 'print the content of files, through links, as the system reads them'
complete -c coldplug -n '__coldplug_is image' -f -a diff -d 'compare what two images unpack to'
complete -c coldplug -n '__coldplug_is image' -f -a check -d 'check that an image boots'
complete -c coldplug -n '__coldplug_is image' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is image' -f
complete -c coldplug -n '__coldplug_is image build' -s k -l kernel -x -a '(__coldplug_any LIST RELEASE)' -d 'kernel release of the modules, as printed by uname -r (default: the running kernel, or the only one below DIR). May occur several times: the image then boots each of these kernels'
complete -c coldplug -n '__coldplug_is image build' -s o -l output -r -F -d 'path of the image; \'-\' is standard output'
complete -c coldplug -n '__coldplug_is image build' -s r -l root -x -a '(__coldplug_any DIR)' -d 'use /lib/modules, /lib/firmware and modprobe.d below DIR (default: /)'
complete -c coldplug -n '__coldplug_is image build' -l configured -d 'begin with the options of image.conf below the root; those of the command line replace them, but --modules, --board, --with and --include add to them'
complete -c coldplug -n '__coldplug_is image build' -l compress -x -a '(__coldplug_any none zstd xz gzip lz4)' -d 'compress the whole archive: none (default), zstd (levels 1 to 22, as in zstd:19), xz (0 to 9), gzip (1 to 9) or lz4 (1 to 12)'
complete -c coldplug -n '__coldplug_is image build' -l as-list -d 'write to OUT a list for the kernel\'s gen_init_cpio instead of an archive, and what only the image has to the directory OUT.files'
complete -c coldplug -n '__coldplug_is image build' -l manifest -r -F -d 'write to FILE, as JSON, what the image holds and why'
complete -c coldplug -n '__coldplug_is image build' -s q -l quiet -d 'print no summary'
complete -c coldplug -n '__coldplug_is image build' -l all -d 'include all modules (default, unless other options choose some)'
complete -c coldplug -n '__coldplug_is image build' -s m -l modules -x -a '(__coldplug_any LIST MODULE @crypt @filesystems @gpu @lvm @network @raid @rescue @soc @storage @usb-input @virtio @wireless)' -d 'include these modules and their dependencies: names, aliases, globs or @sets (@crypt @filesystems @gpu @lvm @network @raid @rescue @soc @storage @usb-input @virtio @wireless)'
complete -c coldplug -n '__coldplug_is image build' -l board -r -F -d 'include the modules that a boot would load on the machine in FILE, as coldplug scan --save has written it or a serial line has logged it, and those that its root needs; any number of times'
complete -c coldplug -n '__coldplug_is image build' -l host -d 'include the modules of this machine, by /sys, /proc and /dev below DIR, with all that its root, /usr and swap are on'
complete -c coldplug -n '__coldplug_is image build' -l with -x -a '(__coldplug_any LIST rescue gpu wireless)' -d 'include also rescue (keyboards, removable disks and the usual filesystems), gpu or wireless (drivers and firmware of all GPUs or wireless adapters, whose firmware is else left out unless --board, --host or the name of a module asks for it)'
complete -c coldplug -n '__coldplug_is image build' -l modules-as -x -a '(__coldplug_any zstd plain stored)' -d 'zstd: compress plain modules (default); plain: decompress all modules; stored: keep the files unchanged. With --compress, plain makes the smaller image'
complete -c coldplug -n '__coldplug_is image build' -l cache -x -a '(__coldplug_any DIR)' -d 'keep packed modules in DIR, which makes the next build fast (default: /var/cache/coldplug if it exists and can be written)'
complete -c coldplug -n '__coldplug_is image build' -l no-cache -d 'pack all modules anew'
complete -c coldplug -n '__coldplug_is image build' -l trim-indexes -d 'leave out of the index files what is about modules that are not in the image, which the boot then cannot name as missing'
complete -c coldplug -n '__coldplug_is image build' -l no-firmware -d 'leave out firmware'
complete -c coldplug -n '__coldplug_is image build' -l microcode -a '(__coldplug_any auto amd intel all DIR)' -d 'put microcode in front of the image: for the processor of this machine (auto, default), amd, intel, all, or all of DIR, which has amd-ucode and intel-ucode'
complete -c coldplug -n '__coldplug_is image build' -l init -r -F -d 'program for /init (default: coldplug-init, or coldplug-init-stacks if the image can have a root on LUKS, LVM or md, in the directory of this program or in ../lib/coldplug; else this program. For a kernel of another machine: in the directory ARCH of these, such as aarch64)'
complete -c coldplug -n '__coldplug_is image build' -l boot-only -d 'take coldplug-init-boot for /init, which is half as large: it only boots from a filesystem on a disk; it has no rescue prompt, no keymap and no tools. Modules that xz or gzip has compressed are compressed with zstd instead'
complete -c coldplug -n '__coldplug_is image build' -l list -r -F -d 'read the files, links and device nodes from FILE, a list for gen_init_cpio, instead of the built-in list; \'-\' is standard input'
complete -c coldplug -n '__coldplug_is image build' -l include -r -F -d 'include the file or the tree SRC of this machine, as DST; programs bring their libraries. May occur several times'
complete -c coldplug -n '__coldplug_is image build' -l fsck -d 'include the programs that check filesystems: of these types, or of all that the image can mount'
complete -c coldplug -n '__coldplug_is image build' -l keymap -d 'include the keymap of the console: that of the root\'s configuration, a name below usr/share/keymaps, or a file'
complete -c coldplug -n '__coldplug_is image build' -l shell -d 'include a shell for a boot that fails: busybox or bash of the root, or the program FILE, with the libraries it needs'
complete -c coldplug -n '__coldplug_is image build' -l shell-password-hash -r -F -d 'ask for a password before a shell; its hash as made by \'openssl passwd -6\', or a file that holds it'
complete -c coldplug -n '__coldplug_is image build' -l generic -d 'leave out the root\'s crypttab with its key files, mdadm.conf, settings of LVM and host name'
complete -c coldplug -n '__coldplug_is image build' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is image build' -f
complete -c coldplug -n '__coldplug_is image update' -s k -l kernel -x -a '(__coldplug_any RELEASE all)' -d 'only the image of this kernel; with \'all\' those of every installed one (default)'
complete -c coldplug -n '__coldplug_is image update' -s o -l output -r -F -d 'path of the images, with %v for the release (default: as in image.conf, else /boot/initrd.img-%v); \'%v\' may be missing if there is one kernel'
complete -c coldplug -n '__coldplug_is image update' -s r -l root -x -a '(__coldplug_any DIR)' -d 'the system below DIR, with its image.conf (default: /)'
complete -c coldplug -n '__coldplug_is image update' -s q -l quiet -d 'print no summary'
complete -c coldplug -n '__coldplug_is image update' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is image update' -f
complete -c coldplug -n '__coldplug_is image remove' -s k -l kernel -x -a '(__coldplug_any RELEASE)' -d 'release of the kernel'
complete -c coldplug -n '__coldplug_is image remove' -s o -l output -r -F -d 'path of the images, with %v for the release (default: as in image.conf, else /boot/initrd.img-%v); \'%v\' may be missing if there is one kernel'
complete -c coldplug -n '__coldplug_is image remove' -s r -l root -x -a '(__coldplug_any DIR)' -d 'the system below DIR, with its image.conf (default: /)'
complete -c coldplug -n '__coldplug_is image remove' -s q -l quiet -d 'print no summary'
complete -c coldplug -n '__coldplug_is image remove' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is image remove' -f
complete -c coldplug -n '__coldplug_is image list' -s n -l names -d 'print the names alone'
complete -c coldplug -n '__coldplug_is image list' -s s -l sizes -d 'print instead how large the parts of the image are, packed and unpacked, and which modules it has for which reasons, the largest first'
complete -c coldplug -n '__coldplug_is image list' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is image extract' -s C -l directory -x -a '(__coldplug_any DIR)' -d 'the directory, which is made if it is missing (default: .)'
complete -c coldplug -n '__coldplug_is image extract' -l parts -d 'write each part of the image into a directory of its own: early, early2, … and the last one into main'
complete -c coldplug -n '__coldplug_is image extract' -l max-size -x -d 'refuse an image that unpacks to more: bytes, or with K, M, G or T (default: 4G)'
complete -c coldplug -n '__coldplug_is image extract' -s v -l verbose -d 'print the names of the files that are written'
complete -c coldplug -n '__coldplug_is image extract' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is image cat' -l max-size -x -d 'refuse an image that unpacks to more: bytes, or with K, M, G or T (default: 4G)'
complete -c coldplug -n '__coldplug_is image cat' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is image diff' -l max-size -x -d 'refuse an image that unpacks to more: bytes, or with K, M, G or T (default: 4G)'
complete -c coldplug -n '__coldplug_is image diff' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is image check' -l board -r -F -d 'the machine that coldplug scan --save wrote to FILE, or the one in the log of a serial line'
complete -c coldplug -n '__coldplug_is image check' -l host -d 'this machine'
complete -c coldplug -n '__coldplug_is image check' -s c -l cmdline -x -d 'the kernel command line of the boot (default: the machine\'s)'
complete -c coldplug -n '__coldplug_is image check' -s k -l kernel -x -a '(__coldplug_any RELEASE)' -d 'check only this kernel of the image, which must have it'
complete -c coldplug -n '__coldplug_is image check' -l max-size -x -d 'refuse an image that unpacks to more, and modules that decompress to more: bytes, or with K, M, G or T (default: 4G)'
complete -c coldplug -n '__coldplug_is image check' -l strict -d 'let warnings count as errors'
complete -c coldplug -n '__coldplug_is image check' -s j -l json -d 'print one JSON object'
complete -c coldplug -n '__coldplug_is image check' -s q -l quiet -d 'print errors alone'
complete -c coldplug -n '__coldplug_is image check' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is finish' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is finish' -f
complete -c coldplug -n '__coldplug_is scan' -s r -l root -x -a '(__coldplug_any DIR)' -d 'read /sys, /proc, /etc and /lib/modules below DIR (default: /)'
complete -c coldplug -n '__coldplug_is scan' -s k -l kernel -x -a '(__coldplug_any RELEASE)' -d 'look up modules of this kernel (default: the running kernel)'
complete -c coldplug -n '__coldplug_is scan' -s j -l json -d 'print one JSON object'
complete -c coldplug -n '__coldplug_is scan' -s s -l save -r -F -d 'write the machine to FILE instead, for coldplug plan --from; \'-\' is standard output'
complete -c coldplug -n '__coldplug_is scan' -s l -l serial -d 'print the machine in numbered lines with checksums instead: plan --from finds them in the log of a serial line, between other messages'
complete -c coldplug -n '__coldplug_is scan' -s f -l from -r -F -d 'use the machine that --save or --serial has written to FILE'
complete -c coldplug -n '__coldplug_is scan' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is scan' -f
complete -c coldplug -n '__coldplug_is plan' -s r -l root -x -a '(__coldplug_any DIR)' -d 'directory with /lib/modules and modprobe.d, and without --from also /sys and /proc (default: /): a mounted system or an unpacked image'
complete -c coldplug -n '__coldplug_is plan' -s f -l from -r -F -d 'use the machine that coldplug scan --save wrote to FILE, or the one in the log of a serial line to which it was printed'
complete -c coldplug -n '__coldplug_is plan' -s k -l kernel -x -a '(__coldplug_any RELEASE)' -d 'use the modules of this kernel (default: the machine\'s)'
complete -c coldplug -n '__coldplug_is plan' -s c -l cmdline -x -d 'use this kernel command line (default: the machine\'s)'
complete -c coldplug -n '__coldplug_is plan' -s j -l json -d 'print one JSON object'
complete -c coldplug -n '__coldplug_is plan' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is plan' -f
function __coldplug_values_of_run
    printf '%s\n' -k -r -m -a -t --kernel --kernel-root --root --fs --memory --cpus --accel --modules --append --qemu --timeout
end

complete -c coldplug -n '__coldplug_has_options run' -s k -l kernel -r -F -a '(__coldplug_any RELEASE)' -d 'a release whose kernel is in /boot or beside its modules, or the path of a kernel (default: the running one, or the only one)'
complete -c coldplug -n '__coldplug_has_options run' -l kernel-root -x -a '(__coldplug_any DIR)' -d 'find the kernel and its modules below DIR (default: that of --root)'
complete -c coldplug -n '__coldplug_has_options run' -s r -l root -x -a '(__coldplug_any DIR)' -d 'root of the guest (default: /)'
complete -c coldplug -n '__coldplug_has_options run' -l rw -d 'COMMAND may write to the root of the guest'
complete -c coldplug -n '__coldplug_has_options run' -l fs -x -a '(__coldplug_any 9p virtiofs)' -d 'filesystem of the root (default: 9p, or virtiofs if the kernel has no 9p)'
complete -c coldplug -n '__coldplug_has_options run' -s m -l memory -x -d 'memory of the guest (default: 512)'
complete -c coldplug -n '__coldplug_has_options run' -l cpus -x -d 'processors of the guest (default: 1)'
complete -c coldplug -n '__coldplug_has_options run' -l accel -x -d 'accelerator of QEMU (default: kvm if this machine has it, else tcg)'
complete -c coldplug -n '__coldplug_has_options run' -l modules -x -a '(__coldplug_any LIST MODULE)' -d 'more modules for the image: names, aliases, globs or @sets'
complete -c coldplug -n '__coldplug_has_options run' -s a -l append -x -d 'more words for the kernel command line; may occur several times'
complete -c coldplug -n '__coldplug_has_options run' -l qemu -x -d 'one more argument for QEMU; may occur several times'
complete -c coldplug -n '__coldplug_has_options run' -s t -l timeout -x -d 'end with status 124 after this time (default: never)'
complete -c coldplug -n '__coldplug_has_options run' -s v -l verbose -d 'print the console of the guest when it has ended'
complete -c coldplug -n '__coldplug_has_options run' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is run' -f -a '(__fish_complete_subcommand --fcs-skip=2 (__coldplug_values_of_run))'
complete -c coldplug -n '__coldplug_is report' -s s -l sort -x -a '(__coldplug_any load time name)' -d 'order of the table: load (default), time (the slowest first) or name'
complete -c coldplug -n '__coldplug_is report' -s m -l module -x -a '(__coldplug_any MODULE)' -d 'only this module'
complete -c coldplug -n '__coldplug_is report' -s t -l tree -d 'why each module is loaded: device, alias, module, dependencies'
complete -c coldplug -n '__coldplug_is report' -s c -l critical -d 'what decided when the root was there and the boot ended, and what each step waited for'
complete -c coldplug -n '__coldplug_is report' -s j -l json -d 'the record as JSON in lines'
complete -c coldplug -n '__coldplug_is report' -l html -r -F -d 'write a page with chart, critical path and modules to OUT; - is standard output'
complete -c coldplug -n '__coldplug_is report' -l svg -r -F -d 'write the chart to OUT'
complete -c coldplug -n '__coldplug_is report' -s d -l diff -d 'compare two boots: modules, times, phases'
complete -c coldplug -n '__coldplug_is report' -s f -l fleet -d 'many boots, the records in the directory DIR: percentiles and outliers'
complete -c coldplug -n '__coldplug_is report' -s p -l persist -d 'show the failed boot that coldplug.persist= has stored: what ended it, its record and the end of the kernel log'
complete -c coldplug -n '__coldplug_is report' -s l -l serial -d 'print the record in numbered lines with checksums, for the log of a serial line'
complete -c coldplug -n '__coldplug_is report' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is report; and __fish_contains_opt -s f fleet' -f -a '(__coldplug_any DIR)'
complete -c coldplug -n '__coldplug_is modprobe' -s a -l all -d 'treat every argument as a module name'
complete -c coldplug -n '__coldplug_is modprobe' -s r -l remove -d 'remove modules'
complete -c coldplug -n '__coldplug_is modprobe' -l remove-holders -d 'also remove the modules that use them'
complete -c coldplug -n '__coldplug_is modprobe' -l orphans -d 'also remove all dependencies that are then unused, at any depth'
complete -c coldplug -n '__coldplug_is modprobe' -s w -l wait -x -d 'with -r: wait up to MSEC milliseconds for a module in use'
complete -c coldplug -n '__coldplug_is modprobe' -l first-time -d 'fail if the module is already loaded (or removed)'
complete -c coldplug -n '__coldplug_is modprobe' -s i -l ignore-install -d 'ignore install and remove commands and softdeps'
complete -c coldplug -n '__coldplug_is modprobe' -s i -l ignore-remove -d 'ignore install and remove commands and softdeps'
complete -c coldplug -n '__coldplug_is modprobe' -s j -l jobs -x -d 'with -a: load up to N modules in parallel'
complete -c coldplug -n '__coldplug_is modprobe' -s b -l use-blacklist -d 'apply the blacklist to names too'
complete -c coldplug -n '__coldplug_is modprobe' -s k -l autoclean -d 'mark loaded modules for removal when unused (coldplug autoclean)'
complete -c coldplug -n '__coldplug_is modprobe' -s f -l force -d 'same as --force-modversion --force-vermagic'
complete -c coldplug -n '__coldplug_is modprobe' -l force-modversion -d 'ignore symbol versions'
complete -c coldplug -n '__coldplug_is modprobe' -l force-vermagic -d 'ignore the version magic'
complete -c coldplug -n '__coldplug_is modprobe' -s D -l show-depends -d 'print the modules that would be loaded'
complete -c coldplug -n '__coldplug_is modprobe' -s c -l show-config -d 'print the configuration'
complete -c coldplug -n '__coldplug_is modprobe' -l json -d 'with -c: print one JSON object'
complete -c coldplug -n '__coldplug_is modprobe' -s R -l show-alias -d 'print the modules that match a name or alias'
complete -c coldplug -n '__coldplug_is modprobe' -l show-modversions -d 'print the symbol versions of a module'
complete -c coldplug -n '__coldplug_is modprobe' -l show-exports -d 'print the symbols that a module exports'
complete -c coldplug -n '__coldplug_is modprobe' -s n -l dry-run -d 'print what would be done, and do nothing'
complete -c coldplug -n '__coldplug_is modprobe' -s C -l config -r -F -d 'use this file or directory instead of modprobe.d'
complete -c coldplug -n '__coldplug_is modprobe' -s d -l dirname -x -a '(__coldplug_any DIR)' -d 'use the modules below DIR/lib/modules'
complete -c coldplug -n '__coldplug_is modprobe' -s S -l set-version -x -a '(__coldplug_any RELEASE)' -d 'use RELEASE instead of the running kernel'
complete -c coldplug -n '__coldplug_is modprobe' -s s -l syslog -d 'log messages to syslog'
complete -c coldplug -n '__coldplug_is modprobe' -s q -l quiet -d 'print no messages'
complete -c coldplug -n '__coldplug_is modprobe' -s v -l verbose -d 'print more messages'
complete -c coldplug -n '__coldplug_is modprobe' -s V -l version -d 'print the version'
complete -c coldplug -n '__coldplug_is modprobe' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is modprobe' -f -a '(__coldplug_any MODULE PARAMETER)'
complete -c coldplug -n '__coldplug_is help helper' -f -a 'install show off'
complete -c coldplug -n '__coldplug_is helper' -f -a install -d 'set PATH, or this program if there is no PATH'
complete -c coldplug -n '__coldplug_is helper' -f -a show -d 'print the program'
complete -c coldplug -n '__coldplug_is helper' -f -a off -d 'set no program: requests for modules that are not loaded fail immediately'
complete -c coldplug -n '__coldplug_is helper' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is helper' -f
complete -c coldplug -n '__coldplug_is helper install' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is helper show' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is helper show' -f
complete -c coldplug -n '__coldplug_is helper off' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is helper off' -f
complete -c coldplug -n '__coldplug_is autoclean' -l idle -x -d 'only modules that have been unused for at least SECONDS'
complete -c coldplug -n '__coldplug_is autoclean' -l keep -x -a '(__coldplug_any LIST MODULE)' -d 'keep modules with these names or patterns'
complete -c coldplug -n '__coldplug_is autoclean' -s n -l dry-run -d 'print what would be done, and do nothing'
complete -c coldplug -n '__coldplug_is autoclean' -s s -l syslog -d 'log messages to syslog'
complete -c coldplug -n '__coldplug_is autoclean' -s v -l verbose -d 'print what is done'
complete -c coldplug -n '__coldplug_is autoclean' -s V -l version -d 'print the version'
complete -c coldplug -n '__coldplug_is autoclean' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is autoclean' -f
complete -c coldplug -n '__coldplug_is help settings' -f -a 'save restore show'
complete -c coldplug -n '__coldplug_is settings' -f -a save -d 'save the settings of loaded modules'
complete -c coldplug -n '__coldplug_is settings' -f -a restore -d 'set the saved settings of loaded modules'
complete -c coldplug -n '__coldplug_is settings' -f -a show -d 'show each setting with its present and its saved value'
complete -c coldplug -n '__coldplug_is settings' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is settings' -f
complete -c coldplug -n '__coldplug_is settings save' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is settings save' -f -a '(__coldplug_any LOADED)'
complete -c coldplug -n '__coldplug_is settings restore' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is settings restore' -f -a '(__coldplug_any LOADED)'
complete -c coldplug -n '__coldplug_is settings show' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is settings show' -f -a '(__coldplug_any LOADED)'
complete -c coldplug -n '__coldplug_is help slot' -f -a 'status good bad activate init'
complete -c coldplug -n '__coldplug_is slot' -f -a status -d 'show the slots in the order in which they are tried'
complete -c coldplug -n '__coldplug_is slot' -f -a good -d 'give a slot three attempts (default: the slot that was booted)'
complete -c coldplug -n '__coldplug_is slot' -f -a bad -d 'take all attempts from a slot, and remove it from the order'
complete -c coldplug -n '__coldplug_is slot' -f -a activate -d 'put a slot first in the order, with three attempts'
complete -c coldplug -n '__coldplug_is slot' -f -a init -d 'write a new environment, with all slots in their order'
complete -c coldplug -n '__coldplug_is slot' -s e -l env -x -d 'the environment, as in coldplug.slots_env=: DEVICE@OFFSET:SIZE, where DEVICE may be a file (default: the one of the kernel command line)'
complete -c coldplug -n '__coldplug_is slot' -s s -l slots -x -d 'names of the slots (default: those of the kernel command line)'
complete -c coldplug -n '__coldplug_is slot' -s f -l force -d 'with init: overwrite what is there'
complete -c coldplug -n '__coldplug_is slot' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is slot' -f
complete -c coldplug -n '__coldplug_is slot status' -s e -l env -x -d 'the environment, as in coldplug.slots_env=: DEVICE@OFFSET:SIZE, where DEVICE may be a file (default: the one of the kernel command line)'
complete -c coldplug -n '__coldplug_is slot status' -s s -l slots -x -d 'names of the slots (default: those of the kernel command line)'
complete -c coldplug -n '__coldplug_is slot status' -s f -l force -d 'with init: overwrite what is there'
complete -c coldplug -n '__coldplug_is slot status' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is slot status' -f
complete -c coldplug -n '__coldplug_is slot good' -s e -l env -x -d 'the environment, as in coldplug.slots_env=: DEVICE@OFFSET:SIZE, where DEVICE may be a file (default: the one of the kernel command line)'
complete -c coldplug -n '__coldplug_is slot good' -s s -l slots -x -d 'names of the slots (default: those of the kernel command line)'
complete -c coldplug -n '__coldplug_is slot good' -s f -l force -d 'with init: overwrite what is there'
complete -c coldplug -n '__coldplug_is slot good' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is slot good' -f
complete -c coldplug -n '__coldplug_is slot bad' -s e -l env -x -d 'the environment, as in coldplug.slots_env=: DEVICE@OFFSET:SIZE, where DEVICE may be a file (default: the one of the kernel command line)'
complete -c coldplug -n '__coldplug_is slot bad' -s s -l slots -x -d 'names of the slots (default: those of the kernel command line)'
complete -c coldplug -n '__coldplug_is slot bad' -s f -l force -d 'with init: overwrite what is there'
complete -c coldplug -n '__coldplug_is slot bad' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is slot bad' -f
complete -c coldplug -n '__coldplug_is slot activate' -s e -l env -x -d 'the environment, as in coldplug.slots_env=: DEVICE@OFFSET:SIZE, where DEVICE may be a file (default: the one of the kernel command line)'
complete -c coldplug -n '__coldplug_is slot activate' -s s -l slots -x -d 'names of the slots (default: those of the kernel command line)'
complete -c coldplug -n '__coldplug_is slot activate' -s f -l force -d 'with init: overwrite what is there'
complete -c coldplug -n '__coldplug_is slot activate' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is slot activate' -f
complete -c coldplug -n '__coldplug_is slot init' -s e -l env -x -d 'the environment, as in coldplug.slots_env=: DEVICE@OFFSET:SIZE, where DEVICE may be a file (default: the one of the kernel command line)'
complete -c coldplug -n '__coldplug_is slot init' -s s -l slots -x -d 'names of the slots (default: those of the kernel command line)'
complete -c coldplug -n '__coldplug_is slot init' -s f -l force -d 'with init: overwrite what is there'
complete -c coldplug -n '__coldplug_is slot init' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is slot init' -f
complete -c coldplug -n '__coldplug_is monitor' -l subsystem -x -d 'select events of this subsystem; may be repeated'
complete -c coldplug -n '__coldplug_is monitor' -l action -x -a '(__coldplug_any add remove change move online offline bind unbind)' -d 'select events with this action; may be repeated'
complete -c coldplug -n '__coldplug_is monitor' -l modalias -x -d 'select devices whose modalias matches; may be repeated'
complete -c coldplug -n '__coldplug_is monitor' -l exec -x -d 'run COMMAND with sh(1), the keys of the event in its environment'
complete -c coldplug -n '__coldplug_is monitor' -s j -l jobs -x -d 'run up to N commands in parallel (4), in order for the same device'
complete -c coldplug -n '__coldplug_is monitor' -l json -d 'print one JSON object per line'
complete -c coldplug -n '__coldplug_is monitor' -s p -l properties -d 'print all keys of each event'
complete -c coldplug -n '__coldplug_is monitor' -l count -x -d 'exit after N events'
complete -c coldplug -n '__coldplug_is monitor' -s V -l version -d 'print the version'
complete -c coldplug -n '__coldplug_is monitor' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is monitor' -f
complete -c coldplug -n '__coldplug_is insmod' -s f -l force -d 'same as --force-modversion --force-vermagic'
complete -c coldplug -n '__coldplug_is insmod' -l force-modversion -d 'ignore symbol versions'
complete -c coldplug -n '__coldplug_is insmod' -l force-vermagic -d 'ignore the version magic'
complete -c coldplug -n '__coldplug_is insmod' -s s -l syslog -d 'log messages to syslog'
complete -c coldplug -n '__coldplug_is insmod' -s v -l verbose -d 'print more messages'
complete -c coldplug -n '__coldplug_is insmod' -s V -l version -d 'print the version'
complete -c coldplug -n '__coldplug_is insmod' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is insmod' -a '(__coldplug_any PARAMETER)'
complete -c coldplug -n '__coldplug_is rmmod' -s a -l all -d 'remove modules loaded on demand that were unused at the last run too'
complete -c coldplug -n '__coldplug_is rmmod' -s f -l force -d 'remove even if in use; this may crash the machine'
complete -c coldplug -n '__coldplug_is rmmod' -s s -l syslog -d 'log messages to syslog'
complete -c coldplug -n '__coldplug_is rmmod' -s v -l verbose -d 'print more messages'
complete -c coldplug -n '__coldplug_is rmmod' -s V -l version -d 'print the version'
complete -c coldplug -n '__coldplug_is rmmod' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is rmmod' -f -a '(__coldplug_any LOADED)'
complete -c coldplug -n '__coldplug_is lsmod' -s s -l syslog -d 'log messages to syslog'
complete -c coldplug -n '__coldplug_is lsmod' -s v -l verbose -d 'print more messages, and the state and taint flags of each module'
complete -c coldplug -n '__coldplug_is lsmod' -l json -d 'print a JSON array'
complete -c coldplug -n '__coldplug_is lsmod' -s V -l version -d 'print the version'
complete -c coldplug -n '__coldplug_is lsmod' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is lsmod' -f
complete -c coldplug -n '__coldplug_is list' -s s -l syslog -d 'log messages to syslog'
complete -c coldplug -n '__coldplug_is list' -s v -l verbose -d 'print more messages, and the state and taint flags of each module'
complete -c coldplug -n '__coldplug_is list' -l json -d 'print a JSON array'
complete -c coldplug -n '__coldplug_is list' -s V -l version -d 'print the version'
complete -c coldplug -n '__coldplug_is list' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is list' -f
complete -c coldplug -n '__coldplug_is modinfo' -s a -l author -d 'print only \'author\''
complete -c coldplug -n '__coldplug_is modinfo' -s d -l description -d 'print only \'description\''
complete -c coldplug -n '__coldplug_is modinfo' -s l -l license -d 'print only \'license\''
complete -c coldplug -n '__coldplug_is modinfo' -s p -l parameters -d 'print only \'parm\''
complete -c coldplug -n '__coldplug_is modinfo' -s n -l filename -d 'print only \'filename\''
complete -c coldplug -n '__coldplug_is modinfo' -s 0 -l null -d 'use \\0 instead of \\n'
complete -c coldplug -n '__coldplug_is modinfo' -s m -l modname -d 'arguments are module names, not files or aliases'
complete -c coldplug -n '__coldplug_is modinfo' -s F -l field -x -a '(__coldplug_any alias author depends description filename firmware intree license name parm retpoline sig_hashalgo sig_id sig_key signer softdep srcversion vermagic version)' -d 'print only FIELD'
complete -c coldplug -n '__coldplug_is modinfo' -l ignore-case -d 'ignore the case of FIELD'
complete -c coldplug -n '__coldplug_is modinfo' -l json -d 'print a JSON array'
complete -c coldplug -n '__coldplug_is modinfo' -l key-value -d 'print every line as KEY=VALUE, also with -0'
complete -c coldplug -n '__coldplug_is modinfo' -s k -l set-version -x -a '(__coldplug_any RELEASE)' -d 'use RELEASE instead of the running kernel'
complete -c coldplug -n '__coldplug_is modinfo' -s b -l basedir -x -a '(__coldplug_any DIR)' -d 'use the modules below DIR/lib/modules'
complete -c coldplug -n '__coldplug_is modinfo' -s V -l version -d 'print the version'
complete -c coldplug -n '__coldplug_is modinfo' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is modinfo' -a '(__coldplug_any MODULE)'
complete -c coldplug -n '__coldplug_is depmod' -s a -l all -d 'index all modules even if FILEs are given'
complete -c coldplug -n '__coldplug_is depmod' -s A -l quick -d 'do nothing unless a module is newer than modules.dep'
complete -c coldplug -n '__coldplug_is depmod' -s b -l basedir -x -a '(__coldplug_any DIR)' -d 'use the modules below DIR'
complete -c coldplug -n '__coldplug_is depmod' -s m -l moduledir -x -a '(__coldplug_any DIR)' -d 'use DIR instead of /lib/modules'
complete -c coldplug -n '__coldplug_is depmod' -s o -l outdir -x -a '(__coldplug_any DIR)' -d 'write the files below DIR'
complete -c coldplug -n '__coldplug_is depmod' -s C -l config -r -F -d 'read PATH instead of the depmod.d directories'
complete -c coldplug -n '__coldplug_is depmod' -s E -l symvers -r -F -d 'read the kernel\'s symbols and versions from Module.symvers'
complete -c coldplug -n '__coldplug_is depmod' -s F -l filesyms -r -F -d 'read the kernel\'s symbols from System.map'
complete -c coldplug -n '__coldplug_is depmod' -s e -l errsyms -d 'report unknown symbols (default: System.map of RELEASE)'
complete -c coldplug -n '__coldplug_is depmod' -s n -l show -d 'print the files on standard output and write none'
complete -c coldplug -n '__coldplug_is depmod' -s n -l dry-run -d 'print the files on standard output and write none'
complete -c coldplug -n '__coldplug_is depmod' -s P -l symbol-prefix -x -d 'strip this prefix from symbols'
complete -c coldplug -n '__coldplug_is depmod' -s v -l verbose -d 'print the symbol that causes each dependency'
complete -c coldplug -n '__coldplug_is depmod' -s w -l warn -d 'warn about duplicate entries'
complete -c coldplug -n '__coldplug_is depmod' -s V -l version -d 'print the version'
complete -c coldplug -n '__coldplug_is depmod' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is depmod' -a '(__coldplug_any RELEASE)'
complete -c coldplug -n '__coldplug_is convert' -s o -l output -r -F -d 'write to OUT instead of standard output; an error leaves OUT unchanged'
complete -c coldplug -n '__coldplug_is convert' -s k -l kernel -x -a '(__coldplug_any RELEASE)' -d 'kernel release that replaces `uname -r` (default: the running kernel)'
complete -c coldplug -n '__coldplug_is convert' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is help kmod' -f -a 'help list static-nodes'
complete -c coldplug -n '__coldplug_is kmod' -f -a help -d 'print this help'
complete -c coldplug -n '__coldplug_is kmod' -f -a list -d 'show loaded modules, as lsmod does'
complete -c coldplug -n '__coldplug_is kmod' -f -a static-nodes -d 'show the device nodes that load a module when they are opened'
complete -c coldplug -n '__coldplug_is kmod' -s V -l version -d 'print the version'
complete -c coldplug -n '__coldplug_is kmod' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is kmod' -f
complete -c coldplug -n '__coldplug_is kmod help' -s V -l version -d 'print the version'
complete -c coldplug -n '__coldplug_is kmod help' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is kmod help' -f
complete -c coldplug -n '__coldplug_is kmod list' -s s -l syslog -d 'log messages to syslog'
complete -c coldplug -n '__coldplug_is kmod list' -s v -l verbose -d 'print more messages, and the state and taint flags of each module'
complete -c coldplug -n '__coldplug_is kmod list' -l json -d 'print a JSON array'
complete -c coldplug -n '__coldplug_is kmod list' -s V -l version -d 'print the version'
complete -c coldplug -n '__coldplug_is kmod list' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is kmod list' -f
complete -c coldplug -n '__coldplug_is kmod static-nodes' -s f -l format -x -a '(__coldplug_any human tmpfiles devname)' -d 'format of the output (default: human)'
complete -c coldplug -n '__coldplug_is kmod static-nodes' -s o -l output -r -F -d 'write to FILE instead of standard output'
complete -c coldplug -n '__coldplug_is kmod static-nodes' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is kmod static-nodes' -f
complete -c coldplug -n '__coldplug_is static-nodes' -s f -l format -x -a '(__coldplug_any human tmpfiles devname)' -d 'format of the output (default: human)'
complete -c coldplug -n '__coldplug_is static-nodes' -s o -l output -r -F -d 'write to FILE instead of standard output'
complete -c coldplug -n '__coldplug_is static-nodes' -s h -l help -d 'print this help'
complete -c coldplug -n '__coldplug_is static-nodes' -f
