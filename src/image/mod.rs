//! Initramfs images: the selection of their content, and the newc archive.
//!
//! ```text
//! command line ─► Options ─► Tree      index files (generated if there are none), modprobe.d
//!                              │
//!                           select     the requested modules and their closure
//!                              │
//! file list ─────────────► Manifest ◄─ index files
//!                              │
//!                         programs     can the kernel execute them?
//!                              │
//!                           pack       modules packed on all processors, or taken from the Cache
//!                              │
//! firmware they name ────► Manifest    written in path order
//!                              ▼
//!                 newc::Writer ─► Output (compressed as a whole, renamed when complete)
//! ```
//!
//! `update` keeps the images of the installed kernels up to date, as image.conf (`conf`) says; it
//! puts a new image in place when `verify` has read it back.
//!
//! The same input produces the same bytes: paths are in byte order, all entries have one date, and
//! no encoder depends on the number of processors.

mod build;
mod cache;
pub(crate) mod conf;
mod error;
mod file_list;
mod firmware;
#[cfg(feature = "stacks")]
mod host_config;
#[cfg(not(feature = "stacks"))]
#[path = "no_host_config.rs"]
mod host_config;
mod indexes;
mod init;
mod inside;
pub(crate) mod list;
mod manifest;
pub mod newc;
mod options;
mod output;
mod pack;
mod programs;
pub(crate) mod read;
mod select;
pub(crate) mod sets;
mod shell;
mod source;
mod tree;
pub(crate) mod update;
mod verify;

pub(crate) use build::build;
pub(crate) use cache::CacheChoice;
pub(crate) use error::Error;
pub(crate) use init::Init;
pub(crate) use options::{Modules, Options};
pub(crate) use output::Compress;
pub(crate) use pack::ModuleFormat;
pub(crate) use shell::Shell;
