//! Runs a command in a virtual machine: the command line of QEMU, and the streams between it and
//! this process. What it does on its own: it starts QEMU, and virtiofsd if the root needs it, and
//! kills both when the run ends.

mod command_line;
mod emulator;
mod guest;
mod kernel_file;
mod shared_root;

pub(crate) use command_line::{GuestSpec, SCRIPT_FILE};
pub(crate) use emulator::Emulator;
pub(crate) use guest::{Guest, Outcome};
pub(crate) use kernel_file::{Architecture, HEAD as KERNEL_HEAD, KernelFile};
pub(crate) use shared_root::SharedFilesystem;
