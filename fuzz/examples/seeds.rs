//! Seeds of the fuzz targets: small inputs made by real tools. `seeds CORPUS KERNELS` writes a
//! directory for each target.
//!
//! Seeds of tools or kernels that are not installed are omitted.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use coldplug::disk::{self, Source};
use coldplug::image::newc::{Entry, Kind, Writer};
use coldplug::kmod::{compress, index};
use coldplug::net::dhcp;
use coldplug::report::stored_boot::StoredBoot;
use coldplug_fuzz::{SECTOR, Sparse};

fn main() -> io::Result<()> {
    let args: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [corpus, kernels] = &args[..] else {
        return Err(io::Error::other("usage: seeds CORPUS KERNELS"));
    };
    let corpus = Corpus(corpus.clone());
    for (number, (target, text)) in TEXTS.iter().enumerate() {
        corpus.put(target, &format!("text-{number}"), text)?;
    }
    corpus.put("index", "small", &index_seed())?;
    corpus.put("newc", "small", &archive()?)?;
    corpus.put("network", "offer", &offer())?;
    corpus.put("lvm", "text", &[&[0], LVM].concat())?;
    corpus.put("lvm", "device", &lvm_device())?;
    corpus.put("md", "raid1", &raid1())?;
    for (number, seed) in tpm().iter().enumerate() {
        corpus.put("tpm", &number.to_string(), seed)?;
    }
    corpus.put("device_tree", "board", &device_tree())?;
    for (number, tree) in device_trees(kernels).iter().enumerate() {
        corpus.put(
            "device_tree",
            &format!("debian-{number}"),
            &[&[0], &fs::read(tree)?[..]].concat(),
        )?;
    }
    if let Some(boot) = stored_boot() {
        corpus.put("stored_boot", "small", &boot)?;
    }
    if let Ok(program) = fs::read("/bin/true") {
        corpus.put("program", "elf", &program)?;
    }
    for (number, words) in DISKS.iter().enumerate() {
        corpus.device(&format!("{number}-{}", words[1]), words)?;
    }
    for module in modules(kernels) {
        corpus.module(&module)?;
    }
    Ok(())
}

/// Metadata with every type of segment.
const LVM: &[u8] = include_bytes!("../../src/disk/lvm/fixtures/every_type.txt");

/// Returns a physical volume in the form of its fuzz target, which sets the checksums.
fn lvm_device() -> Vec<u8> {
    let (mut label, mut header) = ([0; SECTOR], [0; SECTOR]);
    let put = |sector: &mut [u8; SECTOR], at: usize, bytes: &[u8]| {
        sector[at..at + bytes.len()].copy_from_slice(bytes);
    };
    put(&mut label, 0, b"LABELONE\x01");
    put(&mut label, 20, b"\x20\0\0\0LVM2 001");
    put(&mut label, 32, b"00000000000000000000000000000002");
    for (at, number) in [(64, 1 << 27), (72, 1 << 20), (104, 4096), (112, 65536_u64)] {
        put(&mut label, at, &number.to_le_bytes());
    }
    put(&mut header, 4, b" LVM2 x[5A%r0N*>\x01");
    let length = LVM.len() as u64;
    for (at, number) in [(24, 4096), (32, 65536), (40, SECTOR as u64), (48, length)] {
        put(&mut header, at, &number.to_le_bytes());
    }
    [&[1], &label[..], &header, LVM].concat()
}

/// Returns a clock and a disk that needs it, without a header.
fn device_tree() -> Vec<u8> {
    const NAMES: &[u8] = b"compatible\0phandle\0#clock-cells\0clocks\0status\0";
    let (mut structure, word) = (Vec::new(), u32::to_be_bytes);
    let begin = |out: &mut Vec<u8>, name: &[u8]| out.extend([&word(1)[..], name].concat());
    let property = |out: &mut Vec<u8>, name: u32, value: &[u8]| {
        let length = u32::try_from(value.len()).expect("a short value");
        out.extend([&word(3)[..], &word(length), &word(name), value].concat());
        out.resize(out.len().next_multiple_of(4), 0);
    };
    begin(&mut structure, b"\0\0\0\0");
    begin(&mut structure, b"clk\0");
    property(&mut structure, 0, b"a,clk\0");
    property(&mut structure, 11, &word(1));
    property(&mut structure, 19, &word(1));
    structure.extend(word(2));
    begin(&mut structure, b"mmc@4\0\0\0");
    property(&mut structure, 0, b"a,mmc\0");
    property(&mut structure, 32, &[word(1), word(7)].concat());
    property(&mut structure, 39, b"okay\0");
    structure.extend([word(2), word(2), word(9)].concat());
    let length = u16::try_from(structure.len()).expect("a small tree");
    [&[1], &length.to_le_bytes()[..], &structure, NAMES].concat()
}

