//! Machines as texts: what `coldplug scan --capture` writes and `coldplug plan --from` reads. Pure.

pub mod capture;
