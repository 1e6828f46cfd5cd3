//! The diagnosis of an error: observations of this host, made when an error is made, and their result.

pub mod diagnose;
pub mod result;
