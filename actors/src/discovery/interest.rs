//! The interest of this node in the services of others.

use meshzero_proto::discovery::directory::{Directory, Instance};
use meshzero_proto::id::InstanceId;

use crate::discovery::liveness::nodes::Liveness;
use crate::discovery::search::searches::Searches;
use crate::discovery::search::watch::Watchers;

/// The parts of discovery that are affected if an instance comes or goes.
#[derive(Clone, Copy)]
pub(super) struct Interest<'a> {
    pub(super) liveness: &'a Liveness,
    pub(super) watchers: &'a Watchers,
    pub(super) searches: &'a Searches,
}

impl Interest<'_> {
    /// Returns whether an instance matters here: it is watched or sought, or this node monitors all nodes.
    pub(super) fn includes(self, id: InstanceId, directory: &Directory) -> bool {
        directory.candidate(id).is_some_and(|Instance { service: name, .. }| {
            self.liveness.is_monitoring() || self.watchers.want(&name) || self.searches.is_seeking(&name)
        })
    }
}
