//! Tests of the messages.

use super::encoding::STATES;
use super::*;

fn requests() -> Vec<Request> {
    let node = |path: &str, minor| Node { path: path.into(), number: (8, minor), size: 1 << 40 };
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
            token_timeout: 5,
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
            token_timeout: 10,
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
