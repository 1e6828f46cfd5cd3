//! Which services somebody wants to hear of.

use crate::name::ServiceName;

/// Which services somebody wants to hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// All whose name begins with this text; the empty text means all.
    Prefix(String),
    /// The one name.
    Name(ServiceName),
    /// The members of a group.
    Group {
        /// The group and the separator, with which the names of members begin.
        prefix: String,
        /// Names that are not wanted.
        exclude: Vec<ServiceName>,
    },
}

impl Filter {
    /// Every service.
    pub fn everything() -> Self {
        Self::Prefix(String::new())
    }

    /// The members of `group`, whose names begin with it and `separator`, except the `exclude`d.
    pub fn group(group: &str, separator: &str, exclude: Vec<ServiceName>) -> Self {
        Self::Group { prefix: format!("{group}{separator}"), exclude }
    }

    /// Whether a service of this name is wanted.
    pub fn includes(&self, name: &ServiceName) -> bool {
        match self {
            Self::Prefix(prefix) => name.starts_with(prefix),
            Self::Name(wanted) => name == wanted,
            Self::Group { prefix, exclude } => name.starts_with(prefix) && !exclude.contains(name),
        }
    }

    /// Returns whether there can be such a service: no name begins with a control character, or is longer than names are.
    pub fn is_possible(&self) -> bool {
        self.prefix().is_empty() || ServiceName::new(self.prefix()).is_ok()
    }

    /// What the names of all wanted services begin with.
    pub fn prefix(&self) -> &str {
        match self {
            Self::Prefix(prefix) | Self::Group { prefix, .. } => prefix,
            Self::Name(name) => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_name_begins_with_is_impossible() {
        let group = |group: &str, separator: &str| Filter::group(group, separator, Vec::new());
        let possible = [Filter::everything(), group("robot", "/"), group("", ""), group("é ", " ")];
        assert!(possible.iter().all(Filter::is_possible));
        let impossible = [group("a\nb", "/"), group("robot", "\u{7}"), group(&"x".repeat(128), "/")];
        assert!(!impossible.iter().any(Filter::is_possible));
    }
}
