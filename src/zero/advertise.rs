//! The verbs for addresses of this program, with or without a name.

use super::address::Address;
use super::closing::Closing;
use super::endpoint::{EndpointOptions, IfExists};
use super::error::ZeroError;
use super::global;

/// Advertises `name` on the mesh, and returns the address of its messages and news: on every network interface, at a free port from
/// 49152 on, unless [`Join::ports`](crate::Join::ports) or `MESHZERO_PORTS` says otherwise. Until the program ends, others can
/// [`discover`](super::discover) it.
///
/// A name that this program advertises already keeps its address. Other programs may advertise the same name:
/// [`discover`](super::discover) finds one of them, [`discover_all`](super::discover_all) lists them all.
///
/// # Errors
/// [`ZeroError::Advertise`] if the name is not valid: a name has 1 to 128 bytes and no control characters.
///
/// ```no_run
/// use meshzero::zero;
///
/// let address = zero::advertise("hello")?;
/// println!("hello is at {address}");
/// # Ok::<(), zero::ZeroError>(())
/// ```
pub fn advertise(name: impl AsRef<str>) -> Result<Address, ZeroError> {
    advertise_with(name, Advert::default())
}

/// Advertises like [`advertise`], at a given address: a port (`9000`), an address of this computer (`"192.168.1.7"`), both
/// (`"192.168.1.7:9000"`), a pattern (`"192.168.*"`), or an address that [`address`](super::address) has returned.
///
/// If this program advertises the name at another address, that one is closed and replaced by this one.
///
/// # Errors
/// [`ZeroError::Advertise`] if the address or the name is not valid, or if the address is in use or not of this computer;
/// [`ZeroError::SecondName`] if the address has another name.
///
/// ```no_run
/// use meshzero::zero;
///
/// zero::advertise_at("door", 9000)?;
/// zero::advertise_at("window", "192.168.*")?;
/// # Ok::<(), zero::ZeroError>(())
/// ```
pub fn advertise_at(name: impl AsRef<str>, at: impl ToString) -> Result<Address, ZeroError> {
    advertise_with(name, Advert { at: Some(at.to_string()), ..Advert::default() })
}

/// The options of an advert, for [`advertise_with`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Advert {
    /// The address to listen at, as [`advertise_at`] takes it. Default: every interface, at a free port.
    pub at: Option<String>,
    /// The treatment of a name that is advertised already. Default: advertise it as well.
    pub if_exists: IfExists,
    /// The names of the messages that the address accepts; the name of [`Value`](crate::Value) is that of messages without a type.
    /// Only a [`Request`](super::future::Request) shows the name of a message. Default, if empty: messages without a type. If this
    /// program advertises the name with other messages, that address is closed and replaced by a new one.
    pub messages: Vec<String>,
}

/// Advertises like [`advertise`], with all options.
///
/// # Errors
/// Those of [`advertise_at`], and [`ZeroError::Advertise`] if the name exists and must not.
///
/// ```no_run
/// use meshzero::zero::{self, Advert, IfExists};
///
/// let only = Advert { if_exists: IfExists::Fail, ..Advert::default() };
/// let address = zero::advertise_with("score board", only)?;
/// # Ok::<(), zero::ZeroError>(())
/// ```
pub fn advertise_with(name: impl AsRef<str>, advert: Advert) -> Result<Address, ZeroError> {
    let (address, before) = begin_advertise(name, advert)?;
    if let Some(before) = before {
        before.wait();
    }
    Ok(address)
}

/// Advertises like [`advertise_with`], for async programs: if the name moves, does not wait until its previous address is closed.
///
/// # Errors
/// Those of [`advertise_with`].
pub fn begin_advertise(
    name: impl AsRef<str>,
    advert: Advert,
) -> Result<(Address, Option<Closing>), ZeroError> {
    let Advert { at, if_exists, messages } = &advert;
    let place = EndpointOptions { at: at.as_deref(), if_exists: *if_exists, messages };
    global::node()?.advertise(name.as_ref(), place)
}

