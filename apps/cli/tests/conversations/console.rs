//! Console events of Windows, each of which ends a program gracefully.

use crate::goodbye;
use crate::speaker::Speaker;

/// The events, by the numbers that Windows gives them.
pub(crate) const EVENTS: [(&str, &str); 5] = [
    ("0", "Ctrl-C"),
    ("1", "Ctrl-Break"),
    ("2", "the window is closed"),
    ("5", "the session ends"),
    ("6", "the system ends"),
];

/// A service of `other` that is told `event` by the console says goodbye, as `this` hears, and ends well.
pub(crate) fn ends_well(console: &Speaker, other: &Speaker, this: &Speaker, event: &str) {
    let start = || console.start_for(event, other, &["advertise", "console", "--echo"]);
    goodbye::is_said(this, "console", start, |service| service.send_line(""));
}
