#!/bin/sh
# Boots a virtual machine, runs a script in it, prints the console, and exits with the status of the
# script.
#
#   boot.sh KERNEL INITRD ROOT SCRIPT
#
# ROOT is a disk with a filesystem, which stays as it is. The exit statuses 0 to 99, 126 and 127 are
# those of the script. Others:
#
#   248  the script has ended with another status, which the message names
#   249  a signal has ended the script
#   250  the script has not run; the verdict says why
#   251  the kernel has panicked, or the machine was reset
#   252  the boot took too long
set -eu
kernel=$1 initrd=$2 root=$3 script=$4
accel=${ACCEL:-kvm:tcg}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

status=0
timeout "${TIMEOUT:-300}" qemu-system-x86_64 \
	-machine "q35,accel=$accel" -m 1024 -nodefaults -no-user-config -display none -no-reboot \
	-kernel "$kernel" -initrd "$initrd" \
	-append "root=/dev/vda console=ttyS0 quiet panic=-1 ${WORDS:-} coldplug.exitport=0xf4 \
		coldplug.exec=@script coldplug.report=/dev/virtio-ports/report" \
	-drive "file=$root,format=raw,if=virtio,snapshot=on" \
	-serial "file:$dir/console" \
	-device isa-debug-exit,iobase=0xf4,iosize=1 \
	-device pvpanic -action panic=exit-failure \
	-device virtio-serial-pci \
	-chardev "file,id=report,path=$dir/report" \
	-device virtserialport,chardev=report,name=report \
	-chardev stdio,id=script,signal=off \
	-device virtserialport,chardev=script,name=script <"$script" 2>"$dir/stderr" || status=$?

tr -d '\r' <"$dir/console"
cat "$dir/stderr" >&2
# The last line of the report is the record. A panic may cut it.
record=$(tail -n 1 "$dir/report" | sed -n '/^{.*"verdict":.*}$/p')
verdict=$(echo "$record" | sed -n 's/.*"verdict":"\([a-z-]*\)".*/\1/p')
ended=$(echo "$record" | sed -n 's/.*"exit":\([0-9-]*\).*/\1/p')

end() {
	echo "boot.sh: $2" >&2
	exit "$1"
}

case $status:$verdict in
0:) end 251 "the kernel has panicked, or the machine was reset" ;;
1:*) end 251 "the kernel has panicked, or QEMU did not start" ;;
124:*) end 252 "the boot took too long" ;;
233:*) end 248 "the script has ended with exit status ${ended:-100 or more}" ;;
235:*) end 126 "the script, or its last command, cannot be executed" ;;
237:*) end 127 "the script, or its last command, was not found" ;;
239:*) end 249 "a signal has ended the script" ;;
esac
if [ "$status" -ge 33 ] && [ "$status" -le 231 ]; then
	exit $(((status - 33) / 2))
fi
end 250 "the script has not ended: verdict=${verdict:-none}, status $status of QEMU"
