//! The verbs as Python functions. Addresses are text, timeouts are seconds, and None means no timeout.

use std::time::{Duration, Instant};

use meshzero::value::Packed;
use meshzero::zero::future::{self, Arrival};
use meshzero::zero::{self, Address, Advert, Group, IfExists, IntoAddress, ZeroError};
use meshzero::{AdvertiseError, Mesh, ServiceName};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use tokio::task::spawn_blocking;

use crate::addresses::parse;
use crate::awaitable::Awaitable;
use crate::errors::{self, ExceptionKind};
use crate::pack;
use crate::request::Request;
use crate::unpack;
use crate::wait::{until, wait, wait_a_moment};

/// Joins under another mesh name or on some interfaces only, before any other verb joins.
#[pyfunction]
#[pyo3(signature = (mesh=None, interfaces=None, peers=None))]
pub(crate) fn join(
    py: Python<'_>,
    mesh: Option<String>,
    interfaces: Option<String>,
    peers: Option<Vec<String>>,
) -> PyResult<()> {
    let mut settings = Mesh::join();
    if let Some(mesh) = mesh {
        settings = settings.mesh(mesh);
    }
    if let Some(interfaces) = interfaces {
        settings = settings.interfaces(interfaces);
    }
    if let Some(peers) = peers {
        settings = settings.peers(peers);
    }
    py.detach(|| zero::join(settings)).map_err(|error| errors::of(py, error))
}

/// Raises InvalidName for a name by which others could not find a service.
#[pyfunction]
pub(crate) fn check_name(py: Python<'_>, name: &str) -> PyResult<()> {
    let checked =
        ServiceName::new(name).map_err(AdvertiseError::from).and_then(|name| meshzero::check_name(&name));
    checked.map_err(|error| errors::of(py, error.into()))
}

/// Advertises a name, and returns its address.
#[pyfunction]
pub(crate) fn advertise(py: Python<'_>, name: String, at: Option<String>) -> PyResult<String> {
    let advert = Advert { at, ..Advert::default() };
    let advertised = py.detach(|| zero::advertise_with(name, advert));
    advertised.map(|address| address.to_string()).map_err(|error| errors::of(py, error))
}

/// Advertises one more instance of a name, which accepts these messages, and returns its own address.
#[pyfunction]
pub(crate) fn advertise_instance(
    py: Python<'_>,
    name: String,
    at: Option<String>,
    messages: Vec<String>,
) -> PyResult<String> {
    let advert = Advert { at, if_exists: IfExists::AnotherInstance, messages };
    let advertised = py.detach(|| zero::advertise_with(name, advert));
    advertised.map(|address| address.to_string()).map_err(|error| errors::of(py, error))
}

/// Reverts `advertise`.
#[pyfunction]
pub(crate) fn unadvertise(py: Python<'_>, name: String) -> PyResult<bool> {
    py.detach(|| zero::unadvertise(name)).map_err(|error| errors::of(py, error))
}

/// Reverts `advertise_instance`.
#[pyfunction]
pub(crate) fn unadvertise_at(py: Python<'_>, address: &str) -> PyResult<bool> {
    let address = parse(py, address)?;
    py.detach(|| zero::unadvertise_at(address)).map_err(|error| errors::of(py, error))
}

/// Returns the addresses at which this program advertises a name.
#[pyfunction]
pub(crate) fn advertised(py: Python<'_>, name: &str) -> PyResult<Vec<String>> {
    let advertised = py.detach(|| zero::advertised(name)).map_err(|error| errors::of(py, error))?;
    Ok(advertised.iter().map(Address::to_string).collect())
}

/// Advertises like `advertise`, and waits only a moment for the previous address of the name to be closed.
#[pyfunction]
pub(crate) fn begin_advertise(py: Python<'_>, name: String, at: Option<String>) -> PyResult<String> {
    let advert = Advert { at, ..Advert::default() };
    let (address, before) =
        py.detach(|| zero::begin_advertise(name, advert)).map_err(|error| errors::of(py, error))?;
    if let Some(mut before) = before {
        // Otherwise the closing continues in the background.
        let _ = wait_a_moment(py, &mut before);
    }
    Ok(address.to_string())
}

