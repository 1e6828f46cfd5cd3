//! The project's source as text: which files there are, which of their lines are shipped, and what must not
//! be left in them.

use std::fs;
use std::path::Path;

use crate::policy::LONG_FILE;
use crate::process::{Failure, Outcome};

/// A Rust file of the project.
pub(crate) struct SourceFile {
    /// Where it lies below the project's folder, with `/` between folders.
    pub(crate) path: String,
    /// What stands in it.
    pub(crate) text: String,
}

/// Every Rust file of the project, in order.
pub(crate) fn rust_files(root: &Path) -> Outcome<Vec<SourceFile>> {
    let mut files = Vec::new();
    collect(root, "", &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Everything that was left behind, one sentence each.
pub(crate) fn violations(files: &[SourceFile]) -> Vec<String> {
    files.iter().flat_map(left_behind).collect()
}

/// Files that have grown long, which is worth a look and no failure.
pub(crate) fn long_files(files: &[SourceFile]) -> Vec<String> {
    let lengths = files.iter().map(|file| (file.text.lines().count(), &file.path));
    lengths
        .filter(|(lines, _)| *lines > LONG_FILE)
        .map(|(lines, path)| format!("{path}: {lines} lines"))
        .collect()
}

impl SourceFile {
    /// The lines that are shipped, with their numbers: not comments, and nothing from a module of tests on,
    /// which is the last item of its file (clippy sees to it).
    pub(crate) fn shipped_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines: Vec<&str> = self.text.lines().map(str::trim).collect();
        let opens_tests =
            |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].contains("mod ") && pair[1].ends_with('{');
        let end = match lines.windows(2).position(opens_tests) {
            _ if self.path.split('/').any(|part| part == "tests" || part == "tests.rs") => 0,
            Some(tests) => tests,
            None => lines.len(),
        };
        let numbered = lines.into_iter().take(end).enumerate().map(|(index, line)| (index + 1, line));
        numbered.filter(|(_, line)| !line.starts_with("//"))
    }
}

fn collect(folder: &Path, path: &str, files: &mut Vec<SourceFile>) -> Outcome {
    let unreadable = |error: std::io::Error| Failure(format!("cannot read {}: {error}", folder.display()));
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let below = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
        let kind = entry.file_type().map_err(unreadable)?;
        if kind.is_dir() && name != "target" && !name.starts_with('.') {
            collect(&entry.path(), &below, files)?;
        } else if kind.is_file() && name.ends_with(".rs") {
            let text = fs::read_to_string(entry.path()).map_err(unreadable)?;
            files.push(SourceFile { path: below, text });
        }
    }
    Ok(())
}

fn left_behind(file: &SourceFile) -> Vec<String> {
    // Put together from halves, so that this file is not its own violation.
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("#[ig", "nore"), concat!("todo", "!(")];
    let mut found = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        for mark in marks.iter().filter(|mark| line.contains(**mark)) {
            found.push(format!("{}:{} still says {mark}", file.path, index + 1));
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
    fn what_was_left_behind_is_found() {
        assert_eq!(violations(&[file("fn done() {}\n".into())]), Vec::<String>::new());
        assert_eq!(violations(&[file(format!("\n// {}: later", concat!("TO", "DO")))]).len(), 1);
        assert_eq!(violations(&[file(format!("{}]\nfn test() {{}}", concat!("#[ig", "nore")))]).len(), 1);
    }

    #[test]
    fn long_files_are_reported_from_the_first_line_over() {
        assert!(long_files(&[file("x\n".repeat(LONG_FILE))]).is_empty());
        assert_eq!(long_files(&[file("x\n".repeat(LONG_FILE + 1))]).len(), 1);
    }

    #[test]
    fn this_very_file_is_among_the_projects_files() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the project");
        let files = rust_files(root).expect("the project is readable");
        assert!(files.iter().any(|file| file.path == "xtask/src/hygiene.rs"));
    }
}
