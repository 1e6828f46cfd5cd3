//! This host's network as the system reports it: interfaces, their kinds and changes, neighbours and routers.

pub(crate) mod announced_addresses;
pub(crate) mod changes;
pub(crate) mod interfaces;
pub(crate) mod kind;
pub(crate) mod neighbours;
pub(crate) mod routers;
pub(crate) mod sysfs;
