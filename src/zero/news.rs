//! The verbs for news, which a program sends to its subscribers.

use meshzero_proto::codec::WireType;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::address::Address;
use super::error::ZeroError;
use super::global;
use super::into_address::{IntoAddress, IntoAddresses};
use super::listener::FilteredSubscription;
use super::news_filter::NewsFilter;
use super::thread_state;
use super::wait::Wait;
use crate::block_on::block_on;
use crate::error::PublishError;
use crate::value::Value;

/// Sends news to all subscribers of an address of this program. Waits only for a subscriber that requires it with
/// [`Subscribe::wait`](crate::Subscribe::wait), as these verbs never do. The same address may receive messages.
///
/// # Errors
/// [`ZeroError::Address`]; [`ZeroError::Advertise`] if the program cannot listen at the address; [`ZeroError::Publish`] if the topic
/// is not valid (at most 128 bytes without control characters) or the item is too long; [`ZeroError::Unsendable`].
///
/// ```no_run
/// use meshzero::zero;
///
/// let address = zero::advertise("weather")?;
/// zero::send_news_to(address, "temperature", 21.5)?;
/// zero::send_news_to(address, "wind/speed", ("north", 12))?;
/// # Ok::<(), zero::ZeroError>(())
/// ```
pub fn send_news_to(
    address: impl IntoAddress,
    topic: impl AsRef<str>,
    data: impl Serialize,
) -> Result<(), ZeroError> {
    publish(address.into_address()?, topic.as_ref(), &Value::of(&data)?)
}

pub(super) fn publish<T: WireType>(address: Address, topic: &str, item: &T) -> Result<(), ZeroError> {
    let endpoint = global::node()?.endpoint_at(address)?;
    match endpoint.service.publish(topic, item) {
        Err(PublishError::Full) => block_on(endpoint.service.publish_all(topic, item))?,
        published => published?,
    }
    Ok(())
}

/// Publishes if the program listens at the address already and does not have to wait for a subscriber. Returns whether it did.
pub(super) fn try_publish<T: WireType>(address: Address, topic: &str, item: &T) -> Result<bool, ZeroError> {
    let Some(endpoint) = global::node_if_joined().and_then(|node| node.open_endpoint(address)) else {
        return Ok(false);
    };
    match endpoint.service.publish(topic, item) {
        Err(PublishError::Full) => Ok(false),
        published => Ok(published.map(|()| true)?),
    }
}

/// Publishes as soon as every subscriber that has to be waited for has room.
pub(super) async fn publish_all<T: WireType>(
    address: Address,
    topic: &str,
    item: &T,
) -> Result<(), ZeroError> {
    let endpoint = global::node()?.endpoint_at(address)?;
    Ok(endpoint.service.publish_all(topic, item).await?)
}

/// Waits for news from one address or several, whose topic begins with a prefix, or with one of several; the empty prefix matches all.
/// Returns the topic and the data, or `None` if none arrived in time.
///
/// The first wait subscribes, and every item that is sent after it has returned is queued for the next waits of the same thread for the
/// same addresses and prefixes: nothing is lost in between, as long as no more than 1,024 items are queued. A connected publisher
/// confirms a subscription within milliseconds. The first wait waits for that, even with a wait of zero: half a second if nothing
/// answers at an address, and 5 s if a publisher answers and does not confirm. A publisher that appears later, or restarts, is
/// subscribed to as soon as it is there. Each thread has a subscription of its own and gets every item. Items of one address arrive in
/// order. With several prefixes, all items that begin with their common prefix are transferred, and count among the queued ones.
///
/// # Errors
/// [`ZeroError::Address`]; [`ZeroError::Subscribe`] if a prefix is not valid; [`ZeroError::Unexpected`] if the data is not of the type
/// that the program expects; [`ZeroError::News`] if items were dropped because this program had not waited for news for too long. After the last
/// two, the next wait continues.
///
/// ```no_run
/// use meshzero::{Value, zero};
///
/// let weather = zero::discover("weather", 10)?;
/// let first: Option<(String, f64)> = zero::wait_for_news_from(weather, "temperature", 2)?;
///
/// let stations: Vec<_> = zero::discover_group("weather", 5)?.into_iter().map(|(_, address)| address).collect();
/// while let Some((topic, data)) =
///     zero::wait_for_news_from::<Value>(&stations, ["wind", "rain"], zero::FOREVER)?
/// {
///     println!("{topic}: {data}");
/// }
/// # Ok::<(), zero::ZeroError>(())
/// ```
pub fn wait_for_news_from<T: DeserializeOwned>(
    addresses: impl IntoAddresses,
    prefixes: impl IntoPrefixes,
    wait: impl Into<Wait>,
) -> Result<Option<(String, T)>, ZeroError> {
    let filter = NewsFilter::new(addresses.into_addresses()?, prefixes.into_prefixes())?;
    let deadline = wait.into().deadline();
    let mut listener = match thread_state::take_listener(&filter)? {
        Some(listener) => listener,
        None => FilteredSubscription::open(global::node()?, filter),
    };
    let next = block_on(listener.next(deadline));
    // The next wait replaces one that has ended.
    if !matches!(next, Err(ZeroError::Closed | ZeroError::Subscribe(_))) {
        thread_state::put_back(listener)?;
    }
    let Some(news) = next? else { return Ok(None) };
    match news.item.to() {
        Ok(data) => Ok(Some((news.topic.as_str().to_owned(), data))),
        Err(error) => Err(ZeroError::Unexpected {
            from: news.from.to_string(),
            problem: format!("topic {:?}: {error}", news.topic),
        }),
    }
}

/// A conversion into the prefixes of [`wait_for_news_from`]: one, or several in an array, a slice or a `Vec`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a prefix of topics nor a list of them",
    note = "pass text, such as \"\" for everything, or several texts: [\"wind\", \"rain\"]"
)]
pub trait IntoPrefixes {
    /// Converts into the prefixes.
    fn into_prefixes(self) -> Vec<String>;
}

impl IntoPrefixes for &str {
    fn into_prefixes(self) -> Vec<String> {
        vec![self.to_owned()]
    }
}

impl IntoPrefixes for String {
    fn into_prefixes(self) -> Vec<String> {
        vec![self]
    }
}

impl IntoPrefixes for &String {
    fn into_prefixes(self) -> Vec<String> {
        vec![self.clone()]
    }
}

impl<S: AsRef<str>> IntoPrefixes for &[S] {
    fn into_prefixes(self) -> Vec<String> {
        self.iter().map(|prefix| prefix.as_ref().to_owned()).collect()
    }
}

impl<S: AsRef<str>> IntoPrefixes for Vec<S> {
    fn into_prefixes(self) -> Vec<String> {
        self.as_slice().into_prefixes()
    }
}

impl<S: AsRef<str>> IntoPrefixes for &Vec<S> {
    fn into_prefixes(self) -> Vec<String> {
        self.as_slice().into_prefixes()
    }
}

impl<S: AsRef<str>, const N: usize> IntoPrefixes for [S; N] {
    fn into_prefixes(self) -> Vec<String> {
        self.as_slice().into_prefixes()
    }
}

impl<S: AsRef<str>, const N: usize> IntoPrefixes for &[S; N] {
    fn into_prefixes(self) -> Vec<String> {
        self.as_slice().into_prefixes()
    }
}
