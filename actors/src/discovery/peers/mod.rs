//! Links between the discovery actors of two nodes: dialling, the table of links, and the updates that travel over them.

pub(super) mod address_verification;
pub(super) mod dial;
pub(super) mod link;
pub(super) mod static_peers;
pub(super) mod table;
pub(super) mod updates;
