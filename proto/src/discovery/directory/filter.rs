//! The set of services that a watcher or a lookup selects.

use crate::name::ServiceName;

/// A selection of services by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// All services whose name begins with this text; the empty text means all.
    Prefix(String),
    /// The service with this name.
    Name(ServiceName),
    /// The members of a group.
    Group {
        /// The group and the separator: the prefix of its members' names.
        prefix: String,
        /// Names that are excluded.
        exclude: Vec<ServiceName>,
    },
}

impl Filter {
    /// Returns the filter that selects every service.
    pub fn everything() -> Self {
        Self::Prefix(String::new())
    }

    /// Returns the filter for the members of `group`, whose names begin with it and `separator`, except the `exclude`d.
    pub fn group(group: &str, separator: &str, exclude: Vec<ServiceName>) -> Self {
        Self::Group { prefix: format!("{group}{separator}"), exclude }
    }

    /// Returns true if the filter selects a service of this name.
    pub fn includes(&self, name: &ServiceName) -> bool {
        match self {
            Self::Prefix(prefix) => name.starts_with(prefix),
            Self::Name(wanted) => name == wanted,
            Self::Group { prefix, exclude } => name.starts_with(prefix) && !exclude.contains(name),
        }
    }

    /// Returns true if such a service can exist: no name begins with a control character or exceeds the length limit.
    pub fn is_possible(&self) -> bool {
        self.prefix().is_empty() || ServiceName::new(self.prefix()).is_ok()
    }

    /// Returns the common prefix of the names of all selected services.
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
    fn a_prefix_of_no_valid_name_is_impossible() {
        let group = |group: &str, separator: &str| Filter::group(group, separator, Vec::new());
        let possible = [Filter::everything(), group("robot", "/"), group("", ""), group("é ", " ")];
        assert!(possible.iter().all(Filter::is_possible));
        let impossible = [group("a\nb", "/"), group("robot", "\u{7}"), group(&"x".repeat(128), "/")];
        assert!(!impossible.iter().any(Filter::is_possible));
    }
}
