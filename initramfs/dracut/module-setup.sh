#!/bin/bash
# Module of dracut: modules are loaded by coldplug instead of kmod, and instead of the loader in
# udev. All devices that are there get their modules in one process before udev is triggered; rules
# of udev are for those that come later.

# Called by dracut. The module is only for images that ask for it: --add coldplug.
check() {
	require_binaries coldplug find || return 1
	return 255
}

# Called by dracut.
depends() {
	echo udev-rules
}

# Called by dracut.
install() {
	local name rules
	inst_multiple cat find
	inst_simple "$(command -v coldplug)" /usr/bin/coldplug
	inst_simple "${dracutsysrootdir-}@LIBDIR@/coldplug-load" /usr/bin/coldplug-load
	# The kernel calls modprobe; the other names are for scripts of other modules.
	for name in modprobe insmod rmmod lsmod modinfo depmod kmod; do
		rm -f "${initdir:?}"/{,usr/}{,s}bin/"$name"
		ln -s /usr/bin/coldplug "$initdir/usr/sbin/$name"
	done
	# systemd calls it here; sbin may be a link to bin.
	[[ -L $initdir/usr/bin/kmod ]] || ln -s coldplug "$initdir/usr/bin/kmod"
	# SYNTH_UUID is set in the events of `udevadm trigger`: the devices that are there have their
	# modules by then.
	for rules in "$initdir"/{,usr/}lib/udev/rules.d/*.rules "$initdir"/etc/udev/rules.d/*.rules; do
		[[ -f $rules && ! -L $rules ]] || continue
		sed -i -e 's|RUN{builtin}+="kmod load"|ENV{SYNTH_UUID}=="", RUN+="/usr/bin/coldplug modprobe -qab \x27$env{MODALIAS}\x27"|' \
			-e 's|RUN{builtin}+="kmod load \([^"]*\)"|RUN+="/usr/bin/coldplug modprobe -qab \1"|' "$rules"
	done
	# udev listens by then, so that no device can be missed.
	inst_hook pre-trigger 10 "$moddir/coldplug.sh"
}
