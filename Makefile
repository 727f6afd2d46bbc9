# `make run` boots a demo in QEMU, `make test` runs all tests, `make help` lists the other targets.

TARGET  ?= x86_64-unknown-linux-musl
KERNEL  ?= $(shell uname -r)
ROOT    ?= /
PREFIX  ?= /usr/local
IMAGE   ?= out/initramfs-$(KERNEL).img
# Number of boots of `make soak`; qemu-tests/soak/main.rs lists more variables.
SOAK    ?= 50
# Seconds of `make fuzz` for each of FUZZ_TARGETS.
FUZZ    ?= 60
FUZZ_TARGETS ?= $(patsubst fuzz/fuzz_targets/%.rs,%,$(wildcard fuzz/fuzz_targets/*.rs))
# Lowest line coverage of each of the layers without I/O, in percent.
COVERAGE := 90
COVERED  := cmdline disk kmod machine net
# Size limits of the programs in images, in bytes.
SIZE_LIMIT_BOOT := 600000
SIZE_LIMIT := 1000000
SIZE_LIMIT_STACKS := 1535000
# LLVM cannot make functions of repeated code for these machines.
SIZE_LIMITS_OTHER := $(addprefix powerpc64le-unknown-linux-musl/,init-boot=790000 init=1300000 init-stacks=1880000) \
  $(addprefix s390x-unknown-linux-musl/,init-boot=710000 init=1190000 init-stacks=1700000)

TARGETS := x86_64-unknown-linux-musl aarch64-unknown-linux-musl armv7-unknown-linux-musleabihf \
  i686-unknown-linux-musl powerpc64le-unknown-linux-musl riscv64gc-unknown-linux-musl s390x-unknown-linux-musl

# The machines, besides x86_64, on which `make test` boots.
BOARDS := aarch64-unknown-linux-musl armv7-unknown-linux-musleabihf i686-unknown-linux-musl riscv64gc-unknown-linux-musl

# C code (zstd, liblzma) is compiled against musl with the flags in .cargo/config.toml.
export CC_x86_64_unknown_linux_musl ?= musl-gcc

# For other machines .ci/setup puts musl and a compiler for it into MUSL, and the linker takes all of
# the C library from there.
MUSL := $(or $(CARGO_TARGET_DIR),target)/musl/$(TARGET)
ifneq ($(TARGET),x86_64-unknown-linux-musl)
  TARGET_ := $(subst -,_,$(TARGET))
  CARGO_TARGET_ := CARGO_TARGET_$(shell echo $(TARGET_) | tr a-z A-Z)
  export CC_$(TARGET_) ?= $(abspath $(MUSL))/gcc
  export $(CARGO_TARGET_)_LINKER ?= $(abspath $(MUSL))/gcc
  export $(CARGO_TARGET_)_RUSTFLAGS ?= -Ctarget-feature=+crt-static -Clink-self-contained=no
endif

# If the source of the standard library is installed (rustup component rust-src), the library is built
# with the program, for size and without backtraces, which makes the program a quarter smaller. Cargo
# calls this unstable, hence RUSTC_BOOTSTRAP.
RUST_SRC := $(wildcard $(shell rustc --print sysroot)/lib/rustlib/src/rust/library/std/Cargo.toml)
ifneq ($(RUST_SRC),)
  STD := -Zbuild-std=std,panic_abort -Zbuild-std-features=optimize_for_size
  RELEASE_ENV := RUSTC_BOOTSTRAP=1
  # The programs without stacks name no place of a panic in the sources, only its cause, and hash
  # passwords of the rescue shell without instructions of newer processors. (Cargo forgets to strip a
  # program with such flags.) On x86_64 an operand on the stack is a byte shorter from the frame pointer
  # than from the stack pointer, and can be part of repeated code.
  comma := ,
  SMALL_FLAGS := "-Zlocation-detail=none"$(if $(filter x86_64-%,$(TARGET)),$(comma)"-Cforce-frame-pointers=yes")
  SMALL = -Zprofile-rustflags --config 'profile.release.rustflags=[$(SMALL_FLAGS)]' \
    --config 'profile.release.package.liblzma-sys.opt-level=2' \
    --config 'profile.release.package.sha2.rustflags=[$(SMALL_FLAGS)$(comma)"--cfg=sha2_backend=\"soft\""]'
endif
CARGO := $(RELEASE_ENV) cargo
RELEASE := --release --locked --target $(TARGET) $(STD)
# Repeated code becomes functions. LLVM 22 can spare the crates that are built for speed: in the inner
# loop of Argon2 the calls cost half as much time again. The flag matters where the whole program is compiled.
LLVM = $(shell rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
OUTLINED := -Cllvm-args=-enable-machine-outliner=
SPARING = $(if $(shell [ "$(LLVM)" -ge 22 ] && echo yes),optimistic-pgo,always)
# The program for the build machine is built for speed, its standard library included.
HOST := $(subst -Zbuild-std-features=optimize_for_size,,$(RELEASE)) --config 'profile.release.opt-level=3'
# RELRO pads the file to a page, and musl protects nothing by it in a static program; with a small page
# the linker does not pad it either. On x86_64 a copy of more than 32 bytes is a call, which is shorter than its instructions.
SMALL_CODE := $(OUTLINED)always -Crelro-level=off -Clink-arg=-Wl,-z,common-page-size=64 $(if $(filter x86_64-%,$(TARGET)),-Cllvm-args=-max-store-memcpy=2) -Cstrip=symbols
BIN := $(or $(CARGO_TARGET_DIR),target)/$(TARGET)/release/coldplug
# The programs in images: the same without the commands for the build machine. `image build` takes the
# larger one, with LUKS, LVM and md, for images that carry dm_mod or md_mod, and with --boot-only the
# smallest one, without the tools and the rescue prompt.
INIT := $(BIN)-init
INIT_STACKS := $(INIT)-stacks
INIT_BOOT := $(INIT)-boot
# The linker lists the parts of a program beside it, for `make size`.
MAP = -Clink-arg=-Wl,-Map=$(abspath $(dir $(BIN)))/$(1).map

.PHONY: help build init init-boot binary guests guest boards run test boots packages generators faults stacks pages records screenshots kernels lint bench bench-check soak coverage fuzz size initramfs install install-links install-hooks install-debian uninstall deb dist clean setup-build setup-run setup-deb setup-test setup-fuzz setup-coverage setup-kernels setup-pages setup-bench

help:
	@echo 'make run         install missing packages, build, and boot the demo in QEMU'
	@echo 'make test        install missing packages, build, and run all tests, including boots; TEST=NAME: tests with NAME in their name'
	@echo 'make boots       run all boots, the longest included; TEST=NAME: tests with NAME in their name'
	@echo 'make faults      boot with every fault of the matrix, two boots in parallel, and print the time; TEST=NAME: rows with NAME in their name'
	@echo 'make stacks      boot from LUKS, LVM and md; the first time disks are made in a guest for ten minutes; TEST=NAME: tests with NAME in their name'
	@echo 'make pages       check the pages of coldplug report in a headless browser, which is installed; TEST=NAME: tests with NAME in their name'
	@echo 'make screenshots take pictures of these pages in out/screenshots, and renew those in docs/pictures'
	@echo 'make records     boot the machines whose records these pages show, and renew qemu-tests/data/records'
	@echo 'make kernels     boot kernels with options left out, which are built at first; TEST=NAME: tests with NAME in their name'
	@echo 'make build       build the static binaries $(BIN), and $(INIT), $(INIT_STACKS) and $(INIT_BOOT) for images; TARGET=…: for another machine'
	@echo 'make initramfs   write an image for KERNEL (now $(KERNEL)) with the modules below ROOT to $(IMAGE)'
	@echo 'make lint        check formatting, clippy and documentation'
	@echo 'make bench       measure boots against the floor and other initramfs programs, tools against kmod and others; table and charts in out/bench; QUICK=1: below five minutes'
	@echo '                 BENCH=$(subst $() $(),|,$(BENCHES)): one part; BENCH=--virtio, --board, --fleet, --image, --memory, --wall, --record, --lvm (its disk is made for minutes at first): one part of boot_time'
	@echo "                 BENCH='peers --virtio', --fleet, --wall, --duplicates: one part of peers; BENCH='growth --modules', --aliases, --devices, --carried: one series of growth"
	@echo 'make bench-check fail if a ratio of qemu-tests/bench/gate.json has become worse; GATE=NAME: ratios with NAME in their name'
	@echo 'make soak        boot the fleet machine SOAK (now $(SOAK)) times in different orders: all boots must load the same modules'
	@echo '                 SOAK_SEED=N: with random devices and faults instead; SOAK_ONLY=I: only boot I of these'
	@echo 'make coverage    print the line coverage of the pure layers, which must be $(COVERAGE) % or more'
	@echo 'make fuzz        run each parser on mutated input for FUZZ (now $(FUZZ)) seconds; FUZZ_TARGETS=disk: one parser'
	@echo 'make size        print sizes and largest parts of the programs in images; their limits are $(SIZE_LIMIT_BOOT), $(SIZE_LIMIT) and $(SIZE_LIMIT_STACKS) bytes'
	@echo 'make install     install programs, units, man pages, completions, hooks of dracut, mkinitcpio and kernel-install, and the directory of the cache of images below PREFIX (now $(PREFIX)); DESTDIR=…: for a package'
	@echo 'make install-links   link modprobe, depmod and the other tools of kmod to the program, in PREFIX/sbin, with their man pages and completions'
	@echo 'make install-hooks   install the hooks that build the image of a kernel when it is installed, and update-initramfs'
	@echo 'make install-debian  install what the kernel packages of Debian 12 need if coldplug is depmod'
	@echo 'make uninstall   remove what these have installed'
	@echo 'make deb         build packages of Debian: out/coldplug_VERSION_ARCH.deb'
	@echo 'make packages    install these on Debian 12 and 13, with kernels that come and go, and boot each state'
	@echo 'make generators  build images by dracut and kernel-install on Debian 13, and boot them, one with Secure Boot'
	@echo 'make dist        build for all machines and pack the binaries for a release: $(TARGETS)'
	@echo 'make boards      build what the boots of other machines need: $(BOARDS)'
	@echo 'make clean       remove everything that was built'

setup-build setup-run setup-deb setup-test setup-fuzz setup-coverage setup-kernels setup-pages setup-bench: setup-%:
	@TARGET=$(TARGET) MUSL=$(MUSL) .ci/setup $*

# A second make, because the packages that setup installs change how to build.
build: setup-build
	@$(MAKE) --no-print-directory binary

init:
	$(CARGO) rustc $(RELEASE) $(SMALL) --bin coldplug --no-default-features --features full -- $(SMALL_CODE) $(call MAP,init)
	cp $(BIN) $(INIT)
	@.ci/check-static $(TARGET) $(INIT)

init-boot:
	$(CARGO) rustc $(RELEASE) $(SMALL) --bin coldplug --no-default-features --features boot -- $(SMALL_CODE) $(call MAP,init-boot)
	cp $(BIN) $(INIT_BOOT)
	@.ci/check-static $(TARGET) $(INIT_BOOT)

binary: init init-boot
	$(CARGO) rustc $(RELEASE) --bin coldplug --no-default-features --features stacks -- $(OUTLINED)$(SPARING) $(call MAP,init-stacks)
	cp $(BIN) $(INIT_STACKS)
	$(CARGO) rustc $(HOST) --bin coldplug
	@.ci/check-static $(TARGET) $(BIN) $(INIT_STACKS)

guests:
	$(CARGO) build $(RELEASE) --features qemu-tests --examples

# What the boots of other machines need: the small program and the init of the root. Boots of a machine
# whose compiler cannot be installed are skipped by name.
boards: $(addprefix board-,$(BOARDS))
board-%:
	@if $(MAKE) --no-print-directory setup-build TARGET=$*; then \
	  $(MAKE) --no-print-directory init guest TARGET=$*; \
	else echo 'boards: $* is not built: its boots are skipped' >&2; fi

guest:
	$(CARGO) build $(RELEASE) --no-default-features --features qemu-tests --example guest
	@.ci/check-static $(TARGET) $(dir $(BIN))examples/guest

run: setup-run
	@$(MAKE) --no-print-directory binary guests
	cargo test -q --locked --features qemu-tests --test demo

test: setup-test
	@$(MAKE) --no-print-directory lint binary guests boards
	cargo test --locked --workspace --features qemu-tests -- --test-threads=2 $(TEST)

# `make test` leaves the longest out.
boots: setup-test
	@$(MAKE) --no-print-directory binary guests boards
	cargo test --locked --features qemu-tests --test boots -- --include-ignored --test-threads=2 $(TEST)

# The packages on Debian, which `make boots` tries too.
packages: setup-test
	@$(MAKE) --no-print-directory binary
	cargo test --locked --features qemu-tests --test boots -- --test-threads=1 packages

# Images that dracut and kernel-install build, which `make boots` tries too.
generators: setup-test
	@$(MAKE) --no-print-directory binary
	cargo test --locked --features qemu-tests --test boots -- --test-threads=1 generators

# `make test` runs only the rows that are marked quick.
faults: setup-test
	@$(MAKE) --no-print-directory binary guests
	@began=$$(date +%s); status=0; \
	cargo test --locked --features qemu-tests --test faults -- --include-ignored --test-threads=2 $(TEST) || status=$$?; \
	echo "faults: $$(($$(date +%s) - began)) s"; exit $$status

# Its disks are made in a guest at first, which takes ten minutes.
stacks: setup-test
	@$(MAKE) --no-print-directory binary guests
	cargo test --locked --features qemu-tests --test assembled -- --test-threads=2 $(TEST)

# The browser is a package of 60 MB, so `make test` leaves these out.
pages: setup-pages
	@$(MAKE) --no-print-directory binary
	cargo test --locked --features qemu-tests --test pages -- --test-threads=2 $(TEST)

# Boots the machines whose records the pages and their tests show.
records: setup-test
	@$(MAKE) --no-print-directory binary guests
	RECORDS=$(CURDIR)/qemu-tests/data/records cargo test --locked --features qemu-tests --test pages -- records_of_real_boots

screenshots: setup-pages
	@$(MAKE) --no-print-directory binary
	SCREENSHOTS=$(CURDIR)/out/screenshots cargo test --locked --features qemu-tests --test pages -- screenshots
	@mkdir -p docs/pictures
	cp out/screenshots/chart.svg docs/pictures/chart.svg
	cp out/screenshots/fleet-1280-light.png docs/pictures/page.png

# The kernels are built from the source package of Debian at first.
kernels: setup-kernels
	@$(MAKE) --no-print-directory binary guests
	cargo test --locked --features qemu-tests --test kernels -- --test-threads=2 $(TEST)

lint:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --features qemu-tests -- -D warnings
	cargo clippy --locked --lib --bins --no-default-features --features boot -- -D warnings
	cargo clippy --locked --lib --bins --no-default-features --features full -- -D warnings
	cargo clippy --locked --lib --bins --no-default-features --features stacks -- -D warnings
	cargo clippy --locked --lib --bins --no-default-features --features host -- -D warnings
	RUSTDOCFLAGS='-D warnings -A rustdoc::private-intra-doc-links' cargo doc -q --locked --no-deps --document-private-items
	cargo clippy --locked --all-targets --manifest-path fuzz/Cargo.toml --no-default-features --target-dir $(or $(CARGO_TARGET_DIR),target) -- -D warnings

# QUICK=1 measures less: below five minutes once everything is built and downloaded. The charts and
# the table are made of out/bench/*.json.
bench: export BENCH_QUICK := $(QUICK)
bench: setup-bench
	@$(MAKE) --no-print-directory binary guests
	@status=0; \
	cargo bench --no-fail-fast --locked --features qemu-tests $(addprefix --bench ,$(BENCH_NAMES)) $(if $(BENCH_WORDS),-- $(BENCH_WORDS)) || status=$$?; \
	cargo bench -q --locked --features qemu-tests --bench plots || status=$$?; exit $$status

# Options are those of the program that is named, or of boot_time.
BENCH_WORDS = $(filter --%,$(BENCH))
BENCH_NAMES = $(or $(filter-out --%,$(BENCH)),$(if $(BENCH_WORDS),boot_time),$(if $(QUICK),tools_time depmod_time unpack_time growth micro,$(BENCHES)))
BENCHES := boot_time peers tools_time depmod_time unpack_time image_time unlock_time growth micro

# Ratios that may not become worse; `make test` does not run this.
bench-check: setup-bench
	@$(MAKE) --no-print-directory binary guests
	cargo bench -q --locked --features qemu-tests --bench gate $(if $(GATE),-- $(GATE))

soak: setup-test
	@$(MAKE) --no-print-directory binary guests
	SOAK=$(SOAK) cargo test -q --locked --features qemu-tests --test soak

# The instrumented build has a target directory of its own; the tools test also runs the release build.
COVERAGE_FILE = $(or $(CARGO_TARGET_DIR),target)/coverage.lcov
coverage: setup-coverage
	@$(MAKE) --no-print-directory binary
	cargo llvm-cov --locked --lib --test tools --lcov --output-path $(COVERAGE_FILE)
	@rm -f default_*.profraw # of commands that a test starts without environment
	@.ci/coverage $(COVERAGE_FILE) $(COVERAGE) $(COVERED)

# cargo fuzz uses AddressSanitizer, which is unstable in Rust. It builds for the host because the
# sanitizer needs the C library of the host. Findings are kept in fuzz/artifacts.
FUZZ_BIN = $(or $(CARGO_TARGET_DIR),fuzz/target)/$(shell rustc -vV | sed -n 's/^host: //p')/release
fuzz: export RUSTC_BOOTSTRAP = 1
fuzz: setup-fuzz
	cargo run -q --locked --manifest-path fuzz/Cargo.toml --example seeds -- fuzz/corpus "$${COLDPLUG_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/coldplug}/kernels"
	cargo fuzz build
	@for target in $(FUZZ_TARGETS); do \
	  echo "$$target: $(FUZZ) s"; dict=fuzz/dict/$$target.dict; mkdir -p fuzz/artifacts/$$target fuzz/corpus/$$target; \
	  $(FUZZ_BIN)/$$target -max_total_time=$(FUZZ) -timeout=20 -verbosity=0 -print_funcs=0 -print_final_stats=1 \
	    $$([ ! -e $$dict ] || echo -dict=$$dict) -artifact_prefix=fuzz/artifacts/$$target/ fuzz/corpus/$$target || exit 1; \
	done

# The programs of all machines that have been built.
size: build
	@.ci/size $(or $(CARGO_TARGET_DIR),target) init-boot=$(SIZE_LIMIT_BOOT) init=$(SIZE_LIMIT) init-stacks=$(SIZE_LIMIT_STACKS) $(SIZE_LIMITS_OTHER)

initramfs: build
	@mkdir -p $(dir $(IMAGE))
	$(BIN) image build --kernel $(KERNEL) --root $(ROOT) -o $(IMAGE) $(IMAGE_OPTIONS)

# Where a distribution has these. HOOKDIR is that of the kernel's own `make install` too.
UNITDIR ?= $(PREFIX)/lib/systemd/system
MANDIR ?= $(PREFIX)/share/man
BASHDIR ?= $(PREFIX)/share/bash-completion/completions
FISHDIR ?= $(PREFIX)/share/fish/vendor_completions.d
ZSHDIR ?= $(PREFIX)/share/zsh/vendor-completions
HOOKDIR ?= /etc/kernel
SBINDIR ?= $(PREFIX)/sbin
KERNELINSTALLDIR ?= $(PREFIX)/lib/kernel/install.d
DRACUTDIR ?= $(PREFIX)/lib/dracut/modules.d
INITCPIODIR ?= $(PREFIX)/lib/initcpio
# The tools of kmod, by the directory in which distributions have them.
LINKS := $(addprefix $(SBINDIR)/,depmod insmod lsmod modinfo modprobe rmmod) $(PREFIX)/bin/lsmod
UNITS := $(notdir $(wildcard initramfs/systemd/*))
# Pages and completions for the names of tools of kmod. Files with these names may be those of kmod,
# so a page is installed as coldplug-NAME, and what has the name of a tool by install-links alone.
TOOLS := depmod insmod lsmod modinfo modprobe rmmod
LINKED_MANS := $(addsuffix .8,$(TOOLS)) depmod.d.5 modprobe.d.5
TOOL_MANS := kmod.8 $(LINKED_MANS)
MANS := $(filter-out $(TOOL_MANS),$(notdir $(wildcard initramfs/man/*.[0-9])))
HOOKS := $(patsubst initramfs/hooks/%,%,$(wildcard initramfs/hooks/*/*))
man_path = $(MANDIR)/man$(patsubst .%,%,$(suffix $(1)))/$(1)