/// Reverts `advertise` like `unadvertise`, and returns the wait for the address to be closed if that takes more than a moment.
#[pyfunction]
pub(crate) fn begin_unadvertise(py: Python<'_>, name: String) -> PyResult<(bool, Option<Awaitable>)> {
    let closing = py.detach(|| zero::begin_unadvertise(name)).map_err(|error| errors::of(py, error))?;
    let Some(mut closing) = closing else { return Ok((false, None)) };
    Ok(match wait_a_moment(py, &mut closing) {
        Some(()) => (true, None),
        None => (true, Some(Awaitable::new(closing, |py, ()| Ok(py.None())))),
    })
}

/// Completes a part of an address, or returns a new address.
#[pyfunction]
pub(crate) fn address(py: Python<'_>, at: Option<String>) -> PyResult<String> {
    let found = py.detach(|| match at {
        Some(at) => zero::address_at(at),
        None => zero::address(),
    });
    found.map(|address| address.to_string()).map_err(|error| errors::of(py, error))
}

/// Returns true for text that is a full address, which needs no lookup.
#[pyfunction]
pub(crate) fn is_exact(address: &str) -> bool {
    address.parse::<Address>().is_ok()
}

/// Completes a part of an address, or looks up a host, for asyncio: the lookup runs on a thread of its own.
#[pyfunction]
pub(crate) fn look_up_async(text: String) -> Awaitable {
    let found = async move {
        let look_up = move || match text.contains(':') {
            true => text.into_address(),
            false => zero::address_at(text),
        };
        spawn_blocking(look_up).await.unwrap_or(Err(ZeroError::Closed))
    };
    Awaitable::new(found, |py, found: Result<Address, ZeroError>| {
        found.map_err(|error| errors::of(py, error))?.to_string().into_py_any(py)
    })
}

/// Returns all names with their addresses, once a service is known.
#[pyfunction]
pub(crate) fn discover_all(py: Python<'_>, wait_for_s: Option<f64>) -> PyResult<Vec<(String, String)>> {
    show_all(py, wait(py, future::discover_all(until(wait_for_s)))?)
}

/// Lists like `discover_all`, for asyncio.
#[pyfunction]
pub(crate) fn discover_all_async(wait_for_s: Option<f64>) -> Awaitable {
    let all = future::discover_all(until(wait_for_s));
    Awaitable::new(all, |py, all| show_all(py, all)?.into_py_any(py))
}

/// Names with their addresses.
type Services<A> = Vec<(String, A)>;

fn show_all(py: Python<'_>, all: Result<Services<Address>, ZeroError>) -> PyResult<Services<String>> {
    let all = all.map_err(|error| errors::of(py, error))?;
    Ok(all.into_iter().map(|(name, address)| (name, address.to_string())).collect())
}

/// Returns the members of a group, once one is known, or at the timeout.
#[pyfunction]
pub(crate) fn discover_group(
    py: Python<'_>,
    group: &str,
    separator: String,
    exclude: Vec<String>,
    wait_for_s: Option<f64>,
) -> PyResult<Vec<(String, String)>> {
    let members = future::discover_group(group, until(wait_for_s), Group { separator, exclude });
    show_all(py, wait(py, members)?)
}

/// Lists like `discover_group`, for asyncio.
#[pyfunction]
pub(crate) fn discover_group_async(
    group: String,
    separator: String,
    exclude: Vec<String>,
    wait_for_s: Option<f64>,
) -> Awaitable {
    let members =
        async move { future::discover_group(&group, until(wait_for_s), Group { separator, exclude }).await };
    Awaitable::new(members, |py, members| show_all(py, members)?.into_py_any(py))
}

/// Sends a message, under a name if there is one, and waits for the reply.
#[pyfunction]
pub(crate) fn call<'py>(
    py: Python<'py>,
    address: &str,
    message: &Bound<'py, PyAny>,
    name: Option<&str>,
    wait_for_s: Option<f64>,
) -> PyResult<Bound<'py, PyAny>> {
    let (address, message) = (parse(py, address)?, Packed::from(pack::to_bytes("message", message)?));
    let begun = Instant::now();
    let reply = wait(py, future::send_message_to(address, message, name, until(wait_for_s)))?;
    show_reply(py, reply, wait_for_s, is_over(begun, wait_for_s))
}

