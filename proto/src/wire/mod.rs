//! The wire format of endpoints: frames, the handshake, catalogues, descriptions and refusals.

pub mod catalogue;
pub mod description;
pub mod fragments;
pub mod frame;
pub mod hello;
pub mod protocol;
pub mod refusal;
