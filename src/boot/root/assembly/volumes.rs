//! When logical volumes are activated, and which.
//!
//! A child surveys the physical volumes whenever others are there than before. A volume that the
//! boot waits for by its name is activated as soon as all of its group is there; if the boot waits
//! for a filesystem by its content, all volumes of the group are, because each may hold it. If
//! `rd.lvm.lv=` or `rd.lvm.vg=` name volumes, these are activated rather than those that may hold
//! the filesystem. With `coldplug.lvm=degraded` a group that stays incomplete is used without what
//! is missing after a time, if redundancy covers it.
//!
//! Of several groups with one name, only one is used by its name that `rd.lvm.vg=` chooses by its
//! UUID. Without that, those of their volumes are activated for their content whose names differ.

use super::survey::{News, Subject, Survey};
use super::{MISSING_TIMEOUT, note_made};
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
#[derive(Debug)]
pub(super) struct Volumes {
    survey: Survey,
    groups: Vec<Group>,
    /// What the child makes: `vg0/root`.
    making: Vec<String>,
    /// Volumes whose activation has failed with the physical volumes that there are: `vg0/root`.
    failed: Vec<String>,
    /// Whether volumes are activated one by one, because several at once have failed.
    singly: bool,
}

impl Volumes {
    /// Returns the state at the start of an attempt to boot.
    pub(super) fn new() -> Self {
        let text = "reading the volume groups";
        let survey = Survey::new(Subject { kind: KIND, request: Request::Lvm, text });
        Self { survey, groups: Vec::new(), making: Vec::new(), failed: Vec::new(), singly: false }
    }

    /// Goes as far as possible towards the devices that the boot waits for. Returns whether devices
    /// may have appeared.
    pub(super) fn advance(&mut self, cx: &mut StepContext<'_>, awaited: &[RootName]) -> bool {
        if cx.params.stacks.assembly.no_lvm {
            return false;
        }
        let news = self.survey.advance(cx);
        let is_made = matches!(news, Some(News::Made(_)));
        match news {
            Some(News::Found(Reply::Groups(groups, notes))) => {
                self.survey.note(notes, cx);
                if self.survey.take_change() {
                    self.failed.clear();
                }
                self.note_groups(groups, cx);
            }
            Some(News::Made(texts)) => {
                let volumes = std::mem::take(&mut self.making);
                self.set_active(&volumes);
                note_made(cx, "logical volume", &texts);
            }
            Some(News::Failed) => self.note_failure(),
            // No answer to what was asked.
            Some(News::Found(_)) => {}
            None if self.survey.is_reading() => {
                // The load overlaps with the survey.
                cx.loader.want_name("dm_mod", Rank::Root);
            }
            None => {}
        }
        // What was made may be what the boot waits for.
        if self.survey.is_idle() && !is_made {
            self.activate_wanted(cx, awaited);
        }
        is_made
    }

    fn note_groups(&mut self, groups: Vec<Group>, cx: &mut StepContext<'_>) {
        for group in &groups {
            if let Some(text) = conflict(group, &groups, &cx.params.stacks.assembly) {
                cx.reporter.warn_once(text);
            }
            let log = cx.reporter.log();
            match &group.problem {
                Some(problem) => log.info(&format!("volume group {}: {problem}", group.name)),
                None => log.debug(&format!("volume group {} is complete", group.name)),
            }
        }
        self.groups = groups;
    }

    /// Notes that what was requested has failed: one volume for good, of several each is tried again.
    fn note_failure(&mut self) {
        match self.making.len() {
            0 | 1 => self.failed.append(&mut self.making),
            _ => {
                self.making.clear();
                self.singly = true;
            }
        }
    }

    fn set_active(&mut self, made: &[String]) {
        for group in &mut self.groups {
            let name = &group.name;
            let made = |volume: &&mut Volume| made.contains(&path(name, &volume.name));
            group.volumes.iter_mut().filter(made).for_each(|volume| volume.state = State::Active);
        }
    }

