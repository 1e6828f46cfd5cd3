//! The styles of what is printed.

use anstyle::{AnsiColor, Style};

/// For headings and names.
pub(crate) const STRONG: Style = Style::new().bold();
/// For remarks.
pub(crate) const FAINT: Style = Style::new().dimmed();
/// For success.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// For failure.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
