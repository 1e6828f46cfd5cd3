//! The verbs as functions of Python. Addresses are text, waits are seconds, and None is for ever.

use std::time::{Duration, Instant};

use meshzero::value::Packed;
use meshzero::zero::{self, Address, Advert, Group, ZeroError, future};
use meshzero::{DiscoverError, Mesh};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

use crate::addresses::parse;
use crate::errors;
use crate::later::Later;
use crate::pack;
use crate::request::Request;
use crate::unpack;
use crate::wait::{until, wait};

/// How long somebody who advertises a name is looked for that must be new, in seconds: as long as the Rust verb looks.
const LOOK_FOR_OTHERS: f64 = 0.6;

/// Joins under another mesh name or on some interfaces only, before any other verb does.
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

/// Advertises a name, and gives its address; None if the name exists and must not.
#[pyfunction]
pub(crate) fn advertise(
    py: Python<'_>,
    name: String,
    at: Option<String>,
    fail_if_exists: bool,
    messages: Vec<String>,
) -> PyResult<Option<String>> {
    // Looked for here, and not by the verb, so that Ctrl-C ends that.
    if fail_if_exists && wait(py, found(&name, Some(LOOK_FOR_OTHERS)))?.is_ok_and(|found| found.is_some()) {
        return Ok(None);
    }
    let advert = Advert { at, messages, ..Advert::default() };
    let advertised = py.detach(|| zero::advertise_with(name, advert));
    advertised.map(|address| Some(address.to_string())).map_err(|error| errors::of(py, error))
}

/// Takes back what `advertise` did.
#[pyfunction]
pub(crate) fn unadvertise(py: Python<'_>, name: String) -> PyResult<bool> {
    py.detach(|| zero::unadvertise(name)).map_err(|error| errors::of(py, error))
}

/// The full address for a part of one, or a new one.
#[pyfunction]
pub(crate) fn address(py: Python<'_>, at: Option<String>) -> PyResult<String> {
    let found = py.detach(|| match at {
        Some(at) => zero::address_at(at),
        None => zero::address(),
    });
    found.map(|address| address.to_string()).map_err(|error| errors::of(py, error))
}

/// Waits until somebody advertises the name; None when the time is over.
#[pyfunction]
pub(crate) fn discover(py: Python<'_>, name: String, wait_for_s: Option<f64>) -> PyResult<Option<String>> {
    show_found(py, wait(py, found(&name, wait_for_s))?)
}

/// As `discover`, to be waited for later.
#[pyfunction]
pub(crate) fn discover_later(name: String, wait_for_s: Option<f64>) -> Later {
    let found = async move { found(&name, wait_for_s).await };
    Later::new(found, |py, found| show_found(py, found)?.into_py_any(py))
}

/// As `discover`, and raises NotSent when the time is over, with what stood in the way.
#[pyfunction]
pub(crate) fn find(py: Python<'_>, name: String, wait_for_s: Option<f64>) -> PyResult<String> {
    let found = wait(py, future::discover(&name, until(wait_for_s)))?;
    found.map(|address| address.to_string()).map_err(|error| errors::of(py, error))
}

/// As `find`, to be waited for later.
#[pyfunction]
pub(crate) fn find_later(name: String, wait_for_s: Option<f64>) -> Later {
    let found = async move { future::discover(&name, until(wait_for_s)).await };
    Later::new(found, |py, found: Result<Address, ZeroError>| {
        let found = found.map_err(|error| errors::of(py, error))?;
        found.to_string().into_py_any(py)
    })
}

async fn found(name: &str, wait_for_s: Option<f64>) -> Result<Option<Address>, ZeroError> {
    match future::discover(name, until(wait_for_s)).await {
        Ok(address) => Ok(Some(address)),
        Err(ZeroError::Discover(DiscoverError::NotFound(_))) => Ok(None),
        Err(error) => Err(error),
    }
}

fn show_found(py: Python<'_>, found: Result<Option<Address>, ZeroError>) -> PyResult<Option<String>> {
    let found = found.map_err(|error| errors::of(py, error))?;
    Ok(found.map(|address| address.to_string()))
}

