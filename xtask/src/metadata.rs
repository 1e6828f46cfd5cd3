//! Cargo's metadata of the workspace and all its dependencies, reduced to what the checks read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::process::{Failure, Outcome, read};

/// The workspace and the packages it depends on, for every platform.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metadata {
    /// The folder of the workspace.
    pub(crate) root: PathBuf,
    /// The folder that cargo builds into.
    pub(crate) target: PathBuf,
    /// All packages of the lock file, by id.
    pub(crate) packages: BTreeMap<String, Package>,
}

/// One package.
#[derive(Debug, Clone, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Its manifest as cargo shows it.
    pub(crate) manifest: Value,
    /// The licence expression of its manifest.
    pub(crate) licence: Option<String>,
    /// The registry or repository it comes from; none for a folder.
    pub(crate) source: Option<String>,
    /// The folder its manifest lies in.
    pub(crate) folder: PathBuf,
    /// True if it belongs to the workspace.
    pub(crate) is_member: bool,
    /// The packages that it depends on.
    pub(crate) dependencies: Vec<Dependency>,
}

/// An edge from one package to another.
#[derive(Debug, Clone)]
pub(crate) struct Dependency {
    /// The id of the other package.
    pub(crate) id: String,
    /// True for a dependency of the shipped code, and not only of builds and tests.
    pub(crate) is_normal: bool,
}

impl Metadata {
    /// Asks cargo, without a network and without changing the lock file. Fails if the lock file is out of date.
    pub(crate) fn load() -> Outcome<Self> {
        let arguments = ["metadata", "--format-version", "1", "--locked", "--offline"];
        let text = read(Command::new(env!("CARGO")).args(arguments))?;
        let json =
            serde_json::from_str(&text).map_err(|error| Failure(format!("cargo metadata: {error}")))?;
        Self::parse(&json).ok_or_else(|| Failure("cargo metadata has a form that xtask does not know".into()))
    }

    /// The members of the workspace.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.values().filter(|package| package.is_member)
    }

    /// The members of the workspace with their folders below the project's, with `/` between folders.
    pub(crate) fn member_folders(&self) -> Vec<(String, String)> {
        let folder = |member: &Package| {
            let below = member.folder.strip_prefix(&self.root).unwrap_or(&member.folder);
            let parts = below.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
            parts.collect::<Vec<_>>().join("/")
        };
        self.members().map(|member| (member.name.clone(), folder(member))).collect()
    }

    /// All packages that are shipped with `package`, itself included.
    pub(crate) fn shipped_with<'a>(&'a self, package: &'a Package) -> Vec<&'a Package> {
        let mut seen = BTreeSet::new();
        let mut found = vec![package];
        let mut next = 0;
        while let Some(package) = found.get(next) {
            let edges = package.dependencies.iter().filter(|dependency| dependency.is_normal);
            let new: Vec<&Package> = edges
                .filter(|dependency| seen.insert(&dependency.id))
                .filter_map(|dependency| self.packages.get(&dependency.id))
                .collect();
            found.extend(new);
            next += 1;
        }
        found
    }

    fn parse(json: &Value) -> Option<Self> {
        let members: BTreeSet<&str> =
            json["workspace_members"].as_array()?.iter().filter_map(Value::as_str).collect();
        let mut packages = BTreeMap::new();
        for package in json["packages"].as_array()? {
            let id = package["id"].as_str()?;
            packages.insert(id.to_owned(), Package::parse(package, members.contains(id))?);
        }
        for node in json["resolve"]["nodes"].as_array()? {
            let dependencies =
                node["deps"].as_array()?.iter().map(Dependency::parse).collect::<Option<_>>()?;
            packages.get_mut(node["id"].as_str()?)?.dependencies = dependencies;
        }
        Some(Self {
            root: json["workspace_root"].as_str()?.into(),
            target: json["target_directory"].as_str()?.into(),
            packages,
        })
    }
}

impl Package {
    fn parse(json: &Value, is_member: bool) -> Option<Self> {
        let manifest = PathBuf::from(json["manifest_path"].as_str()?);
        Some(Self {
            name: json["name"].as_str()?.to_owned(),
            version: json["version"].as_str()?.to_owned(),
            manifest: json.clone(),
            licence: json["license"].as_str().map(str::to_owned),
            source: json["source"].as_str().map(str::to_owned),
            folder: manifest.parent()?.to_owned(),
            is_member,
            dependencies: Vec::new(),
        })
    }
}

impl Dependency {
    fn parse(json: &Value) -> Option<Self> {
        // The kind is null in cargo's output unless the dependency is of a build script or of tests alone.
        let is_normal = json["dep_kinds"].as_array()?.iter().any(|kind| kind["kind"].is_null());
        Some(Self { id: json["pkg"].as_str()?.to_owned(), is_normal })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Asserts that one violation was found, and that it is about this.
    pub(crate) fn assert_only(found: &[String], about: &str) {
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(about), "{found:?}");
    }

    /// A workspace in memory: members under `/project`, everything else from crates.io.
    pub(crate) fn workspace(members: &[(&str, &[&str])], others: &[(&str, &[&str])]) -> Metadata {
        let edges = |names: &[&str]| {
            names.iter().map(|name| Dependency { id: (*name).to_owned(), is_normal: true }).collect()
        };
        let package = |name: &str, dependencies: &[&str], is_member: bool| Package {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            manifest: Value::Null,
            licence: Some("MIT OR Apache-2.0".to_owned()),
            source: (!is_member).then(|| crate::policy::REGISTRY.to_owned()),
            folder: PathBuf::from("/project").join(name),
            is_member,
            dependencies: edges(dependencies),
        };
        let members = members.iter().map(|(name, needs)| package(name, needs, true));
        let others = others.iter().map(|(name, needs)| package(name, needs, false));
        Metadata {
            root: "/project".into(),
            target: "/project/target".into(),
            packages: members.chain(others).map(|package| (package.name.clone(), package)).collect(),
        }
    }

    #[test]
    fn shipped_packages_follow_normal_edges_only_and_end_on_circles() {
        let mut metadata =
            workspace(&[("a", &["b"]), ("b", &["c", "a"])], &[("c", &["d"]), ("d", &[]), ("e", &[])]);
        if let Some(c) = metadata.packages.get_mut("c") {
            c.dependencies[0].is_normal = false;
        }
        let mut names: Vec<&str> = metadata
            .shipped_with(&metadata.packages["a"])
            .iter()
            .map(|package| package.name.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names, ["a", "b", "c"]);
    }

    #[test]
    fn an_unknown_form_is_not_taken_for_an_empty_workspace() {
        assert!(Metadata::parse(&serde_json::json!({ "packages": [] })).is_none());
    }
}
