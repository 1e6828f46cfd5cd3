//! The verbs that find addresses by name.

use std::sync::atomic::Ordering;
use std::time::Duration;

use meshzero_actors::diagnosis::result::Diagnosis;
use meshzero_proto::discovery::directory::Instance;

use super::address::Address;
use super::error::ZeroError;
use super::global;
use super::wait::Wait;
use crate::block_on::block_on;
use crate::error::{DiscoverError, NotFound};
use crate::mesh::Mesh;

/// The least time of a search for a name: one query to the network.
const ONE_QUESTION: Duration = Duration::from_millis(50);

/// The time after which a search for a name reports, once, why nothing was found so far.
const HINT: Duration = Duration::from_secs(2);

/// The least time of the first listing, over which the answers arrive.
const FIRST_LIST: Duration = Duration::from_millis(300);

/// Waits until a program advertises `name`, and returns the address. A service that is there already is found in milliseconds, and has
/// completed a handshake: the address is alive.
///
/// A wait of zero queries the network once, which takes 50 ms at most.
///
/// # Errors
/// [`ZeroError::Discover`] at the timeout, with the names that were received instead, and the interfaces.
///
/// ```no_run
/// use meshzero::zero;
///
/// let hello = zero::discover("hello", 10)?;
/// println!("hello is at {hello}");
/// # Ok::<(), zero::ZeroError>(())
/// ```
pub fn discover(name: impl AsRef<str>, wait: impl Into<Wait>) -> Result<Address, ZeroError> {
    let hint = |reason: &ZeroError| tracing::warn!("still looking: {reason}");
    block_on(found(name.as_ref(), wait.into(), hint))
}

/// Waits until a program advertises `name`. After two seconds `hint` is called with the reason why nothing was found so far.
pub(super) async fn found(
    name: &str,
    wait: Wait,
    hint: impl FnOnce(&ZeroError),
) -> Result<Address, ZeroError> {
    let node = global::node()?;
    let within = wait.longest().max(ONE_QUESTION);
    let mut found = node.mesh.discover(name).within(within.min(HINT)).await.map_err(ZeroError::from);
    if within > HINT
        && let Err(
            error @ ZeroError::Discover(DiscoverError::NotFound(_) | DiscoverError::Unreachable { .. }),
        ) = &found
    {
        hint(error);
        found = node.mesh.discover(name).within(within - HINT).await.map_err(ZeroError::from);
        match &mut found {
            Err(ZeroError::Discover(DiscoverError::NotFound(missed))) => missed.waited = within,
            Err(ZeroError::Discover(DiscoverError::Unreachable { waited, .. })) => *waited = within,
            _ => {}
        }
    }
    let service = found?;
    let found = service.instances().first().and_then(|instance| node.shown_address(instance));
    match service.address().map(Address::from) {
        Some(address) => {
            let address = found.unwrap_or(address);
            node.note_name(address, name);
            Ok(address)
        }
        // It disappeared just as it was found.
        None => {
            let trouble = Some("it disappeared just as it was found".to_owned());
            let missed =
                NotFound::new(name.to_owned(), within, Diagnosis { trouble, ..Diagnosis::default() });
            Err(ZeroError::Discover(DiscoverError::NotFound(Box::new(missed))))
        }
    }
}

/// Returns the names and addresses of all services, ordered by name, one for each instance. Waits until a service is known, for `wait`
/// at most; then the list may be empty.
///
/// The first listing of a program collects answers for about a quarter of a second, even if `wait` is less.
///
/// # Errors
/// [`ZeroError::Join`].
///
/// ```no_run
/// use meshzero::zero;
///
/// for (name, address) in zero::discover_all(5)? {
///     println!("{name} is at {address}");
/// }
/// # Ok::<(), zero::ZeroError>(())
/// ```
pub fn discover_all(wait: impl Into<Wait>) -> Result<Vec<(String, Address)>, ZeroError> {
    block_on(found_all(wait.into()))
}

pub(super) async fn found_all(wait: Wait) -> Result<Vec<(String, Address)>, ZeroError> {
    listed(wait, async |mesh, within| mesh.discover_all().within(within).await).await
}

/// Returns the names and addresses of a group: the services whose names begin with `group` and a slash. Otherwise like
/// [`discover_all`]; [`discover_group_with`] takes other separators.
///
/// # Errors
/// [`ZeroError::Join`].
///
/// ```no_run
/// use meshzero::zero;
///
/// let address = zero::advertise("chat/alice")?;
/// for (name, address) in zero::discover_group("chat", 5)? {
///     println!("{name} is at {address}");
/// }
/// # Ok::<(), zero::ZeroError>(())
/// ```
pub fn discover_group(
    group: impl AsRef<str>,
    wait: impl Into<Wait>,
) -> Result<Vec<(String, Address)>, ZeroError> {
    discover_group_with(group, wait, Group::default())
}

/// The options of a group, for [`discover_group_with`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The separator between the group and the member in a name. Default: `/`.
    pub separator: String,
    /// Names to leave out, such as one's own. Default: none.
    pub exclude: Vec<String>,
}

impl Default for Group {
    fn default() -> Self {
        Self { separator: "/".to_owned(), exclude: Vec::new() }
    }
}

/// Returns a group like [`discover_group`], with another separator, or without some names.
///
/// # Errors
/// [`ZeroError::Join`].
///
/// ```no_run
/// use meshzero::zero::{self, Group};
///
/// let colon = Group { separator: ":".into(), exclude: vec!["chat:me".into()] };
/// let others = zero::discover_group_with("chat", 5, colon)?;
/// # Ok::<(), zero::ZeroError>(())
/// ```
pub fn discover_group_with(
    group: impl AsRef<str>,
    wait: impl Into<Wait>,
    options: Group,
) -> Result<Vec<(String, Address)>, ZeroError> {
    block_on(found_group(group.as_ref(), wait.into(), options))
}

pub(super) async fn found_group(
    group: &str,
    wait: Wait,
    options: Group,
) -> Result<Vec<(String, Address)>, ZeroError> {
    listed(wait, async |mesh, within| {
        mesh.discover_group(group).separator(options.separator).except(options.exclude).within(within).await
    })
    .await
}

async fn listed(
    wait: Wait,
    list: impl AsyncFnOnce(&Mesh, Duration) -> Vec<Instance>,
) -> Result<Vec<(String, Address)>, ZeroError> {
    let node = global::node()?;
    let least = if node.has_listed.swap(true, Ordering::Relaxed) { Duration::ZERO } else { FIRST_LIST };
    let found = list(&node.mesh, wait.longest().max(least)).await;
    let named = |instance: &Instance| {
        let address = node.shown_address(instance).or(instance.address().map(Address::from))?;
        node.note_name(address, &instance.service);
        Some((instance.service.to_string(), address))
    };
    Ok(found.iter().filter_map(named).collect())
}
