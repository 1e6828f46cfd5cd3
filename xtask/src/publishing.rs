//! The published crates: their manifests have all fields that crates.io and docs.rs show, and they can be packaged.

use std::process::Command;

use serde_json::Value;

use crate::metadata::{Metadata, Package};
use crate::policy::PUBLISHED;
use crate::process::{Outcome, read};

/// Every missing field of a manifest, one sentence each.
pub(crate) fn violations(metadata: &Metadata) -> Vec<String> {
    let mut found = Vec::new();
    for name in PUBLISHED {
        match metadata.members().find(|member| member.name == *name) {
            Some(member) => found.extend(missing(metadata, member)),
            None => found.push(format!("{name} is to be published, but the workspace has no such member")),
        }
    }
    for member in metadata.members().filter(|member| !PUBLISHED.contains(&member.name.as_str())) {
        if may_be_published(member) {
            found.push(format!(
                "{} is not to be published: its manifest needs `publish = false`",
                member.name
            ));
        }
    }
    found
}

/// Packages the crates without compiling them: each finds the files and the versions that its manifest names.
pub(crate) fn package() -> Outcome {
    let mut command = Command::new(env!("CARGO"));
    command.args(["package", "--no-verify", "--allow-dirty", "--locked", "--offline"]);
    command.args(PUBLISHED.iter().flat_map(|name| ["--package", *name]));
    read(&mut command).map(drop)
}

fn missing(metadata: &Metadata, package: &Package) -> Vec<String> {
    let manifest = &package.manifest;
    let mut found = Vec::new();
    for field in ["description", "documentation", "license", "readme", "rust_version"] {
        if manifest[field].as_str().is_none_or(str::is_empty) {
            found.push(format!("{} is published without `{}`", package.name, field.replace('_', "-")));
        }
    }
    for field in ["keywords", "categories"] {
        // crates.io accepts at most five of each.
        if manifest[field].as_array().is_none_or(|list| list.is_empty() || list.len() > 5) {
            found.push(format!("{} is published without `{field}`, or with more than five", package.name));
        }
    }
    let is_library = manifest["targets"].as_array().is_some_and(|targets| targets.iter().any(is_lib));
    if is_library && manifest["metadata"]["docs"]["rs"]["all-features"] != true {
        found.push(format!("{} is published without `all-features` for docs.rs", package.name));
    }
    if !may_be_published(package) {
        found.push(format!("{} is to be published, but its manifest says `publish = false`", package.name));
    }
    for dependency in package.dependencies.iter().filter(|dependency| dependency.is_normal) {
        let other = metadata.packages.get(&dependency.id).filter(|other| other.is_member);
        if let Some(other) = other.filter(|other| !PUBLISHED.contains(&other.name.as_str())) {
            found.push(format!("{} is published and depends on {}, which is not", package.name, other.name));
        }
    }
    found
}

/// The registries that a crate may be published to are in cargo's metadata: an empty list if there are none.
fn may_be_published(package: &Package) -> bool {
    package.manifest["publish"].as_array().is_none_or(|registries| !registries.is_empty())
}

fn is_lib(target: &Value) -> bool {
    target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "lib"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Dependency;
    use crate::metadata::tests::{assert_only, workspace};
    use serde_json::json;

    /// Complete crates that are to be published, and one crate that is not.
    fn good() -> Metadata {
        let names: Vec<(&str, &[&str])> =
            PUBLISHED.iter().chain(&["xtask"]).map(|name| (*name, &[] as &[&str])).collect();
        let mut metadata = workspace(&names, &[]);
        for package in metadata.packages.values_mut() {
            let publish = if package.name == "xtask" { json!([]) } else { Value::Null };
            package.manifest = json!({
                "description": "Actors", "documentation": "https://docs.rs/a", "license": "MIT", "readme": "README.md",
                "rust_version": "1.88", "keywords": ["actor"], "categories": ["asynchronous"],
                "targets": [{ "kind": ["lib"] }], "metadata": { "docs": { "rs": { "all-features": true } } },
                "publish": publish,
            });
        }
        metadata
    }

    fn with(name: &str, change: impl FnOnce(&mut Package)) -> Vec<String> {
        let mut metadata = good();
        change(metadata.packages.get_mut(name).expect("it is part of the good workspace"));
        violations(&metadata)
    }

    #[test]
    fn complete_manifests_have_no_violation() {
        assert_eq!(violations(&good()), Vec::<String>::new());
    }

    #[test]
    fn each_missing_field_is_found() {
        for field in ["description", "documentation", "license", "readme", "rust_version"] {
            let found = with("meshzero", |package| package.manifest[field] = Value::Null);
            assert_only(&found, &format!("meshzero is published without `{}`", field.replace('_', "-")));
        }
        for field in ["keywords", "categories"] {
            for wrong in [json!([]), json!(["a", "b", "c", "d", "e", "f"])] {
                assert_only(&with("meshzero", |package| package.manifest[field] = wrong), field);
            }
        }
        assert_only(&with("meshzero", |package| package.manifest["metadata"] = Value::Null), "docs.rs");
    }

    #[test]
    fn a_published_crate_that_may_not_go_out_and_one_that_may_by_mistake_are_found() {
        let found = with("meshzero", |package| package.manifest["publish"] = json!([]));
        assert_only(&found, "meshzero is to be published, but its manifest says");
        let found = with("xtask", |package| package.manifest["publish"] = Value::Null);
        assert_only(&found, "xtask is not to be published");
        let mut metadata = good();
        metadata.packages.remove("meshzero");
        assert_only(&violations(&metadata), "no such member");
    }

    #[test]
    fn a_published_crate_depends_on_published_ones() {
        let testing = Dependency { id: "xtask".to_owned(), is_normal: true };
        let found = with("meshzero", |package| package.dependencies.push(testing));
        assert_only(&found, "meshzero is published and depends on xtask, which is not");
    }
}
