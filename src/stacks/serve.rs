//! What the child that assembles does with the requests of PID 1. This code runs in the child.

use std::os::fd::AsFd;
use std::time::Duration;

use zeroize::Zeroizing;

use super::Node;
use super::message::{Reply, Request};
use super::{external, luks_session::LuksSession, lvm, md, summary};
use crate::disk::assemble_rule::AssembleRule;
use crate::escape;
use crate::sys::kmsg::{Kmsg, Priority};
use crate::sys::{Root, child};

/// Serves the requests that arrive at `socket` until PID 1 closes its end.
pub(crate) fn serve(dir: Root, socket: impl AsFd) {
    let mut server = Server { dir, found: Found::Nothing, prepared: Prepared::Nothing };
    // A message may hold a passphrase.
    while let Some(bytes) = child::receive_from_parent(&socket).map(Zeroizing::new) {
        let reply = match Request::decode(&bytes) {
            Some(request) => server.run(request).unwrap_or_else(Reply::Failed),
            None => Reply::Failed("a request makes no sense".into()),
        };
        if !child::send_to_parent(&socket, &reply.encode()) {
            break;
        }
    }
}

/// What the first request has found.
enum Found {
    Nothing,
    Groups(lvm::Survey),
    Arrays(md::Survey),
    Luks(Box<LuksSession>),
}

/// What the next `make` makes.
enum Prepared {
    Nothing,
    Volumes(lvm::Plan),
    /// The array with this index, under this condition.
    Array(usize, md::Permission),
}

/// Runs a program of the image, whose output goes to the kernel's log under its name.
fn run_program(dir: &Root, rule: &AssembleRule, node: &Node, timeout: Duration) -> Result {
    let kmsg = Kmsg::open(dir).ok();
    let ident = rule.program.rsplit('/').next().unwrap_or_default();
    let mut print = |line: &str| {
        if let Some(kmsg) = &kmsg {
            kmsg.write_as(Priority::Info as u8, ident, line);
        }
    };
    let result = external::run(dir, rule, node, timeout, &mut print);
    result.map(|()| Reply::Made(Vec::new())).map_err(|failure| failure.to_string())
}

struct Server {
    dir: Root,
    found: Found,
    prepared: Prepared,
}

type Result = std::result::Result<Reply, String>;

impl Server {
    fn run(&mut self, request: Request) -> Result {
        match request {
            Request::Lvm(nodes) => {
                let survey = lvm::survey(&self.dir, &nodes);
                let groups = survey.groups.iter().map(summary::group).collect();
                let reply = Reply::Groups(groups, summary::notes(&survey));
                self.found = Found::Groups(survey);
                Ok(reply)
            }
            Request::Md(nodes) => {
                let survey = md::survey(&self.dir, &nodes);
                let arrays = survey.arrays.iter().map(summary::array).collect();
                let reply = Reply::Arrays(arrays, survey.notes.clone());
                self.found = Found::Arrays(survey);
                Ok(reply)
            }
            Request::Luks(request) => {
                let (session, luks) = LuksSession::open(&self.dir, *request)?;
                self.found = Found::Luks(Box::new(session));
                Ok(Reply::Luks(luks))
            }
            Request::Volumes { group, degraded, names } => self.volumes(&group, degraded, &names),
            Request::Array { uuid, degraded, dirty, device } => {
                self.array(&uuid, degraded, dirty, device)
            }
            Request::Make => {
                let reply = self.make();
                // PID 1 kills this child once it has the reply, and a process that is killed drops
                // nothing: the volume key is zeroed before.
                if matches!(self.found, Found::Luks(_)) {
                    self.found = Found::Nothing;
                }
                reply
            }
            Request::Run { node, rule, timeout_s } => {
                run_program(&self.dir, &rule, &node, Duration::from_secs(timeout_s))
            }
            key => match &mut self.found {
                Found::Luks(session) => session.try_key(&self.dir, key),
                _ => Err(out_of_order()),
            },
        }
    }