    /// Requests the activation of the volumes of one group that the boot waits for.
    fn activate_wanted(&mut self, cx: &mut StepContext<'_>, awaited: &[RootName]) {
        let params = &cx.params.stacks.assembly;
        // A device that is being read may hold the filesystem.
        let is_read = !cx.devices.is_undecided();
        let awaited: Vec<_> =
            awaited.iter().filter(|name| is_read || !may_be_inside(name)).collect();
        let degraded = params.degraded_lvm && self.survey.since().elapsed() >= MISSING_TIMEOUT;
        let wanted = self.groups.iter().find_map(|group| {
            let volumes = wanted_volumes(group, &self.groups, params, &awaited, degraded);
            let mut names: Vec<_> = volumes.map(|volume| volume.name.clone()).collect();
            names.retain(|name| !self.failed.contains(&path(&group.name, name)));
            names.truncate(if self.singly { 1 } else { names.len() });
            (!names.is_empty()).then_some((group, names))
        });
        let Some((group, names)) = wanted else { return };
        self.making = names.iter().map(|name| path(&group.name, name)).collect();
        let text = format!("activating {}", self.making.join(", "));
        let request = Request::Volumes { group: group.uuid.clone(), degraded, names };
        if !self.survey.make(&request, text) {
            self.note_failure();
        }
    }

    pub(super) fn survey(&self) -> &Survey {
        &self.survey
    }

    pub(super) fn survey_mut(&mut self) -> &mut Survey {
        &mut self.survey
    }

    /// Returns the time at which a group is used without what is missing.
    pub(super) fn wakeup(&self, params: &AssemblyParams) -> Option<BootTime> {
        let is_awaited = self.groups.iter().any(|group| {
            group.problem.is_some() || group.volumes.iter().any(|v| v.state == State::Degraded)
        });
        (params.degraded_lvm && is_awaited).then_some(self.survey.since() + MISSING_TIMEOUT)
    }

    /// Returns the groups, for the message about a root that was not found.
    pub(super) fn groups(&self) -> &[Group] {
        &self.groups
    }
}

/// Returns `GROUP/VOLUME`.
fn path(group: &str, volume: &str) -> String {
    format!("{group}/{volume}")
}

/// Returns the other groups with the name of a group, as far as they have volumes to activate.
fn rivals<'a>(group: &'a Group, groups: &'a [Group]) -> impl Iterator<Item = &'a Group> {
    let is_usable = |other: &Group| other.volumes.iter().any(|v| v.state != State::Refused);
    groups.iter().filter(move |other| {
        other.name == group.name && other.uuid != group.uuid && is_usable(other)
    })
}

/// Returns the message about several groups with the name of this one, unless one is chosen.
pub(super) fn conflict(group: &Group, groups: &[Group], params: &AssemblyParams) -> Option<String> {
    let mut uuids: Vec<&str> = rivals(group, groups).map(|other| other.uuid.as_str()).collect();
    if uuids.is_empty() || uuids.iter().chain([&&*group.uuid]).any(|uuid| params.names_group(uuid))
    {
        return None;
    }
    uuids.push(&group.uuid);
    uuids.sort_unstable();
    let (name, uuids) = (&group.name, uuids.join(" and "));
    Some(format!("several volume groups {name}: {uuids}; rd.lvm.vg=UUID chooses one"))
}

/// Returns the volumes of a group that are to be activated now.
fn wanted_volumes<'a>(
    group: &'a Group,
    groups: &'a [Group],
    params: &'a AssemblyParams,
    awaited: &'a [&RootName],
    degraded: bool,
) -> impl Iterator<Item = &'a Volume> {
    let can = move |volume: &&Volume| match volume.state {
        State::Ready | State::Skipped => group.problem.is_none() || degraded,
        State::Degraded => degraded,
        _ => false,
    };
    group.volumes.iter().filter(can).filter(move |volume| {
        let how = wanted(group, volume, params, awaited);
        is_clear(group, groups, volume, how, params)
    })
}

/// The reason why a volume is activated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// It is not.
    No,
    /// The root may be on it, or everything is activated.
    ByContent,
    /// Its group is named.
    ByGroup,
    /// It is named.
    ByName,
}

fn wanted(
    group: &Group,
    volume: &Volume,
    params: &AssemblyParams,
    awaited: &[&RootName],
) -> Wanted {
    let is_named = params.names_volume(&group.name, &volume.name);
    if is_named || awaited.iter().any(|name| is_name_of(group, volume, name)) {
        Wanted::ByName
    } else if params.names_group(&group.name) || params.names_group(&group.uuid) {
        Wanted::ByGroup
    } else if !params.names_volumes()
        && (params.all || awaited.iter().any(|name| may_be_inside(name)))
    {
        Wanted::ByContent
    } else {
        Wanted::No
    }
}

