//! The tests of the whole mesh, over real sockets and with nothing but the public API.
