//! Commands and answers of a TPM 2.0, as far as a sealed key needs them.
//!
//! Reference: TCG, Trusted Platform Module Library, parts 2 (structures) and 3 (commands).
