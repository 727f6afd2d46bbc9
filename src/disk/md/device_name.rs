//! Names of the device of an array, by the rules of `mdadm --assemble --scan` and `mdadm -I`.
//!
//! An array of this host, or one with an ARRAY line, keeps its name: `pc:root` is /dev/md/root, and
//! `pc:0` is md0. An array of another host keeps the host in its name: /dev/md/other:root. Without
//! a number in its name it gets a free one, from 127 down.

use sha1::Sha1;
use sha2::digest::Digest as _;

use super::config::{ArrayLine, Config};
use super::{Metadata, Version};

/// Numbers of devices without a number in their name: from 127 down, then from 511 down.
const NUMBERS: [std::ops::RangeInclusive<u32>; 2] = [0..=127, 128..=511];

/// Names of the device of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceName {
    /// The kernel's name: `md127`.
    pub(crate) kernel: String,
    /// Name of the link in /dev/md.
    pub(crate) link: Option<String>,
}

/// What decides about names besides the array itself.
pub(crate) struct Naming<'a> {
    pub(crate) config: &'a Config,
    /// Name of this host.
    pub(crate) hostname: Option<&'a str>,
    /// Returns whether an array has the kernel's name.
    pub(crate) is_busy: &'a dyn Fn(&str) -> bool,
    /// Returns whether an array has the link in /dev/md.
    pub(crate) is_linked: &'a dyn Fn(&str) -> bool,
}

impl Naming<'_> {
    /// Returns whether the array belongs to this host, or to any.
    pub(crate) fn is_local(&self, metadata: &Metadata) -> bool {
        let is_of = |host: &str| match metadata.version {
            Version::V0_90 => host_digits(host) == metadata.uuid[8..],
            _ => metadata.name.strip_prefix(host).is_some_and(|rest| rest.starts_with(':')),
        };
        self.config.homehost(self.hostname).is_some_and(is_of) || is_of("any")
    }

    /// Chooses the names of an array with this ARRAY line.
    ///
    /// # Errors
    /// The ARRAY line has a name that no device of md can have, or one that is taken.
    pub(crate) fn choose(
        &self,
        metadata: &Metadata,
        line: Option<&ArrayLine>,
    ) -> Result<DeviceName, String> {
        let mut name = &*metadata.name;
        let is_local = line.is_some()
            || self.is_local(metadata)
            || (!self.config.requires_homehost() && !name.is_empty() && self.config.is_free(name));
        if is_local {
            name = name.split_once(':').map_or(name, |(_, name)| name);
        }
        let wanted = line.and_then(|line| line.device.as_deref());
        let (mut number, link) = match wanted {
            Some(path) => of_path(path)?,
            None => (None, self.link(name, is_local)),
        };
        if let Some(number) = number
            && (self.is_busy)(&format!("md{number}"))
        {
            return Err(format!("md{number} is in use by another array"));
        }
        if number.is_none() && is_local {
            number = of_name(name).filter(|number| !(self.is_busy)(&format!("md{number}")));
        }
        let kernel = match (number, &link) {
            (Some(number), _) => format!("md{number}"),
            (None, Some(link)) if self.config.uses_names => format!("md_{link}"),
            (None, _) => self.free_name().ok_or("no free number for an array")?,
        };
        let is_in_md =
            wanted.is_none_or(|path| !path.starts_with("/dev/") || path.starts_with("/dev/md/"));
        Ok(DeviceName { kernel, link: link.filter(|_| is_in_md) })
    }

    /// Returns the link of an array with this name; one that is not trusted gets a suffix.
    fn link(&self, name: &str, is_local: bool) -> Option<String> {
        let replaced = name.chars().map(|c| match c {
            '/' => '-',
            ' ' | '\t' => '_',
            c => c,
        });
        let name: String = replaced.collect();
        // A name that leads out of the directory is not one.
        if name.is_empty() || name == "." || name == ".." {
            return None;
        }
        let is_trusted = is_local || name.contains(':');
        if is_trusted && !(self.is_linked)(&name) {
            return Some(name);
        }
        let suffixed = (0..u32::MAX).map(|number| format!("{name}_{number}"));
        suffixed.into_iter().find(|name| !(self.is_linked)(name))
    }

    fn free_name(&self) -> Option<String> {
        let numbers = NUMBERS.into_iter().flat_map(Iterator::rev);
        let mut names = numbers.map(|number| format!("md{number}"));
        names.find(|name| !(self.is_busy)(name) && self.config.is_free(name))
    }
}

/// Returns the last half of the UUID of arrays of version 0.90 that mdadm makes on a host: the start
/// of the SHA-1 digest of its name, as words of the machine.
fn host_digits(host: &str) -> [u8; 8] {
    let digest = Sha1::digest(host);
    let mut digits = [0; 8];
    for (to, from) in digits.chunks_exact_mut(4).zip(digest.chunks_exact(4)) {
        to.copy_from_slice(from);
        if cfg!(target_endian = "little") {
            to.reverse();
        }
    }
    digits
}

/// Returns the number and the link that a path or name of an ARRAY line stands for.
fn of_path(path: &str) -> Result<(Option<u32>, Option<String>), String> {
    let invalid = || format!("mdadm.conf: '{path}' is no name of an md device");
    let name = match (path.strip_prefix("/dev/md/"), path.strip_prefix("/dev/")) {
        (Some(name), _) => name,
        (None, Some(name)) => name
            .strip_prefix("md_d")
            .or_else(|| name.strip_prefix("md"))
            .filter(|number| digits(number).is_some())
            .ok_or_else(invalid)?,
        (None, None) => path,
    };
    if name.is_empty() || name.contains('/') || name == "." || name == ".." {
        return Err(invalid());
    }
    Ok((digits(name.strip_prefix('d').unwrap_or(name)), Some(name.to_owned())))
}

