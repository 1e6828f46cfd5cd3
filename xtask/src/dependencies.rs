//! Checks of the dependencies against the policy: registries, licences, banned packages, and their number.

use std::collections::BTreeSet;

use crate::licence;
use crate::metadata::{Metadata, Package};
use crate::policy::{BANNED, LIBRARY, LICENCES, REGISTRY, SINGLE};

/// Every violation, one sentence each.
pub(crate) fn violations(metadata: &Metadata) -> Vec<String> {
    let mut found: Vec<String> =
        metadata.packages.values().flat_map(|package| of_package(metadata, package)).collect();
    for name in SINGLE {
        let versions: BTreeSet<&str> =
            metadata.packages.values().filter(|p| p.name == *name).map(|p| p.version.as_str()).collect();
        if versions.len() > 1 {
            let versions = versions.into_iter().collect::<Vec<_>>().join(" and ");
            found.push(format!("{name} is in the lock file in versions {versions}: only one is allowed"));
        }
    }
    found.extend(too_many(metadata, LIBRARY));
    found
}

/// The number of crates that `name` ships with, itself included; none if there is no such member.
pub(crate) fn count(metadata: &Metadata, name: &str) -> Option<usize> {
    let package = metadata.members().find(|package| package.name == name)?;
    let crates: BTreeSet<(&str, &str)> =
        metadata.shipped_with(package).iter().map(|p| (p.name.as_str(), p.version.as_str())).collect();
    Some(crates.len())
}

fn too_many(metadata: &Metadata, (name, most): (&str, usize)) -> Option<String> {
    match count(metadata, name) {
        None => Some(format!("{name}, whose crates are counted, is not a member of the workspace")),
        Some(crates) if crates > most => {
            Some(format!("{name} depends on {crates} crates, itself included; at most {most} are allowed"))
        }
        Some(_) => None,
    }
}

fn of_package(metadata: &Metadata, package: &Package) -> Vec<String> {
    let mut found = Vec::new();
    let called = format!("{} {}", package.name, package.version);
    match &package.source {
        None if package.folder.starts_with(&metadata.root) => {}
        None => found.push(format!("{called} comes from a folder outside the project")),
        Some(source) if source == REGISTRY => {}
        Some(source) => found.push(format!("{called} comes from {source}, and only crates.io is allowed")),
    }
    match &package.licence {
        None => found.push(format!("{called} has no licence in its manifest")),
        Some(licence) if licence::is_allowed(licence, LICENCES) => {}
        Some(licence) => {
            found.push(format!("{called} is licensed under {licence}, which is not on the list"))
        }
    }
    if let Some((_, reason)) = BANNED.iter().find(|(name, _)| *name == package.name) {
        found.push(format!("{called} is banned: {reason}"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::tests::{assert_only, workspace};

    fn good() -> Metadata {
        workspace(&[("meshzero", &["tokio"])], &[("tokio", &[])])
    }

    fn broken(name: &str, change: impl FnOnce(&mut Package)) -> Vec<String> {
        let mut metadata = good();
        change(metadata.packages.get_mut(name).expect("it is part of the good workspace"));
        violations(&metadata)
    }

    #[test]
    fn a_good_workspace_has_no_violation() {
        assert_eq!(violations(&good()), Vec::<String>::new());
    }

    #[test]
    fn another_source_is_found() {
        let git = "git+https://example.org/tokio".to_owned();
        assert_only(&broken("tokio", |package| package.source = Some(git)), "only crates.io");
        assert_only(
            &broken("meshzero", |package| package.folder = "/elsewhere".into()),
            "outside the project",
        );
    }

    #[test]
    fn another_licence_is_found() {
        assert_only(
            &broken("tokio", |package| package.licence = Some("GPL-3.0-only".into())),
            "GPL-3.0-only",
        );
        assert_only(&broken("tokio", |package| package.licence = None), "no licence in its manifest");
    }

    #[test]
    fn a_banned_package_and_a_second_version_are_found() {
        assert_only(&broken("tokio", |package| package.name = "libmdns".into()), "banned");
        let mut metadata = good();
        let second = Package { version: "2.0.0".into(), ..metadata.packages["tokio"].clone() };
        metadata.packages.insert("tokio 2".into(), second);
        assert_only(&violations(&metadata), "1.0.0 and 2.0.0");
    }

    #[test]
    fn too_many_crates_are_found() {
        let metadata = good();
        assert_eq!(count(&metadata, "meshzero"), Some(2));
        assert!(too_many(&metadata, ("meshzero", 2)).is_none());
        assert!(too_many(&metadata, ("meshzero", 1)).is_some());
        assert!(too_many(&metadata, ("renamed", 1)).is_some());
    }
}
