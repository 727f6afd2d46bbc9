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
//!                 list_output     or a list for gen_init_cpio, with the files that it needs
//! ```
//!
//! `update` keeps the images of the installed kernels up to date, as image.conf (`conf`) says; it
//! puts a new image in place when `verify` has read it back, and `installed` knows which are stale.
//!
//! Reading goes the other way, for images of any program:
//!
//! ```text
//! image ─► read (parts, codec) ─► newc::Reader ─► Visitor: lines, Totals, Unpacked
//!                                                                           │
//!                                                  extract, cat, diff ◄─────┘
//! ```
//!
//! The same input produces the same bytes: paths are in byte order, all entries have one date, and
//! no encoder depends on the number of processors.

mod build;
mod cache;
pub(crate) mod cat;
mod codec;
pub(crate) mod conf;
pub(crate) mod diff;
mod digest;
mod error;
pub(crate) mod extract;
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
pub(crate) mod installed;
pub(crate) mod list;
mod list_output;
mod manifest;
pub mod newc;
mod options;
mod output;
mod pack;
pub(crate) mod pattern;
mod programs;
pub(crate) mod read;
mod reasons;
mod select;
pub(crate) mod sets;
mod shell;
mod source;
pub(crate) mod totals;
mod tree;
mod unpacked;
pub(crate) mod update;
mod verify;
pub(crate) mod visitor;

pub(crate) use build::build;
pub(crate) use cache::CacheChoice;
pub(crate) use error::Error;
pub(crate) use init::Init;
pub(crate) use options::{Modules, Options};
pub(crate) use output::Compress;
pub(crate) use pack::ModuleFormat;
pub(crate) use shell::Shell;
