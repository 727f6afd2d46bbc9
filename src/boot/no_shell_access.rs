//! Without the feature `full` there is no shell.

use crate::sys::Root;

/// What a shell needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ShellAccess {
    /// Nothing.
    Open,
    /// There is no shell, for this reason.
    Refused(String),
}

/// Notes nothing.
pub(super) fn set(_: &Root, _: bool) {}

/// Returns that nothing guards a shell.
pub(super) fn is_guarded() -> bool {
    false
}

/// Does nothing: every shell is refused.
pub(super) fn refuse_without_password() {}

/// Returns why there is no shell.
pub(super) fn current(_: &Root) -> ShellAccess {
    ShellAccess::Refused("this coldplug has none".to_owned())
}
