//! Roots without a block device: 9p and virtiofs exports of the host, and NFS, for which the
//! network is set up first.

use harness::files::put;
use harness::kernel::Kernel;
use harness::machine::{Boot, Facts, Machine};
use harness::paths::program;
use harness::run::{BOOT, Need, Test, unavailable};
use harness::{image, own_modules, tests, tool};
use serde_json::json;
use std::fs;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What virtiofs needs.
const VIRTIOFS: [Need; 3] = [BOOT[0], BOOT[1], Need::Root("the sandbox of virtiofsd is a chroot")];
/// What NFS needs.
const NFS: [Need; 4] = [
    BOOT[0],
    BOOT[1],
    Need::Root("nfs-ganesha opens files by their handles"),
    Need::Command("ganesha.nfsd", "nfs-ganesha"),
];

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![
    BOOT =>
    a_9p_tag_is_a_root,
    an_unknown_tag_is_reported_with_the_existing_ones,
    an_nfs_server_that_does_not_answer_is_reported,
    a_missing_dhcp_answer_is_reported,
    dhcp_retries_until_it_has_an_address,
    an_unknown_interface_is_reported_with_the_existing_ones;
    VIRTIOFS =>
    a_virtiofs_tag_is_a_root;
    NFS =>
    nfs_4_by_dhcp,
    nfs_4_beside_an_interface_that_is_slow,
    nfs_3_with_a_static_address,
];

/// Longest time until a server listens.
const SERVER: Duration = Duration::from_secs(20);

/// Makes a machine whose image carries only the module sets `@virtio` and `@network`.
fn machine(kernel: Kernel) -> Machine {
    let tree = kernel.get();
    let image = image::coldplug(&tree, &["--modules", "@virtio,@network"]);
    Machine::new(&tree, &image)
}

/// Makes a directory that is a root, with guest.rs as init.
fn root_directory() -> TempDir {
    let dir = tempfile::Builder::new().prefix("coldplug-root-").tempdir().unwrap();
    put(dir.path(), "sbin/init", &fs::read(program("examples/guest")).unwrap(), 0o755);
    for sub in ["dev", "proc", "sys", "run", "tmp", "etc"] {
        fs::create_dir_all(dir.path().join(sub)).unwrap();
    }
    dir
}

#[track_caller]
fn ends_well(vm: Machine, kind: &str, source: &str) -> (Boot, Facts) {
    let boot = vm.run();
    boot.expect("ok");
    let facts = boot.facts();
    let root = facts.mount("/").expect("a root in mountinfo");
    boot.check((root.kind, root.source) == (kind, source), &format!("the root is {root:?}"));
    (boot, facts)
}

fn with_9p(vm: Machine, dir: &Path, tag: &str) -> Machine {
    let export = format!("local,id={tag},path={},security_model=none", dir.display());
    vm.args(["-fsdev", &export]).device(&format!("virtio-9p-pci,fsdev={tag},mount_tag={tag}"))
}

fn a_9p_tag_is_a_root() {
    let root = root_directory();
    let vm = with_9p(machine(Kernel::Full61), root.path(), "export")
        .cmdline("root=export rootfstype=9p")
        .raw_words(b"rootflags=trans=virtio,version=9p2000.L,uname=M\xf6b");
    let (_, facts) = ends_well(vm, "9p", "export");
    let mounts = facts.get("mountinfo").to_string();
    assert!(mounts.contains(",uname=M\\\\xf6b,"), "{mounts}");
    assert!(facts.mount("/").unwrap().options.contains(&"ro"));
    assert_eq!(facts.record()["root"]["device"], "export");
    let way = facts.record()["root"]["modules"].to_string();
    assert!(way.contains("\"9pnet_virtio\"") && way.contains("\"virtio_pci\""), "{way}");
}

fn an_unknown_tag_is_reported_with_the_existing_ones() {
    let root = root_directory();
    let vm = with_9p(machine(Kernel::Full61), root.path(), "export");
    let boot =
        with_9p(vm, root.path(), "other").cmdline("root=9p:exports coldplug.timeout=6").run();
    boot.expect("no-root");
    let text = "waiting for 9p tag exports (available: export, other)";
    boot.check(boot.console.contains(text), "the tags are not reported");
    assert_eq!(
        boot.record()["root"]["awaited"]["name"],
        "9p tag exports (available: export, other)"
    );
}

