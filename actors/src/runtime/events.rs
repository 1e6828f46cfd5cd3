//! Recording of `tracing` events and spans during a user's work: a subscriber may send or publish them over the same mesh, and
//! the events that this causes are not recorded again.

use std::cell::Cell;

thread_local! {
    static RECORDING: Cell<bool> = const { Cell::new(false) };
}

/// Returns whether this thread is recording an event of this library, which includes everything that a subscriber does with it.
pub(crate) fn is_recording() -> bool {
    RECORDING.get()
}

/// Records an event, unless this thread is already recording one. Must not be called under a lock.
#[cold]
pub fn record(event: impl FnOnce()) {
    if !is_recording() {
        recording(event);
    }
}

/// Begins or enters a span, even if this thread is recording already: messages that a subscriber sends meanwhile belong to
/// no trace.
pub(crate) fn recording<T>(span: impl FnOnce() -> T) -> T {
    /// Ends the recording, even if the subscriber panics.
    struct End(bool);
    impl Drop for End {
        fn drop(&mut self) {
            RECORDING.set(self.0);
        }
    }
    let _end = End(RECORDING.replace(true));
    span()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_in_an_event_is_not_recorded_and_the_next_one_is() {
        let mut recorded = Vec::new();
        record(|| {
            recorded.push(1);
            record(|| unreachable!());
        });
        assert!(!is_recording());
        record(|| recorded.push(2));
        assert_eq!(recorded, [1, 2]);
    }
}