/// Calls like `call`, for asyncio.
#[pyfunction]
pub(crate) fn call_async(
    py: Python<'_>,
    address: &str,
    message: &Bound<'_, PyAny>,
    name: Option<String>,
    wait_for_s: Option<f64>,
) -> PyResult<Awaitable> {
    let (address, message) = (parse(py, address)?, Packed::from(pack::to_bytes("message", message)?));
    let begun = Instant::now();
    let reply = async move {
        let reply = future::send_message_to(address, message, name.as_deref(), until(wait_for_s)).await;
        (reply, is_over(begun, wait_for_s))
    };
    Ok(Awaitable::new(reply, move |py, (reply, is_over)| {
        show_reply(py, reply, wait_for_s, is_over).map(Bound::unbind)
    }))
}

fn show_reply(
    py: Python<'_>,
    reply: Result<Packed, ZeroError>,
    wait_for_s: Option<f64>,
    is_over: bool,
) -> PyResult<Bound<'_, PyAny>> {
    match reply {
        Ok(reply) => unpack::to_object(py, reply.bytes()),
        Err(error) => Err(errors::of_late(py, error, wait_for_s, is_over)),
    }
}

/// Returns true if the timeout of a call that began at `begun` is over, less the margin by which the service's deadline is shorter.
fn is_over(begun: Instant, wait_for_s: Option<f64>) -> bool {
    let allowed = wait_for_s.and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok());
    allowed.is_some_and(|allowed| begun.elapsed() + allowed / 5 >= allowed)
}

/// Waits for the next message to an address of this program; None if none arrived in time. If the program does not listen at the
/// address, begins to; with `if_open` that is an error.
#[pyfunction]
pub(crate) fn next_request(
    py: Python<'_>,
    address: &str,
    wait_for_s: Option<f64>,
    if_open: bool,
) -> PyResult<Option<Request>> {
    let (address, begun) = (parse(py, address)?, Instant::now());
    loop {
        let left = until(wait_for_s.map(|seconds| seconds - begun.elapsed().as_secs_f64()));
        let next = match if_open {
            true => wait(py, future::next_message_at(address, left))?,
            false => wait(py, future::wait_for_message_from(address, left))?,
        };
        let Some(arrival) = next.map_err(|error| errors::of(py, error))? else { return Ok(None) };
        // A message that cannot be converted was refused.
        if let Some(request) = Request::new(py, arrival)? {
            return Ok(Some(request));
        }
    }
}

/// Waits like `next_request`, for asyncio. Raises NotConvertible for a message that cannot be converted, and was refused.
#[pyfunction]
pub(crate) fn next_request_async(
    py: Python<'_>,
    address: &str,
    wait_for_s: Option<f64>,
    if_open: bool,
) -> PyResult<Awaitable> {
    let (address, wait) = (parse(py, address)?, until(wait_for_s));
    Ok(match if_open {
        true => Awaitable::new(future::next_message_at(address, wait), show_request),
        false => Awaitable::new(future::wait_for_message_from(address, wait), show_request),
    })
}

fn show_request(py: Python<'_>, next: Result<Option<Arrival>, ZeroError>) -> PyResult<Py<PyAny>> {
    let Some(arrival) = next.map_err(|error| errors::of(py, error))? else { return Ok(py.None()) };
    match Request::new(py, arrival)? {
        Some(request) => request.into_py_any(py),
        None => Err(errors::raise(py, ExceptionKind::NotConvertible, "a message was refused".to_owned())),
    }
}

/// Publishes at an address of this program.
#[pyfunction]
pub(crate) fn publish(py: Python<'_>, address: &str, topic: &str, data: &Bound<'_, PyAny>) -> PyResult<()> {
    let (address, item) = (parse(py, address)?, Packed::from(pack::to_bytes("news", data)?));
    py.detach(|| future::send_news_to(address, topic, &item)).map_err(|error| errors::of(py, error))
}

/// Publishes at once and returns None. If that has to wait, for a subscriber or because the program does not listen at the address
/// yet, returns the wait, for asyncio.
#[pyfunction]
pub(crate) fn publish_async(
    py: Python<'_>,
    address: &str,
    topic: String,
    data: &Bound<'_, PyAny>,
) -> PyResult<Option<Awaitable>> {
    let (address, item) = (parse(py, address)?, Packed::from(pack::to_bytes("news", data)?));
    let is_sent = py.detach(|| future::try_send_news_to(address, &topic, &item));
    if is_sent.map_err(|error| errors::of(py, error))? {
        return Ok(None);
    }
    let sent = async move { future::send_news_when_taken(address, &topic, &item).await };
    Ok(Some(Awaitable::new(sent, |py, sent: Result<(), ZeroError>| {
        sent.map_err(|error| errors::of(py, error))?;
        Ok(py.None())
    })))
}
