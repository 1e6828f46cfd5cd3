//! Load generators: closed loop, open loop, and messages without a reply.

pub(super) mod one_way;
pub(super) mod open_loop;
pub(super) mod sender;