# What dracut, mkinitcpio and kernel-install need to build images with coldplug. It has no effect before
# their configuration names coldplug.
GENERATORS := $(KERNELINSTALLDIR)/50-coldplug.install $(PREFIX)/lib/coldplug/coldplug-load \
  $(addprefix $(DRACUTDIR)/99coldplug/,module-setup.sh coldplug.sh) \
  $(INITCPIODIR)/install/coldplug $(INITCPIODIR)/hooks/coldplug

# Installs the existing binaries: the user who installs need not be able to build.
install:
	@[ -e $(BIN) ] && [ -e $(INIT) ] && [ -e $(INIT_STACKS) ] && [ -e $(INIT_BOOT) ] || { echo 'install: the binaries are missing: run `make build` first' >&2; exit 1; }
	install -D -m 755 $(BIN) $(DESTDIR)$(PREFIX)/bin/coldplug
	install -D -m 755 $(INIT) $(DESTDIR)$(PREFIX)/lib/coldplug/coldplug-init
	install -D -m 755 $(INIT_STACKS) $(DESTDIR)$(PREFIX)/lib/coldplug/coldplug-init-stacks
	install -D -m 755 $(INIT_BOOT) $(DESTDIR)$(PREFIX)/lib/coldplug/coldplug-init-boot
	install -d -m 755 $(DESTDIR)/var/cache/coldplug
	@for unit in $(UNITS); do \
	  echo "install $$unit $(DESTDIR)$(UNITDIR)"; mkdir -p $(DESTDIR)$(UNITDIR); \
	  sed 's,/usr/bin/coldplug,$(PREFIX)/bin/coldplug,' initramfs/systemd/$$unit > $(DESTDIR)$(UNITDIR)/$$unit; \
	  chmod 644 $(DESTDIR)$(UNITDIR)/$$unit || exit 1; \
	done
	$(foreach man,$(MANS),install -D -m 644 initramfs/man/$(man) $(DESTDIR)$(call man_path,$(man)) &&) true
	$(foreach man,$(TOOL_MANS),install -D -m 644 initramfs/man/$(man) $(DESTDIR)$(call man_path,coldplug-$(man)) &&) true
	install -D -m 644 initramfs/completions/coldplug.bash $(DESTDIR)$(BASHDIR)/coldplug
	install -D -m 644 initramfs/completions/coldplug.fish $(DESTDIR)$(FISHDIR)/coldplug.fish
	install -D -m 644 initramfs/completions/_coldplug $(DESTDIR)$(ZSHDIR)/_coldplug
	install -D -m 755 initramfs/kernel-install/50-coldplug.install $(DESTDIR)$(KERNELINSTALLDIR)/50-coldplug.install
	install -D -m 755 initramfs/coldplug-load $(DESTDIR)$(PREFIX)/lib/coldplug/coldplug-load
	install -D -m 755 initramfs/dracut/module-setup.sh $(DESTDIR)$(DRACUTDIR)/99coldplug/module-setup.sh
	install -D -m 755 initramfs/dracut/coldplug.sh $(DESTDIR)$(DRACUTDIR)/99coldplug/coldplug.sh
	install -D -m 755 initramfs/mkinitcpio/install $(DESTDIR)$(INITCPIODIR)/install/coldplug
	install -D -m 755 initramfs/mkinitcpio/hook $(DESTDIR)$(INITCPIODIR)/hooks/coldplug
	sed -i 's,@LIBDIR@,$(PREFIX)/lib/coldplug,' $(DESTDIR)$(DRACUTDIR)/99coldplug/module-setup.sh $(DESTDIR)$(INITCPIODIR)/install/coldplug