    fn volumes(&mut self, uuid: &str, degraded: bool, names: &[String]) -> Result {
        let Found::Groups(survey) = &self.found else { return Err(out_of_order()) };
        let group = survey.groups.iter().find(|group| group.uuid == uuid);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let plan = lvm::plan(group.ok_or_else(out_of_order)?, &names, degraded)?;
        let modules = plan.modules.iter().map(|&module| module.to_owned()).collect();
        self.prepared = Prepared::Volumes(plan);
        Ok(Reply::Modules(modules))
    }

    fn array(&mut self, uuid: &str, degraded: bool, dirty: bool, device: String) -> Result {
        let Found::Arrays(survey) = &mut self.found else { return Err(out_of_order()) };
        let index = survey.arrays.iter().position(|array| array.uuid == uuid);
        let index = index.ok_or_else(out_of_order)?;
        if let Some(array) = survey.arrays.get_mut(index).filter(|_| !device.is_empty()) {
            array.device = device;
        }
        let permission = match (degraded, dirty) {
            (_, true) => md::Permission::DirtyDegraded,
            (true, false) => md::Permission::Degraded,
            (false, false) => md::Permission::Complete,
        };
        self.prepared = Prepared::Array(index, permission);
        let module = survey.arrays.get(index).map(|array| array.module.to_owned());
        Ok(Reply::Modules(std::iter::once("md_mod".to_owned()).chain(module).collect()))
    }

    fn make(&mut self) -> Result {
        let dir = &self.dir;
        let texts = match (std::mem::replace(&mut self.prepared, Prepared::Nothing), &self.found) {
            (Prepared::Volumes(plan), _) => {
                let made = lvm::make(dir, &plan).map_err(|error| error.to_string())?;
                let shown = plan.mappings.iter().flat_map(|mapping| &mapping.links);
                let links: Vec<String> = shown.cloned().collect();
                if links.is_empty() { made.into_iter().map(|m| m.name).collect() } else { links }
            }
            (Prepared::Array(index, permission), Found::Arrays(survey)) => {
                let array = survey.arrays.get(index).ok_or_else(out_of_order)?;
                let started = md::start(dir, array, permission).map_err(|e| e.to_string())?;
                vec![format!("{} ({})", escape::path(&started.node), array.level)]
            }
            (_, Found::Luks(session)) => vec![session.map(dir)?],
            _ => return Err(out_of_order()),
        };
        Ok(Reply::Made(texts))
    }
}

fn out_of_order() -> String {
    "a request out of order".to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::message::LuksRequest;
    use super::*;
    use crate::disk::luks::sample;

    /// The fake root has no device mapper: the device is unlocked and cannot be mapped. The
    /// session, and with it the volume key, is gone all the same when the reply is sent.
    #[test]
    fn the_volume_key_is_dropped_before_the_reply_to_make() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("device");
        std::fs::write(&path, sample::device(b"secret")).unwrap();
        let size = 128 << 10;
        let request = Request::Luks(Box::new(LuksRequest {
            node: Node { path, number: (8, 0), size },
            header: None,
            name: "root".into(),
            slot: None,
            read_only: false,
            measure: String::new(),
            signature: String::new(),
            token_timeout: 0,
            flags: Vec::new(),
        }));
        let dir = Root::at(scratch.path());
        let mut server = Server { dir, found: Found::Nothing, prepared: Prepared::Nothing };
        let passphrase = |text: &str| Request::Passphrase(text.as_bytes().to_vec().into());
        assert!(matches!(server.run(request), Ok(Reply::Luks(_))));
        assert_eq!(server.run(passphrase("other")), Ok(Reply::WrongKey(String::new())));
        assert_eq!(server.run(passphrase("secret")), Ok(Reply::Unlocked));
        let reply = server.run(Request::Make);
        assert!(matches!(&reply, Err(error) if *error != out_of_order()), "{reply:?}");
        assert!(matches!(server.found, Found::Nothing));
        for request in [Request::Make, passphrase("secret")] {
            assert_eq!(server.run(request), Err(out_of_order()));
        }
    }
}