/// Returns the smallest device trees of each kernel in the cache.
fn device_trees(kernels: &Path) -> Vec<PathBuf> {
    let mut chosen = Vec::new();
    for kernel in fs::read_dir(kernels).into_iter().flatten().flatten() {
        let mut found = Vec::new();
        walk(&kernel.path(), ".dtb", &mut found);
        found.sort();
        chosen.extend(found.into_iter().take(3).map(|(_, path)| path));
    }
    chosen
}

/// Returns the superblocks of a raid1 in the form of the target md.
fn raid1() -> Vec<u8> {
    let mut seed = vec![1];
    for number in 0..2 {
        let mut block = [0; 260];
        let fields: [(usize, &[u8]); 11] = [
            (32, b"host:root"),
            (64, &[1]),
            (72, &[1]),
            (80, &[0, 4]),
            (92, &[2]),
            (128, &[0, 1]),
            (136, &[0, 4]),
            (160, &[number]),
            (200, &[10 + number]),
            (208, &[0xff; 8]),
            (220, &[2]),
        ];
        for (at, bytes) in fields {
            block[at..at + bytes.len()].copy_from_slice(bytes);
        }
        block[258] = 1;
        seed.extend([3, 4, 1]);
        seed.extend(block);
    }
    seed
}

/// Returns tokens of systemd 252 and answers of a TPM in the form of the target tpm.
fn tpm() -> Vec<Vec<u8>> {
    let answer = |tag: u8, body: &[&[u8]]| {
        let body = body.concat();
        let size = u32::try_from(10 + body.len()).expect("a small answer");
        [&[0x80, tag], &size.to_be_bytes()[..], &[0; 4], &body].concat()
    };
    let sized = |bytes: &[u8]| {
        let size = u16::try_from(bytes.len()).expect("a small field");
        [&size.to_be_bytes()[..], bytes].concat()
    };
    let field = sized(&[7; 32]);
    let head: &[u8] = b"\0\x0b\0\x03\0\x72\0\0\0\x06\0\x80\0\x43\0\x10";
    let ecc = [b"\0\x23", head, b"\0\x03\0\x10", &field, &field].concat();
    let rsa = [b"\0\x01", head, b"\x08\0\0\0\0\0", &sized(&[0xc7; 256])].concat();
    let handle = [0x80, 0, 0, 0];
    let session: &[u8] = &[&field[..], &[1], &field].concat();
    let key = sized(&ecc);
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("a small field").to_be_bytes();
    [
        // TPM2_PCR_Read, TPM2_Unseal, an error, TPM2_StartAuthSession, TPM2_CreatePrimary.
        (0, answer(1, &[b"\0\0\0\x09\0\0\0\x01\0\x0b\x03\x81\0\0\0\0\0\x02", &field, &field])),
        (0, answer(2, &[&length(&field), &field, session])),
        (0, b"\x80\x01\0\0\0\x0a\0\0\x09\x9d".to_vec()),
        (1, answer(1, &[b"\x03\0\0\0", &field])),
        (1, answer(2, &[&handle, &length(&key), &key, &[0, 0, 1, 0, 0]])),
        (2, ecc),
        (2, rsa),
        (3, include_bytes!("../../src/tpm/fixtures/pin.json").to_vec()),
        (3, include_bytes!("../../src/tpm/fixtures/signed.json").to_vec()),
    ]
    .map(|(selector, bytes)| [vec![selector], bytes].concat())
    .into()
}

/// The corpus, with a directory for each target.
struct Corpus(PathBuf);

impl Corpus {
    fn put(&self, target: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
        let dir = self.0.join(target);
        fs::create_dir_all(&dir)?;
        fs::write(dir.join(name), bytes)
    }

