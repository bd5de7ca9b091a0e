//! The one place from which every request reads what is in force.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use super::Live;

/// What is in force now; a reload replaces it as a whole.
#[derive(Debug)]
pub(crate) struct InForce(ArcSwap<Live>);

impl InForce {
    /// This is in force until something else is.
    pub(crate) fn new(live: Live) -> InForce {
        InForce(ArcSwap::from_pointee(live))
    }

    /// What is in force now, to be kept as long as it is needed.
    pub(crate) fn live(&self) -> Arc<Live> {
        self.0.load_full()
    }

    /// What is in force now, for an answer that waits for nothing.
    pub(crate) fn glance(&self) -> Guard<Arc<Live>> {
        self.0.load()
    }

    /// Puts something else in force, for all requests that come from now on.
    pub(crate) fn replace(&self, live: Live) {
        self.0.store(Arc::new(live));
    }
}
