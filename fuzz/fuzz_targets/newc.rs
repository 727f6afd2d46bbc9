//! newc archives: entries lie within the input; written entries can be read again.
#![no_main]

use coldplug::image::newc::{self, Entry, Kind, Member, Writer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut reader = newc::read(data);
    let mut files = Vec::new();
    for member in reader.by_ref().flatten() {
        let _ = (member.mode_text(), member.is_link(), member.is_device());
        let content = content(data, &member);
        files.push((member.name, content));
    }
    assert!(reader.offset() <= data.len() as u64);
    let mut writer = Writer::new(Vec::new(), 0);
    files.retain(|(name, data)| {
        let entry = Entry { name, mode: 0o644, uid: 0, gid: 0, kind: Kind::File(data) };
        name != b"TRAILER!!!" && writer.append(&entry).is_ok()
    });
    let (archive, _) = writer.finish().expect("memory takes everything");
    let again = newc::read(&archive[..]).map(|member| member.expect("our own"));
    assert!(again.map(|m| (m.name.clone(), content(&archive, &m))).eq(files));
});

fn content<'a>(archive: &'a [u8], member: &Member) -> &'a [u8] {
    let start = usize::try_from(member.data_at).expect("within the archive");
    &archive[start..start + member.size as usize]
}
