//! The order of the folders inside a crate: imports between them go down only, and no circle of files leads through several.

mod circles;
mod graph;
mod source;

use std::collections::{BTreeMap, BTreeSet};

use crate::hygiene::SourceFile;
use crate::policy::FolderFloors;
use graph::{Graph, Import};

/// Every import that goes up or round, and every folder without a floor, one sentence each.
pub(crate) fn violations(crates: &[FolderFloors], sources: &[SourceFile]) -> Vec<String> {
    crates.iter().flat_map(|floors| of_crate(floors, sources)).collect()
}

/// The floors of each crate from the top down: the folders and files on them, and what each imports from.
pub(crate) fn listing(crates: &[FolderFloors], sources: &[SourceFile]) -> String {
    let shown = |floors: &FolderFloors| match Graph::read(floors.source, sources) {
        Ok(graph) => format!("{}\n{}", floors.source, list(floors, &graph)),
        Err(error) => format!("{error}\n"),
    };
    crates.iter().map(shown).collect::<Vec<_>>().join("\n")
}

fn of_crate(floors: &FolderFloors, sources: &[SourceFile]) -> Vec<String> {
    let graph = match Graph::read(floors.source, sources) {
        Ok(graph) => graph,
        Err(error) => return vec![error],
    };
    let mut found = wrong_names(floors, &graph);
    found.extend(upward(floors, &graph));
    found.extend(circles::across_folders(&graph).iter().map(|circle| {
        let steps: Vec<String> = circle.iter().map(|import| step(&graph, import)).collect();
        format!(
            "files of several folders of {} import each other in a circle: {}",
            floors.source,
            steps.join(", ")
        )
    }));
    found
}

/// Modules without a floor or with two, and names on a floor that no module has.
fn wrong_names(floors: &FolderFloors, graph: &Graph) -> Vec<String> {
    let mut found = Vec::new();
    let modules = tops(graph);
    for module in modules.keys() {
        let times = floors.floors.iter().copied().flatten().filter(|name| *name == module).count();
        match times {
            0 => found
                .push(format!("{}/{module} is on no floor: name it in xtask/src/policy.rs", floors.source)),
            1 => {}
            _ => found.push(format!("{}/{module} is on {times} floors", floors.source)),
        }
    }
    let named = floors.floors.iter().copied().flatten();
    let gone = named.filter(|name| !modules.contains_key(*name));
    found.extend(
        gone.map(|name| format!("{}/{name} has a floor, but there is no such module", floors.source)),
    );
    found
}

fn upward(floors: &FolderFloors, graph: &Graph) -> Vec<String> {
    let mut found = Vec::new();
    let mut told = BTreeSet::new();
    // The re-exports of a front come after the modules that define them.
    for import in graph
        .imports
        .iter()
        .filter(|one| !one.is_front)
        .chain(graph.imports.iter().filter(|one| one.is_front))
    {
        let Some(from) = graph.files[import.from].top() else { continue };
        let to = graph.files[import.to].top();
        let reason = match to.map(|to| (to, floors.floor_of(to))) {
            None => "the root of the crate lies above all its folders".to_owned(),
            Some((to, _)) if to == from => continue,
            Some((to, to_floor)) => match (floors.floor_of(from), to_floor) {
                (Some(own), Some(other)) if other >= own => {
                    format!("{from} is on floor {} and {to} on floor {}", own + 1, other + 1)
                }
                _ => continue,
            },
        };
        if told.insert((import.from, to)) {
            found.push(format!("{}: imports go down only, and {reason}", step(graph, import)));
        }
    }
    found
}

fn step(graph: &Graph, import: &Import) -> String {
    let Import { from, to, line, path, .. } = import;
    format!("{}:{line} imports {path} of {}", graph.files[*from].path, graph.files[*to].path)
}

/// The modules directly below the root, each with its number of files and lines.
fn tops(graph: &Graph) -> BTreeMap<&str, (usize, usize)> {
    let mut tops = BTreeMap::new();
    for file in &graph.files {
        if let Some(top) = file.top() {
            let (files, lines) = tops.entry(top).or_insert((0, 0));
            *files += 1;
            *lines += file.lines;
        }
    }
    tops
}

