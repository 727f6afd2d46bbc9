//! Derives the volume key of a LUKS device as the program in images does. The passphrase comes from
//! standard input; the exit status is 0 if it unlocks a key slot.

use coldplug::disk::luks::header::Header;
use std::io::{self, Read};
use std::process::ExitCode;

fn main() -> io::Result<ExitCode> {
    let path = std::env::args_os().nth(1).ok_or(io::ErrorKind::InvalidInput)?;
    let device = std::fs::read(path)?;
    let mut secret = Vec::new();
    io::stdin().read_to_end(&mut secret)?;
    let header = Header::read(&&device[..]).map_err(|error| io::Error::other(error.to_string()))?;
    let is_open = header.volume_key(&&device[..], &secret, None).is_some();
    Ok(if is_open { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
