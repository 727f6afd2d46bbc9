//! `led-blinker NAME`: shows the states that arrive at the socket on descriptor 0 by the LED NAME.
//! `init` starts it, because the driver of an LED may sleep.

use std::ffi::OsString;

use super::message::Error;
use crate::boot;
use crate::byte_text;
use crate::sys::{Root, process};

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    process::set_name(c"coldplug-led");
    let Some(name) = args.get(1) else {
        return Err(Error::Failed("wrong arguments: only init starts this command".into()));
    };
    boot::serve_led(&Root::default(), &byte_text::from_path(name), std::io::stdin());
    Ok(())
}
