//! /etc/crypttab, as crypttab(5) of systemd and of Debian describe it.
//!
//! ```text
//! # comment
//! NAME  DEVICE  [KEY [OPTION,…]]     fields are separated by spaces and tabs
//!
//! DEVICE    UUID=… PARTUUID=… LABEL=… PARTLABEL=… /dev/…
//! KEY       none, -, PATH, PATH:DEVICE, a device
//! \040      a byte in octal digits, in any field
//! ```

use super::luks::{KeySource, LuksDevice, LuksSource};
use super::luks_options::LuksOptions;
use crate::byte_text;
use crate::kmod::Warning;

/// Parses the file `name`. Returns the devices in the order of the lines, and a warning for each line
/// or option that is ignored.
pub(crate) fn parse(name: &str, text: &[u8]) -> (Vec<LuksDevice>, Vec<Warning>) {
    let mut warnings = Vec::new();
    let mut devices = Vec::new();
    for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = byte_text::from_bytes(line);
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (device, problems) = parse_line(line);
        devices.extend(device);
        warnings.extend(problems.into_iter().map(|text| Warning::new(name, at + 1, text)));
    }
    (devices, warnings)
}

fn parse_line(line: &str) -> (Option<LuksDevice>, Vec<String>) {
    let fields: Vec<String> = line.split_ascii_whitespace().map(byte_text::from_octal).collect();
    let field = |at| fields.get(at).map_or("", String::as_str);
    if !(2..=4).contains(&fields.len()) {
        return (None, vec!["line ignored: not 2 to 4 fields".to_owned()]);
    }
    let (name, key) = (field(0), field(2));
    if name.contains('/') || name.len() > 127 {
        return (None, vec![format!("line ignored: '{name}' is not the name of a mapping")]);
    }
    let Some(source) = LuksSource::parse(field(1)) else {
        let text = format!("line ignored: '{}' is not the name of a device", field(1));
        return (None, vec![text]);
    };
    let mut options = LuksOptions::default();
    let problems = options.add(field(3));
    let key = options.replace_keyscript(key).unwrap_or_else(|| KeySource::parse(key));
    let name = Some(name.to_owned());
    (Some(LuksDevice { name, source, key, options }), problems)
}

#[cfg(test)]
mod tests {
    use super::super::luks::FilePlace;
    use super::super::root_name::RootName;
    use super::*;

    #[test]
    fn lines_of_installers_are_parsed() {
        let file = b"# <target name> <source device> <key file> <options>\n\
            vda5_crypt UUID=0AB1C2d3-0000-4000-8000-000000000001 none luks,discard\n\
            \n\
            \tluks-1234 UUID=1234 - x-initrd.attach\n\
            cr_data /dev/disk/by-id/x-part2 /etc/keys/data.key luks,keyfile-offset=8,nofail\n\
            usb PARTLABEL=d\\303\\266\\040b /k:LABEL=keys\n\
            raw /dev/sdb1 /dev/disk/by-partlabel/key luks\n\
            swap LABEL=s\xf6 /dev/urandom swap,cipher=aes-xts-plain64,size=512\n";
        let (devices, warnings) = parse("etc/crypttab", file);
        assert_eq!(warnings, []);
        let names: Vec<_> = devices.iter().filter_map(|device| device.name.as_deref()).collect();
        assert_eq!(names, ["vda5_crypt", "luks-1234", "cr_data", "usb", "raw", "swap"]);
        let source = |at: usize| devices[at].source.clone();
        assert_eq!(source(0), LuksSource::Uuid("0ab1c2d3-0000-4000-8000-000000000001".into()));
        assert_eq!(source(3), LuksSource::Device(RootName::PartLabel("dö b".into())));
        assert_eq!(source(5), LuksSource::Device(RootName::Label("s\u{10fff6}".into())));
        assert!(devices[0].options.discard && devices[1].options.in_initramfs);
        assert_eq!(devices[1].key, KeySource::Unnamed);
        let file = |path: &str| KeySource::File(FilePlace::File(path.into()));
        assert_eq!(devices[2].key, file("/etc/keys/data.key"));
        assert_eq!(devices[3].key, KeySource::on_device("/k", "LABEL=keys", None));
        let key = RootName::PartLabel("key".into());
        assert_eq!(devices[4].key, KeySource::File(FilePlace::Device(key)));
        assert_eq!(devices[5].options.other_format, Some("swap"));
    }

    #[test]
    fn scripts_of_debian_are_replaced_or_named() {
        let line = |script: &str, key: &str| {
            let text = format!("a UUID=1 {key} luks,keyscript={script}");
            let (mut devices, warnings) = parse("t", text.as_bytes());
            let device = devices.remove(0);
            (device.key, device.options, warnings.iter().map(ToString::to_string).collect())
        };
        let passdev = "/lib/cryptsetup/scripts/passdev";
        let (key, options, warnings): (_, _, Vec<String>) = line(passdev, "/dev/sdb1:/k:5");
        assert_eq!(key, KeySource::on_device("/k", "/dev/sdb1", None));
        assert_eq!(options.keyfile_timeout, Some(std::time::Duration::from_secs(5)));
        assert_eq!(warnings.len(), 0);
        assert_eq!(line("decrypt_keyctl", "tag").0, KeySource::Unnamed);
        let (_, _, warnings) = line("/sbin/k", "x");
        assert_eq!(warnings, ["t line 1: option 'keyscript=/sbin/k' is not supported"]);
    }

    #[test]
    fn lines_that_cannot_be_used_are_named() {
        for (line, problem) in [
            ("a", "not 2 to 4 fields"),
            ("a UUID=1 none luks more", "not 2 to 4 fields"),
            ("a/b UUID=1", "'a/b' is not the name of a mapping"),
            ("a /root/disk.img", "'/root/disk.img' is not the name of a device"),
            ("a UUID=", "'UUID=' is not the name of a device"),
            ("a UUID=1 none luks,colour=red", "option 'colour=red' is unknown"),
        ] {
            let (_, warnings) = parse("t", format!("#\n{line}").as_bytes());
            let texts: Vec<String> = warnings.iter().map(ToString::to_string).collect();
            let is_named =
                |text: &String| text.starts_with("t line 2: ") && text.ends_with(problem);
            assert!(texts.len() == 1 && texts.iter().all(is_named), "{line}: {texts:?}");
        }
    }
}
