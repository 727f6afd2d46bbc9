//! What the mount worker does with its requests. This code runs in the child process.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use rustix::mount::MountFlags;

use super::message::{self, Mount, Reply, Request};
use crate::boot::root::pipeline::MOUNT_POINTS;
use crate::boot::root::{LOWER, MEDIUM, UPPER, mount, nfs, slot, verity};
use crate::boot::{SYSROOT, new_root};
use crate::byte_text;
use crate::sys::block::{self, BlockDevice};
use crate::sys::btrfs::Control;
use crate::sys::loopdev::{self, Loop};
use crate::sys::net::{self, Interface};
use crate::sys::read_at::read_at;
use crate::sys::{Error, Result, Root, child, mount as mounts, sysfs};

/// Whether there are layers of storage and networks.
const HAS_LAYERS: bool = cfg!(feature = "full");
/// Maximum number of bytes that a request may read.
const MAX_READ: u32 = 16 << 10;

/// Serves the requests that arrive at `socket` until PID 1 closes its end. `number` is the number
/// of this worker.
pub(crate) fn serve(dir: Root, number: u32, socket: impl AsFd) {
    let mut server = Server { dir, number, loops: Vec::new() };
    while let Some(bytes) = child::receive_from_parent(&socket) {
        let reply = match Request::decode(&bytes) {
            Some(request) => server.run(request),
            None => Err(Error::new("decode", "a request to the mount worker", Errno::PROTO)),
        };
        if !child::send_to_parent(&socket, &message::encode_reply(&reply)) {
            break;
        }
    }
}

/// Returns the directory at which worker `number` mounts.
pub(super) fn staging(dir: &Root, number: u32) -> PathBuf {
    dir.join(format!("run/coldplug/mounting-{number}"))
}

struct Server {
    dir: Root,
    number: u32,
    /// Loop devices, which stay attached until they are mounted.
    loops: Vec<Loop>,
}

impl Server {
    fn run(&mut self, request: Request) -> Reply {
        let dir = &self.dir;
        match request {
            Request::Mount(request) => self.mount(&request),
            Request::Init(request) => Ok(new_root::check(dir, &request).encode()),
            Request::Undo { verity } => {
                self.undo(verity);
                Ok(Vec::new())
            }
            _ if !HAS_LAYERS => Err(Error::new("decode", "a request for a layer", Errno::NOSYS)),
            Request::Slot { size, slots, tried, places } => {
                let node = |(number, offset)| find(dir, number).map(|d| (d.node(dir), offset));
                let places: Vec<_> = places.into_iter().map(node).collect::<Result<_>>()?;
                slot::take(&places, size, &slots, &tried)
            }
            Request::Nfs(request) => {
                self.place(SYSROOT, |place| nfs::attempt(&request, place).map(Into::into))
            }
            Request::Overlay(tmpfs) => self.overlay(tmpfs.as_deref()),
            Request::Loop(path) => self.attach(&path),
            Request::Read { number, offset, length } => read(dir, number, offset, length),
            Request::Scan(nodes) => scan(dir, &nodes),
            Request::Link { interface, mac, mtu } => bring_up(dir, &interface, mac, mtu),
            Request::Address { interface, address, prefix, router } => {
                net::configure(&interface, address, prefix, router).map(done)
            }
            Request::Map { uuid, sectors, table } => {
                verity::activate(dir, &uuid, sectors, &table).map(done)
            }
            Request::Resume { number, offset } => {
                sysfs::resume_hibernation(dir, number, offset).map(done)
            }
        }
    }

    /// Mounts as `attempt` does, aside, and moves the mount to `target`.
    fn place(&self, target: &str, attempt: impl FnOnce(&Path) -> Reply) -> Reply {
        let place = staging(&self.dir, self.number);
        make_dir(&place)?;
        let target = self.dir.join(target);
        let result = attempt(&place).and_then(|value| {
            // A mount point inside another filesystem exists already, or cannot be created.
            let _ = fs::create_dir_all(&target);
            let moved = mounts::move_mount(&place, &target);
            moved.map(|()| value).inspect_err(|_| {
                let _ = mounts::detach(&place);
            })
        });
        let _ = fs::remove_dir(&place);
        result
    }

    fn mount(&self, request: &Mount) -> Reply {
        let target = self.dir.join(&request.target);
        self.place(&request.target, |place| {
            mount::mount(request, place, &target).map(String::into_bytes)
        })
    }

    /// Moves the mount at /sysroot to `place`.
    fn move_sysroot_to(&self, place: &str) -> Result<PathBuf> {
        let place = self.dir.join(place);
        make_dir(&place)?;
        mounts::move_mount(&self.dir.join(SYSROOT), &place).map(|()| place)
    }