# From then on coldplug is the modprobe of whoever has SBINDIR before that of kmod in PATH.
install-links:
	mkdir -p $(DESTDIR)$(SBINDIR) $(DESTDIR)$(PREFIX)/bin
	$(foreach link,$(LINKS),ln -s -f $(PREFIX)/bin/coldplug $(DESTDIR)$(link) &&) true
	mkdir -p $(DESTDIR)$(MANDIR)/man5 $(DESTDIR)$(MANDIR)/man8 $(DESTDIR)$(BASHDIR)
	$(foreach man,$(LINKED_MANS),ln -s -f coldplug-$(man) $(DESTDIR)$(call man_path,$(man)) &&) true
	$(foreach tool,$(TOOLS),ln -s -f coldplug $(DESTDIR)$(BASHDIR)/$(tool) &&) true
	$(foreach tool,$(TOOLS),install -D -m 644 initramfs/completions/$(tool).fish $(DESTDIR)$(FISHDIR)/$(tool).fish &&) true
	install -D -m 644 initramfs/completions/_coldplug-kmod $(DESTDIR)$(ZSHDIR)/_coldplug-kmod

# From then on installing a kernel builds its image, so this is for machines without initramfs-tools
# and dracut.
install-hooks:
	$(foreach hook,$(HOOKS),install -D -m 755 initramfs/hooks/$(hook) $(DESTDIR)$(HOOKDIR)/$(hook) &&) true
	install -D -m 755 initramfs/debian/update-initramfs $(DESTDIR)$(SBINDIR)/update-initramfs