fn list(floors: &FolderFloors, graph: &Graph) -> String {
    let mut rows: Vec<(Option<usize>, &str, (usize, usize))> =
        tops(graph).into_iter().map(|(name, size)| (floors.floor_of(name), name, size)).collect();
    rows.sort_by_key(|(floor, name, _)| (std::cmp::Reverse(*floor), *name));
    let row = |(floor, name, (files, lines)): (Option<usize>, &str, (usize, usize))| {
        let floor = floor.map_or_else(|| "?".to_owned(), |floor| (floor + 1).to_string());
        let below = imported_by(floors, graph, name).join(" ");
        format!("{floor:>4}  {name} ({files} files, {lines} lines) -> {below}\n")
    };
    rows.into_iter().map(row).collect()
}

/// The other modules that the files of this one import from, the nearest floor first.
fn imported_by<'a>(floors: &FolderFloors, graph: &'a Graph, name: &str) -> Vec<&'a str> {
    let own = graph.imports.iter().filter(|import| graph.files[import.from].top() == Some(name));
    let mut others: Vec<&str> =
        own.filter_map(|import| graph.files[import.to].top()).filter(|other| *other != name).collect();
    others.sort_unstable_by_key(|other| (std::cmp::Reverse(floors.floor_of(other)), *other));
    others.dedup();
    others
}