    /// Puts an overlay on /sysroot, which moves to [`LOWER`].
    fn overlay(&self, tmpfs: Option<&str>) -> Reply {
        let upper = self.dir.join(UPPER);
        if let Some(options) = tmpfs {
            make_dir(&upper)?;
            // Device nodes and set-uid programs are allowed by the overlay, not by its upper side.
            let flags = MountFlags::NODEV | MountFlags::NOSUID;
            mounts::mount("tmpfs", &upper, "tmpfs", flags, options)?;
        }
        let (data, work) = (upper.join("upper"), upper.join("work"));
        make_dir(&data)?;
        make_dir(&work)?;
        let lower = self.move_sysroot_to(LOWER)?;
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.display(),
            data.display(),
            work.display()
        );
        let target = self.dir.join(SYSROOT);
        self.place(SYSROOT, |place| {
            mounts::mount("overlay", place, "overlay", MountFlags::empty(), &options)
                .map(done)
                .map_err(|error| error.on(format!("overlay on {}", target.display())))
        })
    }

    /// Attaches the file `path` of the root to a loop device. The root moves to [`MEDIUM`].
    fn attach(&mut self, path: &str) -> Reply {
        let medium = self.move_sysroot_to(MEDIUM)?;
        let file = open_inside(&medium, path)?;
        let device = loopdev::attach(&self.dir, &file, path)?;
        let node = device.node.display().to_string().into_bytes();
        self.loops.push(device);
        Ok(node)
    }

    /// Unmounts all that this worker and those before it have mounted; with `verity` removes the
    /// mapped device too.
    fn undo(&mut self, verity: bool) {
        for number in (1..=self.number).rev() {
            let place = staging(&self.dir, number);
            while mounts::detach(&place).is_ok() {}
            // From now on a mount at this directory fails, even one that has begun.
            let _ = fs::remove_dir(&place);
        }
        for place in MOUNT_POINTS {
            while mounts::detach(&self.dir.join(place)).is_ok() {}
        }
        self.loops.clear();
        if verity {
            verity::remove(&self.dir);
        }
    }
}

fn done<T>(_: T) -> Vec<u8> {
    Vec::new()
}

fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|e| Error::io("mkdir", path, &e))
}

/// Returns the block device with this number.
fn find(dir: &Root, number: (u32, u32)) -> Result<BlockDevice> {
    let device = block::list(dir)?.into_iter().find(|device| device.number == number);
    let name = format_args!("block device {}:{}", number.0, number.1);
    device.ok_or_else(|| Error::new("open", name, Errno::NXIO))
}

/// Reads from a block device. Returns its size and the bytes, fewer at its end.
fn read(dir: &Root, number: (u32, u32), offset: u64, length: u32) -> Reply {
    let device = find(dir, number)?;
    let node = device.node(dir);
    let file = File::open(&node).map_err(|e| Error::io("open", &node, &e))?;
    let bytes = read_at(&file, offset, length.min(MAX_READ) as usize)
        .map_err(|e| Error::io("read", &node, &e))?;
    Ok([device.size.to_le_bytes().as_slice(), &bytes].concat())
}

/// Tells the kernel about the devices of btrfs. Returns [`message::READY`] if it then knows all of
/// the filesystem on the first one.
fn scan(dir: &Root, nodes: &[String]) -> Reply {
    let control = Control::open(dir)?;
    // A mount that needs a device that cannot be scanned fails, and the kernel logs why.
    nodes.iter().for_each(|node| drop(control.scan(node)));
    let is_ready = nodes.first().is_some_and(|node| control.is_ready(node).unwrap_or(false));
    Ok(if is_ready { message::READY.to_vec() } else { Vec::new() })
}

/// Brings up an interface, unless it has another MAC address than `wanted`. Returns its MAC address
/// and whether it has a carrier.
fn bring_up(dir: &Root, interface: &Interface, wanted: Option<u64>, mtu: Option<u32>) -> Reply {
    let mac = net::mac(dir, interface).unwrap_or_default();
    if wanted.is_some_and(|wanted| wanted != mac) {
        return Ok(Vec::new());
    }
    net::bring_up(interface, mtu)?;
    let mut value = mac.to_be_bytes().to_vec();
    value.push(net::has_carrier(dir, interface).into());
    Ok(value)
}

/// Opens `path` as it will be found when `directory` is the root.
fn open_inside(directory: &Path, path: &str) -> Result<File> {
    let top = File::open(directory).map_err(|e| Error::io("open", directory, &e))?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let raw = byte_text::to_bytes(path);
    openat2(&top, &*raw, flags, Mode::empty(), ResolveFlags::IN_ROOT)
        .map(File::from)
        .map_err(|e| Error::new("open", format_args!("{path} in the root"), e))
}
