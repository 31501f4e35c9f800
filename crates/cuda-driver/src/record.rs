//! What failed last, for messages.

use std::cell::Cell;

/// A driver call that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// The call, as in `cuda.h`.
    pub call: &'static str,
    /// The driver's own code, which cust may not know.
    pub code: u32,
}

thread_local! {
    static LAST: Cell<Option<Failure>> = const { Cell::new(None) };
}

/// Takes the failure of this thread's last failed call, so that a later error is not blamed on it.
pub fn last_failure() -> Option<Failure> {
    LAST.take()
}

pub(crate) fn record(call: &'static str, code: u32) {
    if code != 0 {
        LAST.set(Some(Failure { call, code }));
    }
}