    /// Writes the image that a tool makes, reduced to the sectors that identify it.
    fn device(&self, name: &str, words: &[&str]) -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("image");
        let size = words[0].parse::<u64>().map_err(io::Error::other)? << 20;
        File::create(&path)?.set_len(size)?;
        let (command, script) = match words.iter().position(|word| *word == "<") {
            Some(at) => (&words[1..at], words[at + 1]),
            None => (&words[1..], ""),
        };
        if run(dir.path(), command, script.as_bytes()).is_none() {
            return Ok(());
        }
        let file = File::open(&path)?;
        let image = Image { size: file.metadata()?.len(), file };
        let seed = Sparse::write(image.size, &image.identifying_sectors()?);
        if name.ends_with("veritysetup") {
            self.put("verity", name, &[&[0; 8], &seed[..]].concat())?;
        }
        if name.ends_with("cryptsetup") {
            self.put("luks", name, &luks_seed(&image.file)?)?;
        }
        self.put("disk", name, &seed)?;
        self.put("tables", name, &seed)
    }

    /// Writes a module as it is stored, its decoded form, and its signature.
    fn module(&self, path: &Path) -> io::Result<()> {
        let (stored, name) = (fs::read(path)?, path.file_name().unwrap_or_default());
        let (name, limit) = (name.to_string_lossy(), compress::IMAGE_LIMIT);
        let image = compress::decode(&stored, limit).map_err(io::Error::other)?;
        self.put("decompress", &name, &stored)?;
        self.put("elf", &name, &image)?;
        let trailer = &image[image.len().saturating_sub(700)..];
        let trailer = trailer.strip_suffix(b"~Module signature appended~\n").unwrap_or(trailer);
        self.put("signature", &name, trailer)
    }
}

/// A disk image in a file.
struct Image {
    file: File,
    size: u64,
}

impl Source for Image {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }
}

impl Image {
    /// Returns the sectors that change the result of probing if they are missing, found by removing
    /// each in turn.
    fn identifying_sectors(&self) -> io::Result<Vec<(u32, Vec<u8>)>> {
        let mut sectors = Vec::new();
        let near = |number: u64| number < 600 || number + 600 > self.size / SECTOR as u64;
        for number in (0..self.size.div_ceil(SECTOR as u64)).filter(|number| near(*number)) {
            let mut bytes = vec![0; SECTOR];
            let _ = self.file.read_at(&mut bytes, number * SECTOR as u64)?;
            if let (true, Ok(number)) = (bytes.iter().any(|byte| *byte != 0), number.try_into()) {
                sectors.push((number, bytes));
            }
        }
        let want = describe(self.size, &sectors);
        let mut at = 0;
        while at < sectors.len() {
            let sector = sectors.remove(at);
            if describe(self.size, &sectors) != want {
                sectors.insert(at, sector);
                at += 1;
            }
        }
        Ok(sectors)
    }
}

/// Returns the first sectors of a device, or the metadata of LUKS2 without the binary header.
fn luks_seed(device: &File) -> io::Result<Vec<u8>> {
    let mut start = [0; 16 << 10];
    device.read_exact_at(&mut start, 0)?;
    let json = start[4096..].split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(if json.is_empty() { [&[0], &start[..1024]].concat() } else { [&[1], json].concat() })
}

/// Returns everything that probing finds on a device.
fn describe(size: u64, sectors: &[(u32, Vec<u8>)]) -> String {
    let bytes = Sparse::write(size, sectors);
    let Some(device) = Sparse::parse(&bytes) else { return String::new() };
    let tables = [512, 4096].map(|sector_size| disk::partition_table(&device, sector_size));
    format!("{:?} {tables:?}", disk::examine(&device))
}

/// Runs a tool in `dir` with its input; `None` if it is missing or fails.
fn run(dir: &Path, words: &[&str], input: &[u8]) -> Option<()> {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(dir).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    // A tool that does not read its input may have exited already.
    let _ = child.stdin.take()?.write_all(input);
    child.wait().ok()?.success().then_some(())
}

/// Returns the smallest modules of each kernel in the cache.
fn modules(kernels: &Path) -> Vec<PathBuf> {
    let mut chosen = Vec::new();
    for kernel in fs::read_dir(kernels).into_iter().flatten().flatten() {
        let mut found = Vec::new();
        walk(&kernel.path(), ".ko", &mut found);
        found.sort();
        chosen.extend(found.into_iter().take(3).map(|(_, path)| path));
    }
    chosen
}

/// Adds the files below `dir` whose names contain `word`, with their sizes.
fn walk(dir: &Path, word: &str, found: &mut Vec<(u64, PathBuf)>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(kind) = entry.metadata() else { continue };
        if kind.is_dir() {
            walk(&path, word, found);
        } else if path.file_name().is_some_and(|name| name.to_string_lossy().contains(word)) {
            found.push((kind.len(), path));
        }
    }
}

