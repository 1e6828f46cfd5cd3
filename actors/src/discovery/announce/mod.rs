//! Announcements of the services of this node, and the interfaces that carry them.

pub(super) mod interfaces;
pub(super) mod services;
