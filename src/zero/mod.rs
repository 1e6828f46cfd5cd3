//! NetworkZero's verbs: blocking functions for beginners, usable from any thread.
//!
//! There is nothing to set up and no handle to keep: the first verb joins the mesh with a node that the program does not see, on a
//! thread of its own. So the verbs work in a plain `fn main`, inside an actix System and inside tokio alike. (There they block the
//! thread that calls them; async code has [`Mesh`](crate::Mesh).)
//!
//! One program advertises a name:
//!
//! ```no_run
//! use meshzero::zero;
//!
//! fn main() -> Result<(), zero::ZeroError> {
//!     let address = zero::advertise("hello")?;
//!     while let Some(name) = zero::wait_for_message_from::<String>(address, zero::FOREVER)? {
//!         zero::send_reply_to(address, format!("Hello, {name}!"))?;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! and another one, on any computer of the same network, uses it:
//!
//! ```no_run
//! use meshzero::zero;
//!
//! fn main() -> Result<(), zero::ZeroError> {
//!     let hello = zero::discover("hello", 10)?;
//!     let reply: String = zero::send_message_to(hello, "World", 5)?;
//!     println!("{reply}");
//!     Ok(())
//! }
//! ```
//!
//! # The verbs
//! | NetworkZero | here |
//! |---|---|
//! | `advertise(name)` | [`advertise`]`(name)` |
//! | `advertise(name, address)` | [`advertise_at`]`(name, address)` |
//! | `advertise(name, fail_if_exists=True)` | [`advertise_with`]`(name, Advert { if_exists: IfExists::Fail, .. })` |
//! | at exit | [`unadvertise`]`(name)`, [`close`]`()` |
//! | `discover(name, wait_for_s)` | [`discover`]`(name, wait)` |
//! | `discover_all()` | [`discover_all`]`(wait)` |
//! | `discover_group(group)` | [`discover_group`]`(group, wait)` |
//! | `discover_group(group, separator, exclude)` | [`discover_group_with`]`(group, wait, Group { separator, exclude })` |
//! | `send_message_to(address, message, wait)` | [`send_message_to`]`(address, message, wait)` |
//! | `wait_for_message_from(address, wait)` | [`wait_for_message_from`]`(address, wait)` |
//! | `wait_for_message_from(…, autoreply=True)` | [`wait_for_message_from_autoreply`]`(address, wait)` |
//! | `send_reply_to(address, reply)` | [`send_reply_to`]`(address, reply)` |
//! | `send_news_to(address, topic, data)` | [`send_news_to`]`(address, topic, data)` |
//! | `wait_for_news_from(addresses, prefixes, wait)` | [`wait_for_news_from`]`(addresses, prefixes, wait)` |
//! | `address()` | [`address()`] |
//! | `address("192.168.*")` | [`address_at`]`("192.168.*")` |
//! | `action_and_params(line)` | [`action_and_params`]`(line)` |
//! | `bytes_to_string`, `string_to_bytes` | [`bytes_to_string`], [`string_to_bytes`] |
//!
//! A wait is [`FOREVER`], seconds (`5`, `0.5`), or a [`Duration`](std::time::Duration); `0` takes only what is there already.
//! Messages, replies and news are of any type that serde supports; the receiver chooses the type, and [`Value`](crate::Value) accepts
//! any. An [`Address`] is returned by the verbs, or given as text (`"192.168.1.7:9000"`).
//!
//! # Differences
//! - One address serves both messages and news. NetworkZero needs one for each.
//! - A call that timed out is an error, after which everything remains usable; in NetworkZero the program must be restarted. A wait
//!   that timed out returns `None`, and a name that is not found is an error that lists the names that were received instead.
//! - Any number of callers are served in the order of arrival, except those that no longer wait. Several threads may wait at one
//!   address, and each replies to the messages that it received. In NetworkZero a second thread is an error.
//! - A thread that waits again without having replied continues: the earlier caller gets an error. In NetworkZero the thread gets the
//!   error, and the caller blocks forever.
//! - Bytes are values: send `Value::from(bytes)`, and receive a `Vec<u8>` or a [`Value`](crate::Value). A `Vec<u8>` that is sent as it
//!   is travels as a list of numbers, which is received correctly but is longer.
//! - The first items after a subscription are never lost, nothing is lost between two waits, and if more than 1,024 items are queued,
//!   the next wait reports how many were dropped. No verb sleeps for half a second.
//! - `advertise` listens at once, and a name exists until its program ends: there is no `ttl_s`. Another program may advertise the same
//!   name as well; the same program keeps its address, moves the name with [`advertise_at`], or offers one more instance with
//!   [`IfExists::AnotherInstance`].
//! - `discover_group` takes a wait, and names may have 128 bytes.
//!
//! # Exit
//! A program that returns from `main` leaves the mesh automatically where the operating system allows it; see [`close`].

mod address;
mod advertise;
mod closing;
mod discover;
mod endpoint;
mod error;
pub mod fork;
pub mod future;
mod global;
mod into_address;
mod listener;
mod mailbox;
mod message;
mod news;
mod news_filter;
mod node;
mod queue;
mod remotes;
mod reserved;
mod text;
mod thread_state;
mod wait;

pub use address::Address;
pub use advertise::{
    Advert, address, address_at, advertise, advertise_at, advertise_with, advertised, begin_advertise,
    begin_unadvertise, unadvertise, unadvertise_at,
};
pub use closing::Closing;
pub use discover::{Group, discover, discover_all, discover_group, discover_group_with};
pub use endpoint::IfExists;
pub use error::ZeroError;
pub use global::{close, join};
pub use into_address::{IntoAddress, IntoAddresses};
pub use message::{send_message_to, send_reply_to, wait_for_message_from, wait_for_message_from_autoreply};
pub use news::{IntoPrefixes, send_news_to, wait_for_news_from};
pub use text::{action_and_params, bytes_to_string, string_to_bytes};
pub use wait::{FOREVER, Wait};
