#!/bin/sh
# Script for BR2_ROOTFS_POST_IMAGE_SCRIPT: builds the initramfs of the kernel in TARGET_DIR as
# BINARIES_DIR/initramfs.img. Further words of BR2_ROOTFS_POST_SCRIPT_ARGS are options of
# `coldplug image build`, such as `--modules @soc,@storage,ext4`.
set -e
# Buildroot passes BINARIES_DIR as the first word.
[ $# = 0 ] || shift
for dir in "${TARGET_DIR:?}"/lib/modules/*; do
	release=${dir##*/}
	[ "$release" != '*' ] || { echo "post-image.sh: $TARGET_DIR has no kernel modules" >&2; exit 1; }
	"${HOST_DIR:?}/bin/coldplug" image build --root "$TARGET_DIR" --kernel "$release" \
		--output "${BINARIES_DIR:?}/initramfs.img" "$@"
done
