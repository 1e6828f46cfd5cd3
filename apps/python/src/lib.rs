//! `meshzero._meshzero`: the native half of the Python package `meshzero`.
//!
//! Objects are converted to MessagePack and back directly (`pack`, `unpack`). Every wait is a future of [`meshzero::zero::future`]: a
//! thread waits for it with the interpreter released (`wait`), and asyncio by way of one thread that runs them (`awaitable`). The state
//! of a thread or a task is kept in Python (`_thread_state.py`).

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