fn a_virtiofs_tag_is_a_root() {
    let root = root_directory();
    let vm = machine(Kernel::Cloud61);
    let socket = vm.dir().join("virtiofs");
    let _daemon = virtiofsd(&socket, root.path());
    let vm = vm
        .args(["-object", "memory-backend-memfd,id=mem,size=1024M,share=on"])
        .args(["-numa", "node,memdev=mem"])
        .args(["-chardev", &format!("socket,id=fs,path={}", socket.display())])
        .device("vhost-user-fs-pci,chardev=fs,tag=/dev/root")
        .cmdline("root=/dev/root rootfstype=virtiofs rw");
    let (_, facts) = ends_well(vm, "virtiofs", "/dev/root");
    let way = facts.record()["root"]["modules"].to_string();
    assert!(way.contains("\"virtiofs\"") && way.contains("\"virtio_pci\""), "{way}");
    assert!(facts.mount("/").unwrap().options.contains(&"rw"));
}

fn virtiofsd(socket: &Path, dir: &Path) -> Server {
    let places = ["/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd"].map(Path::new);
    let program = places.into_iter().find(|path| path.exists());
    let program = program.unwrap_or_else(|| {
        unavailable(
            "virtiofsd is missing: install the Debian package qemu-system-common or virtiofsd",
        )
    });
    let child = Command::new(program)
        .arg(format!("--socket-path={}", socket.display()))
        .args(["-o", &format!("source={},sandbox=chroot", dir.display())])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let server = Server { child, _dir: None };
    wait_for("virtiofsd", || socket.exists());
    server
}

