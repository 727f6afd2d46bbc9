//! Unlocks a LUKS device as the program in images does. The passphrase comes from standard input; the
//! exit status is 0 if it opens a key slot.

use coldplug::stacks::luks;
use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;

fn main() -> io::Result<ExitCode> {
    let path = std::env::args_os().nth(1).ok_or(io::ErrorKind::InvalidInput)?;
    let mut secret = Vec::new();
    io::stdin().read_to_end(&mut secret)?;
    let is_open = luks::unlocks(Path::new(&path), &secret);
    Ok(if is_open { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
