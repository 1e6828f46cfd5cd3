//! The imports between the files of a crate: its modules, and the target of each path.
//!
//! A name that a module re-exports with `pub use` is followed to the file that defines it.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Names, Path, Use};
use crate::hygiene::SourceFile;

/// The shipped files of one crate, and the imports between them.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) files: Vec<File>,
    /// Every import between two files, once for each pair and reason.
    pub(super) imports: Vec<Import>,
}

/// One file.
#[derive(Debug)]
pub(super) struct File {
    /// Its path below the project.
    pub(super) path: String,
    /// The path of its module below the root of the crate; empty for the root.
    pub(super) module: Vec<String>,
    /// True if modules lie below it: such a file is the front of a folder.
    pub(super) is_front: bool,
    pub(super) lines: usize,
}

/// One import: a path in `from` that names something of `to`.
#[derive(Debug, Clone)]
pub(super) struct Import {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) line: usize,
    /// The path as it is written.
    pub(super) path: String,
    /// True if it only names a folder's front: a module by itself, a name that the front re-exports, or a front's own
    /// `pub use`. It counts between folders; a circle of files does not need it, because the files behind the front are counted.
    pub(super) is_front: bool,
}

impl File {
    /// The folder that the file lies in.
    pub(super) fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// The module directly below the root that the file is part of; none for the root itself.
    pub(super) fn top(&self) -> Option<&str> {
        self.module.first().map(String::as_str)
    }
}

/// A module: a file, or a part of one.
struct Module {
    file: usize,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    names: Names,
}

/// The target of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Module(usize),
    /// An item that the module defines.
    Item(usize),
}

/// The result of following a path.
#[derive(Debug)]
struct Found {
    end: Target,
    /// The modules that re-export the name.
    through: Vec<usize>,
}

impl Graph {
    /// Reads the crate whose root lies in the folder `source`; `sources` may hold other files as well.
    pub(super) fn read(source: &str, sources: &[SourceFile]) -> Result<Self, String> {
        let mut builder = Builder::default();
        let mut below: Vec<(Vec<String>, &SourceFile)> = sources
            .iter()
            .filter(|file| !file.is_test())
            .filter_map(|file| Some((module_of(file.path.strip_prefix(source)?.strip_prefix('/')?)?, file)))
            .collect();
        // Parents come first.
        below.sort_by_key(|(module, _)| module.len());
        if below.first().is_none_or(|(module, _)| !module.is_empty()) {
            return Err(format!("{source} has neither lib.rs nor main.rs"));
        }
        for (module, file) in below {
            builder.add(module, file)?;
        }
        Ok(builder.finish())
    }
}

#[derive(Default)]
struct Builder {
    files: Vec<File>,
    modules: Vec<Module>,
}

impl Builder {
    fn add(&mut self, module: Vec<String>, source: &SourceFile) -> Result<(), String> {
        let parent = match module.split_last() {
            None => None,
            Some((last, above)) => {
                // A missing parent is for tests, and so are the modules below it.
                let Some(parent) = self.at(above) else { return Ok(()) };
                if self.modules[parent].names.tests.contains(last) {
                    return Ok(());
                }
                Some((last.clone(), parent))
            }
        };
        let names = Names::read(&source.text).map_err(|error| format!("{}: {error}", source.path))?;
        let is_front =
            ["mod.rs", "lib.rs", "main.rs"].iter().any(|name| source.path.ends_with(&format!("/{name}")));
        let file = self.files.len();
        let lines = source.text.lines().count();
        self.files.push(File { path: source.path.clone(), module, is_front, lines });
        let above = parent.as_ref().map(|(_, parent)| *parent);
        let added = self.module(file, above, names);
        if let Some((name, parent)) = parent {
            let holder = self.modules[parent].file;
            self.files[holder].is_front = true;
            self.modules[parent].children.insert(name, added);
        }
        Ok(())
    }

    fn module(&mut self, file: usize, parent: Option<usize>, mut names: Names) -> usize {
        let inline = std::mem::take(&mut names.inline);
        let this = self.modules.len();
        self.modules.push(Module { file, parent, children: BTreeMap::new(), names });
        for (name, inner) in inline {
            let child = self.module(file, Some(this), inner);
            self.modules[this].children.insert(name, child);
        }
        this
    }

    fn at(&self, path: &[String]) -> Option<usize> {
        path.iter().try_fold(0, |module, name| self.modules.get(module)?.children.get(name).copied())
    }

    fn finish(self) -> Graph {
        let mut imports = Vec::new();
        for (index, module) in self.modules.iter().enumerate() {
            for one in &module.names.uses {
                self.follow_use(index, one, &mut imports);
            }
            for path in &module.names.paths {
                self.follow_path(index, path, &mut imports);
            }
        }
        imports.sort_by_key(|import| (import.from, import.to, import.is_front, import.line));
        imports.dedup_by_key(|import| (import.from, import.to, import.is_front));
        Graph { files: self.files, imports }
    }

