//! Hosts as they are in the field: real `mz` on networks of namespaces that are set up as people's are.

mod addresses;
mod translation;
