//! Everything that two endpoints exchange: frames, the handshake, catalogues, descriptions and refusals.

pub mod catalogue;
pub mod description;
pub mod frame;
pub mod hello;
pub mod pieces;
pub mod protocol;
pub mod refusal;
