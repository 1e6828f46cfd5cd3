//! The order of the crates: no crate depends on one that is not on a floor below its own, and no floor uses what is foreign to
//! it.

use std::path::Path;

use crate::hygiene::{self, SourceFile};
use crate::metadata::{Metadata, Package};
use crate::policy::{BESIDE, FLOORS, FOREIGN, WORDINGS, Wording};
use crate::process::Outcome;

/// Every dependency upward between the crates of the workspace, one sentence each.
pub(crate) fn violations(metadata: &Metadata) -> Vec<String> {
    let mut found = Vec::new();
    for expected in FLOORS.iter().copied().flatten().chain(BESIDE) {
        if !metadata.members().any(|member| member.name == *expected) {
            found.push(format!("{expected} is on a floor of the stair, but there is no such crate"));
        }
    }
    for member in metadata.members() {
        found.extend(upward(metadata, member));
    }
    for (name, foreign, reason) in FOREIGN {
        for member in metadata.members().filter(|member| member.name == *name) {
            let shipped = metadata.shipped_with(member);
            let wrong = shipped.iter().filter(|package| foreign.contains(&package.name.as_str()));
            found.extend(wrong.map(|package| format!("{name} depends on {}: {reason}", package.name)));
        }
    }
    found
}

/// Every word in the source of a floor that is foreign to it, one sentence each.
pub(crate) fn foreign_words(root: &Path) -> Outcome<Vec<String>> {
    let files = hygiene::rust_files(root)?;
    Ok(files.iter().flat_map(|file| WORDINGS.iter().flat_map(|wording| foreign_in(file, wording))).collect())
}

fn upward(metadata: &Metadata, member: &Package) -> Vec<String> {
    let Some(floor) = floor_of(&member.name) else {
        return vec![format!("{} is a member of the workspace, but on no floor of the stair", member.name)];
    };
    let mut found = Vec::new();
    for dependency in &member.dependencies {
        let Some(other) = metadata.packages.get(&dependency.id).filter(|other| other.is_member) else {
            continue;
        };
        let is_down = match (floor, floor_of(&other.name)) {
            (Floor::Level(own), Some(Floor::Level(below))) => below < own,
            (Floor::Level(_), Some(Floor::Beside)) => !dependency.is_normal,
            (Floor::Beside, _) | (_, None) => false,
        };
        if !is_down {
            found
                .push(format!("{} depends on {}, which is not on a floor below it", member.name, other.name));
        }
    }
    found
}

#[derive(Clone, Copy)]
enum Floor {
    /// The number of the floor, counted from 0 at the ground.
    Level(usize),
    Beside,
}

fn floor_of(name: &str) -> Option<Floor> {
    let level = FLOORS.iter().position(|floor| floor.contains(&name)).map(Floor::Level);
    level.or_else(|| BESIDE.contains(&name).then_some(Floor::Beside))
}

fn foreign_in(file: &SourceFile, wording: &Wording) -> Vec<String> {
    let is_below =
        |path: &str| file.path.strip_prefix(path).is_some_and(|rest| path.ends_with('/') || rest.is_empty());
    let is_in_folder = file.path.strip_prefix(wording.folder).is_some_and(|rest| rest.starts_with('/'));
    if !is_in_folder || wording.except.iter().any(|path| is_below(path)) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (number, line) in file.shipped_lines() {
        for word in wording.words.iter().filter(|word| line.contains(**word)) {
            found.push(format!("{}:{number} contains {word}: {}", file.path, wording.reason));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::tests::workspace;

    const GOOD: &[(&str, &[&str])] = &[
        ("meshzero-proto", &["serde"]),
        ("meshzero-actors", &["meshzero-proto", "actix"]),
        ("meshzero", &["meshzero-actors", "meshzero-proto"]),
        ("meshzero-cli", &["meshzero"]),
        ("meshzero-python", &["meshzero"]),
        ("meshzero-simulation", &["meshzero", "meshzero-actors"]),
        ("weather", &["meshzero"]),
        ("meshzero-interleavings", &["meshzero-proto"]),
        ("meshzero-testing", &[]),
        ("xtask", &[]),
    ];
    const OTHERS: &[(&str, &[&str])] =
        &[("serde", &[]), ("actix", &["tokio"]), ("tokio", &[]), ("codec", &["tokio"])];

    fn with_edge(from: &'static str, to: &'static str) -> Vec<String> {
        let mut metadata = workspace(GOOD, OTHERS);
        let dependency = crate::metadata::Dependency { id: to.to_owned(), is_normal: true };
        metadata.packages.get_mut(from).expect("it is part of the good stair").dependencies.push(dependency);
        violations(&metadata)
    }

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.to_owned(), text: text.to_owned() }
    }

    fn words_found(path: &str, text: &str) -> usize {
        WORDINGS.iter().map(|wording| foreign_in(&file(path, text), wording).len()).sum()
    }

    #[test]
    fn a_good_stair_has_no_violation() {
        assert_eq!(violations(&workspace(GOOD, OTHERS)), Vec::<String>::new());
    }

    #[test]
    fn every_step_upward_is_found() {
        for (from, to) in [
            ("meshzero-proto", "meshzero-actors"),
            ("meshzero-proto", "meshzero"),
            ("meshzero-actors", "meshzero"),
            ("meshzero-actors", "meshzero-cli"),
            ("meshzero", "meshzero-cli"),
            ("meshzero", "meshzero-testing"),
            ("meshzero-testing", "meshzero-proto"),
            ("xtask", "meshzero"),
        ] {
            let found = with_edge(from, to);
            assert!(
                found.iter().any(|sentence| sentence.starts_with(&format!("{from} depends on {to}"))),
                "{found:?}"
            );
        }
    }

    #[test]
    fn foreign_packages_are_found_through_others() {
        assert_eq!(with_edge("meshzero-proto", "codec").len(), 1);
        assert_eq!(with_edge("meshzero-proto", "tokio").len(), 1);
    }

    #[test]
    fn a_crate_without_a_floor_is_found() {
        let mut members = GOOD.to_vec();
        members.push(("meshzero-gateway", &[]));
        assert_eq!(violations(&workspace(&members, OTHERS)).len(), 1);
        assert_eq!(violations(&workspace(&GOOD[1..], OTHERS)).len(), 1, "a renamed floor escapes no check");
    }

    #[test]
    fn foreign_words_are_found_in_code_and_not_in_comments_or_tests() {
        assert_eq!(words_found("proto/src/link.rs", "let now = Instant::now();"), 1);
        assert_eq!(words_found("proto/src/link.rs", "use std::net::{IpAddr, TcpStream};"), 1);
        assert_eq!(words_found("proto/src/link.rs", "// The caller says Instant::now()."), 0);
        assert_eq!(words_found("proto/src/link.rs", "#[cfg(test)]\nmod tests {\nInstant::now();\n}"), 0);
        assert_eq!(
            words_found("proto/src/link.rs", "#[cfg(test)]\nmod tests;\nfn f() { Instant::now() }"),
            1
        );
        assert_eq!(words_found("proto/src/link/tests.rs", "Instant::now();"), 0);
        assert_eq!(words_found("actors/src/link.rs", "use mdns_sd::ServiceDaemon;"), 1);
        assert_eq!(words_found("actors/src/discovery/mdns.rs", "use mdns_sd::ServiceDaemon;"), 0);
        assert_eq!(words_found("actors/src/discovery/mdns/browse.rs", "use mdns_sd::ServiceDaemon;"), 0);
        assert_eq!(words_found("actors/src/discovery/mdns_other.rs", "use mdns_sd::ServiceDaemon;"), 1);
    }
}
