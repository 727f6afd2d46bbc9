//! A root on an NFS server.
//!
//! The export comes from the first of `root=`, `nfsroot=` and the root path of DHCP that names it;
//! the server also from `ip=` and from what DHCP calls the next server. The kernel's default for
//! the path is /tftpboot/%s, where %s is the name or the address of the machine. If the options
//! name no version, 4.2, 4.1, 4.0 and 3 are tried in this order.
//!
//! mount(2) waits for the server; the mount worker calls it.

use std::net::Ipv4Addr;
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::MountFlags;

use super::network::Network;
use super::state::NetworkState;
use super::worker::{NfsMount, Request};
use super::{Awaited, Progress, RootStep, StepContext, StepError};
use crate::cmdline::network::{NetworkParams, NfsExport};
use crate::cmdline::root::{RootCandidate, RootParams};
use crate::kmod::name::ModuleName;
use crate::sys::{self, Cause, devices, mount, mount_options, net};

const DEFAULT_PATH: &str = "/tftpboot/%s";
const VERSIONS: [&str; 4] = ["4.2", "4.1", "4.0", "3"];

/// The kernel's filesystem for all versions.
const NFS: &str = "nfs";

/// The step that configures the network, while the kernel's client of NFS is loaded.
#[derive(Debug)]
pub(super) struct Client {
    network: Network,
    /// Modules of the client, once they have been requested.
    modules: Option<Vec<ModuleName>>,
    /// Whether the loads have ended, and the kernel has the client.
    is_ready: bool,
}

impl Client {
    pub(super) fn new(params: &NetworkParams) -> Self {
        Self { network: Network::new(params), modules: None, is_ready: false }
    }
}

impl RootStep for Client {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        let modules = self.modules.get_or_insert_with(|| cx.request_modules(&["fs-nfs"]));
        if !self.is_ready && cx.loader.is_done(modules) {
            cx.require_filesystem(NFS, modules)?;
            self.is_ready = true;
        }
        self.network.advance(cx)
    }
}

/// The state of the step.
#[derive(Debug)]
enum State {
    Start,
    /// The modules are being loaded.
    LoadingModules(NfsMount, Vec<ModuleName>),
    /// The worker mounts the export.
    Mounting(NfsMount),
}

/// The step that mounts the root.
#[derive(Debug)]
pub(super) struct Nfs {
    export: NfsExport,
    params: RootParams,
    state: State,
}

impl Nfs {
    /// Returns the step, if the root is on a server.
    pub(super) fn root(choice: &RootCandidate, params: &RootParams) -> Option<Self> {
        let mut export = NfsExport::from_root_value(&choice.text)?;
        if let Some(nfsroot) = &params.network.nfs {
            export = export.or(nfsroot);
        }
        let nfs4 = params.fstypes.first().is_some_and(|t| t == "nfs4");
        if nfs4 && !names_version(&export.options) {
            export.options = join(&export.options, "vers=4");
        }
        Some(Self { export, params: params.clone(), state: State::Start })
    }

    /// Returns what to mount, now that the network is configured.
    fn resolve(&self, network: Option<&NetworkState>) -> Result<NfsMount, StepError> {
        let by_dhcp = network.and_then(|n| NfsExport::parse(n.root_path.as_deref()?));
        let export = self.export.clone().or(&by_dhcp.unwrap_or_default());
        let server = export.server.or(self.params.network.ip.server);
        let server =
            server.or_else(|| network.and_then(|n| n.server)).ok_or(StepError::NoNfsServer)?;
        let path = if export.path.is_empty() { DEFAULT_PATH } else { &export.path };
        let own = network.and_then(|n| n.address);
        let own = own
            .or_else(|| net::source_address_for(server))
            .map(|a| a.to_string())
            .unwrap_or_default();
        let name = self.params.network.ip.hostname.as_ref().unwrap_or(&own);
        let options = join(&self.params.flags, &export.options);
        Ok(NfsMount {
            source: format!("{server}:{}", path.replace("%s", name)),
            server,
            writable: self.params.is_writable(&options),
            options,
        })
    }

    /// Notes that the export is mounted.
    fn finish(mount: &NfsMount, version: &[u8], cx: &mut StepContext<'_>) -> Progress {
        let interface = cx.state.network.as_ref().map(|n| n.interface.as_str());
        let link = interface.map(|name| format!("sys/class/net/{name}"));
        let drivers = link.map(|link| devices::modules_above(cx.dir, &link)).unwrap_or_default();
        cx.note_root_device(&mount.source);
        cx.record_mount(if version.starts_with(b"4") { "nfs4" } else { "nfs" }, drivers);
        Progress::Done
    }
}

