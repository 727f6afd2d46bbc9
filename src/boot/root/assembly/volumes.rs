//! When logical volumes are activated, and which.
//!
//! A child surveys the physical volumes whenever others are there than before. A volume that the
//! boot waits for by its name is activated as soon as all of its group is there; if the boot waits
//! for a filesystem by its content, all volumes of the group are, because each may hold it. If
//! `rd.lvm.lv=` or `rd.lvm.vg=` name volumes, these are activated and no others. With `coldplug.lvm=degraded` a group that stays
//! incomplete is used without what is missing after a time, if redundancy covers it.

use super::job::{Job, TIMEOUT};
use super::{MISSING_TIMEOUT, nodes, note_made};
use crate::boot::root::StepContext;
use crate::cmdline::assembly::AssemblyParams;
use crate::cmdline::root_name::RootName;
use crate::disk::mapping::mapper_name;
use crate::load::Rank;
use crate::stacks::message::{Group, Reply, Request, State, Volume};
use crate::sys::BootTime;

/// blkid's type of a physical volume.
pub(super) const KIND: &str = "LVM2_member";

/// The volume groups of the machine.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    /// Device numbers of the physical volumes of the last survey.
    surveyed: Vec<(u32, u32)>,
    /// Time of the last survey.
    since: BootTime,
    groups: Vec<Group>,
    job: Option<Job>,
    /// What the child makes: `vg0/root`.
    making: Vec<String>,
    /// Volumes whose activation has failed: `vg0/root`.
    failed: Vec<String>,
    /// Failures, for the message about a root that was not found.
    errors: Vec<String>,
}

impl Volumes {
    /// Goes as far as possible towards the devices that the boot waits for. Returns whether devices
    /// may have appeared.
    pub(super) fn advance(&mut self, cx: &mut StepContext<'_>, awaited: &[RootName]) -> bool {
        if cx.params.stacks.assembly.no_lvm {
            return false;
        }
        let mut news = false;
        if let Some(job) = &mut self.job
            && let Some(result) = job.poll(cx.loader)
        {
            news = self.accept(result, cx);
        }
        if self.job.as_ref().is_some_and(Job::is_busy) {
            return news;
        }
        self.survey_if_changed(cx);
        if !self.job.as_ref().is_some_and(Job::is_busy) {
            self.activate_wanted(cx, awaited);
        }
        news
    }

    /// Takes an answer of the child. Returns whether it has made devices.
    fn accept(&mut self, result: Result<Reply, String>, cx: &mut StepContext<'_>) -> bool {
        match result {
            Ok(Reply::Groups(groups)) => {
                self.note_groups(groups, cx);
                false
            }
            Ok(Reply::Modules(modules)) => {
                if let Some(job) = &mut self.job {
                    job.send_after(&modules, Request::Make, cx.loader);
                    cx.state.add_modules(job.modules().iter().cloned());
                }
                false
            }
            Ok(Reply::Made(texts)) => {
                let volumes = std::mem::take(&mut self.making);
                self.set_active(&volumes);
                note_made(cx, "logical volume", &texts);
                true
            }
            // No answer to what was asked.
            Ok(_) => false,
            Err(error) => {
                cx.reporter.warn(error.clone());
                self.errors.push(error);
                self.failed.append(&mut self.making);
                // Its state is unknown: the next survey starts another child.
                self.job = None;
                false
            }
        }
    }

    fn note_groups(&mut self, groups: Vec<Group>, cx: &mut StepContext<'_>) {
        for group in &groups {
            let log = cx.reporter.log();
            match &group.problem {
                Some(problem) => log.info(&format!("volume group {}: {problem}", group.name)),
                None => log.debug(&format!("volume group {} is complete", group.name)),
            }
        }
        self.groups = groups;
    }

    fn set_active(&mut self, made: &[String]) {
        for group in &mut self.groups {
            let name = &group.name;
            let made = |volume: &&mut Volume| made.contains(&path(name, &volume.name));
            group.volumes.iter_mut().filter(made).for_each(|volume| volume.state = State::Active);
        }
    }

    /// Has the physical volumes surveyed if others are there than before.
    fn survey_if_changed(&mut self, cx: &mut StepContext<'_>) {
        let nodes = nodes(cx, KIND);
        let numbers: Vec<_> = nodes.iter().map(|node| node.number).collect();
        if numbers == self.surveyed || cx.devices.is_undecided() {
            return;
        }
        self.surveyed = numbers;
        self.since = BootTime::now();
        self.groups.clear();
        self.job = None;
        if !nodes.is_empty() {
            // Its load overlaps with the survey.
            cx.loader.want_name("dm_mod", Rank::Root);
            let started = Job::start(&Request::Lvm(nodes), "reading the volume groups".into());
            self.job = started.map_err(|error| self.errors.push(error)).ok();
        }
    }

