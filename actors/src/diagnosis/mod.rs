//! TODO header of diagnosis.

pub mod diagnose;
pub mod diagnosis;
