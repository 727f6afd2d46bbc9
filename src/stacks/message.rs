//! The messages between PID 1 and the child that assembles.
//!
//! ```text
//! request   lvm NODE...                     physical volumes: what is there?
//!           md NODE...                      members of arrays: what is there?
//!           volumes GROUP-UUID degraded|- NAME...
//!           array UUID degraded|- dirty|- DEVICE   DEVICE: its name, such as md0; empty for the usual
//!           luks NODE PLACE NAME SLOT ro|- MEASURE FLAG... what does the header say?
//!           passphrase SECRET               can a volume key be had by it?
//!           key-file PLACE OFFSET SIZE      the same by what a file holds
//!           token PIN                       the same by what the TPM has sealed
//!           run NODE TIMEOUT KIND PROGRAM ARG...
//!                                           runs a program of assemble.d
//!           make                            the modules are there: make what was asked for
//! reply     groups NOTES GROUP...           to `lvm`
//!           arrays NOTES ARRAY...           to `md`
//!           luks UUID LABEL tpm|- pin|- MODULE...      to `luks`
//!           unlocked                        to `passphrase`, `key-file` and `token`
//!           wrong-key TEXT                  the same: another one may be right
//!           modules NAME...                 to `volumes` and `array`: needed before `make`
//!           made TEXT...                    to `make`: what to say about each device; to `run`
//!           failed TEXT                     to any request
//!
//! NODE      PATH MAJOR MINOR SIZE
//! PLACE     PATH DEVICE FSTYPES              PATH in the filesystem on the node DEVICE, or in the
//!                                           image without one; a device alone without PATH
//! NOTES     number of messages, each TEXT
//! GROUP     NAME UUID problem|- TEXT number of volumes, each NAME STATE TEXT
//! ARRAY     NAME UUID STATE TEXT number of members, each MAJOR MINOR
//! ```
//!
//! Fields are those of sys/fields.rs.

use zeroize::Zeroizing;

use super::Node;
use crate::byte_text;
use crate::disk::assemble_rule::AssembleRule;
use crate::sys::fields::{Fields, join};

/// What the child is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    /// Reads the metadata of these physical volumes.
    Lvm(Vec<Node>),
    /// Reads the superblocks of these members of arrays.
    Md(Vec<Node>),
    /// Prepares the activation of logical volumes of a group.
    Volumes {
        /// UUID of the volume group.
        group: String,
        /// Whether volumes may be activated whose redundancy covers what is missing.
        degraded: bool,
        /// Names of the volumes.
        names: Vec<String>,
    },
    /// Prepares the start of an array.
    Array {
        /// UUID of the array.
        uuid: String,
        /// Whether it may start without all of its members.
        degraded: bool,
        /// Whether it may start degraded although it was not shut down cleanly.
        dirty: bool,
        /// Name that its device gets; empty for the one that the survey chose.
        device: String,
    },
    /// Reads the header of a LUKS device.
    Luks(Box<LuksRequest>),
    /// Tries a passphrase on the header.
    Passphrase(Zeroizing<Vec<u8>>),
    /// Tries what a key file holds, from `offset` on.
    KeyFile {
        /// The file.
        place: Place,
        /// Bytes that are skipped.
        offset: u64,
        /// Bytes that are used; `None` means all.
        size: Option<u64>,
    },
    /// Tries what the TPM unseals, with this PIN unless it is empty.
    Token(Zeroizing<Vec<u8>>),
    /// Runs a program of the image for a device.
    Run {
        /// The device.
        node: Node,
        /// The program.
        rule: AssembleRule,
        /// Longest time that the program may take, in seconds.
        timeout_s: u64,
    },
    /// Makes what was prepared.
    Make,
}

/// A LUKS device that is to be unlocked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LuksRequest {
    /// The device.
    pub(crate) node: Node,
    /// The header, if it is not on the device.
    pub(crate) header: Option<Place>,
    /// Name below /dev/mapper; empty for `luks-UUID`.
    pub(crate) name: String,
    /// The only key slot that is tried.
    pub(crate) slot: Option<u32>,
    /// Whether the device must not be written to.
    pub(crate) read_only: bool,
    /// PCR that the volume key is measured into, with banks: `15:sha256`; empty for none.
    pub(crate) measure: String,
    /// Path of the signatures of PCR policies; empty for the usual ones.
    pub(crate) signature: String,
    /// Longest wait for a TPM in seconds, if not the usual one.
    pub(crate) token_timeout: Option<u64>,
    /// Flags under their names in LUKS headers, such as `allow-discards`.
    pub(crate) flags: Vec<String>,
}

