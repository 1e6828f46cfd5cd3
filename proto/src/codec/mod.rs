//! How values become bytes.

use serde::{Deserialize, Serialize};

/// The hash of a type's shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fingerprint(u128);
