//! Roots on LUKS devices: keys from a person, the image and other disks, and headers that are
//! damaged.

use coldplug::disk::luks::header::{self, Header};
use harness::kernel::{Kernel, Tree};
use harness::machine::{Boot, Bus, Machine, Running, Terminal};
use harness::made_disk::{Made, PASSPHRASE, made};
use harness::run::{BOOT, Test};
use harness::{debian, image, tests};
use serde_json::json;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    keys_and_tables_are_those_of_cryptsetup,
    a_passphrase_is_typed,
    keys_edit_the_passphrase_and_lines_do_not_garble_the_prompt,
    three_wrong_passphrases_end_the_boot,
    a_passphrase_on_one_of_two_consoles,
    nobody_answers_in_time,
    a_machine_without_keyboard,
    a_machine_without_any_console,
    a_key_file_on_another_disk,
    a_key_file_and_crypttab_in_the_image,
    a_header_on_another_disk,
    a_header_that_is_a_disk,
    a_module_that_is_missing,
    a_damaged_primary_header,
    a_near_miss_names_the_mapping,
    a_header_that_is_cut,
    headers_that_are_not_supported,
    a_cipher_that_the_kernel_does_not_have,
    a_key_that_needs_more_memory_than_there_is,
];

/// The root filesystem of all disks: `disk::UUID`.
const ROOT: &str = "root=UUID=c01d9106-0000-4000-8000-000000000001";
/// Length of a copy of the header of LUKS2.
const COPY: usize = 16 << 10;
/// What a person is asked.
const QUESTION: &str = "assphrase for /dev/vda";

/// Makes a machine with an image that has what LUKS needs.
pub(crate) fn machine(line: &str) -> Machine {
    with_kernel(&debian::system(), line)
}

/// Makes the same machine with a kernel that has USB storage.
fn machine_with_usb(line: &str) -> Machine {
    with_kernel(&Kernel::Full61.get(), line)
}

fn with_kernel(tree: &Tree, line: &str) -> Machine {
    Machine::new(tree, &small_image(tree)).cmdline(ROOT).cmdline(line)
}

/// Returns an image that has what LUKS needs.
pub(crate) fn small_image(tree: &Tree) -> PathBuf {
    image::coldplug(tree, &["--generic", "--modules", "@virtio,@storage,@filesystems,@crypt"])
}

/// Returns the UUID of the device that a recipe made.
pub(crate) fn uuid(number: u32) -> String {
    format!("c01d9106-0000-4000-8000-{number:012}")
}

/// The disks, by their recipes, whose headers are compared with what cryptsetup made of them: whether
/// the header is on another disk, and whether a program without the kernel decrypts the key slots.
const COMPARED: &[(&str, bool, bool)] = &[
    ("luks1", false, true),
    ("luks1-cbc-essiv", false, true),
    ("luks1-slots", false, true),
    ("luks1-detached-header", true, true),
    ("luks2-pbkdf2", false, true),
    ("luks2-argon2id", false, true),
    ("luks2-argon2i", false, true),
    ("luks2-argon2id-parallel", false, true),
    ("luks2-sector-4096", false, true),
    ("luks2-sector-1024-sha512", false, true),
    ("luks2-serpent", false, false),
    ("luks2-twofish-cbc", false, false),
    ("luks2-slot-cbc-essiv", false, true),
    ("luks2-flags", false, true),
    ("luks2-slots", false, true),
    ("luks2-key-file", false, true),
    ("luks2-header-on-a-disk", true, true),
    ("luks2-damaged-secondary", false, true),
    ("luks2-null-cipher", false, true),
];