/// Where a file is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Path of the file; empty if the device itself is meant.
    pub(crate) path: String,
    /// Node of the device; empty for a file of the image.
    pub(crate) device: String,
    /// Types of the filesystem on the device to try, separated by commas.
    pub(crate) fstypes: String,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The volume groups, and messages about them and about devices that are not used.
    Groups(Vec<Group>, Vec<String>),
    /// The arrays, and messages likewise.
    Arrays(Vec<Array>, Vec<String>),
    /// What the header of a LUKS device says.
    Luks(Luks),
    /// The volume key is known.
    Unlocked,
    /// The key is wrong, or of no use, and why.
    WrongKey(String),
    /// The modules that are needed next, by name or alias.
    Modules(Vec<String>),
    /// What was made, in words: `vg0/root`, `/dev/md0 (raid1)`.
    Made(Vec<String>),
    /// The request failed, and why.
    Failed(String),
}

/// A LUKS device as PID 1 needs to know it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Luks {
    pub(crate) uuid: String,
    /// Label of the header; may be empty.
    pub(crate) label: String,
    /// Whether a TPM may have a key.
    pub(crate) has_token: bool,
    /// Whether the TPM needs a PIN for it.
    pub(crate) needs_pin: bool,
    /// Modules that are needed, by name or alias.
    pub(crate) modules: Vec<String>,
}

/// A volume group as PID 1 needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) uuid: String,
    /// Why nothing of the group is activated as things are: missing physical volumes, another group
    /// of that name, exported, …
    pub(crate) problem: Option<String>,
    /// The visible logical volumes.
    pub(crate) volumes: Vec<Volume>,
}

/// A logical volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) name: String,
    pub(crate) state: State,
    /// What is missing, or why it is refused; empty for a volume that is ready.
    pub(crate) text: String,
}

/// An array of md.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Array {
    /// Name that it has or will have: `md0`, `md127`.
    pub(crate) name: String,
    /// UUID in the form of mdadm(8): `xxxxxxxx:xxxxxxxx:xxxxxxxx:xxxxxxxx`.
    pub(crate) uuid: String,
    pub(crate) state: State,
    /// What is missing or left out, or why it is refused.
    pub(crate) text: String,
    /// Device numbers of the members.
    pub(crate) members: Vec<(u32, u32)>,
}

/// What can be done with a volume or an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It is active already.
    Active,
    /// It can be made.
    Ready,
    /// It can be made, but only if it is named.
    Skipped,
    /// It can be made without something that is missing.
    Degraded,
    /// The same, but it was not shut down cleanly: data may be lost.
    Dirty,
    /// Too much is missing.
    Incomplete,
    /// It is not made whatever appears.
    Refused,
}

const STATES: [(State, &str); 7] = [
    (State::Active, "active"),
    (State::Ready, "ready"),
    (State::Skipped, "skipped"),
    (State::Degraded, "degraded"),
    (State::Dirty, "dirty"),
    (State::Incomplete, "incomplete"),
    (State::Refused, "refused"),
];

/// Fields of a message that is being written: a secret may be one of them.
#[derive(Default)]
struct Writer(Vec<Zeroizing<Vec<u8>>>);

impl Writer {
    fn text(mut self, text: &str) -> Self {
        self.0.push(text.as_bytes().to_vec().into());
        self
    }

    fn number(self, number: impl ToString) -> Self {
        self.text(&number.to_string())
    }

    fn flag(self, set: bool, word: &str) -> Self {
        self.text(if set { word } else { "-" })
    }

    fn device(self, (major, minor): (u32, u32)) -> Self {
        self.number(major).number(minor)
    }

    fn node(self, node: &Node) -> Self {
        let path = byte_text::from_path(&node.path);
        self.text(&path).device(node.number).number(node.size)
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.push(bytes.to_vec().into());
        self
    }

