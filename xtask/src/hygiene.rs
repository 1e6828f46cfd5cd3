//! The project's files as text: Rust, Python and Markdown, the lines of them that are shipped, and marks that must not be left in
//! them.

use std::fs;
use std::path::Path;

use crate::process::{Failure, Outcome};

/// A file of the project.
pub(crate) struct SourceFile {
    /// The path below the project's folder, with `/` between folders.
    pub(crate) path: String,
    /// The content.
    pub(crate) text: String,
}

/// Every Rust file of the project, in order.
pub(crate) fn rust_files(root: &Path) -> Outcome<Vec<SourceFile>> {
    files(root, &[".rs"])
}

/// Every file of the project with one of these endings, in order.
pub(crate) fn files(root: &Path, endings: &[&str]) -> Outcome<Vec<SourceFile>> {
    let mut files = Vec::new();
    collect(root, "", endings, &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Every mark that was left behind, one sentence each.
pub(crate) fn violations(files: &[SourceFile]) -> Vec<String> {
    files.iter().flat_map(left_behind).collect()
}

impl SourceFile {
    /// Returns whether the whole file is for tests and not shipped.
    pub(crate) fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or(&self.path);
        name == "tests.rs" || name.starts_with("test_") || self.path.split('/').any(|part| part == "tests")
    }

    /// The shipped lines with their numbers: no comments, and nothing of a file or a module of tests.
    pub(crate) fn shipped_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let shipped = if self.is_test() { 0 } else { self.lines_before_tests() };
        let numbered = self.text.lines().take(shipped).enumerate();
        numbered.map(|(index, line)| (index + 1, line.trim())).filter(|(_, line)| !line.starts_with("//"))
    }

    /// The number of lines without the module of tests, which is the last item of its file (clippy ensures that).
    pub(crate) fn lines_before_tests(&self) -> usize {
        let lines: Vec<&str> = self.text.lines().map(str::trim).collect();
        let opens_tests = |place: &usize| {
            let is_for_tests =
                lines[*place] == "#[cfg(test)]" || lines[*place].starts_with("#[cfg(all(test,");
            let item = lines[*place..].iter().find(|line| !line.starts_with("#["));
            is_for_tests && item.is_some_and(|item| item.contains("mod ") && item.ends_with('{'))
        };
        (0..lines.len()).find(opens_tests).unwrap_or(lines.len())
    }
}

fn collect(folder: &Path, path: &str, endings: &[&str], files: &mut Vec<SourceFile>) -> Outcome {
    let unreadable = |error: std::io::Error| Failure(format!("cannot read {}: {error}", folder.display()));
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let below = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
        let kind = entry.file_type().map_err(unreadable)?;
        // Cargo's folder of that name, and not a module's.
        let is_built = name == "target" && !below.split('/').any(|part| part == "src");
        if kind.is_dir() && !is_built && !name.starts_with('.') {
            collect(&entry.path(), &below, endings, files)?;
        } else if kind.is_file() && endings.iter().any(|ending| name.ends_with(ending)) {
            let text = fs::read_to_string(entry.path()).map_err(unreadable)?;
            files.push(SourceFile { path: below, text });
        }
    }
    Ok(())
}

fn left_behind(file: &SourceFile) -> Vec<String> {
    // Joined from halves, so that this file does not violate its own rule.
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("#[ig", "nore"), concat!("todo", "!(")];
    let mut found = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        for mark in marks.iter().filter(|mark| line.contains(**mark)) {
            found.push(format!("{}:{} contains {mark}", file.path, index + 1));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: String) -> SourceFile {
        SourceFile { path: "src/a.rs".into(), text }
    }

    #[test]
    fn marks_that_were_left_behind_are_found() {
        assert_eq!(violations(&[file("fn done() {}\n".into())]), Vec::<String>::new());
        assert_eq!(violations(&[file(format!("\n// {}: later", concat!("TO", "DO")))]).len(), 1);
        assert_eq!(violations(&[file(format!("{}]\nfn test() {{}}", concat!("#[ig", "nore")))]).len(), 1);
    }

    #[test]
    fn a_module_of_tests_ends_what_is_shipped() {
        let shipped = |text: &str| file(text.into()).lines_before_tests();
        assert_eq!(shipped("fn f() {}\n\n#[cfg(test)]\nmod tests {\n    fn g() {}\n}\n"), 2);
        assert_eq!(shipped("fn f() {}\n#[cfg(all(test, unix))]\n#[allow(x)]\nmod tests {\n}\n"), 1);
        assert_eq!(shipped("#[cfg(test)]\nmod tests;\nfn f() {}\n"), 3);
        assert_eq!(shipped("#[cfg(not(test))]\nmod real {\n}\n"), 3);
    }

    #[test]
    fn files_of_tests_are_known_by_their_paths() {
        let is_test = |path: &str| SourceFile { path: path.into(), text: String::new() }.is_test();
        assert!(
            ["a/src/b/tests.rs", "a/src/tests/c.rs", "tests/d.rs", "apps/python/tests/test_e.py"]
                .map(is_test)
                .iter()
                .all(|is| *is)
        );
        assert!(!is_test("a/src/testing.rs"));
    }

    #[test]
    fn this_file_is_among_the_projects_files() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the project");
        let files = rust_files(root).expect("the project is readable");
        assert!(files.iter().any(|file| file.path == "xtask/src/hygiene.rs"));
    }
}