/// A server process, which is killed when it is dropped.
struct Server {
    child: Child,
    _dir: Option<TempDir>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait_for(what: &str, is_there: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_there() {
        assert!(start.elapsed() < SERVER, "{what} does not serve");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Returns free TCP ports of this machine.
fn free_ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind(("127.0.0.1", 0)).unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

/// Only one NFS server can run on a machine.
static GANESHA: Mutex<()> = Mutex::new(());

/// nfs-ganesha, which serves a root at `/root` (version 4), or at its own path (version 3).
struct Nfs {
    _server: Server,
    _mapper: Option<Server>,
    root: TempDir,
    port: u16,
    mount_port: u16,
    _alone: MutexGuard<'static, ()>,
}

impl Nfs {
    fn serve(version: u8) -> Self {
        let alone = GANESHA.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mapper = (version == 3).then(rpcbind).flatten();
        let root = root_directory();
        let dir = tempfile::tempdir().unwrap();
        let [port, mount_port] = free_ports();
        let (export, own) = (root.path().display(), dir.path().display());
        let conf = format!(
            "NFS_CORE_PARAM {{ Protocols = {version}; NFS_Port = {port}; MNT_Port = {mount_port}; \
             Bind_addr = 127.0.0.1; Enable_NLM = false; Enable_RQUOTA = false; \
             Enable_UDP = false; }}\n\
             NFSV4 {{ Graceless = true; RecoveryRoot = {own}; }}\n\
             EXPORT {{ Export_Id = 1; Path = {export}; Pseudo = /root; Access_Type = RW; \
             Squash = No_Root_Squash; Protocols = {version}; Transports = TCP; SecType = sys; \
             FSAL {{ Name = VFS; }} }}\n"
        );
        fs::write(dir.path().join("conf"), conf).unwrap();
        let path = |name: &str| dir.path().join(name).into_os_string();
        let child = tool::command("ganesha.nfsd", "nfs-ganesha")
            .arg("-F")
            .args([
                &"-f".into(),
                &path("conf"),
                &"-L".into(),
                &path("log"),
                &"-p".into(),
                &path("pid"),
            ])
            .spawn()
            .unwrap();
        let server = Server { child, _dir: Some(dir) };
        wait_for("nfs-ganesha", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { _server: server, _mapper: mapper, root, port, mount_port, _alone: alone }
    }
}

/// Starts rpcbind, without which nfs-ganesha does not serve version 3. A running one is used.
fn rpcbind() -> Option<Server> {
    let there = || TcpStream::connect(("127.0.0.1", 111)).is_ok();
    if there() {
        return None;
    }
    let child = tool::command("rpcbind", "rpcbind").args(["-f", "-w"]).spawn().unwrap();
    let server = Server { child, _dir: None };
    wait_for("rpcbind", there);
    Some(server)
}

fn with_network(vm: Machine, net: &str) -> Machine {
    vm.args(["-netdev", net]).device("virtio-net-pci,netdev=n0,mac=52:54:00:12:34:56,romfile=")
}

fn nfs_4_by_dhcp() {
    let nfs = Nfs::serve(4);
    let vm = with_network(machine(Kernel::Cloud61), "user,id=n0,hostname=guestbox")
        .cmdline(&format!("root=/dev/nfs nfsroot=10.0.2.2:/root,port={} ip=dhcp", nfs.port));
    let (boot, facts) = ends_well(vm, "nfs4", "10.0.2.2:/root");
    let record = facts.record();
    let want = json!({"interface": "eth0", "address": "10.0.2.15/24",
        "by": "dhcp", "router": "10.0.2.2",
        "dhcp_server": "10.0.2.2", "next_server": "10.0.2.2", "root_path": null});
    assert_eq!(record["network"], want);
    assert_eq!(record["root"]["fstype"], "nfs4");
    let way: Vec<_> = record["root"]["modules"].as_array().unwrap().iter().collect();
    for module in ["virtio_net", "virtio_pci", "nfsv4"] {
        assert!(way.contains(&&json!(module)), "{module}: {way:?}");
    }
    boot.check(boot.console.contains("eth0: 10.0.2.15/24 (dhcp)"), "the address is not reported");
    let conf = facts.get("net_conf").as_str().expect("/run/net-eth0.conf");
    for line in
        ["DEVICE='eth0'", "IPV4ADDR='10.0.2.15'", "HOSTNAME='guestbox'", "IPV4DNS0='10.0.2.3'"]
    {
        assert!(conf.lines().any(|l| l == line), "no {line} in {conf}");
    }
    assert_eq!(*facts.get("hostname"), "guestbox");
}

/// While the driver of one card brings it up, the kernel sets no address on another one.
fn nfs_4_beside_an_interface_that_is_slow() {
    let nfs = Nfs::serve(4);
    let tree = own_modules::tree();
    let image = image::coldplug(&tree, &["--modules", "@virtio,@network,coldplug_nic"]);
    let vm = with_network(Machine::new(&tree, &image), "user,id=n0").cmdline(&format!(
        "root=/dev/nfs nfsroot=10.0.2.2:/root,port={} ip=dhcp coldplug.modules=coldplug_nic \
         coldplug_nic.seconds=6",
        nfs.port
    ));
    let (boot, facts) = ends_well(vm, "nfs4", "10.0.2.2:/root");
    assert_eq!(facts.record()["network"]["interface"], "eth0");
    let text = "still waiting for slow0 to be brought up";
    boot.check(boot.console.contains(text), "the slow interface is not reported");
    let time_ms: u64 = boot.figure("time").parse().unwrap();
    boot.check((6000..15000).contains(&time_ms), "the boot took another time");
}

fn nfs_3_with_a_static_address() {
    let nfs = Nfs::serve(3);
    let path = nfs.root.path().display().to_string();
    let vm = with_network(machine(Kernel::Cloud612), "user,id=n0").cmdline(&format!(
        "root=10.0.2.2:{path},vers=3,tcp,port={},mountport={} rw \
         ip=10.0.2.77::10.0.2.2:255.255.255.0:box:eth0:static:1400",
        nfs.port, nfs.mount_port
    ));
    let (_, facts) = ends_well(vm, "nfs", &format!("10.0.2.2:{path}"));
    let network = &facts.record()["network"];
    assert_eq!((&network["address"], &network["by"]), (&json!("10.0.2.77/24"), &json!("static")));
    assert_eq!(*facts.get("hostname"), "box");
    assert_eq!(*facts.get("net_mtu"), "1400\n");
}

fn an_nfs_server_that_does_not_answer_is_reported() {
    let boot = with_network(machine(Kernel::Cloud61), "user,id=n0,restrict=on")
        .cmdline("root=nfs:10.0.2.99:/srv ip=dhcp coldplug.timeout=12")
        .run();
    let message = match boot.verdict() {
        "mount-failed" => "mount 10.0.2.99:/srv (vers=4.2,nolock,addr=10.0.2.99): No route to host",
        _ => "waiting for NFS server 10.0.2.99 to answer the mount of 10.0.2.99:/srv",
    };
    boot.check(boot.console.contains(message), "the server and the cause are not reported");
}

fn a_missing_dhcp_answer_is_reported() {
    let [port] = free_ports();
    let silent = format!("socket,id=n0,udp=127.0.0.1:{port},localaddr=127.0.0.1:{port}");
    let boot = with_network(machine(Kernel::Cloud61), &silent)
        .cmdline("root=/dev/nfs ip=dhcp coldplug.timeout=8")
        .run();
    boot.expect("no-root");
    let text = "a DHCP reply on eth0 (";
    boot.check(
        boot.console.contains(text) && boot.console.contains("no offer"),
        "no cause is reported",
    );
}

/// Types of DHCP messages.
const OFFER: u8 = 2;
const ACK: u8 = 5;
const NAK: u8 = 6;

/// Serves DHCP on a socket that carries each Ethernet frame as a datagram. `script` has the type of
/// the answer to each request, 0 for none; after it no request is answered.
fn dhcp_server(wire: UdpSocket, script: Vec<u8>) {
    let mut frame = [0; 2048];
    for kind in script {
        let (request, sender) = loop {
            let Ok((length, sender)) = wire.recv_from(&mut frame) else { return };
            if length > 282
                && frame[12..14] == [8, 0]
                && frame[23] == 17
                && frame[36..38] == [0, 67]
            {
                break (frame[42..length].to_vec(), sender);
            }
        };
        if kind > 0 {
            wire.send_to(&in_frame(&answer(&request, kind)), sender).unwrap();
        }
    }
}

fn answer(request: &[u8], kind: u8) -> Vec<u8> {
    let mut bytes = request[..240].to_vec();
    bytes[0] = 2;
    bytes[16..20].copy_from_slice(&[10, 9, 0, 7]);
    bytes[20..24].copy_from_slice(&[10, 9, 0, 2]);
    bytes.extend([53, 1, kind, 54, 4, 10, 9, 0, 1, 51, 4, 0, 0, 14, 16]);
    bytes.extend([1, 4, 255, 255, 0, 0, 3, 4, 10, 9, 0, 1, 12, 3, b'b', b'o', b'x', 17, 7]);
    bytes.extend(b"/srv/%s\xff");
    bytes
}

/// Wraps `payload` in a broadcast frame from UDP port 67 to port 68.
fn in_frame(payload: &[u8]) -> Vec<u8> {
    let length = |more: usize| u16::try_from(payload.len() + more).unwrap().to_be_bytes();
    let mut ip = [0x45, 0, 0, 0, 0, 1, 0, 0, 64, 17, 0, 0, 10, 9, 0, 1, 255, 255, 255, 255];
    ip[2..4].copy_from_slice(&length(28));
    let words = ip.chunks(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]])));
    let sum: u32 = words.sum();
    let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let ports = [0, 67, 0, 68];
    let head = [&[0xff; 6][..], &[2, 0, 0, 0, 0, 9], &[8, 0], &ip, &ports, &length(8), &[0, 0]];
    [&head.concat(), payload].concat()
}