    fn follow_use(&self, module: usize, one: &Use, imports: &mut Vec<Import>) {
        let Some(found) = self.resolve(module, &one.path.segments, &mut BTreeSet::new()) else { return };
        let is_used = || one.name.as_ref().is_some_and(|name| self.modules[module].mentions(name));
        let hands_on = one.is_reexport && self.is_front(module) && !is_used();
        self.note(module, &one.path, &found, hands_on, imports);
        if let (None, Target::Module(globbed)) = (&one.name, found.end) {
            // The names that it takes are not known: all that the module re-exports.
            self.note_file(module, self.modules[globbed].file, &one.path, hands_on, imports);
            for handed in self.modules[globbed].names.uses.iter().filter(|handed| handed.is_reexport) {
                if let Some(found) = self.resolve(globbed, &handed.path.segments, &mut BTreeSet::new()) {
                    self.note(module, &one.path, &found, hands_on, imports);
                }
            }
        }
    }

    fn follow_path(&self, module: usize, path: &Path, imports: &mut Vec<Import>) {
        if let Some(found) = self.resolve(module, &path.segments, &mut BTreeSet::new()) {
            self.note(module, path, &found, false, imports);
        }
    }

    fn note(&self, from: usize, path: &Path, found: &Found, hands_on: bool, imports: &mut Vec<Import>) {
        for through in &found.through {
            // The root is above all, and its re-exports are defined elsewhere.
            if *through != 0 {
                let front = hands_on || self.is_front(*through);
                self.note_file(from, self.modules[*through].file, path, front, imports);
            }
        }
        match found.end {
            Target::Item(module) => self.note_file(from, self.modules[module].file, path, hands_on, imports),
            Target::Module(module) => self.note_file(from, self.modules[module].file, path, true, imports),
        }
    }

    fn note_file(&self, from: usize, to: usize, path: &Path, is_front: bool, imports: &mut Vec<Import>) {
        let from = self.modules[from].file;
        if from != to {
            imports.push(Import { from, to, line: path.line, path: path.segments.join("::"), is_front });
        }
    }

    /// Returns whether the module is a file with others below it, or their parent inside one.
    fn is_front(&self, module: usize) -> bool {
        self.files[self.modules[module].file].is_front
    }

    /// Follows a path that is written in `module`; none if it leaves the crate.
    fn resolve(&self, module: usize, path: &[String], seen: &mut BTreeSet<(usize, String)>) -> Option<Found> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => self.descend(0, rest, seen),
            "self" => self.descend(module, rest, seen),
            "super" => self.descend(self.modules[module].parent?, rest, seen),
            "Self" => None,
            name => {
                let names = &self.modules[module].names;
                if names.items.contains(name) {
                    return Some(Found { end: Target::Item(module), through: Vec::new() });
                }
                if let Some(child) = self.modules[module].children.get(name) {
                    return self.descend(*child, rest, seen);
                }
                let found = self.imported(module, name, seen)?;
                self.go_on(found, rest, seen)
            }
        }
    }

    fn descend(&self, module: usize, path: &[String], seen: &mut BTreeSet<(usize, String)>) -> Option<Found> {
        let Some((name, rest)) = path.split_first() else {
            return Some(Found { end: Target::Module(module), through: Vec::new() });
        };
        if name == "super" {
            return self.descend(self.modules[module].parent?, rest, seen);
        }
        let this = &self.modules[module];
        if let Some(child) =
            this.children.get(name).filter(|_| !rest.is_empty() || !this.names.items.contains(name))
        {
            return self.descend(*child, rest, seen);
        }
        if !this.names.items.contains(name)
            && let Some(mut found) = self.imported(module, name, seen)
        {
            found.through.insert(0, module);
            return self.go_on(found, rest, seen);
        }
        // Defined here, perhaps by a macro; or an item of another crate that this module re-exports.
        Some(Found { end: Target::Item(module), through: Vec::new() })
    }

    /// The target of `name` in `module` according to its `use` declarations.
    fn imported(&self, module: usize, name: &str, seen: &mut BTreeSet<(usize, String)>) -> Option<Found> {
        if !seen.insert((module, name.to_owned())) {
            return None;
        }
        let uses = &self.modules[module].names.uses;
        let by_name = uses.iter().filter(|one| one.name.as_deref() == Some(name));
        if let Some(found) =
            by_name.into_iter().find_map(|one| self.resolve(module, &one.path.segments, seen))
        {
            return Some(found);
        }
        uses.iter().filter(|one| one.name.is_none()).find_map(|glob| {
            let Target::Module(globbed) = self.resolve(module, &glob.path.segments, seen)?.end else {
                return None;
            };
            let inner = &self.modules[globbed];
            if inner.names.items.contains(name) {
                return Some(Found { end: Target::Item(globbed), through: Vec::new() });
            }
            match inner.children.get(name) {
                Some(child) => Some(Found { end: Target::Module(*child), through: Vec::new() }),
                None => self.imported(globbed, name, seen),
            }
        })
    }

    fn go_on(&self, found: Found, rest: &[String], seen: &mut BTreeSet<(usize, String)>) -> Option<Found> {
        match found.end {
            // A segment behind an item is associated with it.
            Target::Item(_) => Some(found),
            Target::Module(module) => {
                let mut further = self.descend(module, rest, seen)?;
                further.through.splice(0..0, found.through);
                Some(further)
            }
        }
    }
}