/// The volume keys equal those that cryptsetup prints, and the tables those of
/// `dmsetup table --showkeys`.
fn keys_and_tables_are_those_of_cryptsetup() {
    for &(name, detached, opens) in COMPARED {
        let disks = made(name);
        let files = disks.disks();
        let bytes = fs::read(&files[usize::from(detached)]).unwrap();
        let header = Header::read(&&bytes[..]).unwrap_or_else(|error| panic!("{name}: {error}"));
        let dump = disks.text(if detached { "luks-sdb.key" } else { "luks-sda.key" });
        let (_, dump) = dump.split_once("MK dump:").expect("a volume key");
        let key: String = dump.split_whitespace().collect();
        let opened = header.volume_key(&&bytes[..], PASSPHRASE.as_bytes(), None);
        let opened = opened.map(|key| key.iter().map(|byte| format!("{byte:02x}")).collect());
        assert_eq!(opened, opens.then(|| key.clone()), "{name}");
        let size = files[0].metadata().unwrap().len();
        let ours = header.table(size, key.len() / 2).unwrap();
        let theirs = disks.text("table");
        let (_, theirs) = theirs.trim_end().split_once(": ").expect("a name");
        // The volume keys of LUKS1 are in the table of cryptsetup; ours are in the keyring too.
        let in_keyring = ours.split(' ').nth(4).expect("a key");
        assert_eq!(ours, theirs.replace(&key, in_keyring), "{name}");
    }
}

/// A person at the console.
pub(crate) struct Person {
    pub(crate) machine: Running,
    pub(crate) terminal: Terminal,
    read: usize,
}

impl Person {
    pub(crate) fn at(vm: Machine) -> Self {
        let mut machine = vm.start();
        machine.wait_for("Linux version");
        Self { terminal: machine.terminal(), machine, read: 0 }
    }

    /// Waits until the console shows `text` after what was read before.
    pub(crate) fn reads(&mut self, text: &str) {
        self.read = self.machine.wait_for_after(self.read, text);
    }

    /// Prints a file of one line at the prompt of `coldplug.break=`. Returns the line.
    fn looks_at(&mut self, path: &str) -> String {
        self.reads("coldplug> ");
        self.terminal.line(&format!("cat {path}"));
        self.reads(&format!("cat {path}"));
        self.reads("\n");
        let start = self.read;
        self.reads("\n");
        self.machine.console()[start..self.read].trim().to_owned()
    }

    /// Waits for the question and types an answer.
    pub(crate) fn answers(&mut self, passphrase: &str) {
        self.reads(QUESTION);
        self.reads(": ");
        self.terminal.bytes(format!("{passphrase}\r").as_bytes());
    }
}

/// Checks that a boot has reached the root on a LUKS device, and that nothing secret was shown.
#[track_caller]
pub(crate) fn check(boot: &Boot, number: u32) {
    boot.expect("ok");
    let facts = boot.facts();
    let source = facts.mount("/").expect("a root").source.to_owned();
    assert_eq!(source, format!("/dev/mapper/luks-{}", uuid(number)));
    check_secrets(boot);
}

#[track_caller]
pub(crate) fn check_secrets(boot: &Boot) {
    let record = boot.record().to_string();
    let is_shown = boot.console.contains(PASSPHRASE) || record.contains(PASSPHRASE);
    boot.check(!is_shown, "the passphrase is shown");
}

fn a_passphrase_is_typed() {
    for (recipe, number) in [
        ("luks2-pbkdf2", 201),
        ("luks1", 101),
        ("luks2-argon2id", 202),
        ("luks2-sector-4096", 205),
        // Its key slots are decrypted by the kernel.
        ("luks2-serpent", 207),
        ("luks2-flags", 210),
    ] {
        let mut person = Person::at(made(recipe).attach(machine(""), Bus::VirtioBlk));
        person.answers(PASSPHRASE);
        check(&person.machine.finish(), number);
    }
}

fn keys_edit_the_passphrase_and_lines_do_not_garble_the_prompt() {
    let mut person = Person::at(made("luks2-pbkdf2").attach(machine(""), Bus::VirtioBlk));
    person.reads("root-of-tests");
    person.reads(": ");
    let (start, end) = PASSPHRASE.split_at(4);
    person.terminal.bytes(b"nonsense\x15other\x03");
    // Ctrl-C asks again.
    person.reads(QUESTION);
    person.terminal.bytes(format!("{start}x\x7fy\x08{end}\r").as_bytes());
    check(&person.machine.finish(), 201);
}

fn three_wrong_passphrases_end_the_boot() {
    let mut person = Person::at(made("luks2-pbkdf2").attach(machine(""), Bus::VirtioBlk));
    for left in ["2 of 3 tries left", "1 of 3 tries left", "wrong passphrase 3 times"] {
        person.answers("wrong");
        person.reads(left);
    }
    let boot = person.machine.finish();
    boot.expect("no-root");
    boot.check(!boot.console.contains("wrong\n"), "what was typed is shown");
}