/// A lost request, an address that is withdrawn, then one that stays, with a root path to a server
/// that does not exist.
fn dhcp_retries_until_it_has_an_address() {
    let wire = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let theirs = wire.local_addr().unwrap().port();
    let ours = UdpSocket::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    // The last request would be that of the real system, which never runs.
    std::thread::spawn(move || dhcp_server(wire, vec![0, OFFER, NAK, OFFER, ACK, 0]));
    let net = format!("socket,id=n0,udp=127.0.0.1:{theirs},localaddr=127.0.0.1:{ours}");
    let boot = with_network(machine(Kernel::Cloud61), &net)
        .cmdline("root=dhcp BOOTIF=01-52-54-00-12-34-56 coldplug.timeout=20")
        .run();
    let want = json!({"interface": "eth0", "address": "10.9.0.7/16",
        "by": "dhcp", "router": "10.9.0.1",
        "dhcp_server": "10.9.0.1", "next_server": "10.9.0.2", "root_path": "/srv/%s"});
    assert_eq!(boot.record()["network"], want, "{}", boot.tail());
    boot.check(boot.console.contains("10.9.0.2:/srv/10.9.0.7"), "the root is not named");
    boot.check(["no-root", "mount-failed"].contains(&boot.verdict()), "another verdict");
}

fn an_unknown_interface_is_reported_with_the_existing_ones() {
    let boot = with_network(machine(Kernel::Cloud61), "user,id=n0")
        .cmdline("root=/dev/nfs ip=:::::eth7:dhcp coldplug.timeout=6")
        .run();
    boot.expect("no-root");
    boot.check(
        boot.console.contains("network interface eth7 (found: eth0)"),
        "no cause is reported",
    );
}