impl RootStep for Nfs {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        match std::mem::replace(&mut self.state, State::Start) {
            State::Start => {
                let mount = self.resolve(cx.state.network.as_ref())?;
                let modules = cx.request_modules(&["fs-nfs", "nfsv3", "nfsv4"]);
                self.state = State::LoadingModules(mount, modules.clone());
                Ok(Progress::LoadingModules(modules))
            }
            State::LoadingModules(mount, modules) => {
                cx.require_filesystem(NFS, &modules)?;
                cx.reach_mount()?;
                let text = format!("mount of {}", mount.source);
                cx.worker.request(Request::Nfs(mount.clone()), text)?;
                let progress = polling(&mount);
                self.state = State::Mounting(mount);
                Ok(progress)
            }
            State::Mounting(mount) => match cx.worker.poll() {
                None => {
                    let progress = polling(&mount);
                    self.state = State::Mounting(mount);
                    Ok(progress)
                }
                Some(version) => Ok(Self::finish(&mount, &version?, cx)),
            },
        }
    }
}

fn polling(mount: &NfsMount) -> Progress {
    let NfsMount { server, source, .. } = mount;
    Progress::Polling(Awaited::reply(format!(
        "NFS server {server} to answer the mount of {source}"
    )))
}

/// Mounts with the first version that the server accepts, and returns that version.
pub(super) fn attempt(mount: &NfsMount, place: &Path) -> Result<&'static str, sys::Error> {
    let (mut flags, options) = mount_options::parse(&mount.options);
    flags.set(MountFlags::RDONLY, !mount.writable);
    let versions = versions(&options);
    let mut last = None;
    for n in 0..versions.len().max(1) {
        let version = versions.get(n).copied();
        let data = data(&options, mount.server, version);
        match mount::mount(&mount.source, place, NFS, flags, &data) {
            Ok(()) => return Ok(version.unwrap_or_else(|| version_from_options(&options))),
            Err(error) => {
                let is_unreachable = matches!(
                    error.cause,
                    Cause::Errno(Errno::TIMEDOUT | Errno::HOSTUNREACH | Errno::NETUNREACH)
                );
                last = Some(error.on(format!("{} ({data})", mount.source)));
                if is_unreachable {
                    break;
                }
            }
        }
    }
    Err(last.unwrap_or_else(|| sys::Error::new("mount", &mount.source, Errno::INVAL)))
}

/// Returns the options that mount.nfs(8) would pass to the kernel: with the address of the server,
/// and without locks, because no lock daemon runs here.
fn data(options: &str, server: Ipv4Addr, version: Option<&str>) -> String {
    let mut data = options.to_owned();
    // The last version counts: the options may have the major one.
    if let Some(version) = version {
        data = join(&data, &format!("vers={version}"));
    }
    if !options.split(',').any(|o| ["lock", "nolock"].contains(&o)) {
        data = join(&data, "nolock");
    }
    join(&data, &format!("addr={server}"))
}

fn join(a: &str, b: &str) -> String {
    if a.is_empty() || b.is_empty() { format!("{a}{b}") } else { format!("{a},{b}") }
}

/// Returns the versions to try; none if the options name one. For the kernel `vers=4` is 4.0, for
/// mount.nfs(8) the newest version 4 that the server has.
fn versions(options: &str) -> &'static [&'static str] {
    match named_version(options) {
        None => &VERSIONS,
        Some("vers=4" | "nfsvers=4" | "v4") if !options.contains("minorversion=") => &VERSIONS[..3],
        Some(_) => &[],
    }
}

fn names_version(options: &str) -> bool {
    named_version(options).is_some()
}

/// Returns the option for the version; the last one counts.
fn named_version(options: &str) -> Option<&str> {
    let is_version = |o: &str| ["v2", "v3", "v4", "v4.0", "v4.1", "v4.2"].contains(&o);
    options
        .rsplit(',')
        .find(|o| o.starts_with("vers=") || o.starts_with("nfsvers=") || is_version(o))
}

/// Returns the major version that the options name: `4`, else `3`.
fn version_from_options(options: &str) -> &'static str {
    let mut all = options.split(',');
    let is_4 = |o: &str| o.starts_with("v4") || o.contains("vers=4");
    if all.any(is_4) { "4" } else { "3" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_options_are_those_of_mount_nfs() {
        let server = Ipv4Addr::new(10, 0, 2, 2);
        for (options, version, want) in [
            ("", Some("4.2"), "vers=4.2,nolock,addr=10.0.2.2"),
            ("vers=3,lock", None, "vers=3,lock,addr=10.0.2.2"),
            ("port=2050", Some("3"), "port=2050,vers=3,nolock,addr=10.0.2.2"),
        ] {
            assert_eq!(data(options, server, version), want);
        }
        for (options, want) in [
            ("", &VERSIONS[..]),
            ("soft", &VERSIONS),
            ("vers=4,soft", &["4.2", "4.1", "4.0"]),
            ("nfsvers=4", &["4.2", "4.1", "4.0"]),
            ("v4,minorversion=1", &[]),
            ("vers=4.1", &[]),
            ("vers=4,vers=4.1", &[]),
            ("vers=3", &[]),
        ] {
            assert_eq!(versions(options), want, "{options}");
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
