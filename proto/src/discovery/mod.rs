//! Discovery without sockets: adverts, addresses, mDNS queries and replies, and the directory of known instances.

pub mod addresses;
pub mod advert;
pub mod directory;
pub mod peer;
pub mod query;
