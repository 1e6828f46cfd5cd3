//! Items that a subscriber did not get: how many, and why.

use std::fmt;
use std::mem;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// Why a subscriber did not get an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GapReason {
    /// More waited than is kept for it.
    Overflow,
    /// Newer items of the topic replaced it, as the subscriber asked for.
    Superseded,
    /// More came than the subscriber asked for in a time.
    Rate,
    /// The publisher was to wait for the subscriber, which took nothing for longer than it waits.
    Patience,
    /// One that this version does not know.
    Unknown,
}

impl GapReason {
    /// As a word, for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Overflow => "overflow",
            Self::Superseded => "superseded",
            Self::Rate => "rate",
            Self::Patience => "patience",
            Self::Unknown => "unknown",
        }
    }

    /// As it travels.
    pub fn to_byte(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Overflow => 1,
            Self::Superseded => 2,
            Self::Rate => 3,
            Self::Patience => 4,
        }
    }

    /// As it came.
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
            Self::Rate => "they came faster than was asked for",
            Self::Patience => "nothing was taken for longer than the publisher waits",
            Self::Unknown => "for a reason that is not known here",
        })
    }
}

/// Items that were not delivered, by the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Missed {
    /// For [`GapReason::Overflow`].
    pub overflow: u64,
    /// For [`GapReason::Superseded`].
    pub superseded: u64,
    /// For [`GapReason::Rate`].
    pub rate: u64,
    /// For [`GapReason::Patience`].
    pub patience: u64,
}

impl Missed {
    /// All of them, each with its reason.
    pub fn by_reason(&self) -> [(GapReason, u64); 4] {
        [
            (GapReason::Overflow, self.overflow),
            (GapReason::Superseded, self.superseded),
            (GapReason::Rate, self.rate),
            (GapReason::Patience, self.patience),
        ]
    }

    /// For all reasons together.
    pub fn total(&self) -> u64 {
        self.by_reason().iter().fold(0, |total: u64, (_, count)| total.saturating_add(*count))
    }

    /// Counts items, saturating: whoever says how many may say anything. Those for a reason that is not known count as
    /// overflow.
    pub fn add(&mut self, count: u64, reason: GapReason) {
        let counted = match reason {
            GapReason::Overflow | GapReason::Unknown => &mut self.overflow,
            GapReason::Superseded => &mut self.superseded,
            GapReason::Rate => &mut self.rate,
            GapReason::Patience => &mut self.patience,
        };
        *counted = counted.saturating_add(count);
    }

    /// Takes the items of one reason.
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
    fn every_reason_travels_and_is_taken_once() {
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
