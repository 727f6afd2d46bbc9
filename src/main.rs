//! The door: the arguments go in, an exit code comes out.

use std::process::ExitCode;

fn main() -> ExitCode {
    coldplug::applet::main(std::env::args_os())
}
