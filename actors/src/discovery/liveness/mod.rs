//! Liveness of instances and nodes: connections to nodes, verification of endpoints, and their evidence.

pub(super) mod evidence;
pub(super) mod listed_services;
pub(super) mod nodes;
pub(super) mod verification;
