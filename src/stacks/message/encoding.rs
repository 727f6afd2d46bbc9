//! The bytes of the messages, as the head of mod.rs draws them.

use zeroize::Zeroizing;

use super::{Array, Group, Luks, LuksRequest, Place, Reply, Request, State, Volume};
use crate::byte_text;
use crate::disk::assemble_rule::AssembleRule;
use crate::stacks::Node;
use crate::sys::fields::{Fields, join};

pub(super) const STATES: [(State, &str); 7] = [
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
                let out = out.text(&r.measure).text(&r.signature).number(r.token_timeout);
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
                token_timeout: fields.parse()?,
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
                out.text(&luks.damage).texts(&luks.modules)
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
                damage: fields.text()?,
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