fn a_passphrase_on_one_of_two_consoles() {
    let vm = machine("console=hvc0 console=ttyS0");
    let file = vm.dir().join("hvc");
    let chardev = format!("file,id=hvc,path={}", file.display());
    let vm = vm.device("virtio-serial-pci").args(["-chardev", &chardev]);
    let vm = vm.device("virtconsole,chardev=hvc");
    let mut person = Person::at(made("luks2-pbkdf2").attach(vm, Bus::VirtioBlk));
    person.answers("wrong");
    person.reads("2 of 3 tries left");
    person.answers(PASSPHRASE);
    // The file is gone with the machine.
    let other = read_until_end(&mut person.machine, &file);
    check(&person.machine.finish(), 201);
    for text in [QUESTION, "2 of 3 tries left"] {
        assert!(other.contains(text), "{text:?} is not in {other}");
    }
}

/// Returns what a file holds when the machine ends.
fn read_until_end(machine: &mut Running, file: &Path) -> String {
    let mut text = Vec::new();
    while machine.is_running() {
        text = fs::read(file).unwrap_or(text);
        std::thread::sleep(Duration::from_millis(50));
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn nobody_answers_in_time() {
    let vm = machine(&format!("rd.luks.uuid={} rd.luks.options=timeout=3", uuid(201)));
    made("luks2-pbkdf2")
        .attach(vm, Bus::VirtioBlk)
        .run_failed("no-root", &[QUESTION, "nobody typed the passphrase in time"]);
}

fn a_machine_without_keyboard() {
    let vm = machine("console=tty0 console=ttyS0").args(["-machine", "i8042=off"]).device("VGA");
    let mut person = Person::at(made("luks2-pbkdf2").attach(vm, Bus::VirtioBlk));
    // Both consoles have the question; the screen says what is missing.
    person.reads(QUESTION);
    let start = Instant::now();
    while !screen(&person.machine).contains("coldplug: no keyboard found; connect one") {
        assert!(start.elapsed() < Duration::from_secs(120), "{}", screen(&person.machine));
        std::thread::sleep(Duration::from_millis(500));
    }
    let shown = screen(&person.machine);
    assert!(shown.contains(QUESTION), "{shown}");
    person.terminal.bytes(format!("{PASSPHRASE}\r").as_bytes());
    let boot = person.machine.finish();
    check(&boot, 201);
    boot.check(!boot.console.contains("no keyboard found"), "the serial line has its keyboard");
}

/// Returns the text on the screen of a machine, from the memory of its VGA.
fn screen(machine: &Running) -> String {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("memory");
    let place = json!({ "val": 0xb8000, "size": 0x8000, "filename": file });
    machine.qmp().execute("pmemsave", place);
    // Each character has a byte of colours.
    let text: Vec<u8> = fs::read(file).unwrap().into_iter().step_by(2).collect();
    let lines = text.chunks(80).map(|line| String::from_utf8_lossy(line).trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

/// The kernel writes to the serial line by its early console alone, from which nothing can be read.
fn a_machine_without_any_console() {
    let vm = machine("earlyprintk=ttyS0,keep").replace_words("console=ttyS0", "console=null");
    let boot = made("luks2-pbkdf2").attach(vm, Bus::VirtioBlk).run();
    let says =
        "/dev/vda (root-of-tests): no console to type a passphrase: /dev/console is no terminal";
    boot.check(boot.console.contains(says), says);
}

fn a_key_file_on_another_disk() {
    let disks = made("luks2-key-file");
    for words in [
        "rd.luks.key=/whole.key:LABEL=keys",
        "rd.luks.key=/part.key:LABEL=keys rd.luks.options=keyfile-offset=512,keyfile-size=32",
    ] {
        let vm = disks.attach_one(
            0,
            machine_with_usb(&format!("rd.luks.uuid={} {words}", uuid(212))),
            Bus::VirtioBlk,
        );
        let boot = disks.attach_one(1, vm, Bus::UsbStorage).run();
        check(&boot, 212);
        boot.check(!boot.console.contains(QUESTION), "a person is asked");
    }
    let words = "cryptdevice=/dev/vda:cryptroot cryptkey=LABEL=keys:ext4:/whole.key";
    let vm = disks.attach_one(0, machine_with_usb(words), Bus::VirtioBlk);
    let (_, facts) = disks.attach_one(1, vm, Bus::UsbStorage).run_clean();
    assert_eq!(facts.mount("/").unwrap().source, "/dev/mapper/cryptroot");
}

fn a_key_file_and_crypttab_in_the_image() {
    let disks = made("luks2-key-file");
    let scratch = tempfile::tempdir().unwrap();
    let table = scratch.path().join("crypttab");
    let line = format!("rootfs UUID={} /etc/root.key luks,discard,readonly\n", uuid(212));
    fs::write(&table, line).unwrap();
    let list = format!(
        "{}file /etc/crypttab {} 0600 0 0\nfile /etc/root.key {} 0600 0 0\n",
        include_str!("../../initramfs/base.list"),
        table.display(),
        disks.output("whole.key").display()
    );
    let tree = debian::system();
    let vm = Machine::new(&tree, &image::with_list(&tree, &list)).cmdline(ROOT);
    let vm = vm.cmdline("coldplug.break=switch");
    let mut person = Person::at(disks.attach_one(0, vm, Bus::VirtioBlk));
    let attributes = ["dm-0/ro", "vda/ro", "dm-0/queue/discard_max_bytes"];
    let values = attributes.map(|name| person.looks_at(&format!("/sys/block/{name}")));
    person.terminal.line("exit");
    let boot = person.machine.finish();
    boot.expect("ok");
    assert_eq!(boot.facts().mount("/").unwrap().source, "/dev/mapper/rootfs");
    boot.check(!boot.console.contains(QUESTION), "a person is asked");
    let [mapped_ro, disk_ro, discard] = values;
    assert_eq!((&*mapped_ro, &*disk_ro), ("1", "0"));
    // Without the flag dm-crypt passes no discards on.
    assert_ne!(discard.parse::<u64>(), Ok(0), "{discard}");
}

fn a_header_on_another_disk() {
    let disks = made("luks2-detached-header");
    let words = format!(
        "rd.luks.data={0}=/dev/vda rd.luks.uuid={0} rd.luks.options=header=/root.header:LABEL=keys",
        uuid(213)
    );
    let vm = disks.attach_one(0, machine_with_usb(&words), Bus::VirtioBlk);
    let mut person = Person::at(disks.attach_one(1, vm, Bus::UsbStorage));
    person.answers(PASSPHRASE);
    check(&person.machine.finish(), 213);
    let vm = machine(&format!("{words} coldplug.timeout=4"));
    let says = ["coldplug:   header of /dev/vda on LABEL=keys not found"];
    disks.attach_one(0, vm, Bus::VirtioBlk).run_failed("no-root", &says);
}

fn a_header_that_is_a_disk() {
    let words = format!(
        "rd.luks.data={0}=/dev/vda rd.luks.uuid={0} rd.luks.options=header=/dev/vdb",
        uuid(214)
    );
    let disks = made("luks2-header-on-a-disk");
    let mut person = Person::at(disks.attach(machine(&words), Bus::VirtioBlk));
    person.answers(PASSPHRASE);
    check(&person.machine.finish(), 214);
}

/// The image lacks the cipher of the key slots, or dm-crypt.
fn a_module_that_is_missing() {
    for (recipe, modules, words) in [
        ("luks2-serpent", "dm_crypt", "the kernel does not offer xts(serpent) to programs"),
        ("luks2-pbkdf2", "dm_mod", "the kernel does not have the target crypt"),
    ] {
        let tree = debian::system();
        let list = format!("@virtio,@filesystems,{modules}");
        let image = image::coldplug(&tree, &["--generic", "--modules", &list]);
        let vm = Machine::new(&tree, &image).cmdline(ROOT);
        let mut person = Person::at(made(recipe).attach(vm, Bus::VirtioBlk));
        person.answers(PASSPHRASE);
        let boot = person.machine.finish();
        boot.expect("no-root");
        boot.check(boot.console.contains(words), &format!("{recipe}: {words}"));
    }
}

fn a_damaged_primary_header() {
    for (recipe, number) in [("luks2-damaged-primary", 215), ("luks2-no-primary", 216)] {
        // Without its first magic bytes no superblock is found: the device has to be named.
        let words = format!("cryptdevice=/dev/vda:luks-{}", uuid(number));
        let mut person = Person::at(made(recipe).attach(machine(&words), Bus::VirtioBlk));
        person.answers(PASSPHRASE);
        check(&person.machine.finish(), number);
    }
}

fn a_near_miss_names_the_mapping() {
    let vm = machine("root=LABEL=coldplug-rot coldplug.timeout=20");
    let mut person = Person::at(made("luks2-pbkdf2").attach(vm, Bus::VirtioBlk));
    person.answers(PASSPHRASE);
    let boot = person.machine.finish();
    boot.expect("no-root");
    let words = format!("mapper/luks-{} has LABEL=coldplug-root: one character differs", uuid(201));
    boot.check(boot.console.contains(&words), &words);
}

fn a_header_that_is_cut() {
    let vm = machine("cryptdevice=/dev/vda:cut coldplug.timeout=10");
    let file = cut(&made("luks2-pbkdf2"), vm.dir());
    let cause = "reading the LUKS header of /dev/vda: LUKS2 header at 0: unexpected end of file";
    let boot = vm.disk(Bus::VirtioBlk, &file).run_failed("no-root", &[cause]);
    // Once when it happens, and once as the reason of the end.
    assert_eq!(boot.console.matches(cause).count(), 2, "{}", boot.console);
}

/// Copies the first 8 KiB of a disk, which are less than a header, to a disk of its own.
fn cut(disks: &Made, dir: &Path) -> PathBuf {
    let file = disks.copy(dir).remove(0);
    let disk = fs::OpenOptions::new().write(true).open(&file).unwrap();
    disk.set_len(8192).unwrap();
    file
}

/// Nobody is asked for a passphrase that could not be used.
fn headers_that_are_not_supported() {
    for (recipe, words) in [
        ("luks2-integrity", "segments/0/integrity: authenticated encryption is not supported"),
        (
            "luks2-reencryption",
            "config/requirements/mandatory: 'online-reencrypt-v2' is not supported",
        ),
    ] {
        let words = format!("reading the LUKS header of /dev/vda: LUKS2 metadata: {words}");
        let vm = made(recipe).attach(machine("coldplug.timeout=20"), Bus::VirtioBlk);
        let boot = vm.run_failed("no-root", &[&words]);
        boot.check(!boot.console.contains(QUESTION), &format!("{recipe}: a person is asked"));
    }
}

/// The key slots are decrypted by coldplug; the data is not.
fn a_cipher_that_the_kernel_does_not_have() {
    let vm = machine("");
    let files = made("luks2-pbkdf2").copy(vm.dir());
    let disk = fs::OpenOptions::new().read(true).write(true).open(&files[0]).unwrap();
    for start in [0, COPY] {
        let mut copy = vec![0; COPY];
        disk.read_exact_at(&mut copy, start as u64).unwrap();
        let json = copy[4096..].split(|byte| *byte == 0).next().unwrap();
        let json = std::str::from_utf8(json).unwrap();
        // That of the key slot comes first.
        let at = 4096 + json.rfind("\"aes-xts-plain64\"").expect("a cipher");
        copy[at..at + 17].copy_from_slice(b"\"axs-xts-plain64\"");
        copy[448..512].fill(0);
        let checksum = header::checksum(&copy);
        copy[448..480].copy_from_slice(&checksum);
        disk.write_all_at(&copy, start as u64).unwrap();
    }
    let mut person = Person::at(vm.disk(Bus::VirtioBlk, &files[0]));
    person.answers(PASSPHRASE);
    let boot = person.machine.finish();
    boot.expect("no-root");
    let words = "the kernel does not have the cipher axs-xts-plain64";
    boot.check(boot.console.contains(words), words);
}

fn a_key_that_needs_more_memory_than_there_is() {
    let vm = machine("").args(["-m", "384"]);
    let mut person = Person::at(made("luks2-much-memory").attach(vm, Bus::VirtioBlk));
    person.answers(PASSPHRASE);
    person.reads("Argon2 needs 391 MiB of memory, ");
    person.reads(" MiB are available");
    person.machine.finish().expect("no-root");
}
