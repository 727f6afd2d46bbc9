//! `script-reader NAME`: fetches the script NAME of `coldplug.exec=@NAME`, and replies at the socket
//! on descriptor 0. `init` starts it, because a port may have no other end.

use std::ffi::OsString;
use std::path::Path;

use super::message::Error;
use crate::boot;
use crate::sys::{Root, process};

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    process::set_name(c"coldplug-script");
    let [_, name] = args else {
        return Err(Error::Failed("wrong arguments: only init starts this command".into()));
    };
    boot::serve_script(&Root::default(), Path::new(name), std::io::stdin());
    Ok(())
}
