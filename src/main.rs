//! Entry point of the program.

use std::process::ExitCode;

fn main() -> ExitCode {
    coldplug::applet::main(std::env::args_os())
}
