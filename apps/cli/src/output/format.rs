//! The form of what is printed.

/// The reader of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// People: aligned, coloured on a terminal.
    Human,
    /// Programs: one JSON object a line.
    Json,
}