impl Module {
    /// Returns whether its own code uses the name, apart from the `use` declaration of it.
    fn mentions(&self, name: &str) -> bool {
        self.names.words.contains(name) || self.names.paths.iter().any(|path| path.segments[0] == name)
    }
}

/// The path of a file's module, from its path below the folder of the crate's root.
fn module_of(path: &str) -> Option<Vec<String>> {
    let mut parts: Vec<String> = path.strip_suffix(".rs")?.split('/').map(str::to_owned).collect();
    let is_root = parts.len() == 1 && ["lib", "main"].contains(&parts[0].as_str());
    if is_root || parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folders::tests::files;

    fn imports(made_up: &[(&str, &str)]) -> Vec<String> {
        let graph = Graph::read("a/src", &files(made_up)).expect("the test's own sources can be read");
        let shown = |import: &Import| {
            let front = if import.is_front { " (front)" } else { "" };
            format!("{} -> {}{front}", graph.files[import.from].path, graph.files[import.to].path)
        };
        graph.imports.iter().map(shown).collect()
    }

    #[test]
    fn a_path_leads_to_the_file_that_defines_the_name() {
        let found = imports(&[
            ("lib.rs", "mod x; mod y; pub use y::deep::Deep;"),
            ("x.rs", "use crate::y::Thing; fn f(_: crate::Deep, _: super::y::Other) { crate::y::deep::g() }"),
            ("y/mod.rs", "mod deep; mod other; pub(crate) use deep::Thing; pub(crate) use self::other::*;"),
            ("y/deep.rs", "pub struct Thing; pub struct Deep; pub fn g() {}"),
            ("y/other.rs", "pub enum Other {}"),
        ]);
        let expected = [
            "a/src/lib.rs -> a/src/y/deep.rs (front)",
            "a/src/x.rs -> a/src/y/mod.rs (front)",
            "a/src/x.rs -> a/src/y/deep.rs",
            "a/src/x.rs -> a/src/y/other.rs",
            "a/src/y/mod.rs -> a/src/y/deep.rs (front)",
            "a/src/y/mod.rs -> a/src/y/other.rs (front)",
        ];
        assert_eq!(sorted(found), sorted(expected.map(str::to_owned).to_vec()));
    }

    #[test]
    fn names_of_an_imported_module_are_followed() {
        let found = imports(&[
            ("lib.rs", "mod x; mod y;"),
            ("x.rs", "use crate::y; fn f() { y::inner::g() }"),
            ("y.rs", "pub mod inner;"),
            ("y/inner.rs", "pub fn g() {}"),
        ]);
        assert_eq!(found, ["a/src/x.rs -> a/src/y.rs (front)", "a/src/x.rs -> a/src/y/inner.rs"]);
    }

    #[test]
    fn a_front_that_uses_its_reexports_depends_on_them() {
        let with = |text| imports(&[("lib.rs", "mod y;"), ("y/mod.rs", text), ("y/z.rs", "pub struct Z;")]);
        assert_eq!(with("mod z; pub use z::Z;"), ["a/src/y/mod.rs -> a/src/y/z.rs (front)"]);
        assert_eq!(with("mod z; pub use z::Z; struct Y(Z);"), ["a/src/y/mod.rs -> a/src/y/z.rs"]);
    }

    #[test]
    fn a_reexport_of_another_crate_belongs_to_the_module_that_reexports_it() {
        let found = imports(&[
            ("lib.rs", "mod sync; mod x;"),
            ("sync.rs", "pub(crate) use std::sync::Arc;"),
            ("x.rs", "use crate::sync::Arc; use bytes::Bytes; fn f(_: Arc<Bytes>) { Bytes::new() }"),
        ]);
        assert_eq!(found, ["a/src/x.rs -> a/src/sync.rs"]);
    }

    #[test]
    fn code_for_tests_is_not_read() {
        let found = imports(&[
            ("lib.rs", "mod x; #[cfg(test)] mod pair;"),
            ("x.rs", "#[cfg(test)] mod tests; #[cfg(test)] use crate::pair::P;"),
            ("x/tests.rs", "use crate::pair::P;"),
            ("pair.rs", "use crate::x::X; mod deep;"),
            ("pair/deep.rs", "use crate::x::X;"),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn a_crate_without_a_root_is_an_error() {
        assert!(Graph::read("b/src", &files(&[("lib.rs", "")])).is_err());
        assert!(Graph::read("a/src", &files(&[("lib.rs", "fn f( {")])).is_err());
    }

    fn sorted(mut lines: Vec<String>) -> Vec<String> {
        lines.sort();
        lines
    }
}
