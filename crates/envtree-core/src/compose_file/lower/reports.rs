//! What is found while a file is read, to be told together.

use std::cell::RefCell;

use crate::compose_file::node::{Diagnostic, Place};
use crate::host_path::HostPath;

/// What was found wrong so far.
#[derive(Debug, Default)]
pub(super) struct Reports {
    pub(super) errors: RefCell<Vec<Diagnostic>>,
    pub(super) warnings: RefCell<Vec<Diagnostic>>,
    /// What can be shown, but runs on no Engine.
    pub(super) refused: RefCell<Vec<Diagnostic>>,
    /// The paths of the host that services mount and volumes stand for.
    pub(super) binds: RefCell<Vec<HostPath>>,
}

impl Reports {
    pub(super) fn error(&self, place: &Place, message: String) {
        let place = place.clone();
        self.errors.borrow_mut().push(Diagnostic { place, message });
    }

    pub(super) fn warn(&self, place: &Place, message: String) {
        let place = place.clone();
        self.warnings.borrow_mut().push(Diagnostic { place, message });
    }

    pub(super) fn refuse(&self, place: &Place, message: String) {
        let place = place.clone();
        self.refused.borrow_mut().push(Diagnostic { place, message });
    }
}
