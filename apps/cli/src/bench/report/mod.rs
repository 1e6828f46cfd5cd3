//! Reports: the saved form, the text and HTML renderings, and the comparison of two runs.

pub(super) mod compare;
mod comparison;
pub(super) mod document;
pub(super) mod html;
mod numbers;
pub(super) mod rate_search;
mod text;
