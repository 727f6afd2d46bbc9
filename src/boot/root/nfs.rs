//! A root on an NFS server.
//!
//! Where the root is, is asked in this order: `root=`, `nfsroot=`, the root path of DHCP; the server also of `ip=` and of what
//! DHCP calls the next server. The kernel's default for the folder is /tftpboot/%s, where %s is the machine's name or
//! address. Without a version in the options 4.2, 4.1, 4.0 and 3 are tried in this order.
//!
//! mount(2) waits for the server: it is called in a thread, on a folder below /run/coldplug, and moved to its place when it
//! has succeeded.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread;

use rustix::io::Errno;
use rustix::mount::MountFlags;

use super::{Boot, Progress, RootStep, StepContext, StepError};
use crate::boot::SYSROOT;
use crate::cmdline::boot::Break;
use crate::cmdline::network::{NetworkParams, NfsExport};
use crate::cmdline::root::{RootCandidate, RootParams};
use crate::kmod::name::ModuleName;
use crate::report::Verdict;
use crate::sys::{self, Cause, mount, net};

const MOUNT_POINT: &str = "run/coldplug/nfs";
const DEFAULT_PATH: &str = "/tftpboot/%s";
const VERSIONS: [&str; 4] = ["4.2", "4.1", "4.0", "3"];

/// Where it stands.
#[derive(Debug)]
enum State {
    Start,
    /// The modules are being loaded.
    Loading(Mount, Vec<ModuleName>),
    /// The server is being asked; what came of it.
    Mounting(Mount, Vec<ModuleName>, Answer),
}

/// What came of asking the server: the version that it speaks, or the error. Empty while it is being asked.
type Answer = Arc<OnceLock<Result<&'static str, sys::Error>>>;

/// What is mounted.
#[derive(Debug, Clone)]
struct Mount {
    /// `SERVER:PATH`
    source: String,
    server: Ipv4Addr,
    flags: MountFlags,
    options: String,
}

/// The root.
#[derive(Debug)]
pub(super) struct Nfs {
    place: NfsExport,
    params: NetworkParams,
    flags: String,
    writable: bool,
    state: State,
}

impl Nfs {
    /// The root, if it is on a server.
    pub(super) fn root(choice: &RootCandidate, params: &RootParams) -> Option<Self> {
        let mut place = NfsExport::from_root_value(&choice.text)?;
        if let Some(told) = &params.network.nfs {
            place = place.or(told);
        }
        let nfs4 = params.fstypes.first().is_some_and(|t| t == "nfs4");
        if nfs4 && !names_version(&place.options) {
            place.options = join(&place.options, "vers=4");
        }
        Some(Self {
            place,
            params: params.network.clone(),
            flags: params.flags.clone(),
            writable: params.writable,
            state: State::Start,
        })
    }

    /// What is to be mounted, now that the network is known.
    fn resolve(&self, boot: &Boot) -> Result<Mount, StepError> {
        let network = boot.record.network.as_ref();
        let told =
            network.and_then(|n| NfsExport::parse(n.root_path.as_deref()?)).unwrap_or_default();
        let place = self.place.clone().or(&told);
        let next = network.and_then(|n| n.next_server.or(n.dhcp_server));
        let Some(server) = place.server.or(self.params.ip.server).or(next) else {
            return Err(StepError {
                text: "no NFS server: root=, nfsroot=, ip= and DHCP name none".into(),
                verdict: Verdict::NoRoot,
                is_final: true,
            });
        };
        let path = if place.path.is_empty() { DEFAULT_PATH } else { &place.path };
        let own = network.and_then(|n| n.address);
        let own = own.or_else(|| net::source_to(server)).map(|a| a.to_string()).unwrap_or_default();
        let name = self.params.ip.hostname.as_ref().unwrap_or(&own);
        let (flags, data) = mount::parse_flags(&join(&self.flags, &place.options));
        let mode = if self.writable { MountFlags::empty() } else { MountFlags::RDONLY };
        Ok(Mount {
            source: format!("{server}:{}", path.replace("%s", name)),
            server,
            flags: flags | mode,
            options: data,
        })
    }

    fn finish(
        &mut self,
        mount: &Mount,
        version: &str,
        modules: Vec<ModuleName>,
        cx: &mut StepContext<'_>,
    ) -> Result<Progress, StepError> {
        let boot = &mut *cx.boot;
        let target = boot.root.join(SYSROOT);
        // The folder is there already where a root was tried before.
        let _ = fs::create_dir_all(&target);
        mount::move_to(&boot.root.join(MOUNT_POINT), &target)?;
        let interface = boot.record.network.as_ref().map(|n| n.interface.clone());
        let mut way = interface.map(|name| net::modules_of(&boot.root, &name)).unwrap_or_default();
        way.extend(modules);
        way.sort_unstable();
        way.dedup();
        let record = &mut boot.record.root;
        record.device = Some(mount.source.clone());
        record.fstype = Some(if version.starts_with('4') { "nfs4" } else { "nfs" }.to_owned());
        record.way = way;
        boot.end_phase("mount");
        Ok(Progress::Done)
    }
}