    fn option(self, number: Option<impl ToString>) -> Self {
        self.text(&number.map(|number| number.to_string()).unwrap_or_default())
    }

    fn place(self, place: &Place) -> Self {
        self.text(&place.path).text(&place.device).text(&place.fstypes)
    }

    fn state(self, state: State) -> Self {
        let word = STATES.iter().find(|(known, _)| *known == state).map_or("", |(_, word)| *word);
        self.text(word)
    }

    fn all<T>(self, items: &[T], put: impl Fn(Self, &T) -> Self) -> Self {
        items.iter().fold(self, put)
    }

    fn texts(self, texts: &[String]) -> Self {
        self.all(texts, |out, text| out.text(text))
    }

    fn finish(self) -> Option<Vec<u8>> {
        join(self.0.iter().map(|field| field.as_slice()))
    }
}

fn node(fields: &mut Fields<'_>) -> Option<Node> {
    let path = byte_text::to_path(&fields.text()?).into_owned();
    Some(Node { path, number: fields.number()?, size: fields.parse()? })
}

fn place(fields: &mut Fields<'_>) -> Option<Place> {
    Some(Place { path: fields.text()?, device: fields.text()?, fstypes: fields.text()? })
}

fn state(fields: &mut Fields<'_>) -> Option<State> {
    let word = fields.text()?;
    STATES.iter().find(|(_, known)| *known == word).map(|(state, _)| *state)
}

/// Returns all items that are left in a message.
fn all<T>(fields: &mut Fields<'_>, one: impl Fn(&mut Fields<'_>) -> Option<T>) -> Option<Vec<T>> {
    let mut items = Vec::new();
    while !fields.is_at_end() {
        items.push(one(fields)?);
    }
    Some(items)
}

/// Returns a list that begins with the number of its items.
fn counted<T>(
    fields: &mut Fields<'_>,
    one: impl Fn(&mut Fields<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let count: usize = fields.parse()?;
    (0..count).map(|_| one(fields)).collect()
}

impl Request {
    /// Returns the bytes of the request; `None` if they are too long for a message.
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let out = Writer::default();
        match self {
            Self::Lvm(nodes) => out.text("lvm").all(nodes, Writer::node),
            Self::Md(nodes) => out.text("md").all(nodes, Writer::node),
            Self::Volumes { group, degraded, names } => {
                let out = out.text("volumes").text(group).flag(*degraded, "degraded");
                out.texts(names)
            }
            Self::Array { uuid, degraded, dirty, device } => {
                let out = out.text("array").text(uuid).flag(*degraded, "degraded");
                out.flag(*dirty, "dirty").text(device)
            }
            Self::Luks(r) => {
                let header = r.header.clone().unwrap_or_default();
                let out = out.text("luks").node(&r.node).place(&header);
                let out = out.text(&r.name).option(r.slot).flag(r.read_only, "ro");
                let out = out.text(&r.measure).text(&r.signature).option(r.token_timeout);
                out.texts(&r.flags)
            }
            Self::Passphrase(secret) => out.text("passphrase").bytes(secret),
            Self::KeyFile { place, offset, size } => {
                out.text("key-file").place(place).number(*offset).option(*size)
            }
            Self::Token(pin) => out.text("token").bytes(pin),
            Self::Run { node, rule, timeout_s } => {
                let out = out.text("run").node(node).number(*timeout_s);
                out.text(&rule.kind).text(&rule.program).texts(&rule.args)
            }
            Self::Make => out.text("make"),
        }
        .finish()
    }

    /// Parses the bytes of a request.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        let request = match fields.text()?.as_str() {
            "lvm" => Self::Lvm(all(&mut fields, node)?),
            "md" => Self::Md(all(&mut fields, node)?),
            "volumes" => Self::Volumes {
                group: fields.text()?,
                degraded: fields.choice("degraded", "-")?,
                names: fields.rest()?,
            },
            "array" => Self::Array {
                uuid: fields.text()?,
                degraded: fields.choice("degraded", "-")?,
                dirty: fields.choice("dirty", "-")?,
                device: fields.text()?,
            },
            "luks" => Self::Luks(Box::new(LuksRequest {
                node: node(&mut fields)?,
                header: Some(place(&mut fields)?).filter(|place| *place != Place::default()),
                name: fields.text()?,
                slot: fields.option()?,
                read_only: fields.choice("ro", "-")?,
                measure: fields.text()?,
                signature: fields.text()?,
                token_timeout: fields.option()?,
                flags: fields.rest()?,
            })),
            "passphrase" => Self::Passphrase(fields.bytes()?.to_vec().into()),
            "key-file" => Self::KeyFile {
                place: place(&mut fields)?,
                offset: fields.parse()?,
                size: fields.option()?,
            },
            "token" => Self::Token(fields.bytes()?.to_vec().into()),
            "run" => Self::Run {
                node: node(&mut fields)?,
                timeout_s: fields.parse()?,
                rule: AssembleRule {
                    kind: fields.text()?,
                    program: fields.text()?,
                    args: fields.rest()?,
                    place: String::new(),
                },
            },
            "make" => Self::Make,
            _ => return None,
        };
        fields.is_at_end().then_some(request)
    }
}

