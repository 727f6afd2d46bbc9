//! Password hashes of crypt(5): sha512crypt and sha256crypt.
//!
//! ```text
//! $6$SALT$HASH                 6: SHA-512, 86 characters; 5: SHA-256, 43 characters
//! $6$rounds=N$SALT$HASH        SALT: at most 16 characters; N: 1000 to 999999999, default 5000
//! ```

use std::fmt;

/// The digits of HASH, 6 bits each.
const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Longest salt that crypt(3) uses.
const MAX_SALT: usize = 16;
/// Most rounds that are accepted: more would take minutes.
const MAX_ROUNDS: u32 = 10_000_000;

/// A function that makes the hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Sha256,
    Sha512,
}

/// A password hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PasswordHash {
    method: Method,
    rounds: u32,
    salt: String,
    hash: String,
}

/// A text that is no hash of a kind that is supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadHash;

impl fmt::Display for BadHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a password hash of crypt(5) that begins with $6$ or $5$")
    }
}

impl std::error::Error for BadHash {}

impl PasswordHash {
    /// Parses one line of text.
    ///
    /// # Errors
    /// It is malformed, or of another method than SHA-512 and SHA-256.
    pub(crate) fn parse(text: &str) -> Result<Self, BadHash> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let (method, rest) = match text.split_at_checked(3) {
            Some(("$6$", rest)) => (Method::Sha512, rest),
            Some(("$5$", rest)) => (Method::Sha256, rest),
            _ => return Err(BadHash),
        };
        let (rounds, rest) = match rest.strip_prefix("rounds=") {
            Some(rest) => {
                let (number, rest) = rest.split_once('$').ok_or(BadHash)?;
                (number.parse().map_err(|_| BadHash)?, rest)
            }
            None => (sha_crypt::Params::RECOMMENDED_ROUNDS, rest),
        };
        let (salt, hash) = rest.split_once('$').ok_or(BadHash)?;
        let length = if method == Method::Sha512 { 86 } else { 43 };
        let good = (sha_crypt::Params::ROUNDS_MIN..=MAX_ROUNDS).contains(&rounds)
            && salt.len() <= MAX_SALT
            && salt.bytes().all(|b| b.is_ascii_graphic() && b != b':')
            && hash.len() == length
            && hash.bytes().all(|b| DIGITS.contains(&b));
        let (salt, hash) = (salt.to_owned(), hash.to_owned());
        if good { Ok(Self { method, rounds, salt, hash }) } else { Err(BadHash) }
    }

    /// Returns whether this is the hash of `password`.
    pub(crate) fn is_of(&self, password: &[u8]) -> bool {
        let Ok(params) = sha_crypt::Params::new(self.rounds) else { return false };
        let salt = self.salt.as_bytes();
        let hash = match self.method {
            Method::Sha512 => {
                let digest = sha_crypt::sha512_crypt(password, salt, params);
                text(&digest, 21, 22, &digest[63..])
            }
            Method::Sha256 => {
                let digest = sha_crypt::sha256_crypt(password, salt, params);
                text(&digest, 10, 21, &digest[30..])
            }
        };
        // Without an early end, whose time would tell how much is right.
        let pairs = hash.bytes().zip(self.hash.bytes());
        hash.len() == self.hash.len() && pairs.fold(0, |found, (a, b)| found | (a ^ b)) == 0
    }
}

/// Returns the digits of a digest. Each group of four digits is made of three bytes that lie
/// `third` bytes apart; the next group begins `step` bytes after the one before. `rest` holds the
/// bytes that fill no group.
fn text(digest: &[u8], third: usize, step: usize, rest: &[u8]) -> String {
    let mut digits = String::new();
    let grouped = third * 3;
    let byte = |at: usize| u32::from(digest[at % grouped]);
    for group in 0..third {
        let at = group * step;
        push(&mut digits, [byte(at), byte(at + third), byte(at + 2 * third)], 4);
    }
    match *rest {
        [one] => push(&mut digits, [0, 0, one.into()], 2),
        [one, two] => push(&mut digits, [0, two.into(), one.into()], 3),
        _ => {}
    }
    digits
}

/// Appends the lowest `count` digits of three bytes, the lowest digit first.
fn push(digits: &mut String, [high, middle, low]: [u32; 3], count: u32) {
    let bits = high << 16 | middle << 8 | low;
    digits.extend((0..count).map(|at| char::from(DIGITS[(bits >> (6 * at) & 63) as usize])));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Passwords and hashes that crypt(3) of libxcrypt made.
    const KNOWN: [(&str, &str); 6] = [
        (
            "Hello world!",
            "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnI\
             FNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
        ),
        (
            "a longer password with spaces, of more than 64 bytes, as in a passphrase",
            "$6$rounds=1400$anotherlongsalt$Usplkyrf/9uf.Q/BANdvUDO3G6YgV\
             8dz83ocTJW9QcrBVd0lCaqZnoklYuywRfdnwRQn3ennbNWnMqMOZpFYp/",
        ),
        (
            "",
            "$6$a$Z6IPkDduHdwavesVY2NFMpOHkigshxPYdhfLg0D3A7/XFQcso9RV2E8\
             qczyJ2su.dj6RRLaTpvgwN1rZfK0I9.",
        ),
        (
            "geheim",
            "$6$rounds=1000$coldplug$JQlkvh9ozbJvUJw2Pme6LZFJw9ukH7AO/BV6\
             yvLdQlAq7XG8nWJknTHhrJtlNyJFIopa9mPU9S8UovHyPDUeZ0",
        ),
        ("Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
        (
            "a longer password with spaces, of more than 64 bytes, as in a passphrase",
            "$5$rounds=10000$saltstringsaltst$BGzox8xQMytl34BIhEDVdKw0CNDLnQBt5rHhDuUl7k2",
        ),
    ];

    #[test]
    fn known_passwords_match_and_others_do_not() {
        for (password, text) in KNOWN {
            let hash = PasswordHash::parse(text).unwrap();
            assert!(hash.is_of(password.as_bytes()), "{text}");
            for wrong in [format!("{password} "), password.to_uppercase() + "x", "x".into()] {
                assert!(!hash.is_of(wrong.as_bytes()), "{text}: {wrong}");
            }
        }
    }

    #[test]
    fn other_texts_are_no_hash() {
        let (_, good) = KNOWN[4];
        assert!(PasswordHash::parse(&format!("{good}\n")).is_ok());
        let tail = good.rsplit_once('$').unwrap().1;
        for bad in [
            String::new(),
            "\n".into(),
            "secret".into(),
            "$6$".into(),
            "$1$salt$5UHz9GfNzvXj5bAsjfIrp/".into(),
            "$y$j9T$x$y".into(),
            "*".into(),
            "!".into(),
            good[..good.len() - 1].into(),
            format!("{good}x"),
            format!("{good}\n\n"),
            format!("{good}\nroot"),
            format!("$6$saltstring${tail}"),
            format!("$5$saltstringsaltstr${tail}"),
            format!("$5$rounds=999$salt${tail}"),
            format!("$5$rounds=10000001$salt${tail}"),
            format!("$5$rounds=x$salt${tail}"),
            format!("$5$rounds=5000${tail}"),
            format!("$5$sa:t${tail}"),
            good.replace('.', "é"),
        ] {
            assert_eq!(PasswordHash::parse(&bad), Err(BadHash), "{bad:?}");
        }
    }
}
