//! Gaps in a subscription: the numbers of missed items, by their reasons.

use std::fmt;
use std::mem;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// The reason why a subscriber missed an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GapReason {
    /// The queue for the subscriber was full.
    Overflow,
    /// Newer items of the topic replaced it, as the subscriber requested.
    Superseded,
    /// Items arrived faster than the subscriber's requested rate.
    Rate,
    /// The publisher waited for the subscriber until its timeout, and the subscriber made no progress.
    Patience,
    /// A reason that this version does not know.
    Unknown,
}

impl GapReason {
    /// Returns its name, for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Overflow => "overflow",
            Self::Superseded => "superseded",
            Self::Rate => "rate",
            Self::Patience => "patience",
            Self::Unknown => "unknown",
        }
    }

    /// Returns its byte in a frame.
    pub fn to_byte(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Overflow => 1,
            Self::Superseded => 2,
            Self::Rate => 3,
            Self::Patience => 4,
        }
    }

    /// Returns the reason of a byte in a frame.
    pub fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Overflow,
            2 => Self::Superseded,
            3 => Self::Rate,
            4 => Self::Patience,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overflow => "the backlog was full",
            Self::Superseded => "newer ones replaced them",
            Self::Rate => "they came faster than the requested rate",
            Self::Patience => "the publisher's wait for the subscriber timed out",
            Self::Unknown => "for an unknown reason",
        })
    }
}

/// Missed items, counted by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Missed {
    /// The items missed for [`GapReason::Overflow`].
    pub overflow: u64,
    /// The items missed for [`GapReason::Superseded`].
    pub superseded: u64,
    /// The items missed for [`GapReason::Rate`].
    pub rate: u64,
    /// The items missed for [`GapReason::Patience`].
    pub patience: u64,
}

impl Missed {
    /// Returns all counts, each with its reason.
    pub fn by_reason(&self) -> [(GapReason, u64); 4] {
        [
            (GapReason::Overflow, self.overflow),
            (GapReason::Superseded, self.superseded),
            (GapReason::Rate, self.rate),
            (GapReason::Patience, self.patience),
        ]
    }

    /// Returns the sum for all reasons.
    pub fn total(&self) -> u64 {
        self.by_reason().iter().fold(0, |total: u64, (_, count)| total.saturating_add(*count))
    }

    /// Adds items, saturating: a count from a peer may be forged. Items with an unknown reason count as overflow.
    pub fn add(&mut self, count: u64, reason: GapReason) {
        let sum = match reason {
            GapReason::Overflow | GapReason::Unknown => &mut self.overflow,
            GapReason::Superseded => &mut self.superseded,
            GapReason::Rate => &mut self.rate,
            GapReason::Patience => &mut self.patience,
        };
        *sum = sum.saturating_add(count);
    }

    /// Takes the count of one reason.
    pub(super) fn take(&mut self) -> Option<(u64, GapReason)> {
        let counts = [
            (&mut self.patience, GapReason::Patience),
            (&mut self.overflow, GapReason::Overflow),
            (&mut self.rate, GapReason::Rate),
            (&mut self.superseded, GapReason::Superseded),
        ];
        let (count, reason) = counts.into_iter().find(|(count, _)| **count > 0)?;
        Some((mem::take(count), reason))
    }
}

impl AddAssign for Missed {
    fn add_assign(&mut self, other: Self) {
        self.overflow += other.overflow;
        self.superseded += other.superseded;
        self.rate += other.rate;
        self.patience += other.patience;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_encoded_and_taken_once() {
        let mut missed = Missed { overflow: 1, superseded: 2, rate: 3, patience: 4 };
        missed += missed;
        assert_eq!(missed.total(), 20);
        let taken: Vec<_> = std::iter::from_fn(|| missed.take()).collect();
        assert_eq!(taken.iter().map(|(count, _)| count).sum::<u64>(), 20);
        assert!(taken.iter().all(|(_, reason)| GapReason::from_byte(reason.to_byte()) == *reason));
        assert_eq!((taken.len(), missed), (4, Missed::default()));
        taken.iter().for_each(|(count, reason)| missed.add(*count, *reason));
        assert_eq!(missed, Missed { overflow: 2, superseded: 4, rate: 6, patience: 8 });
        missed.add(u64::MAX, GapReason::Unknown);
        assert_eq!(missed.overflow, u64::MAX);
        assert_eq!(GapReason::from_byte(255), GapReason::Unknown);
    }
}