impl Reply {
    /// Returns the bytes of the reply; a failure if they are too long for a message.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let out = Writer::default();
        let out = match self {
            Self::Groups(groups, notes) => {
                out.text("groups").number(notes.len()).texts(notes).all(groups, Group::put)
            }
            Self::Arrays(arrays, notes) => {
                out.text("arrays").number(notes.len()).texts(notes).all(arrays, Array::put)
            }
            Self::Luks(luks) => {
                let out = out.text("luks").text(&luks.uuid).text(&luks.label);
                let out = out.flag(luks.has_token, "tpm").flag(luks.needs_pin, "pin");
                out.texts(&luks.modules)
            }
            Self::Unlocked => out.text("unlocked"),
            Self::WrongKey(text) => out.text("wrong-key").text(text),
            Self::Modules(names) => out.text("modules").texts(names),
            Self::Made(texts) => out.text("made").texts(texts),
            Self::Failed(text) => out.text("failed").text(text),
        };
        out.finish().unwrap_or_else(|| Self::Failed("too much for a message".into()).encode())
    }

    /// Parses the bytes of a reply.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        let reply = match fields.text()?.as_str() {
            kind @ ("groups" | "arrays") => {
                let notes = counted(&mut fields, |fields| fields.text())?;
                match kind {
                    "groups" => Self::Groups(all(&mut fields, Group::take)?, notes),
                    _ => Self::Arrays(all(&mut fields, Array::take)?, notes),
                }
            }
            "luks" => Self::Luks(Luks {
                uuid: fields.text()?,
                label: fields.text()?,
                has_token: fields.choice("tpm", "-")?,
                needs_pin: fields.choice("pin", "-")?,
                modules: fields.rest()?,
            }),
            "unlocked" => Self::Unlocked,
            "wrong-key" => Self::WrongKey(fields.text()?),
            "modules" => Self::Modules(fields.rest()?),
            "made" => Self::Made(fields.rest()?),
            "failed" => Self::Failed(fields.text()?),
            _ => return None,
        };
        fields.is_at_end().then_some(reply)
    }
}

impl Group {
    fn put(out: Writer, group: &Self) -> Writer {
        let problem = group.problem.as_deref();
        let out = out.text(&group.name).text(&group.uuid);
        let out = out.flag(problem.is_some(), "problem").text(problem.unwrap_or_default());
        out.number(group.volumes.len()).all(&group.volumes, |out, volume| {
            out.text(&volume.name).state(volume.state).text(&volume.text)
        })
    }

    fn take(fields: &mut Fields<'_>) -> Option<Self> {
        let (name, uuid) = (fields.text()?, fields.text()?);
        let has_problem = fields.choice("problem", "-")?;
        let problem = Some(fields.text()?).filter(|_| has_problem);
        let volumes = counted(fields, |fields| {
            Some(Volume { name: fields.text()?, state: state(fields)?, text: fields.text()? })
        })?;
        Some(Self { name, uuid, problem, volumes })
    }
}

impl Array {
    fn put(out: Writer, array: &Self) -> Writer {
        let out = out.text(&array.name).text(&array.uuid).state(array.state).text(&array.text);
        out.number(array.members.len()).all(&array.members, |out, number| out.device(*number))
    }