/// Returns a name, and an index with every kind of key.
fn index_seed() -> Vec<u8> {
    let mut writer = index::Writer::default();
    let keys = ["ext4", "ext3", "pci:v*d*sv[0-9]", "pci:v00001AF4d*", "usb:?", "a"];
    for (key, priority) in keys.iter().zip(0..) {
        writer.insert(key.as_bytes(), b"module", priority).expect("plain text");
    }
    let name = b"pci:v00001AF4d00001000sv5";
    let file = writer.finish().expect("a small index");
    [&[name.len() as u8], &name[..], &file].concat()
}

/// Returns a message of a server, made from one of a client.
fn offer() -> Vec<u8> {
    let mut message = dhcp::encode(dhcp::Query::Discover, [2, 0, 0, 0, 0, 1], 7, 0, None);
    message.truncate(240);
    message[16..20].copy_from_slice(&[10, 0, 2, 15]);
    message.extend([
        53, 1, 2, 1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 2, 2, 0, 6, 8, 10, 0, 2, 3, 8, 8, 8, 8,
    ]);
    message.extend(b"\x0c\x04host\x11\x0f10.0.2.2:/r,ro5\x33\x04\0\0\x0e\x10\xff");
    message
}

fn stored_boot() -> Option<Vec<u8>> {
    let (record, log) = ("{}\n".to_owned(), "[    1.5] panic\n".to_owned());
    let (head, body) = StoredBoot::new(3, "verdict=no-root: x", record, log, 1 << 20)?.encode();
    Some([head, body].concat())
}

fn archive() -> io::Result<Vec<u8>> {
    let mut writer = Writer::new(Vec::new(), 1);
    for (name, kind) in [
        ("dev", Kind::Dir),
        ("dev/console", Kind::Char(5, 1)),
        ("init", Kind::File(b"#!")),
        ("sbin", Kind::Link(b"usr/sbin")),
    ] {
        writer.append(&Entry { name: name.as_bytes(), mode: 0o755, uid: 0, gid: 0, kind })?;
    }
    Ok(writer.finish()?.0)
}

/// Size in MiB, the tool with its arguments, and its input after `<`.
const DISKS: [&[&str]; 27] = [
    &["4", "mke2fs", "-q", "-t", "ext2", "-L", "LABEL", "image"],
    &["8", "mke2fs", "-q", "-t", "ext4", "-L", "LABEL", "image"],
    &["8", "mke2fs", "-q", "-O", "journal_dev", "-L", "LABEL", "image"],
    &["300", "mkfs.xfs", "-q", "-L", "LABEL", "image"],
    &["128", "mkfs.btrfs", "-q", "-L", "LABEL", "image"],
    &["64", "mkfs.f2fs", "-q", "-l", "LABEL", "image"],
    &["1", "mkfs.fat", "-F", "12", "-n", "LABEL", "image"],
    &["16", "mkfs.fat", "-F", "16", "-n", "LABEL", "image"],
    &["64", "mkfs.fat", "-F", "32", "-n", "LABEL", "image"],
    &["8", "mkfs.exfat", "-L", "LABEL", "image"],
    &["8", "mkntfs", "-q", "-F", "-Q", "-L", "LABEL", "image"],
    &["8", "mkudffs", "-l", "LABEL", "image"],
    &["1", "mkswap", "-q", "-L", "LABEL", "image"],
    &["1", "mkswap", "-q", "-p", "65536", "-L", "LABEL", "image"],
    &["0", "genisoimage", "-quiet", "-J", "-V", "LABEL", "-o", "image", "/etc/hostname"],
    &["0", "mkfs.erofs", "--quiet", "image", "/etc/apt"],
    &["0", "mksquashfs", "/etc/hostname", "image", "-quiet", "-noappend"],
    &["0", "mkfs.ubifs", "-r", "/etc/apt", "-m", "2048", "-e", "126976", "-c", "100", "image"],
    &["16", "make-bcache", "-B", "image"],
    &[
        "32",
        "cryptsetup",
        "luksFormat",
        "--type=luks1",
        "-q",
        "--key-file=-",
        "image",
        "<",
        "secret",
    ],
    &[
        "32",
        "cryptsetup",
        "luksFormat",
        "--type=luks2",
        "-q",
        "--key-file=-",
        "image",
        "<",
        "secret",
    ],
    &["8", "veritysetup", "format", "/bin/sh", "image"],
    &[
        "16",
        "sfdisk",
        "-q",
        "image",
        "<",
        "label: gpt\nsize=1M, name=\"root A\"\nsize=2M, attrs=\"GUID:60\"\n",
    ],
    &["16", "sfdisk", "-q", "image", "<", "label: gpt\ntable-length: 4\nsize=1M\n"],
    &[
        "16",
        "sfdisk",
        "-q",
        "image",
        "<",
        "label: dos\nsize=1M, bootable\ntype=f\nsize=1M\nsize=2M\n",
    ],
    &["16", "sfdisk", "-q", "image", "<", "label: dos\nlabel-id: 0x1\nsize=1M, type=ef\n"],
    &["64", "fdisk", "-b", "4096", "image", "<", "g\nn\n1\n\n+8M\nw\n"],
];

