//! `mount-worker NUMBER`: mounts filesystems, and does whatever else may block on the way to the
//! root, for the requests that arrive at the socket on descriptor 0. `init` starts it; NUMBER
//! counts the workers of a boot.

use std::ffi::OsString;

use super::message::Error;
use crate::boot;
use crate::sys::{Root, process};

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    let Some(number) = args.get(1).and_then(|arg| arg.to_str()?.parse().ok()) else {
        return Err(Error::Failed("wrong arguments: only init starts this command".into()));
    };
    process::set_name(c"coldplug-mount");
    boot::serve_mounts(Root::default(), number, std::io::stdin());
    Ok(())
}
