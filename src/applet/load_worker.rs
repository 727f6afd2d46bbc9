//! `load-worker DIR kernel|user`: loads modules of DIR for the tasks that arrive at the socket on
//! descriptor 0. `init` starts it; the second argument says whether the kernel decompresses the
//! files that it can.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::sync::Arc;

use super::message::Error;
use crate::load::{self, Inserter};
use crate::sys::module::Kernel;
use crate::sys::{Root, process, sysfs};

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    let socket = std::io::stdin().as_fd().try_clone_to_owned();
    let (Some(dir), Some(decode), Ok(socket)) = (args.get(1), args.get(2), socket) else {
        return Err(Error::Failed("wrong arguments: only init starts this command".into()));
    };
    process::set_name(c"coldplug-load");
    let root = Root::default();
    let kernel = (decode == "kernel").then(|| sysfs::kernel_compression(&root)).flatten();
    let inserter = Inserter { ops: Arc::new(Kernel), dir: dir.into(), kernel };
    load::worker_main(root, inserter, socket);
    Ok(())
}
