#!/bin/sh
# Makes tree/: small modules, and the index files that kmod's depmod writes for them. The result is kept
# in git, so that the tests need neither compiler nor depmod; run it by hand to change the tree.
set -eu
cd "$(dirname "$0")"
dir=tree/lib/modules/1.0
rm -rf tree
mkdir -p "$dir/kernel/sub"
work=$(mktemp -d)

# module PATH 'EXPORTS' 'NEEDS' 'KEY=VALUE'...
module() {
    path=$1 exports=$2 needs=$3
    shift 3
    {
        echo '.section .modinfo,"a"'
        for string; do printf '.asciz "%s"\n' "$string"; done
        echo '.section __ksymtab_strings,"a"'
        for symbol in $exports; do printf '.asciz "%s"\n' "$symbol"; done
        for symbol in $exports; do printf '.globl __crc_%s\n__crc_%s = 0x%s\n' "$symbol" "$symbol" "$(printf %s "$symbol" | cksum | cut -c1-7)"; done
        echo '.text'
        for symbol in $needs; do printf '.quad %s\n' "$symbol"; done
        if [ -n "$needs" ]; then
            echo '.section __versions,"a"'
            for symbol in $needs; do printf '.quad 0x1234\n.ascii "%s"\n.zero 56 - %d\n' "$symbol" ${#symbol}; done
        fi
    } >"$work/m.s"
    gcc -c -o "$dir/$path" "$work/m.s"
    objcopy --strip-unneeded --keep-symbol='__crc_*' -w "$dir/$path"
}

module kernel/gamma.ko 'gamma_one gamma_two' '' license=GPL 'description=the deepest' vermagic='1.0 SMP ' name=gamma
module kernel/beta-two.ko 'beta_one' 'gamma_one' license=GPL 'alias=dev:b*' 'alias=dev:*z' depends=gamma name=beta_two
module kernel/alpha.ko '' 'beta_one gamma_two' license=GPL 'author=A <a@example.org>' 'author=B' \
    'alias=dev:a*' 'alias=char-major-240-1' 'alias=devname:sub/alpha' depends=beta-two,gamma \
    'parm=first:the first one' 'parmtype=first:int' 'parmtype=bare:charp' 'parm=untyped:no type' \
    'parm=broken' 'softdep=pre: lone post: late' firmware=alpha/fw.bin name=alpha
module kernel/sub/lone.ko '' '' license=MIT 'alias=dev:*z' 'alias=both' name=lone
module kernel/sub/late.ko '' '' license=MIT 'alias=both' name=late
module kernel/sub/packed.ko '' '' license=MIT 'description=packed' name=packed
gzip -9n "$dir/kernel/sub/packed.ko"
module kernel/sub/packed-xz.ko '' '' license=MIT 'description=packed with xz' name=packed_xz
xz -q --check=crc32 "$dir/kernel/sub/packed-xz.ko"
printf 'not an ELF file\n' >"$dir/kernel/sub/damaged.ko"

find "$dir/kernel" -name '*.ko*' -printf '%P\n' | sort | sed 's,^,kernel/,; s,\.ko\..*,.ko,' >"$dir/modules.order"
printf 'kernel/in-side.ko\nkernel/other.ko\n' >"$dir/modules.builtin"
printf 'in_side.description=built in\0in_side.license=GPL\0in_side.alias=dev:inside*\0in_side.parm=x:an x\0in_side.parmtype=x:int\0other.license=GPL\0' \
    >"$dir/modules.builtin.modinfo"
depmod -b tree 1.0 2>/dev/null || true
rm -r "$work"