/// Reverts [`advertise`]: other programs no longer find the name, all its addresses are closed, and the messages that wait there are
/// refused. Returns whether there was such a name.
///
/// # Errors
/// [`ZeroError::Join`].
///
/// ```no_run
/// use meshzero::zero;
///
/// zero::advertise("hello")?;
/// assert!(zero::unadvertise("hello")?);
/// # Ok::<(), zero::ZeroError>(())
/// ```
pub fn unadvertise(name: impl AsRef<str>) -> Result<bool, ZeroError> {
    let closing = begin_unadvertise(name)?;
    Ok(closing.map(Closing::wait).is_some())
}

/// Reverts [`advertise`] like [`unadvertise`], for async programs: does not wait until the address is closed. Returns `None` if there
/// was no such name.
///
/// # Errors
/// [`ZeroError::Join`].
///
/// ```no_run
/// use meshzero::zero;
///
/// # async fn run() -> Result<(), zero::ZeroError> {
/// if let Some(closing) = zero::begin_unadvertise("hello")? {
///     closing.await;
/// }
/// # Ok(())
/// # }
/// ```
pub fn begin_unadvertise(name: impl AsRef<str>) -> Result<Option<Closing>, ZeroError> {
    Ok(global::node()?.unadvertise(name.as_ref()))
}

/// Closes one of several addresses of a name, like [`unadvertise`], and keeps the others. Returns whether this program listened there.
///
/// # Errors
/// [`ZeroError::Join`].
///
/// ```no_run
/// use meshzero::zero::{self, Advert, IfExists};
///
/// let another = Advert { if_exists: IfExists::AnotherInstance, ..Advert::default() };
/// let [one, other] = [zero::advertise_with("worker", another.clone())?, zero::advertise_with("worker", another)?];
/// assert!(zero::unadvertise_at(one)?);
/// assert_eq!(zero::advertised("worker")?, [other]);
/// # Ok::<(), zero::ZeroError>(())
/// ```
pub fn unadvertise_at(address: Address) -> Result<bool, ZeroError> {
    let closing = global::node()?.unadvertise_at(address);
    Ok(closing.map(Closing::wait).is_some())
}

/// The addresses at which this program advertises `name`, in the order in which it began.
///
/// # Errors
/// [`ZeroError::Join`].
pub fn advertised(name: impl AsRef<str>) -> Result<Vec<Address>, ZeroError> {
    Ok(global::node()?.advertised(name.as_ref()))
}

/// Returns a new address of this computer, at a port that is free now: for messages and news whose receivers learn the address in
/// another way, or to be advertised later. This program listens there from the first verb that uses it; until then another program
/// that knows the address can listen there.
///
/// # Errors
/// [`ZeroError::Advertise`] if the system provides none.
///
/// ```no_run
/// use meshzero::zero;
///
/// let address = zero::address()?;
/// let hub = zero::discover("hub", 5)?;
/// let _: () = zero::send_message_to(hub, ("call me back at", address), 5)?;
/// let message: Option<String> = zero::wait_for_message_from(address, 10)?;
/// # Ok::<(), zero::ZeroError>(())
/// ```
pub fn address() -> Result<Address, ZeroError> {
    global::node()?.name_address(None)
}

/// Completes a part of an address: a port (`9000`), an address or a host (`"192.168.1.7"`), or a pattern (`"192.168.*"`). The rest is
/// an address of this computer and a free port. As with [`address`], nothing listens there yet.
///
/// A full address (`"192.168.1.7:9000"`) is returned as it is, and may be of another computer.
///
/// # Errors
/// [`ZeroError::Advertise`] if it is not an address, or not of this computer.
///
/// ```no_run
/// use meshzero::zero;
///
/// let address = zero::address_at("192.168.*")?;
/// let port = zero::address_at(9000)?;
/// assert_eq!(port.port(), 9000);
/// # Ok::<(), zero::ZeroError>(())
/// ```
pub fn address_at(at: impl ToString) -> Result<Address, ZeroError> {
    let at = at.to_string();
    match at.parse::<Address>() {
        Ok(address) if address.port() > 0 && !address.socket_addr().ip().is_unspecified() => Ok(address),
        _ => global::node()?.name_address(Some(&at)),
    }
}
