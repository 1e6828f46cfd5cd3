//! The address families in which a question is asked.

/// The address families in which a question is asked. A host with both families answers in each of them separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Families {
    /// IPv4, and IPv6 on interfaces without IPv4.
    First,
    /// IPv6, and IPv4 on interfaces without IPv6.
    Second,
    /// IPv6 on interfaces that have IPv4 as well.
    DualStackV6,
    /// The one family of interfaces that have no other.
    Only,
    /// Both families.
    Both,
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
    /// IPv6 on interfaces without IPv4.
    OnlyV6,
    /// IPv4 on interfaces without IPv6.
    OnlyV4,
}

/// One family on one interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterfaceFamily {
    /// Set for IPv4, clear for IPv6.
    pub is_ipv4: bool,
    /// Set if the interface lacks the other family.
    pub is_only: bool,
}

/// The recent questions of other hosts, by family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct RecentQuestions {
    pub(super) v4: bool,
    pub(super) v6: bool,
}

impl Families {
    /// Returns true if a question is asked in a family on an interface.
    pub fn include(self, InterfaceFamily { is_ipv4, is_only }: InterfaceFamily) -> bool {
        match self {
            Self::First => is_ipv4 || is_only,
            Self::Second => !is_ipv4 || is_only,
            Self::DualStackV6 => !is_ipv4 && !is_only,
            Self::Only => is_only,
            Self::Both => true,
            Self::V4 => is_ipv4,
            Self::V6 => !is_ipv4,
            Self::OnlyV6 => !is_ipv4 && is_only,
            Self::OnlyV4 => is_ipv4 && is_only,
        }
    }

    /// Returns the families in which to ask a question that other hosts have asked in `recent`; `None` if there are none.
    pub(super) fn without(self, recent: RecentQuestions) -> Option<Self> {
        match (recent, self) {
            (RecentQuestions { v4: false, v6: false }, families) => Some(families),
            (RecentQuestions { v4: false, .. }, Self::First | Self::Both | Self::V4) => Some(Self::V4),
            (RecentQuestions { v6: false, .. }, Self::Second | Self::Both | Self::V6) => Some(Self::V6),
            // Interfaces with one family are not affected by questions in the other.
            (RecentQuestions { v6: false, .. }, Self::First) => Some(Self::OnlyV6),
            (RecentQuestions { v4: false, .. }, Self::Second) => Some(Self::OnlyV4),
            _ => None,
        }
    }

    /// Returns these families and `others`.
    pub(super) fn and(self, others: Self) -> Self {
        if self == others { self } else { Self::Both }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_on_a_single_family_interface_use_that_family() {
        let in_families = |families: Families, is_only| {
            [true, false].map(|is_ipv4| families.include(InterfaceFamily { is_ipv4, is_only }))
        };
        for (families, dual_stack, single) in [
            (Families::First, [true, false], [true, true]),
            (Families::Second, [false, true], [true, true]),
            (Families::DualStackV6, [false, true], [false, false]),
            (Families::Only, [false, false], [true, true]),
            (Families::Both, [true, true], [true, true]),
            (Families::V4, [true, false], [true, false]),
            (Families::V6, [false, true], [false, true]),
            (Families::OnlyV4, [false, false], [true, false]),
            (Families::OnlyV6, [false, false], [false, true]),
        ] {
            assert_eq!((in_families(families, false), in_families(families, true)), (dual_stack, single));
        }
    }

    #[test]
    fn a_question_that_others_asked_in_one_family_is_asked_in_the_other() {
        let (neither, v4, v6, both) = (
            RecentQuestions::default(),
            RecentQuestions { v4: true, v6: false },
            RecentQuestions { v4: false, v6: true },
            RecentQuestions { v4: true, v6: true },
        );
        for (families, expected) in [
            (Families::First, [Some(Families::First), Some(Families::OnlyV6), Some(Families::V4), None]),
            (Families::Second, [Some(Families::Second), Some(Families::V6), Some(Families::OnlyV4), None]),
            (Families::Both, [Some(Families::Both), Some(Families::V6), Some(Families::V4), None]),
        ] {
            assert_eq!(
                [neither, v4, v6, both].map(|recent| families.without(recent)),
                expected,
                "{families:?}"
            );
        }
    }
}
