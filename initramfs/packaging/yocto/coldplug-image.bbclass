# Class for an image recipe: builds the initramfs of the kernel in the image, and puts it beside the
# image. The image needs the modules and /init of the target:
#
#   inherit coldplug-image
#   IMAGE_INSTALL:append = " coldplug kernel-modules"
#   COLDPLUG_OPTIONS = "--modules @soc,@storage,ext4"

# Options of `coldplug image build`.
COLDPLUG_OPTIONS ?= ""
# Program for /init. coldplug-init-stacks is for a root on LUKS, LVM or md.
COLDPLUG_INIT ?= "coldplug-init"

do_rootfs[depends] += "coldplug-native:do_populate_sysroot"

coldplug_initramfs() {
    for dir in ${IMAGE_ROOTFS}${nonarch_base_libdir}/modules/*; do
        coldplug image build --root ${IMAGE_ROOTFS} --kernel ${dir##*/} \
            --init ${IMAGE_ROOTFS}${prefix}/lib/coldplug/${COLDPLUG_INIT} \
            --output ${IMGDEPLOYDIR}/${IMAGE_NAME}.initramfs.img ${COLDPLUG_OPTIONS}
    done
}
IMAGE_PREPROCESS_COMMAND += "coldplug_initramfs;"
