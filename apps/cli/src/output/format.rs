//! The output format.

/// The output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people: aligned, coloured on a terminal.
    Human,
    /// For programs: one JSON object per line.
    Json,
}
