//! Networks as they are outside of laboratories.

mod diagnosis;