# A file of /etc, which only a machine needs whose kernel packages know no modules.weakdep.
install-debian:
	install -D -m 755 initramfs/postrm.d/coldplug $(DESTDIR)$(HOOKDIR)/postrm.d/coldplug

# Removes what the targets above have installed with the same variables. Links of others, their
# completions and their update-initramfs stay.
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/coldplug $(addprefix $(DESTDIR)$(PREFIX)/lib/coldplug/,coldplug-init coldplug-init-stacks coldplug-init-boot)
	rm -f $(addprefix $(DESTDIR)$(UNITDIR)/,$(UNITS)) $(foreach man,$(MANS) $(addprefix coldplug-,$(TOOL_MANS)),$(DESTDIR)$(call man_path,$(man)))
	rm -f $(DESTDIR)$(BASHDIR)/coldplug $(DESTDIR)$(FISHDIR)/coldplug.fish $(addprefix $(DESTDIR)$(ZSHDIR)/,_coldplug _coldplug-kmod)
	@for link in $(foreach man,$(LINKED_MANS),$(DESTDIR)$(call man_path,$(man))); do \
	  [ "$$(readlink $$link)" != coldplug-$${link##*/} ] || rm -f $$link; \
	done
	@for tool in $(TOOLS); do \
	  link=$(DESTDIR)$(BASHDIR)/$$tool; [ "$$(readlink $$link)" != coldplug ] || rm -f $$link; \
	  file=$(DESTDIR)$(FISHDIR)/$$tool.fish; ! cmp -s initramfs/completions/$$tool.fish $$file || rm -f $$file; \
	done
	rm -f $(addprefix $(DESTDIR),$(GENERATORS))
	-[ ! -d $(DESTDIR)$(DRACUTDIR)/99coldplug ] || rmdir $(DESTDIR)$(DRACUTDIR)/99coldplug
	rm -f $(addprefix $(DESTDIR)$(HOOKDIR)/,$(HOOKS) postrm.d/coldplug)
	@for link in $(addprefix $(DESTDIR),$(LINKS)); do \
	  if [ "$$(readlink $$link)" = $(PREFIX)/bin/coldplug ]; then rm -f $$link; fi; \
	done
	@if cmp -s initramfs/debian/update-initramfs $(DESTDIR)$(SBINDIR)/update-initramfs; then rm -f $(DESTDIR)$(SBINDIR)/update-initramfs; fi
	-rmdir $(DESTDIR)$(PREFIX)/lib/coldplug

# Packages of Debian: out/coldplug_VERSION_ARCH.deb and out/coldplug-kmod_VERSION_ARCH.deb.
DEB_ARCH = $(or $(DEB_ARCH_$(TARGET)),$(error TARGET=$(TARGET) has no architecture of Debian))
DEB_ARCH_x86_64-unknown-linux-musl := amd64
DEB_ARCH_aarch64-unknown-linux-musl := arm64
DEB_ARCH_armv7-unknown-linux-musleabihf := armhf
DEB_ARCH_i686-unknown-linux-musl := i386
DEB_ARCH_powerpc64le-unknown-linux-musl := ppc64el
DEB_ARCH_riscv64gc-unknown-linux-musl := riscv64
DEB_ARCH_s390x-unknown-linux-musl := s390x
deb: build setup-deb
	@TARGET=$(TARGET) SOURCE=$(CURDIR) initramfs/debian/build $(DEB_ARCH) out

# The programs for all machines.
dist: $(addprefix dist-,$(TARGETS))
	cd out && sha256sum $(TARGETS:%=coldplug-%.tar.xz) > SHA256SUMS

dist-%:
	@$(MAKE) --no-print-directory build TARGET=$*
	@mkdir -p out
	tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@$${SOURCE_DATE_EPOCH:-0} \
	  -C $(dir $(subst /$(TARGET)/,/$*/,$(BIN))) -caf out/coldplug-$*.tar.xz coldplug coldplug-init coldplug-init-stacks coldplug-init-boot

clean:
	cargo clean
	rm -rf out
