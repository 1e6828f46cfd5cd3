//! Evidence that instances and nodes are alive: connections to nodes, verification of endpoints, and signs of life.

pub(super) mod evidence;
pub(super) mod listed_services;
pub(super) mod nodes;
pub(super) mod verification;
