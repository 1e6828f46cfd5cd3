//! `meshzero._meshzero`: what the Python package `meshzero` is made of natively.
//!
//! Objects become MessagePack and back (`pack`, `unpack`) without anything in between. What waits is a future of
//! [`meshzero::zero::future`], which a thread waits for with the interpreter released (`wait`), or asyncio by way of one
//! thread of its own (`later`). What a thread or a task has before it is kept in Python.

mod addresses;
mod awaitable;
mod errors;
mod listener;
mod log;
mod pack;
mod process;
mod reload;
mod request;
mod search;
mod unpack;
mod verbs;
mod wait;

/// The native half of the package `meshzero`: use that.
#[pyo3::pymodule(gil_used = true)]
mod _meshzero {
    #[pymodule_export]
    use super::awaitable::Awaitable;
    #[pymodule_export]
    use super::listener::Listener;
    #[pymodule_export]
    use super::log::log_to;
    #[pymodule_export]
    use super::pack::pack;
    #[pymodule_export]
    use super::process::{after_fork_in_child, after_fork_in_parent, before_fork, close, end, is_first};
    #[pymodule_export]
    use super::reload::keep_across_reloads;
    #[pymodule_export]
    use super::request::Request;
    #[pymodule_export]
    use super::search::{discover, discover_async, find, find_async};
    #[pymodule_export]
    use super::unpack::unpack;
    #[pymodule_export]
    use super::verbs::{
        address, advertise, advertise_instance, advertised, begin_advertise, begin_unadvertise, call,
        call_async, check_name, discover_all, discover_all_async, discover_group, discover_group_async,
        is_exact, join, look_up_async, next_request, next_request_async, publish, publish_async, unadvertise,
        unadvertise_at,
    };
}
