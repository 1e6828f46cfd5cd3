//! The address families in which a question is asked.

/// The address families in which a question is asked. A host with both families answers in each of them separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Families {
    /// IPv4, and IPv6 on interfaces without IPv4.
    First,
    /// IPv6, and IPv4 on interfaces without IPv6.
    Second,
    /// IPv6 on interfaces that have IPv4 as well.
    Beside,
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
pub(super) struct HeardQuestions {
    pub(super) v4: bool,
    pub(super) v6: bool,
}

impl Families {
    /// Returns true if a question is asked in a family on an interface.
    pub fn include(self, InterfaceFamily { is_ipv4, is_only }: InterfaceFamily) -> bool {
        match self {
            Self::First => is_ipv4 || is_only,
            Self::Second => !is_ipv4 || is_only,
            Self::Beside => !is_ipv4 && !is_only,
            Self::Only => is_only,
            Self::Both => true,
            Self::V4 => is_ipv4,
            Self::V6 => !is_ipv4,
            Self::OnlyV6 => !is_ipv4 && is_only,
            Self::OnlyV4 => is_ipv4 && is_only,
        }
    }

    /// Returns the families in which to ask a question that other hosts have asked in `asked`; `None` if there are none.
    pub(super) fn without(self, asked: HeardQuestions) -> Option<Self> {
        match (asked, self) {
            (HeardQuestions { v4: false, v6: false }, families) => Some(families),
            (HeardQuestions { v4: false, .. }, Self::First | Self::Both | Self::V4) => Some(Self::V4),
            (HeardQuestions { v6: false, .. }, Self::Second | Self::Both | Self::V6) => Some(Self::V6),
            // Interfaces with one family are not affected by questions in the other.
            (HeardQuestions { v6: false, .. }, Self::First) => Some(Self::OnlyV6),
            (HeardQuestions { v4: false, .. }, Self::Second) => Some(Self::OnlyV4),
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
    fn an_interface_with_one_family_is_asked_on_in_that_one() {
        let in_families = |families: Families, is_only| {
            [true, false].map(|is_ipv4| families.include(InterfaceFamily { is_ipv4, is_only }))
        };
        for (families, beside, only) in [
            (Families::First, [true, false], [true, true]),
            (Families::Second, [false, true], [true, true]),
            (Families::Beside, [false, true], [false, false]),
            (Families::Only, [false, false], [true, true]),
            (Families::Both, [true, true], [true, true]),
            (Families::V4, [true, false], [true, false]),
            (Families::V6, [false, true], [false, true]),
            (Families::OnlyV4, [false, false], [true, false]),
            (Families::OnlyV6, [false, false], [false, true]),
        ] {
            assert_eq!((in_families(families, false), in_families(families, true)), (beside, only));
        }
    }

    #[test]
    fn questions_of_others_in_one_family_are_asked_in_the_other() {
        let (neither, v4, v6, both) = (
            HeardQuestions::default(),
            HeardQuestions { v4: true, v6: false },
            HeardQuestions { v4: false, v6: true },
            HeardQuestions { v4: true, v6: true },
        );
        for (families, left) in [
            (Families::First, [Some(Families::First), Some(Families::OnlyV6), Some(Families::V4), None]),
            (Families::Second, [Some(Families::Second), Some(Families::V6), Some(Families::OnlyV4), None]),
            (Families::Both, [Some(Families::Both), Some(Families::V6), Some(Families::V4), None]),
        ] {
            assert_eq!([neither, v4, v6, both].map(|asked| families.without(asked)), left, "{families:?}");
        }
    }
}
