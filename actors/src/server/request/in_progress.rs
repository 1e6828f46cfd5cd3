//! Messages in progress, counted by type.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Numbers of messages by the names of their types.
pub(crate) type CountsByType = BTreeMap<String, usize>;

/// A counter of the messages of one type that a handler has begun and will finish later. Each of them holds a clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct HandlerInProgress(Arc<()>);

impl HandlerInProgress {
    /// Returns the number of those messages.
    pub(crate) fn count(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}