impl RootStep for Nfs {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        match std::mem::replace(&mut self.state, State::Start) {
            State::Start => {
                let mount = self.resolve(cx.boot)?;
                let modules = cx.request_modules(&["fs-nfs", "nfsv3", "nfsv4"]);
                self.state = State::Loading(mount, modules.clone());
                Ok(Progress::LoadingModules(modules))
            }
            State::Loading(mount, modules) => {
                cx.boot.break_at(Break::Mount);
                let words = polling_text(&mount);
                let answer = start(&mount, cx.boot.root.join(MOUNT_POINT))?;
                self.state = State::Mounting(mount, modules, answer);
                Ok(Progress::Polling(words))
            }
            State::Mounting(mount, modules, answer) => match answer.get() {
                None => {
                    let words = polling_text(&mount);
                    self.state = State::Mounting(mount, modules, answer);
                    Ok(Progress::Polling(words))
                }
                Some(Ok(version)) => self.finish(&mount, version, modules, cx),
                Some(Err(error)) => Err(error.clone().into()),
            },
        }
    }
}

fn polling_text(mount: &Mount) -> String {
    format!("an answer of NFS server {} to the mount of {}", mount.server, mount.source)
}

fn start(mount: &Mount, place: PathBuf) -> sys::Result<Answer> {
    fs::create_dir_all(&place).map_err(|e| sys::Error::io("mkdir", &place, &e))?;
    let answer = Answer::default();
    let (mount, theirs) = (mount.clone(), answer.clone());
    let work = move || {
        // Set once: every try has an answer of its own.
        let _ = theirs.set(attempt(&mount, &place));
    };
    let thread = thread::Builder::new().name("mount.nfs".into()).spawn(work);
    thread.map_err(|e| sys::Error::io("thread", Path::new("mount.nfs"), &e))?;
    Ok(answer)
}

/// Mounts; gives the version that did.
fn attempt(mount: &Mount, place: &Path) -> Result<&'static str, sys::Error> {
    let named = names_version(&mount.options);
    let mut last = None;
    for version in VERSIONS.into_iter().take(if named { 1 } else { VERSIONS.len() }) {
        let data = data(mount, (!named).then_some(version));
        let fstype = "nfs";
        match mount::mount(&mount.source, place, fstype, mount.flags, &data) {
            Ok(()) => {
                return Ok(if named { version_from_options(&mount.options) } else { version });
            }
            Err(error) => {
                let is_unreachable = matches!(
                    error.cause,
                    Cause::Errno(Errno::TIMEDOUT | Errno::HOSTUNREACH | Errno::NETUNREACH)
                );
                last = Some(sys::Error { object: format!("{} ({data})", mount.source), ..error });
                if is_unreachable {
                    break;
                }
            }
        }
    }
    Err(last.unwrap_or_else(|| sys::Error::new("mount", &mount.source, Errno::INVAL)))
}

/// What the kernel wants of mount.nfs(8): the server's address, and no locks for which nobody here answers.
fn data(mount: &Mount, version: Option<&str>) -> String {
    let mut data = mount.options.clone();
    if let Some(version) = version {
        data = join(&format!("vers={version}"), &data);
    }
    if !mount.options.split(',').any(|o| ["lock", "nolock"].contains(&o)) {
        data = join(&data, "nolock");
    }
    join(&data, &format!("addr={}", mount.server))
}

fn join(a: &str, b: &str) -> String {
    if a.is_empty() || b.is_empty() { format!("{a}{b}") } else { format!("{a},{b}") }
}

fn names_version(options: &str) -> bool {
    let is_version = |o: &str| ["v2", "v3", "v4", "v4.0", "v4.1", "v4.2"].contains(&o);
    options.split(',').any(|o| o.starts_with("vers=") || o.starts_with("nfsvers=") || is_version(o))
}

/// The version that options name; only whether it is 4 matters.
fn version_from_options(options: &str) -> &'static str {
    let mut all = options.split(',');
    let is_4 = |o: &str| o.starts_with("v4") || o.contains("vers=4");
    if all.any(is_4) { "4" } else { "3" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_told_what_mount_nfs_would_say() {
        let mount = |options: &str| Mount {
            source: "10.0.2.2:/srv".into(),
            server: Ipv4Addr::new(10, 0, 2, 2),
            flags: MountFlags::empty(),
            options: options.into(),
        };
        for (options, version, want) in [
            ("", Some("4.2"), "vers=4.2,nolock,addr=10.0.2.2"),
            ("vers=3,lock", None, "vers=3,lock,addr=10.0.2.2"),
            ("port=2050", Some("3"), "vers=3,port=2050,nolock,addr=10.0.2.2"),
        ] {
            assert_eq!(data(&mount(options), version), want);
        }
        for (options, named, version) in [
            ("v4.1,soft", true, "4"),
            ("nfsvers=3", true, "3"),
            ("vers=4.2", true, "4"),
            ("soft", false, "3"),
        ] {
            assert_eq!(
                (names_version(options), version_from_options(options)),
                (named, version),
                "{options}"
            );
        }
    }
}
