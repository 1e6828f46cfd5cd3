//! Parsing of addresses: text, `ip:port` or `host:port`.

use meshzero::zero::{Address, IntoAddress};
use pyo3::prelude::*;

use crate::errors;

/// Parses `text`. A host is looked up, which may take a while.
pub(crate) fn parse(py: Python<'_>, text: &str) -> PyResult<Address> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    py.detach(|| text.into_address()).map_err(|error| errors::of(py, error))
}

/// Parses all of `texts`.
pub(crate) fn parse_all(py: Python<'_>, texts: &[String]) -> PyResult<Vec<Address>> {
    texts.iter().map(|text| parse(py, text)).collect()
}
