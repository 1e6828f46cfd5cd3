//! Circles of files: files of several folders that import each other, directly or through others.

use std::collections::{BTreeSet, VecDeque};

use super::graph::{File, Graph, Import};

/// Returns circles that lead through files of several folders, each as a chain of imports that ends where it began. The shortest
/// come first. A circle is left out if each of its steps is part of an earlier one.
///
/// A module and those below it may import each other, because the `impl` blocks of one type are spread over them. Hence an import
/// between a module and one below it begins no circle, and two modules that reach each other only through one that is above both
/// form none.
pub(super) fn across_folders(graph: &Graph) -> Vec<Vec<&Import>> {
    let steps = ImportsByFile::of(graph);
    let mut circles: Vec<Vec<&Import>> = graph
        .imports
        .iter()
        .filter(|import| !import.is_front && is_across(&graph.files[import.from], &graph.files[import.to]))
        .filter_map(|import| steps.shortest_circle(import))
        .collect();
    circles.sort_by_key(Vec::len);
    let mut told = BTreeSet::new();
    circles.retain(|circle| circle.iter().filter(|import| told.insert((import.from, import.to))).count() > 0);
    circles
}

fn is_across(from: &File, to: &File) -> bool {
    from.folder() != to.folder() && !is_above(from, to) && !is_above(to, from)
}

fn is_above(file: &File, other: &File) -> bool {
    other.module.starts_with(&file.module)
}

/// The imports of each file.
struct ImportsByFile<'a> {
    files: &'a [File],
    from: Vec<Vec<&'a Import>>,
}

impl<'a> ImportsByFile<'a> {
    fn of(graph: &'a Graph) -> Self {
        let mut from = vec![Vec::new(); graph.files.len()];
        for import in graph.imports.iter().filter(|import| !import.is_front) {
            from[import.from].push(import);
        }
        Self { files: &graph.files, from }
    }

    /// The shortest circle that begins with `first` and needs no module that is above both its ends.
    fn shortest_circle(&self, first: &'a Import) -> Option<Vec<&'a Import>> {
        let [begin, end] = [first.to, first.from].map(|file| &self.files[file]);
        let is_open = |file: usize| !(is_above(&self.files[file], begin) && is_above(&self.files[file], end));
        let mut came_by: Vec<Option<&Import>> = vec![None; self.files.len()];
        let mut open = VecDeque::from([first.to]);
        while let Some(file) = open.pop_front() {
            for import in self.from[file].iter().copied().filter(|import| is_open(import.to)) {
                if came_by[import.to].is_none() && import.to != first.to {
                    came_by[import.to] = Some(import);
                    open.push_back(import.to);
                }
            }
        }
        let mut chain = Vec::new();
        let mut file = first.from;
        while file != first.to {
            let import = came_by[file]?;
            chain.push(import);
            file = import.from;
        }
        chain.push(first);
        chain.reverse();
        Some(chain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folders::tests::files;

    fn circles(made_up: &[(&str, &str)]) -> Vec<String> {
        let graph = Graph::read("a/src", &files(made_up)).expect("the test's own sources can be read");
        let shown = |circle: Vec<&Import>| {
            let names = circle.iter().map(|import| graph.files[import.from].module.join("/"));
            names.collect::<Vec<_>>().join(" ")
        };
        across_folders(&graph).into_iter().map(shown).collect()
    }

    const ROOT: (&str, &str) = ("lib.rs", "mod x; mod y;");

    #[test]
    fn a_circle_of_two_folders_is_found() {
        let found = circles(&[
            ROOT,
            ("x/mod.rs", "pub mod a; pub mod b;"),
            ("x/a.rs", "use crate::x::b::B; pub struct A;"),
            ("x/b.rs", "use crate::y::C; pub struct B;"),
            ("y.rs", "use crate::x::a::A; pub struct C;"),
        ]);
        assert_eq!(found, ["y x/a x/b"]);
    }

    #[test]
    fn no_circle_hides_behind_a_reexport() {
        let found = circles(&[
            ROOT,
            ("x/mod.rs", "mod a; pub use a::A;"),
            ("x/a.rs", "use crate::y::C; pub struct A;"),
            ("y/mod.rs", "mod c; pub use c::C;"),
            ("y/c.rs", "use crate::x::A; pub struct C;"),
        ]);
        assert_eq!(found, ["x/a y/c"]);
    }

    #[test]
    fn a_front_makes_no_circle_of_the_files_behind_it() {
        let found = circles(&[
            ROOT,
            ("x/mod.rs", "mod a; mod b; pub use a::A; pub use b::B;"),
            ("x/a.rs", "pub struct A;"),
            ("x/b.rs", "use crate::y::C; pub struct B;"),
            ("y.rs", "use crate::x::A; pub struct C;"),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn a_module_and_those_below_it_and_files_of_one_folder_may_know_each_other() {
        let found = circles(&[
            ROOT,
            ("x/mod.rs", "mod a; mod b; struct X(a::A); "),
            ("x/a.rs", "use super::X; use super::b::B; pub struct A;"),
            ("x/b.rs", "use super::a::A; mod deep; pub struct B;"),
            ("x/b/deep.rs", "use crate::x::X;"),
            ("y.rs", ""),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn a_circle_through_a_module_above_is_not_reported() {
        let found = circles(&[
            ROOT,
            ("x/mod.rs", "mod a; mod b; pub struct X(a::deep::A);"),
            ("x/a/mod.rs", "pub mod deep;"),
            ("x/a/deep.rs", "use crate::x::b::deep::B; pub struct A;"),
            ("x/b/mod.rs", "pub mod deep;"),
            ("x/b/deep.rs", "use crate::x::X; pub struct B;"),
            ("y.rs", ""),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn a_circle_below_a_common_module_is_found() {
        let found = circles(&[
            ROOT,
            ("x/mod.rs", "mod a; mod b; struct X(a::deep::A, b::deep::B);"),
            ("x/a/mod.rs", "pub mod deep;"),
            ("x/a/deep.rs", "use crate::x::X; use crate::x::b::deep::B; pub struct A;"),
            ("x/b/mod.rs", "pub mod deep;"),
            ("x/b/deep.rs", "use crate::x::X; use crate::x::a::deep::A; pub struct B;"),
            ("y.rs", ""),
        ]);
        assert_eq!(found, ["x/a/deep x/b/deep"]);
    }

    #[test]
    fn a_circle_through_a_module_and_its_child_is_found() {
        let found = circles(&[
            ROOT,
            ("x/mod.rs", "mod a; pub struct X(a::A);"),
            ("x/a.rs", "use crate::y::C; pub struct A;"),
            ("y.rs", "use crate::x::X; pub struct C;"),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
    }
}
