//! What the tests and benchmarks of coldplug share.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`run`] | the main function of a test target: its tests, and what each needs |
//! | [`paths`], [`tool`], [`files`] | directories of the build, external commands, files of roots |
//! | [`transcript`], [`guest`] | commands and what is expected of them, in one format |
//! | [`apt`], [`kernel`], [`kmod34`] | packages of Debian: kernels to boot, kmod 34 |
//! | [`built_kernel`] | small kernels with options left out, built from Debian's source |
//! | [`own_modules`] | kernel modules written for the tests |
//! | [`image`], [`entry`] | initramfs images, and what is put into them |
//! | [`disk`], [`filesystem`] | disks with a root, in ext4 and in other filesystems |
//! | [`debian`] | a Debian 12 by debootstrap |
//! | [`made_disk`], [`recipe`] | disks of LUKS, LVM and md, made by the tools of Debian |
//! | [`machine`], [`arch`], [`qmp`], [`swtpm`] | a machine in QEMU, and what it reported; its TPM |
//! | [`ovmf`] | a machine that starts from its firmware |
//! | [`screen`] | the screen of a machine in text mode |
//! | [`record`], [`record_check`] | entries of the boot record; what holds for each record |
//! | [`captured`] | a captured machine, and the image that is built for it |
//! | [`measured`], [`sysfs_names`] | the machines that are measured, and the state that a boot leads to |
//! | [`peer_images`] | images that other programs build |
//! | [`results`], [`compared`], [`plot`] | what a benchmark has measured, as JSON; programs that do the same work; charts |
//! | [`supervisor`], [`fake_kernel`] | commands in a fake root under a fake kernel |

pub mod apt;
pub mod arch;
pub mod built_kernel;
pub mod captured;
pub mod compared;
pub mod debian;
pub mod disk;
pub mod entry;
pub mod fake_kernel;
pub mod files;
pub mod filesystem;
pub mod guest;
pub mod image;
pub mod kernel;
pub mod kmod34;
pub mod machine;
pub mod made_disk;
pub mod measured;
pub mod ovmf;
pub mod own_modules;
pub mod packages;
pub mod paths;
pub mod peer_images;
pub mod plot;
pub mod qmp;
pub mod recipe;
pub mod record;
pub mod record_check;
pub mod results;
pub mod run;
pub mod screen;
pub mod supervisor;
pub mod swtpm;
pub mod sysfs_names;
pub mod tool;
pub mod transcript;