/// Returns whether nothing forbids to activate a volume for a reason: a flag, or another group of
/// that name.
fn is_clear(
    group: &Group,
    groups: &[Group],
    volume: &Volume,
    wanted: Wanted,
    params: &AssemblyParams,
) -> bool {
    if wanted == Wanted::No || (volume.state == State::Skipped && wanted != Wanted::ByName) {
        return false;
    }
    if params.names_group(&group.uuid) {
        return true;
    }
    let has_same = |other: &Group| other.volumes.iter().any(|v| v.name == volume.name);
    rivals(group, groups).all(|other| {
        wanted == Wanted::ByContent && !params.names_group(&other.uuid) && !has_same(other)
    })
}

/// Returns whether a device that the boot waits for may be on a volume. Partitions of a volume have
/// names in no table of partitions that the kernel reads.
fn may_be_inside(name: &RootName) -> bool {
    matches!(name, RootName::Uuid(_) | RootName::Label(_) | RootName::Link(_))
}

/// Returns whether this is the name of a volume.
fn is_name_of(group: &Group, volume: &Volume, name: &RootName) -> bool {
    let RootName::Device(path) = name else { return false };
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
                volume("skipped", State::Skipped),
            ],
        }
    }

    fn wanted(group: &Group, line: &str, awaited: &[&str], degraded: bool) -> String {
        let params = KernelCommandLine::parse(line).stacks.assembly;
        let awaited: Vec<_> = awaited.iter().map(|name| RootName::parse(name).unwrap()).collect();
        let awaited: Vec<_> = awaited.iter().collect();
        let groups = std::slice::from_ref(group);
        let all = wanted_volumes(group, groups, &params, &awaited, degraded);
        all.map(|v| v.name.clone()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn of_groups_with_one_name_only_a_chosen_one_is_used() {
        let [mut one, mut other] = [group(None), group(None)];
        one.volumes.retain(|volume| volume.state == State::Ready);
        other.volumes.retain(|volume| volume.name != "a-b");
        (one.uuid, other.uuid) = ("U-1".into(), "U-2".into());
        let text = "several volume groups vg-0: U-1 and U-2; rd.lvm.vg=UUID chooses one";
        let mut foreign = other.clone();
        foreign.volumes.iter_mut().for_each(|volume| volume.state = State::Refused);
        let pair = [one.clone(), other];
        for (groups, line, awaited, want, message) in [
            (&pair, "", "/dev/vg-0/root", "", Some(text)),
            (&pair, "rd.auto", "/dev/vg-0/root", "a-b", Some(text)),
            (&pair, "rd.lvm.lv=vg-0/root rd.lvm.vg=vg-0", "UUID=5", "", Some(text)),
            // Both have a root.
            (&pair, "", "UUID=5", "a-b", Some(text)),
            (&pair, "rd.lvm.vg=U-1", "/dev/vg-0/root", "root a-b", None),
            (&pair, "rd.lvm.vg=U-2", "/dev/vg-0/root", "", None),
            (&[one.clone(), foreign], "", "/dev/vg-0/root", "root", None),
        ] {
            let params = KernelCommandLine::parse(line).stacks.assembly;
            let awaited = RootName::parse(awaited).unwrap();
            let awaited = [&awaited];
            let found = wanted_volumes(&groups[0], groups, &params, &awaited, false);
            let found: Vec<_> = found.map(|volume| &*volume.name).collect();
            assert_eq!(found.join(" "), want, "{line} {awaited:?}");
            assert_eq!(conflict(&groups[0], groups, &params).as_deref(), message, "{line}");
        }
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
            ("", &["/dev/vg-0/skipped"], "skipped"),
            ("rd.lvm.lv=vg-0/skipped", &[], "skipped"),
            ("rd.lvm.lv=vg-0/a-b", &["/dev/vg-0/root"], "root a-b"),
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
    fn a_volume_that_fails_does_not_keep_others_from_being_tried() {
        let mut volumes = Volumes::new();
        volumes.making = vec!["vg-0/root".into(), "vg-0/a-b".into()];
        volumes.note_failure();
        assert!(volumes.singly && volumes.making.is_empty() && volumes.failed.is_empty());
        volumes.making = vec!["vg-0/a-b".into()];
        volumes.note_failure();
        assert_eq!(volumes.failed, ["vg-0/a-b"]);
    }

    #[test]
    fn an_incomplete_group_is_used_only_if_that_is_asked_for() {
        let cut = group(Some("a physical volume is missing"));
        for (degraded, want) in [(false, ""), (true, "root a-b mirror")] {
            assert_eq!(wanted(&cut, "", &["UUID=5"], degraded), want);
        }
    }
}
