//! `semihosting-exit STATUS`: ends the virtual machine. `init` starts it, because the instruction is
//! an illegal one on a machine without semihosting.

use std::ffi::OsString;

use super::message::Error;
use crate::sys::exit_port::end_by_semihosting;

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    let status = args.get(1).and_then(|word| word.to_str()?.parse().ok());
    let Some(status) = status else {
        return Err(Error::Failed("wrong arguments: only init starts this command".into()));
    };
    end_by_semihosting(status);
    Ok(())
}
