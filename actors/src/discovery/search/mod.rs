//! Searches of the mesh: names that are sought, lists, watches, and the rounds of mDNS queries behind them.

pub(super) mod lists;
pub(super) mod query;
pub(super) mod searches;
pub(super) mod watch;
