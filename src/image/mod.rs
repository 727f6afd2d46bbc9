//! Initramfs images: the selection of their content, and the newc archive.
//!
//! ```text
//! command line ─► Options ─► Tree      index files (generated if there are none), modprobe.d
//!                              │
//! captures, host ─► machine_needs      the modules that a boot on these machines would load
//!                              │
//!                           select     the requested modules and their closure, for each Kernel
//!                              │
//! file list ─────────────► Manifest ◄─ index files
//!                              │
//!                         programs     can the kernel execute them?
//!                              │
//!                           pack       modules packed on all processors, or taken from the Cache
//!                              │
//! firmware they name ────► Manifest    without optional_firmware, which only some machines need;
//!                              │       written in path order
//!                              ▼
//! microcode ───► newc::Writer ─► Output (compressed as a whole, renamed when complete)
//!                 list_output     or a list for gen_init_cpio, with the files that it needs
//!                 manifest_file   what the image holds and why, if that is wanted
//! ```
//!
//! `update` keeps the images of the installed kernels up to date, as image.conf (`conf`) says; it
//! puts a new image in place when it has passed the `check`, and `installed` knows which are stale.
//!
//! Reading goes the other way, for images of any program:
//!
//! ```text
//! image ─► read (parts, codec) ─► newc::Reader ─► Visitor: lines, Totals, Unpacked
//!                                                                           │
//!                                           extract, cat, diff, check ◄─────┘
//! ```
//!
//! The same input produces the same bytes: paths are in byte order, all entries have one date, and
//! no encoder depends on the number of processors.

mod appended;
mod build;
mod cache;
pub(crate) mod cat;
pub(crate) mod check;
mod codec;
mod compress;
pub(crate) mod conf;
pub(crate) mod diff;
mod digest;
mod error;
pub(crate) mod extract;
mod file_list;
mod firmware;
mod fsck;
mod host;
#[cfg(feature = "stacks")]
mod host_config;
#[cfg(not(feature = "stacks"))]
#[path = "no_host_config.rs"]
mod host_config;
mod include;
mod indexes;
mod init;
pub(crate) mod installed;
mod kernel;
mod kernel_config;
mod keymap;
mod libraries;
pub(crate) mod list;
mod list_output;
mod machine_needs;
mod manifest;
mod manifest_file;
mod microcode;
mod missing_firmware;
mod module_lists;
pub mod newc;
mod optional_firmware;
mod options;
mod output;
mod pack;
pub(crate) mod pattern;
mod programs;
pub(crate) mod read;
mod reasons;
mod roots;
mod select;
pub(crate) mod sets;
mod shell;
mod source;
mod summary;
pub(crate) mod totals;
mod tree;
mod trimmed_indexes;
mod unpacked;
pub(crate) mod update;
pub(crate) mod visitor;

pub(crate) use appended::append_file;
pub(crate) use build::{build, build_with_progress};
pub(crate) use cache::CacheChoice;
pub(crate) use compress::Compress;
pub(crate) use error::Error;
pub(crate) use fsck::Fsck;
pub(crate) use include::Include;
pub(crate) use init::Init;
pub(crate) use keymap::Keymap;
pub(crate) use microcode::Choice as MicrocodeChoice;
pub(crate) use options::{Extra, Modules, Options};
pub(crate) use pack::ModuleFormat;
pub(crate) use shell::Shell;