    /// Requests the activation of the volumes of one group that the boot waits for.
    fn activate_wanted(&mut self, cx: &mut StepContext<'_>, awaited: &[RootName]) {
        let params = &cx.params.stacks.assembly;
        let degraded = params.degraded_lvm && self.since.elapsed() >= MISSING_TIMEOUT;
        let Some(job) = &mut self.job else { return };
        let wanted = self.groups.iter().find_map(|group| {
            let volumes = wanted_volumes(group, params, awaited, degraded);
            let mut names: Vec<_> = volumes.map(|volume| volume.name.clone()).collect();
            names.retain(|name| !self.failed.contains(&path(&group.name, name)));
            (!names.is_empty()).then_some((group, names))
        });
        let Some((group, names)) = wanted else { return };
        self.making = names.iter().map(|name| path(&group.name, name)).collect();
        let text = format!("activating {}", self.making.join(", "));
        let request = Request::Volumes { group: group.uuid.clone(), degraded, names };
        if let Err(error) = job.send(&request, text, TIMEOUT) {
            self.errors.push(error);
            self.failed.append(&mut self.making);
            self.job = None;
        }
    }

    pub(super) fn job(&self) -> Option<&Job> {
        self.job.as_ref()
    }

    /// Returns the job if it must be left to end: it may have made some of several devices.
    pub(super) fn take_job(&mut self) -> Option<Job> {
        self.job.take()
    }

    /// Returns the time at which a group is used without what is missing.
    pub(super) fn wakeup(&self, params: &AssemblyParams) -> Option<BootTime> {
        let is_awaited = self.groups.iter().any(|group| {
            group.problem.is_some() || group.volumes.iter().any(|v| v.state == State::Degraded)
        });
        (params.degraded_lvm && is_awaited).then_some(self.since + MISSING_TIMEOUT)
    }

    /// Returns the groups, for the message about a root that was not found.
    pub(super) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Returns what has failed.
    pub(super) fn errors(&self) -> &[String] {
        &self.errors
    }
}

/// Returns `GROUP/VOLUME`.
fn path(group: &str, volume: &str) -> String {
    format!("{group}/{volume}")
}

/// Returns the volumes of a group that are to be activated now.
fn wanted_volumes<'a>(
    group: &'a Group,
    params: &'a AssemblyParams,
    awaited: &'a [RootName],
    degraded: bool,
) -> impl Iterator<Item = &'a Volume> {
    let can = move |volume: &&Volume| match volume.state {
        State::Ready => group.problem.is_none() || degraded,
        State::Degraded => degraded,
        _ => false,
    };
    let is_wanted = move |volume: &&Volume| match params.names_volumes() {
        true => params.names_volume(&group.name, &volume.name),
        false => params.all || awaited.iter().any(|name| may_be(group, volume, name)),
    };
    group.volumes.iter().filter(can).filter(is_wanted)
}

/// Returns whether a device that the boot waits for may be this volume, or be on it.
fn may_be(group: &Group, volume: &Volume, name: &RootName) -> bool {
    let RootName::Device(path) = name else {
        // Partitions of a volume have names in no table of partitions that the kernel reads.
        return matches!(name, RootName::Uuid(_) | RootName::Label(_) | RootName::Link(_));
    };
    match path.strip_prefix("/dev/mapper/") {
        Some(mapped) => mapped == mapper_name(&[&group.name, &volume.name]),
        None => *path == format!("/dev/{}/{}", group.name, volume.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmdline::KernelCommandLine;

    fn group(problem: Option<&str>) -> Group {
        let volume = |name: &str, state| Volume { name: name.into(), state, text: String::new() };
        Group {
            name: "vg-0".into(),
            uuid: "u".into(),
            problem: problem.map(str::to_owned),
            volumes: vec![
                volume("root", State::Ready),
                volume("a-b", State::Ready),
                volume("mirror", State::Degraded),
                volume("old", State::Active),
                volume("cache", State::Refused),
            ],
        }
    }

    fn wanted(group: &Group, line: &str, awaited: &[&str], degraded: bool) -> String {
        let params = KernelCommandLine::parse(line).stacks.assembly;
        let awaited: Vec<_> = awaited.iter().map(|name| RootName::parse(name).unwrap()).collect();
        let all = wanted_volumes(group, &params, &awaited, degraded).map(|v| v.name.clone());
        all.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn only_what_the_boot_waits_for_is_activated() {
        let whole = group(None);
        for (line, awaited, want) in [
            ("", &[][..], ""),
            ("", &["/dev/vg-0/root"], "root"),
            ("", &["/dev/mapper/vg--0-a--b"], "a-b"),
            ("", &["/dev/mapper/vg-0-root"], ""),
            ("", &["/dev/vg-1/root"], ""),
            ("", &["/dev/sda1", "/dev/vg-0/root"], "root"),
            ("", &["UUID=5"], "root a-b"),
            ("", &["PARTUUID=5"], ""),
            ("", &["/dev/vg-0/cache"], ""),
            ("rd.lvm.lv=vg-0/root", &[], "root"),
            ("rd.lvm.lv=vg-0/root", &["LABEL=x"], "root"),
            ("rd.lvm.vg=vg-0", &[], "root a-b"),
            ("rd.auto", &[], "root a-b"),
            ("rd.lvm.vg=other", &["LABEL=x"], ""),
        ] {
            assert_eq!(wanted(&whole, line, awaited, false), want, "{line} {awaited:?}");
        }
    }

    #[test]
    fn an_incomplete_group_is_used_only_if_that_is_asked_for() {
        let cut = group(Some("a physical volume is missing"));
        for (degraded, want) in [(false, ""), (true, "root a-b mirror")] {
            assert_eq!(wanted(&cut, "", &["UUID=5"], degraded), want);
        }
    }
}
