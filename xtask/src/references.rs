//! The files that the documentation names: each exists, under the path or the end of a path that is written.

use crate::hygiene::SourceFile;

/// Every name of a Rust file in these pages, and every relative inline link, that leads to nothing in the project; one sentence each.
/// `exists` looks up a path below the project's folder.
pub(crate) fn violations(
    pages: &[SourceFile],
    rust_files: &[SourceFile],
    exists: impl Fn(&str) -> bool,
) -> Vec<String> {
    pages.iter().flat_map(|page| dangling(page, rust_files, &exists)).collect()
}

fn dangling(page: &SourceFile, rust_files: &[SourceFile], exists: &impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (index, line) in page.text.lines().enumerate() {
        let named =
            named_files(line).filter(|name| !rust_files.iter().any(|file| ends_with(&file.path, name)));
        let linked = links(line).filter(|link| !target(&page.path, link).is_some_and(|path| exists(&path)));
        found.extend(named.chain(linked).map(|name| {
            format!("{}:{} names {name}, which the project does not have", page.path, index + 1)
        }));
    }
    found
}

/// The paths of Rust files between backticks. Placeholders are in capitals, as in `commands/NAME.rs`.
fn named_files(line: &str) -> impl Iterator<Item = &str> {
    let quoted = line.split('`').skip(1).step_by(2);
    quoted.filter(|text| {
        text.ends_with(".rs")
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-./".contains(c))
    })
}

/// The targets of Markdown's inline links within the project, without their anchors.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let paths =
        targets.filter(|target| !target.contains("://")).filter_map(|target| target.split('#').next());
    paths.filter(|path| !path.is_empty())
}

/// Returns whether the last parts of a path are these.
fn ends_with(path: &str, name: &str) -> bool {
    path.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
}

/// The path below the project's folder to which a link on a page leads; `None` if it leads out of the project.
fn target(page: &str, link: &str) -> Option<String> {
    let mut path: Vec<&str> = page.split('/').collect();
    path.pop();
    for part in link.split('/') {
        match part {
            ".." => drop(path.pop()?),
            "." | "" => {}
            part => path.push(part),
        }
    }
    Some(path.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let file = |path: &str, text: &str| SourceFile { path: path.to_owned(), text: text.to_owned() };
        let exists = |path: &str| ["README.md", "actors/src", "docs/guide.md"].contains(&path);
        violations(&[file("docs/guide.md", text)], &[file("actors/src/link/dial.rs", "")], exists)
    }

    #[test]
    fn a_file_is_known_by_the_end_of_its_path() {
        assert_eq!(found("`actors/src/link/dial.rs`, `link/dial.rs` and `dial.rs`"), Vec::<String>::new());
        let sentences = found("first\n`link/redial.rs`");
        assert_eq!(sentences, ["docs/guide.md:2 names link/redial.rs, which the project does not have"]);
        assert_eq!(found("`ial.rs`").len(), 1, "the end is that of a whole name");
    }

    #[test]
    fn placeholders_and_text_without_backticks_name_no_file() {
        assert_eq!(found("`commands/NAME.rs`, gone.rs, `*.rs`"), Vec::<String>::new());
    }

    #[test]
    fn a_link_leads_to_a_file_or_a_folder() {
        assert_eq!(
            found(
                "[a](../README.md#top) [b](guide.md) [c](../actors/src) [d](https://example.org/x) [e](#here)"
            ),
            Vec::<String>::new()
        );
        assert_eq!(found("[a](README.md)").len(), 1, "it is not in docs");
        assert_eq!(found("[a](../../README.md)").len(), 1, "it is not in the project");
    }
}