    fn take(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            name: fields.text()?,
            uuid: fields.text()?,
            state: state(fields)?,
            text: fields.text()?,
            members: counted(fields, |fields| fields.number())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests() -> Vec<Request> {
        let node =
            |path: &str, minor| Node { path: path.into(), number: (8, minor), size: 1 << 40 };
        vec![
            Request::Lvm(vec![node("/dev/sda", 0), node("/dev/sdb", 16)]),
            Request::Md(vec![]),
            Request::Volumes {
                group: "u".into(),
                degraded: true,
                names: vec!["root".into(), "ü".into()],
            },
            Request::Array {
                uuid: "1:2:3:4".into(),
                degraded: false,
                dirty: true,
                device: "md0".into(),
            },
            Request::Luks(Box::new(LuksRequest {
                node: node("/dev/vda2", 2),
                header: None,
                name: "root".into(),
                slot: Some(1),
                read_only: true,
                measure: "15:sha256".into(),
                signature: "/signature".into(),
                token_timeout: Some(5),
                flags: vec!["allow-discards".into()],
            })),
            Request::Luks(Box::new(LuksRequest {
                node: node("/dev/vda2", 2),
                header: Some(place("")),
                name: String::new(),
                slot: None,
                read_only: false,
                measure: String::new(),
                signature: String::new(),
                token_timeout: None,
                flags: vec![],
            })),
            Request::Passphrase(vec![0, 255].into()),
            Request::KeyFile { place: place("/dev/sda1"), offset: 512, size: Some(64) },
            Request::Token(vec![].into()),
            Request::Run {
                node: node("/dev/vdb", 16),
                rule: AssembleRule {
                    kind: "bcache".into(),
                    program: "/bin/register".into(),
                    args: vec!["-q".into()],
                    place: String::new(),
                },
                timeout_s: 60,
            },
            Request::Make,
        ]
    }

    fn place(device: &str) -> Place {
        Place { path: "/key".into(), device: device.into(), fstypes: "vfat,ext4".into() }
    }

    fn replies() -> Vec<Reply> {
        let volume = |name: &str, state| Volume { name: name.into(), state, text: "why".into() };
        let group = |problem: Option<&str>, volumes| Group {
            name: "vg0".into(),
            uuid: "u".into(),
            problem: problem.map(str::to_owned),
            volumes,
        };
        let volumes = STATES.iter().map(|(state, word)| volume(word, *state)).collect();
        let array = Array {
            name: "md0".into(),
            uuid: "1:2:3:4".into(),
            state: State::Dirty,
            text: String::new(),
            members: vec![(8, 1), (8, 17)],
        };
        vec![
            Reply::Groups(
                vec![group(None, volumes), group(Some("exported"), vec![])],
                vec!["note".into()],
            ),
            Reply::Arrays(vec![array.clone(), array], vec![]),
            Reply::Luks(Luks {
                uuid: "1-2".into(),
                needs_pin: true,
                modules: vec!["dm_crypt".into()],
                ..Luks::default()
            }),
            Reply::Unlocked,
            Reply::WrongKey("no key slot".into()),
            Reply::Modules(vec!["dm_mod".into()]),
            Reply::Made(vec![]),
            Reply::Failed("why".into()),
        ]
    }

    #[test]
    fn messages_survive_the_way_there() {
        for request in requests() {
            assert_eq!(Request::decode(&request.encode().unwrap()), Some(request));
        }
        for reply in replies() {
            assert_eq!(Reply::decode(&reply.encode()), Some(reply));
        }
    }

    #[test]
    fn damaged_messages_are_refused() {
        let requests = requests().into_iter().map(|request| request.encode().unwrap());
        for bytes in requests.chain(replies().iter().map(Reply::encode)) {
            for at in 0..bytes.len() {
                let _ = (Request::decode(&bytes[..at]), Reply::decode(&bytes[..at]));
                for value in [0, 1, 0x7f, 0xff] {
                    let mut bad = bytes.clone();
                    bad[at] = value;
                    let _ = (Request::decode(&bad), Reply::decode(&bad));
                }
            }
        }
        assert_eq!((Request::decode(&[255; 8]), Reply::decode(&[])), (None, None));
        let long = Reply::Failed("x".repeat(1 << 20)).encode();
        assert!(matches!(Reply::decode(&long), Some(Reply::Failed(text)) if text.len() < 100));
    }
}
