//! Faults: what a network and its machines do, done on purpose, while somebody outside checks whether the mesh keeps its
//! promises.

mod bytes;
mod rig;
mod streams;