impl FolderFloors {
    /// The number of the floor, counted from 0 at the ground.
    fn floor_of(&self, module: &str) -> Option<usize> {
        self.floors.iter().position(|floor| floor.contains(&module))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::tests::assert_only;
    use crate::policy::FOLDERS;

    /// The files of the made-up crate in `a/src`.
    pub(super) fn files(made_up: &[(&str, &str)]) -> Vec<SourceFile> {
        let file = |(path, text): &(&str, &str)| SourceFile {
            path: format!("a/src/{path}"),
            text: (*text).to_owned(),
        };
        made_up.iter().map(file).collect()
    }

    const FLOORS: FolderFloors =
        FolderFloors { source: "a/src", floors: &[&["net", "clock"], &["link"], &["server"]] };

    const GOOD: &[(&str, &str)] = &[
        ("lib.rs", "pub mod net; mod clock; mod link; mod server; pub use server::Server; pub use net::Net;"),
        ("net.rs", "pub struct Net;"),
        ("clock.rs", "// Unlike crate::server::Server.\npub struct Clock;"),
        ("link/mod.rs", "mod run; pub use run::Link; use crate::{net::Net, clock::Clock};"),
        ("link/run.rs", "pub struct Link; fn f(_: crate::Net) {}"),
        ("server/mod.rs", "mod accept; pub use accept::Server;"),
        ("server/accept.rs", "use super::super::link::Link; pub struct Server;"),
    ];

    fn with(path: &str, text: &str) -> Vec<String> {
        let mut sources = files(GOOD);
        let changed = files(&[(path, text)]).remove(0);
        sources.retain(|file| file.path != changed.path);
        sources.push(changed);
        violations(&[FLOORS], &sources)
    }

    #[test]
    fn folders_whose_imports_go_down_have_no_violation() {
        assert_eq!(violations(&[FLOORS], &files(GOOD)), Vec::<String>::new());
    }

    #[test]
    fn an_import_that_goes_up_is_found_however_it_is_written() {
        for text in [
            "use crate::link::Link; pub struct Net;",
            "use crate::{link::Link}; pub struct Net;",
            "use super::link::Link; pub struct Net;",
            "pub struct Net(crate::link::Link);",
            "pub struct Net; fn f() { go!(crate::link::Link) }",
            "pub struct Net; use crate::link; fn f() { link::Link::new() }",
            "pub struct Net; mod inner { pub(super) use super::super::link::*; }",
        ] {
            let found = with("net.rs", text);
            assert!(found[0].starts_with("a/src/net.rs:1 imports"), "{text}: {found:?}");
            assert!(found[0].ends_with("net is on floor 1 and link on floor 2"), "{text}: {found:?}");
        }
    }

    #[test]
    fn an_import_through_the_root_is_followed() {
        let found = with("clock.rs", "use crate::Server; pub struct Clock;");
        assert_only(&found, "a/src/clock.rs:1 imports crate::Server of a/src/server/accept.rs");
        let found = with("net.rs", "pub struct Net; fn f() { crate::version() }");
        assert_only(&found, "the root of the crate lies above all its folders");
    }

    #[test]
    fn a_reexport_of_a_higher_folder_must_not_be_imported() {
        let found = with("server/mod.rs", "mod accept; pub use accept::Server; pub use crate::clock::Clock;");
        assert_eq!(found, Vec::<String>::new());
        let mut sources = files(GOOD);
        sources[5].text += "pub use crate::clock::Clock;";
        sources[4].text += "use crate::server::Clock;";
        assert_only(&violations(&[FLOORS], &sources), "link is on floor 2 and server on floor 3");
    }

    #[test]
    fn folders_of_one_floor_do_not_know_each_other() {
        assert_only(&with("clock.rs", "use crate::net::Net; pub struct Clock;"), "floor 1");
    }

    #[test]
    fn imports_of_tests_may_go_up() {
        let found =
            with("net.rs", "pub struct Net;\n#[cfg(test)]\nmod tests {\nuse crate::server::Server;\n}");
        assert_eq!(found, Vec::<String>::new());
        assert_eq!(with("net/tests.rs", "use crate::server::Server;"), Vec::<String>::new());
    }

    #[test]
    fn a_module_without_a_floor_and_a_floor_without_a_module_are_found() {
        assert_only(&with("helper.rs", ""), "a/src/helper is on no floor");
        let mut sources = files(GOOD);
        sources.retain(|file| !file.path.contains("server"));
        assert_only(&violations(&[FLOORS], &sources), "there is no such module");
        let twice = FolderFloors { floors: &[&["net", "clock"], &["link", "net"], &["server"]], ..FLOORS };
        let found = violations(&[twice], &files(GOOD));
        assert!(found.iter().any(|found| found.contains("net is on 2 floors")), "{found:?}");
    }

    #[test]
    fn a_circle_across_folders_is_reported_with_each_of_its_steps() {
        let mut sources = files(GOOD);
        sources[3].text = "pub mod low; mod run; pub use run::Link;".to_owned();
        sources.extend(files(&[
            ("link/low/mod.rs", "pub mod deep;"),
            ("link/low/deep.rs", "use crate::link::Link;"),
        ]));
        assert_eq!(violations(&[FLOORS], &sources), Vec::<String>::new());
        sources[4].text += "use super::low::deep::Deep;";
        assert_only(
            &violations(&[FLOORS], &sources),
            "a/src/link/low/deep.rs:1 imports crate::link::Link of a/src/link/run.rs",
        );
    }

    #[test]
    fn each_row_of_the_policy_lets_imports_go_down_only() {
        for floors in FOLDERS {
            let modules: Vec<&str> = floors.floors.iter().copied().flatten().copied().collect();
            let with = |from: &str, to: &str| {
                let text = |module: &&str| {
                    if *module == from { format!("use crate::{to}::Name;") } else { String::new() }
                };
                let module = |module: &&str| SourceFile {
                    path: format!("{}/{module}.rs", floors.source),
                    text: text(module) + "pub struct Name;",
                };
                let mut sources: Vec<SourceFile> = modules.iter().map(module).collect();
                sources.push(SourceFile { path: format!("{}/lib.rs", floors.source), text: String::new() });
                of_crate(floors, &sources)
            };
            for pair in floors.floors.windows(2) {
                assert_eq!(with(pair[1][0], pair[0][0]), Vec::<String>::new());
                assert_only(&with(pair[0][0], pair[1][0]), "imports go down only");
            }
        }
    }

    #[test]
    fn the_listing_names_each_floor_with_what_it_imports_from() {
        let listing = listing(&[FLOORS], &files(GOOD));
        assert!(listing.contains("3  server (2 files, 2 lines) -> link\n"), "{listing}");
        assert!(listing.contains("2  link (2 files, 2 lines) -> clock net\n"), "{listing}");
    }
}
