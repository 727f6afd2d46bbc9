################################################################################
#
# coldplug
#
################################################################################

COLDPLUG_VERSION = 0.1.0
COLDPLUG_LICENSE = MIT or Apache-2.0
COLDPLUG_LICENSE_FILES = LICENSE

# The source of a release and the static programs of its `make dist`, in one directory. Both may be
# local: COLDPLUG_SITE = file:///srv/coldplug
COLDPLUG_SITE ?= https://coldplug.invalid/releases
COLDPLUG_SOURCE = coldplug-$(COLDPLUG_VERSION).tar.gz

# The machine, as Rust and as uname(2) have it.
ifeq ($(BR2_x86_64),y)
COLDPLUG_TARGET = x86_64-unknown-linux-musl
COLDPLUG_MACHINE = x86_64
else ifeq ($(BR2_i386),y)
COLDPLUG_TARGET = i686-unknown-linux-musl
COLDPLUG_MACHINE = i686
else ifeq ($(BR2_aarch64),y)
COLDPLUG_TARGET = aarch64-unknown-linux-musl
COLDPLUG_MACHINE = aarch64
else ifeq ($(BR2_arm),y)
COLDPLUG_TARGET = armv7-unknown-linux-musleabihf
COLDPLUG_MACHINE = armv7l
else ifeq ($(BR2_RISCV_64),y)
COLDPLUG_TARGET = riscv64gc-unknown-linux-musl
COLDPLUG_MACHINE = riscv64
else ifeq ($(BR2_powerpc64le),y)
COLDPLUG_TARGET = powerpc64le-unknown-linux-musl
COLDPLUG_MACHINE = ppc64le
else ifeq ($(BR2_s390x),y)
COLDPLUG_TARGET = s390x-unknown-linux-musl
COLDPLUG_MACHINE = s390x
endif

COLDPLUG_EXTRA_DOWNLOADS = coldplug-$(COLDPLUG_TARGET).tar.xz
HOST_COLDPLUG_TARGET = $(HOSTARCH)-unknown-linux-musl
HOST_COLDPLUG_EXTRA_DOWNLOADS = coldplug-$(HOST_COLDPLUG_TARGET).tar.xz \
	coldplug-$(COLDPLUG_TARGET).tar.xz

# The program that builds the image runs on the build machine.
COLDPLUG_DEPENDENCIES = host-coldplug

define COLDPLUG_EXTRACT_PROGRAMS
	mkdir -p $(@D)/programs
	tar -xJf $(COLDPLUG_DL_DIR)/coldplug-$(COLDPLUG_TARGET).tar.xz -C $(@D)/programs
endef
COLDPLUG_POST_EXTRACT_HOOKS += COLDPLUG_EXTRACT_PROGRAMS

define HOST_COLDPLUG_EXTRACT_PROGRAMS
	mkdir -p $(@D)/host $(@D)/programs
	tar -xJf $(HOST_COLDPLUG_DL_DIR)/coldplug-$(HOST_COLDPLUG_TARGET).tar.xz -C $(@D)/host
	tar -xJf $(HOST_COLDPLUG_DL_DIR)/coldplug-$(COLDPLUG_TARGET).tar.xz -C $(@D)/programs
endef
HOST_COLDPLUG_POST_EXTRACT_HOOKS += HOST_COLDPLUG_EXTRACT_PROGRAMS

COLDPLUG_INSTALL_GOALS = install
ifeq ($(BR2_PACKAGE_COLDPLUG_TOOLS),y)
COLDPLUG_INSTALL_GOALS += install-links
endif
ifneq ($(BR2_INIT_SYSTEMD),y)
COLDPLUG_INSTALL_OPTS = UNITS=
endif

define COLDPLUG_INSTALL_TARGET_CMDS
	$(MAKE) -C $(@D) $(COLDPLUG_INSTALL_GOALS) BIN=$(@D)/programs/coldplug \
		DESTDIR=$(TARGET_DIR) PREFIX=/usr $(COLDPLUG_INSTALL_OPTS)
endef

# `image build` finds the programs for the target in the directory of its machine.
define HOST_COLDPLUG_INSTALL_CMDS
	$(INSTALL) -D -m 0755 $(@D)/host/coldplug $(HOST_DIR)/bin/coldplug
	$(INSTALL) -d $(HOST_DIR)/lib/coldplug/$(COLDPLUG_MACHINE)
	$(INSTALL) -m 0755 $(@D)/programs/coldplug-init* $(HOST_DIR)/lib/coldplug/$(COLDPLUG_MACHINE)
	$(INSTALL) -m 0755 $(@D)/host/coldplug-init* $(HOST_DIR)/lib/coldplug
endef

$(eval $(generic-package))
$(eval $(host-generic-package))