/// Returns the number in the name of an array: `0`, `md0`.
fn of_name(name: &str) -> Option<u32> {
    let name = name.strip_prefix("/dev/").unwrap_or(name);
    let name = name.strip_prefix("md").unwrap_or(name);
    digits(name.strip_prefix('/').unwrap_or(name))
}

fn digits(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::super::members::tests::metadata;
    use super::*;

    fn chosen(
        config: &str,
        version: Version,
        name: &str,
    ) -> Result<(String, Option<String>), String> {
        let mut parsed = Config::default();
        parsed.add_file("mdadm.conf", config, &mut Vec::new());
        let naming = Naming {
            config: &parsed,
            hostname: Some("pc"),
            is_busy: &|name| matches!(name, "md5" | "md126"),
            is_linked: &|name| matches!(name, "taken" | "free_0"),
        };
        let mut metadata = metadata("UU", 0, 10);
        metadata.version = version;
        metadata.name = name.to_owned();
        let line = parsed.array_line(&metadata, &["/dev/sda"])?;
        naming.choose(&metadata, line).map(|name| (name.kernel, name.link))
    }

    #[test]
    fn names_are_those_of_mdadm() {
        let all = "devices=/dev/sd*";
        for (config, name, want) in [
            (String::new(), "pc:root", "md127 root"),
            (String::new(), "pc:0", "md0 0"),
            (String::new(), "pc:md7", "md7 md7"),
            (String::new(), "any:0", "md0 0"),
            // Taken names and numbers.
            (String::new(), "pc:taken", "md127 taken_0"),
            (String::new(), "pc:5", "md127 5"),
            ("ARRAY /dev/md127 name=x\n".into(), "pc:root", "md125 root"),
            // Arrays of other hosts, or of none.
            (String::new(), "other:root", "md127 other:root"),
            (String::new(), "other:0", "md127 other:0"),
            (String::new(), "root", "md127 root_0"),
            (String::new(), "free", "md127 free_1"),
            (String::new(), "0", "md127 0_0"),
            (String::new(), "", "md127 -"),
            (String::new(), "pc:a/b c", "md127 a-b_c"),
            (String::new(), "pc:..", "md127 -"),
            ("HOMEHOST <ignore>".into(), "other:root", "md127 root"),
            ("HOMEHOST other".into(), "other:root", "md127 root"),
            ("HOMEHOST other".into(), "pc:root", "md127 pc:root"),
            ("CREATE names=yes".into(), "pc:root", "md_root root"),
            ("CREATE names=yes".into(), "pc:3", "md3 3"),
            // Arrays with a line.
            (format!("ARRAY /dev/md/sys {all}"), "other:root", "md127 sys"),
            (format!("ARRAY /dev/md/sys {all}"), "other:4", "md4 sys"),
            (format!("ARRAY /dev/md3 {all}"), "pc:root", "md3 -"),
            (format!("ARRAY /dev/md/3 {all}"), "pc:root", "md3 3"),
            (format!("ARRAY sys {all}"), "pc:root", "md127 sys"),
            (format!("ARRAY {all}"), "other:root", "md127 root"),
        ] {
            let (kernel, link) = chosen(&config, Version::V1_2, name).unwrap();
            assert_eq!(
                format!("{kernel} {}", link.as_deref().unwrap_or("-")),
                want,
                "{config} {name}"
            );
        }
        for (device, want) in [
            ("/dev/sys", "mdadm.conf: '/dev/sys' is no name of an md device"),
            ("/dev/md/a/b", "mdadm.conf: '/dev/md/a/b' is no name of an md device"),
            ("/dev/md5", "md5 is in use by another array"),
        ] {
            let got = chosen(&format!("ARRAY {device} {all}"), Version::V1_2, "pc:root");
            assert_eq!(got, Err(want.to_owned()));
        }
    }

    /// Version 0.90 keeps its number only if mdadm.conf has the array: the name is a number.
    #[test]
    fn version_0_has_a_number_for_a_name() {
        let got = |config| chosen(config, Version::V0_90, "2").unwrap();
        assert_eq!(got(""), ("md127".to_owned(), Some("2_0".to_owned())));
        assert_eq!(got("ARRAY devices=/dev/sda"), ("md2".to_owned(), Some("2".to_owned())));
    }

    /// The UUID is that of an array that mdadm has made with `--homehost=coldplug`.
    #[test]
    fn version_0_has_the_host_in_its_uuid() {
        let config = Config::default();
        let never = |_: &str| false;
        let name = |hostname| {
            let hostname = Some(hostname);
            let naming = Naming { config: &config, hostname, is_busy: &never, is_linked: &never };
            let mut metadata = metadata("UU", 0, 10);
            (metadata.version, metadata.name) = (Version::V0_90, "0".to_owned());
            // ca2e73276ac74979 in the memory of the machine.
            metadata.uuid[8..].copy_from_slice(&[0x27, 0x73, 0x2e, 0xca, 0x79, 0x49, 0xc7, 0x6a]);
            let DeviceName { kernel, link } = naming.choose(&metadata, None).unwrap();
            (naming.is_local(&metadata), kernel, link)
        };
        assert_eq!(name("coldplug"), (true, "md0".to_owned(), Some("0".to_owned())));
        assert_eq!(name("other"), (false, "md127".to_owned(), Some("0_0".to_owned())));
    }
}
