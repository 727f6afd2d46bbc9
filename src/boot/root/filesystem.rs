//! A filesystem on a block device: found, checked, mounted.

use std::path::PathBuf;

use super::devices::{Candidate, Holds};
use super::fsck::Fsck;
use super::{Progress, Refused, Site, Step, mount};
use crate::boot::SYSROOT;
use crate::kmod::name::ModuleName;
use crate::kmod::params::Break;
use crate::kmod::root_name::RootName;
use crate::kmod::root_params::{Choice, RootParams};

/// Where it stands.
#[derive(Debug)]
enum State {
    /// Its device has not come yet.
    Looking,
    /// The modules of its types are being loaded.
    Loading(Candidate, Vec<String>, Vec<ModuleName>),
    /// It is being checked.
    Checking(Fsck, Candidate, Vec<String>, Vec<ModuleName>),
}

/// A filesystem to be mounted.
#[derive(Debug)]
pub(super) struct Filesystem {
    name: RootName,
    /// What it is called in messages.
    text: String,
    fstypes: Vec<String>,
    flags: String,
    writable: bool,
    /// Below the root folder.
    target: PathBuf,
    /// Whether it is the root itself.
    is_root: bool,
    state: State,
}

impl Filesystem {
    /// The root.
    pub(super) fn root(choice: &Choice, params: &RootParams) -> Self {
        Self {
            name: choice.name.clone(),
            text: choice.text.clone(),
            fstypes: params.fstypes.clone(),
            flags: params.flags.clone(),
            writable: params.writable,
            target: SYSROOT.into(),
            is_root: true,
            state: State::Looking,
        }
    }

    /// /usr, where the command line has one of its own.
    pub(super) fn usr(params: &RootParams) -> Option<Self> {
        let usr = &params.usr;
        let name = usr.name.clone()?;
        Some(Self {
            text: format!("mount.usr={name}"),
            name,
            fstypes: usr.fstypes.clone(),
            flags: usr.flags.clone(),
            writable: params.writable,
            target: PathBuf::from(SYSROOT).join("usr"),
            is_root: false,
            state: State::Looking,
        })
    }

    /// The device is there: asks for the modules of what it holds.
    fn found(&mut self, candidate: Candidate, site: &mut Site<'_>) -> Progress {
        let node = candidate.node.display().to_string();
        for twin in &candidate.twins {
            site.boot
                .warn_once(format!("{} is {node} and also {twin}; taking the first", self.text));
        }
        if self.is_root && site.boot.record.root.device.as_ref() != Some(&node) {
            site.boot.record.root.device = Some(node);
            site.boot.end_phase("root device");
        }
        let types = mount::types(&site.boot.root, &self.fstypes, &candidate);
        let aliases: Vec<String> = types.iter().map(|t| format!("fs-{t}")).collect();
        let modules = site.ask_for(aliases.iter().map(String::as_str));
        self.state = State::Loading(candidate, types, modules.clone());
        Progress::Loads(modules)
    }

    fn mount(
        &self,
        candidate: &Candidate,
        types: &[String],
        modules: &[ModuleName],
        site: &mut Site<'_>,
    ) -> Result<Progress, Refused> {
        site.boot.pause_at(Break::Mount);
        let target = site.boot.root.join(&self.target);
        let options = mount::Options {
            flags: &self.flags,
            writable: self.writable && !candidate.read_only,
            guess: self.fstypes.is_empty() && candidate.fstype.is_none(),
        };
        let fstype = mount::mount(candidate, &target, types, &options)?;
        if self.is_root {
            site.boot.record.root.fstype = Some(fstype);
            site.boot.record.root.way = mount::way(&site.boot.root, candidate, modules);
            site.boot.end_phase("mount");
        }
        Ok(Progress::Done)
    }
}

impl Step for Filesystem {
    fn advance(&mut self, site: &mut Site<'_>) -> Result<Progress, Refused> {
        match std::mem::replace(&mut self.state, State::Looking) {
            State::Looking => match site.devices.find(&self.name, Holds::Filesystem) {
                Some(candidate) => Ok(self.found(candidate, site)),
                None => Ok(Progress::Awaits(self.text.clone())),
            },
            State::Loading(candidate, types, modules) => {
                match Fsck::start(&candidate, site.boot.params.root.fsck, &site.boot.root) {
                    Some(check) => {
                        self.state = State::Checking(check?, candidate, types, modules);
                        Ok(Progress::Busy)
                    }
                    None => self.mount(&candidate, &types, &modules, site),
                }
            }
            State::Checking(mut check, candidate, types, modules) => {
                if !check.is_over(site.boot)? {
                    self.state = State::Checking(check, candidate, types, modules);
                    return Ok(Progress::Busy);
                }
                self.mount(&candidate, &types, &modules, site)
            }
        }
    }
}
