//! The place where a failed boot is stored: `coldplug.persist=`.
//!
//! ```text
//! NAME          a device that holds nothing else
//! NAME:/PATH    a file on the filesystem of a device
//! ```
//!
//! NAME is a name of a device as `root=` knows it. A name holds no `:/`.

use std::fmt;

use super::root_name::RootName;

/// Where a failed boot is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreName {
    /// The device.
    pub(crate) device: RootName,
    /// Path of the file on its filesystem, without the slash; `None` for the device itself.
    pub(crate) path: Option<String>,
}

impl StoreName {
    /// Parses a name. Returns `None` if it names no device.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (device, path) = match text.split_once(":/") {
            Some((device, path)) => (device, Some(path.trim_start_matches('/'))),
            None => (text, None),
        };
        let device = RootName::parse(device)?;
        let is_device = device.may_be_block_device() && device != RootName::GptAuto;
        let is_file = path.is_none_or(|path| !path.is_empty());
        (is_device && is_file).then(|| Self { device, path: path.map(str::to_owned) })
    }
}

impl fmt::Display for StoreName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.device.fmt(f)?;
        self.path.as_ref().map_or(Ok(()), |path| write!(f, ":/{path}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_device_or_a_file_on_it() {
        let store =
            |device, path: Option<&str>| Some(StoreName { device, path: path.map(str::to_owned) });
        let label = || RootName::Label("data".to_owned());
        for (text, want) in [
            ("PARTLABEL=crash", store(RootName::PartLabel("crash".to_owned()), None)),
            ("LABEL=data:/var/boot", store(label(), Some("var/boot"))),
            ("LABEL=data://x", store(label(), Some("x"))),
            ("/dev/vdb", store(RootName::Device("/dev/vdb".to_owned()), None)),
            ("8:1", store(RootName::Number(8, 1), None)),
            ("", None),
            ("LABEL=data:/", None),
            ("LABEL=:/x", None),
            ("UUID=", None),
            (":/var/boot", None),
            ("gpt-auto", None),
            ("nonsense", None),
        ] {
            let found = StoreName::parse(text);
            assert_eq!(found, want, "{text}");
            if let Some(found) = found {
                assert_eq!(StoreName::parse(&found.to_string()), Some(found), "{text}");
            }
        }
    }
}
