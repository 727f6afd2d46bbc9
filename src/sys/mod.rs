//! The kernel's face: one small function per fact or act.

mod map;