/// Targets and their texts.
const TEXTS: [(&str, &[u8]); 27] = [
    ("uboot_env", b"\0BOOT_ORDER=B A x\0BOOT_A_LEFT=3\0BOOT_B_LEFT=0x0a\0odd\0bootdelay=2\0\0"),
    ("uboot_env", b"\x01\xff\0\x20BOOT_ORDER=A\0BOOT_A_LEFT=0\0\0\0\0BOOT_ORDER=system.0\0a=1\0a=2\0"),
    (
        "luks",
        br#"1{"keyslots":{"0":{"type":"luks2","key_size":16,"priority":2,"af":{"type":"luks1",
        "stripes":4,"hash":"sha256"},"area":{"type":"raw","encryption":"aes-cbc-essiv:sha256",
        "key_size":16,"offset":"32768","size":"4096"},"kdf":{"type":"argon2id","time":4,"memory":32,
        "cpus":1,"salt":"c2FsdHNhbHRzYWx0"}}},"tokens":{"1":{"type":"systemd-tpm2","keyslots":["0"]}},
        "segments":{"0":{"type":"crypt","offset":"65536","size":"dynamic","iv_tweak":"0",
        "encryption":"aes-xts-plain64","sector_size":4096}},"digests":{"0":{"type":"pbkdf2",
        "keyslots":["0"],"segments":["0"],"hash":"sha512","iterations":9,"salt":"c2FsdA==",
        "digest":"c2FsdHNhbHRzYWx0c2FsdHNhbHQ="}},"config":{"json_size":"12288","keyslots_size":
        "32768","flags":["allow-discards"],"requirements":{"mandatory":[]}}}"#,
    ),
    (
        "md",
        b"\0HOMEHOST <system>\nARRAY /dev/md/0 metadata=1.2 UUID=00000000:00000000:00000000:00000001\n  \
        name=\"a:0\" # x\nAUTO +1.x homehost -all\nCREATE names=yes\nDEV /dev/sd*\nARRAY <ignore> \
        devices=/dev/sd*,/dev/vd? super-minor=3\n",
    ),
    (
        "probe_message",
        b"vda1\0\0\0gpt\0c12a\x000\0u\0l\0filesystem\0uuid\0label\x001\0disk/by-id/x\0ext4\0",
    ),
    ("program", b"#! /usr/bin/env  sh -e\nexec\n"),
    ("alias", b"pci:v00001AF4d*sv*[!0-9]x\npci:v00001AF4d00001000sv00001AF4ax"),
    ("alias", b"a\\*b?[[:alpha:]a-z]*\na*b-cd"),
    ("index_write", b"ext4 a\next3 b\next4 c\npci:v*d[0-9] c\npci:v* d\n"),
    (
        "catalog",
        b"dev:a1\xffkernel/alpha.ko: kernel/beta.ko.xz\nkernel/beta.ko.xz:\n\xff# Aliases\n\
        alias dev:a* alpha\nalias d[a]-? b\
        \xffalias symbol:s alpha\n\xffkernel/in-side.ko\n\xffin_side.alias=dev:*\0\
        in_side.license=GPL\0",
    ),
    (
        "conf",
        b"# text\nalias net-pf-[0-9] a-b\nblacklist c\noptions d e=1 f=\"x y\"\ninstall g \
        /bin/true \\\n  ; x\nremove h true\n\
        softdep i pre: a b post: c\nweakdep j k\nmask snd*\nrule install-first\nrule \
        merge-softdeps\n",
    ),
    (
        "conf",
        b"search updates built-in extra/x\noverride m ^6.* extra\nexternal * /x\nexclude \
        .*\n",
    ),
    ("network", b"10.0.2.15:10.0.2.2:10.0.2.1:255.255.255.0:name:eth0:dhcp:10.0.2.3:8.8.8.8"),
    ("network", b"nfs4:10.0.2.2:/srv/root:vers=4.2,soft"),
    (
        "identity",
        b"\x20\0\x80\0\x0c  SERIAL \
        1234          \0\x83\0\x18\x01\x03\0\x08\x50\0\xc5\0\x01\x02\x03\x04\x02\x01\0\x08ATA DISK",
    ),
    ("identity", b"\xff0040 3fff c837 0010 0000 0000 003f 0000 0000 0000 2020 5741 4243 4431 3233"),
    (
        "settings",
        b"settings snd-hda index enable* /sys/class/x\nsettings a /proc/sys/net/y ../z\n\
        /sys/module/a/parameters/b one\\ntwo\\\\\n",
    ),
    (
        "cmdline",
        b"coldplug.verity=roothash=00112233445566778899aabbccddeeff\
        00112233445566778899aabbccddeeff,\
        data=LABEL=a,hash=/dev/vdb,\
        hashoffset=4096,salt=ab coldplug.image=/a/b coldplug.overlay=tmpfs,size=10% \
        systemd.verity=no roothash=00 \
        systemd.verity_root_data=UUID=x systemd.verity_root_options=panic-on-corruption",
    ),
    (
        "modules_conf",
        b"alias eth0 off\nalias char-major-10 ne\noptions -k ne io=0x300 \"irq=5 6\"\nabove ne \
        a b\nbelow ne c\nprobe x y z\n\
        install ne /bin/true && x\npre-install ne cmd\npost-remove ne cmd \\\n more\ndefine V \
        w\nif -f /x$V\npath=/lib\nelseif `uname -r` >= 2\n\
        add options ne d=1\nelse\nkeep\nendif\ninclude /a\npath[misc]=/m # text\n",
    ),
    (
        "cmdline",
        b"BOOT_IMAGE=/vmlinuz root=UUID=c01d9106-0000-4000-8000-0000000000aa rootfstype=ext4,\
        xfs rootflags=noatime rootwait=5 \
        rootdelay=1 ro init=/bin/sh \"a.b=c d\" modprobe.blacklist=a,b coldplug.mask=x*,y \
        coldplug.jobs=2 panic=-1 -- single",
    ),
    (
        "cmdline",
        b"coldplug.root=LABEL=a,wait=1;/dev/vda2;PARTUUID=1234-02/PARTNROFF=1,fstype=xfs \
        mount.usr=ID=x mount.usrflags=ro \
        root=0xb302 resume=LABEL=s fsck.mode=force fsck.repair=no coldplug.settle=root \
        coldplug.async=all coldplug.onfail=halt",
    ),
    (
        "uevent",
        b"add@/devices/pci0000:00/0000:00:03.0\0ACTION=add\0DEVPATH=/devices/pci0000:00/0000:00:\
        03.0\0SUBSYSTEM=pci\0\
        MODALIAS=pci:v00001AF4d00001000\0SEQNUM=1234\0",
    ),
    ("uevent", b"DRIVER=virtio-pci\nPCI_CLASS=20000\nMODALIAS=pci:v00001AF4-[x]\n"),
    (
        "capture",
        b"coldplug-capture 2\nkernel 6.1.0\nmachine x86_64\ncmdline root=LABEL=x ro\nroot ext4 \
        bus0/b/block/vda\n\n\
        device bus0/a\n  modalias dev:a\\x20\n  subsystem bus\n  driver alpha\n  module \
        alpha\n  supplier bus0/b\n\ndevice bus0/b\n  modalias b\n\nend\n",
    ),
    (
        "record",
        b"{\"modules\":[{\"name\":\"a\",\"outcome\":\"loaded\",\"start_us\":1,\"end_us\":5},\
        {\"name\":\"b\",\"outcome\":\"waiting\",\
        \"end_us\":0,\"by\":\"a\"}],\"root\":{\"spec\":\"LABEL=x\",\"way\":\
        [\"a\",\"b\"],\"device\":\"vda\",\"fstype\":\"ext4\"},\
        \"warnings\":[\"w\"],\"deferred\":\
        [{\"device\":\"d\",\"supplier\":\"s\",\"reason\":\"r\"}],\"verdict\":\"ok\",\"time_ms\":\
        12}",
    ),
    ("signature", b"issuer key octets\x01\x04\x01\x06\x03\0\0\0\0\0\0\x07"),
    ("decompress", b"plain"),
];
