SUMMARY = "initramfs that loads modules, finds the root and reports why"
HOMEPAGE = "https://coldplug.invalid"
LICENSE = "MIT | Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE;md5=f3bee8b3cd9182fe78d3165c31ff5c47"

# The source of a release and the static programs of its `make dist`. Both may be local:
# COLDPLUG_SITE = "file:///srv/coldplug"
COLDPLUG_SITE ?= "https://coldplug.invalid/releases"
SRC_URI = "${COLDPLUG_SITE}/coldplug-${PV}.tar.gz;name=source \
           ${COLDPLUG_SITE}/coldplug-${COLDPLUG_TARGET}.tar.xz;name=programs;subdir=programs"
# SHA256SUMS of the release has the sums: set SRC_URI[source.sha256sum] and
# SRC_URI[programs.sha256sum] in a .bbappend.

# The machine as Rust has it. coldplug-native is for the build machine.
COLDPLUG_TARGET = "${HOST_ARCH}-unknown-linux-musl"
COLDPLUG_TARGET:arm = "armv7-unknown-linux-musleabihf"
COLDPLUG_TARGET:riscv64 = "riscv64gc-unknown-linux-musl"
COLDPLUG_TARGET:class-native = "${BUILD_ARCH}-unknown-linux-musl"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    oe_runmake -C ${S} install BIN=${WORKDIR}/programs/coldplug \
        DESTDIR=${D} PREFIX=${prefix} UNITDIR=${systemd_system_unitdir}
}

# They are static and stripped.
INSANE_SKIP:${PN} += "already-stripped"
INHIBIT_PACKAGE_STRIP = "1"
FILES:${PN} += "${systemd_system_unitdir} ${prefix}/lib/coldplug ${datadir}"

BBCLASSEXTEND = "native"
