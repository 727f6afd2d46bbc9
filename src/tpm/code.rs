//! Response codes of the TPM, by the names of part 2.
//!
//! ```text
//! bit 7 set     an error of a handle, session or parameter: bits 0 to 5 error │ bit 6 of a parameter
//!               │ bits 8 to 11 its number, for sessions plus 8
//! 0x100 | N     an error of the command │ 0x900 | N: a warning, the command can be repeated
//! ```

use std::fmt;

/// The response code of an answer that reports an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseCode(pub u32);

/// Codes of handles, sessions and parameters, without these.
const FORMAT_ONE: [(u32, &str); 14] = [
    (0x81, "ASYMMETRIC"),
    (0x84, "VALUE"),
    (0x8a, "TYPE"),
    (0x8b, "HANDLE"),
    (0x8e, "AUTH_FAIL"),
    (0x95, "SIZE"),
    (0x9b, "SIGNATURE"),
    (0x9c, "KEY"),
    (0x9d, "POLICY_FAIL"),
    (0x9f, "INTEGRITY"),
    (0xa0, "TICKET"),
    (0xa2, "BAD_AUTH"),
    (0xa6, "CURVE"),
    (0xa7, "ECC_POINT"),
];

/// Codes without a place.
const OTHER: [(u32, &str); 14] = [
    (0x01e, "BAD_TAG"),
    (0x100, "INITIALIZE"),
    (0x101, "FAILURE"),
    (0x120, "DISABLED"),
    (0x128, "PCR_CHANGED"),
    (0x143, "COMMAND_CODE"),
    (0x902, "OBJECT_MEMORY"),
    (0x903, "SESSION_MEMORY"),
    (0x905, "SESSION_HANDLES"),
    (0x908, "YIELDED"),
    (0x90a, "TESTING"),
    (0x921, "LOCKOUT"),
    (0x922, "RETRY"),
    (0x923, "NV_UNAVAILABLE"),
];

impl ResponseCode {
    /// Returns the code without the handle, session or parameter that it is about.
    fn plain(self) -> u32 {
        if self.0 & 0x80 == 0 { self.0 } else { self.0 & 0xbf }
    }

    /// Reports whether the code has this name, without TPM_RC_.
    pub(crate) fn is(self, name: &str) -> bool {
        self.name() == Some(name)
    }

    fn name(self) -> Option<&'static str> {
        let table = if self.0 & 0x80 == 0 { &OTHER } else { &FORMAT_ONE };
        table.iter().find(|(code, _)| *code == self.plain()).map(|(_, name)| *name)
    }

    /// Reports whether the TPM asks for the same command again.
    pub(crate) fn asks_for_repetition(self) -> bool {
        ["RETRY", "YIELDED", "TESTING"].into_iter().any(|name| self.is(name))
    }
}

impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "TPM_RC_{name} ({:#x})", self.0),
            None => write!(f, "response code {:#x}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_names_of_the_specification() {
        for (code, want) in [
            (0x99d, "TPM_RC_POLICY_FAIL (0x99d)"),
            (0x98e, "TPM_RC_AUTH_FAIL (0x98e)"),
            (0x1df, "TPM_RC_INTEGRITY (0x1df)"),
            (0x18b, "TPM_RC_HANDLE (0x18b)"),
            (0x921, "TPM_RC_LOCKOUT (0x921)"),
            (0x922, "TPM_RC_RETRY (0x922)"),
            (0x128, "TPM_RC_PCR_CHANGED (0x128)"),
            (0x101, "TPM_RC_FAILURE (0x101)"),
            (0x7777_7777, "response code 0x77777777"),
            (0xffff_ffff, "response code 0xffffffff"),
        ] {
            assert_eq!(ResponseCode(code).to_string(), want);
        }
        assert!(ResponseCode(0x90a).asks_for_repetition());
        assert!(!ResponseCode(0x921).asks_for_repetition());
    }
}
