//! The news of one subscriber: every item in order, or an exact count of missed ones.

use super::Tally;

/// The news that one subscriber receives.
#[derive(Debug, Default)]
pub(super) struct Stream {
    place: Option<Position>,
    /// Items reported as missed since the last one that arrived.
    gap: u64,
    /// True if its publisher was gone meanwhile: then published items are not counted.
    was_lost: bool,
    items: u64,
    missed: u64,
    lost: u64,
}

/// The position in a stream.
#[derive(Debug, Clone, Copy)]
struct Position {
    by: u64,
    next: u64,
}

impl Stream {
    pub(super) fn subscribe(&mut self, by: u64, next: u64) {
        self.place = Some(Position { by, next });
        self.gap = 0;
        self.was_lost = false;
    }

    pub(super) fn item(&mut self, by: u64, number: u64, skipped: u64) -> Result<(), String> {
        self.items += 1;
        self.missed += skipped;
        let gap = std::mem::take(&mut self.gap) + skipped;
        let was_lost = std::mem::take(&mut self.was_lost);
        let before = self.place.replace(Position { by, next: number + 1 });
        let Some(Position { next, .. }) = before.filter(|place| place.by == by) else { return Ok(()) };
        let expected = next + gap;
        if was_lost && number >= expected || number == expected {
            return Ok(());
        }
        let told = if gap == 0 { String::new() } else { format!(" after {gap} missing ones") };
        Err(format!("item {number} of {by} arrived where {expected} was expected{told}"))
    }

    pub(super) fn miss(&mut self, count: u64) {
        self.missed += count;
        self.gap += count;
    }

    pub(super) fn lose(&mut self) {
        self.lost += 1;
        self.was_lost = true;
    }

    pub(super) fn next(&self) -> Option<u64> {
        self.place.map(|place| place.next + self.gap)
    }

    pub(super) fn count(&self, tally: &mut Tally) {
        tally.items += self.items;
        tally.missed += self.missed;
        tally.lost += self.lost;
    }
}
