//! Names of ciphers, as dm-crypt and cryptsetup write them.
//!
//! ```text
//! aes-xts-plain64   aes-cbc-essiv:sha256   xchacha12,aes-adiantum-plain64   cipher - mode - IV
//! capi:xts(aes)-plain64                                             the kernel's name, IV
//! ```

/// A cipher with its mode and its IV.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cipher {
    /// Name of cipher and mode in the kernel: `xts(aes)`.
    pub(crate) kernel_name: String,
    pub(crate) iv: Iv,
}

/// How the IV of a sector is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Iv {
    /// There is none, or it is all zeros.
    Zero,
    /// Number of the sector, 32 bits, little-endian.
    Plain,
    /// Number of the sector, 64 bits, little-endian.
    Plain64,
    /// Number of the sector, 64 bits, big-endian, at the end.
    Plain64Be,
    /// Number of the sector, encrypted by a key that is the hash of the key.
    Essiv(String),
    /// Another one, which only the kernel knows.
    Other(String),
}

impl Cipher {
    /// Parses the name of a cipher.
    pub(crate) fn parse(name: &str) -> Self {
        let (kernel_name, iv) = match name.strip_prefix("capi:") {
            Some(rest) => {
                let (kernel, iv) = rest.rsplit_once('-').unwrap_or((rest, ""));
                (kernel.to_owned(), iv)
            }
            None => {
                let (cipher, mode) = name.split_once('-').unwrap_or((name, "cbc-plain"));
                let (mode, iv) = mode.split_once('-').unwrap_or((mode, ""));
                (format!("{mode}({cipher})"), iv)
            }
        };
        let iv = match iv {
            "" | "null" => Iv::Zero,
            "plain" => Iv::Plain,
            "plain64" => Iv::Plain64,
            "plain64be" => Iv::Plain64Be,
            other => match other.strip_prefix("essiv:") {
                Some(hash) => Iv::Essiv(hash.to_owned()),
                None => Iv::Other(other.to_owned()),
            },
        };
        Self { kernel_name, iv }
    }

    /// Returns whether it encrypts nothing.
    pub(crate) fn is_null(&self) -> bool {
        self.kernel_name.contains("cipher_null")
    }

    /// Returns the name of the cipher alone: `aes`.
    pub(crate) fn base(&self) -> &str {
        let name = &self.kernel_name;
        let from = name.find('(').map_or(0, |at| at + 1);
        name.get(from..).unwrap_or_default().trim_end_matches(')')
    }

    /// Returns the length of an IV in bytes.
    pub(super) fn iv_size(&self) -> usize {
        let name = self.kernel_name.as_str();
        if name.starts_with("ecb(") {
            0
        } else if name.starts_with("adiantum(") || name.starts_with("hctr2(") {
            32
        } else if ["blowfish", "cast5", "des", "anubis"].iter().any(|c| self.base().starts_with(c))
        {
            8
        } else {
            16
        }
    }

    /// Returns the aliases under which the kernel requests the modules of the cipher: `crypto-xts`.
    pub(crate) fn aliases(&self) -> Vec<String> {
        let mut aliases = Vec::new();
        let mut add = |name: &str| {
            let alias = format!("crypto-{name}");
            if !name.is_empty() && !aliases.contains(&alias) {
                aliases.push(alias);
            }
        };
        self.kernel_name.split(['(', ')', ',']).for_each(&mut add);
        match self.kernel_name.split('(').next() {
            // xts and lrw encrypt through ecb if the cipher has no form of its own.
            Some("xts" | "lrw") => add("ecb"),
            Some("adiantum") => add("nhpoly1305"),
            Some("hctr2") => ["xctr", "polyval"].into_iter().for_each(&mut add),
            _ => {}
        }
        if let Iv::Essiv(hash) = &self.iv {
            add("essiv");
            add(hash);
        }
        aliases
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let essiv = || Iv::Essiv("sha256".into());
        for (name, kernel, iv, base, aliases) in [
            ("aes-xts-plain64", "xts(aes)", Iv::Plain64, "aes", "xts aes ecb"),
            ("aes-cbc-essiv:sha256", "cbc(aes)", essiv(), "aes", "cbc aes essiv sha256"),
            ("aes-cbc-plain", "cbc(aes)", Iv::Plain, "aes", "cbc aes"),
            ("aes", "cbc(aes)", Iv::Plain, "aes", "cbc aes"),
            ("aes-ecb", "ecb(aes)", Iv::Zero, "aes", "ecb aes"),
            ("serpent-xts-plain64be", "xts(serpent)", Iv::Plain64Be, "serpent", "xts serpent ecb"),
            ("capi:xts(aes)-plain64", "xts(aes)", Iv::Plain64, "aes", "xts aes ecb"),
            ("aes-lrw-benbi", "lrw(aes)", Iv::Other("benbi".into()), "aes", "lrw aes ecb"),
            (
                "xchacha12,aes-adiantum-plain64",
                "adiantum(xchacha12,aes)",
                Iv::Plain64,
                "xchacha12,aes",
                "adiantum xchacha12 aes nhpoly1305",
            ),
            ("aes-hctr2-plain64", "hctr2(aes)", Iv::Plain64, "aes", "hctr2 aes xctr polyval"),
            (
                "capi:essiv(cbc(aes),sha256)-plain64",
                "essiv(cbc(aes),sha256)",
                Iv::Plain64,
                "cbc(aes),sha256",
                "essiv cbc aes sha256",
            ),
        ] {
            let cipher = Cipher::parse(name);
            assert_eq!((cipher.kernel_name.as_str(), &cipher.iv), (kernel, &iv), "{name}");
            assert_eq!(cipher.base(), base, "{name}");
            let want: Vec<_> = aliases.split(' ').map(|alias| format!("crypto-{alias}")).collect();
            assert_eq!(cipher.aliases(), want, "{name}");
        }
        assert!(Cipher::parse("cipher_null-ecb").is_null());
        for (name, size) in [
            ("aes-cbc-plain", 16),
            ("blowfish-cbc-plain", 8),
            ("aes-ecb", 0),
            ("aes-hctr2-plain64", 32),
            ("xchacha12,aes-adiantum-plain64", 32),
        ] {
            assert_eq!(Cipher::parse(name).iv_size(), size, "{name}");
        }
    }
}