/// All names with their addresses, once something is known.
#[pyfunction]
pub(crate) fn discover_all(py: Python<'_>, wait_for_s: Option<f64>) -> PyResult<Vec<(String, String)>> {
    show_all(py, wait(py, future::discover_all(until(wait_for_s)))?)
}

/// As `discover_all`, to be waited for later.
#[pyfunction]
pub(crate) fn discover_all_later(wait_for_s: Option<f64>) -> Later {
    let all = future::discover_all(until(wait_for_s));
    Later::new(all, |py, all| show_all(py, all)?.into_py_any(py))
}

/// Names with what leads there.
type Services<Way> = Vec<(String, Way)>;

fn show_all(py: Python<'_>, all: Result<Services<Address>, ZeroError>) -> PyResult<Services<String>> {
    let all = all.map_err(|error| errors::of(py, error))?;
    Ok(all.into_iter().map(|(name, address)| (name, address.to_string())).collect())
}

/// The members of a group that are known, or are within the time.
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

/// As `call`, to be waited for later.
#[pyfunction]
pub(crate) fn call_later(
    py: Python<'_>,
    address: &str,
    message: &Bound<'_, PyAny>,
    name: Option<String>,
    wait_for_s: Option<f64>,
) -> PyResult<Later> {
    let (address, message) = (parse(py, address)?, Packed::from(pack::to_bytes("message", message)?));
    let begun = Instant::now();
    let reply = async move {
        let reply = future::send_message_to(address, message, name.as_deref(), until(wait_for_s)).await;
        (reply, is_over(begun, wait_for_s))
    };
    Ok(Later::new(reply, move |py, (reply, is_over)| {
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

/// Whether the time of a call that began then is over, but for what the deadline that travels is shorter.
fn is_over(begun: Instant, wait_for_s: Option<f64>) -> bool {
    let allowed = wait_for_s.and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok());
    allowed.is_some_and(|allowed| begun.elapsed() + allowed / 5 >= allowed)
}

/// Waits for the next message to an address of this program; None when none came in time. One that is not listened at is
/// opened, or with `if_open` is an error.
#[pyfunction]
pub(crate) fn next_request(
    py: Python<'_>,
    address: &str,
    wait_for_s: Option<f64>,
    if_open: bool,
) -> PyResult<Option<Request>> {
    let address = parse(py, address)?;
    loop {
        let next = wait(py, taken(address, wait_for_s, if_open))?;
        match next.map_err(|error| errors::of(py, error))? {
            None => return Ok(None),
            // One that cannot be shown was refused.
            Some(request) => match Request::new(py, request)? {
                Some(request) => return Ok(Some(request)),
                None => continue,
            },
        }
    }
}

/// As `next_request`, to be waited for later.
#[pyfunction]
pub(crate) fn next_request_later(
    py: Python<'_>,
    address: &str,
    wait_for_s: Option<f64>,
    if_open: bool,
) -> PyResult<Later> {
    let next = taken(parse(py, address)?, wait_for_s, if_open);
    Ok(Later::new(next, |py, next| {
        let next = next.map_err(|error| errors::of(py, error))?;
        // One that cannot be shown is refused, and is none for who waits.
        next.map(|request| Request::new(py, request)).transpose()?.flatten().into_py_any(py)
    }))
}

async fn taken(
    address: Address,
    wait_for_s: Option<f64>,
    if_open: bool,
) -> Result<Option<future::Request>, ZeroError> {
    match if_open {
        true => future::next_message_at(address, until(wait_for_s)).await,
        false => future::wait_for_message_from(address, until(wait_for_s)).await,
    }
}

/// Publishes at an address of this program.
#[pyfunction]
pub(crate) fn publish(py: Python<'_>, address: &str, topic: &str, data: &Bound<'_, PyAny>) -> PyResult<()> {
    let (address, item) = (parse(py, address)?, Packed::from(pack::to_bytes("news", data)?));
    py.detach(|| future::send_news_to(address, topic, &item)).map_err(|error| errors::of(py, error))
}
