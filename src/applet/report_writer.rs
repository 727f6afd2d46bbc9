//! `report-writer milestones|record|capture PATH`: writes what it is sent, or a capture of the
//! machine, to the port or file PATH, and replies at the socket on descriptor 0. `init` starts it,
//! because a disk or a terminal may block.

use std::ffi::OsString;

use super::message::Error;
use crate::boot;
use crate::sys::{Root, process};

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    process::set_name(c"coldplug-report");
    let words: Vec<&str> = args.iter().skip(1).filter_map(|arg| arg.to_str()).collect();
    let [kind, path] = *words else {
        return Err(Error::Failed("wrong arguments: only init starts this command".into()));
    };
    boot::serve_report(&Root::default(), kind, path, std::io::stdin());
    Ok(())
}
