//! The English of comments, messages and documents: the share of doc comments that begin with a question word, and phrases
//! that are not to be used.

use std::collections::BTreeMap;
use std::fmt;

use crate::hygiene::{self, SourceFile};
use crate::metadata::Metadata;
use crate::policy::{BANNED_PHRASES, QUESTION_WORDS, QUESTIONS_PERCENT};
use crate::process::Outcome;

/// The doc comments of one crate.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Comments {
    pub(crate) all: usize,
    /// The places of those that begin with a question word, as `path:line`.
    pub(crate) questions: Vec<String>,
}

/// Everything in the project that is to be reworded, one sentence each.
pub(crate) fn violations(metadata: &Metadata) -> Outcome<Vec<String>> {
    let files = hygiene::files(&metadata.root, &[".md", ".py", ".pyi", ".rs"])?;
    let rust: Vec<&SourceFile> = files.iter().filter(|file| file.path.ends_with(".rs")).collect();
    let mut found = questions(&metadata.member_folders(), &rust);
    found.extend(phrases(&files));
    Ok(found)
}

/// Each crate that has too many doc comments with a question word, one sentence each. `crates` lists names and folders below the
/// project's.
fn questions(crates: &[(String, String)], files: &[&SourceFile]) -> Vec<String> {
    let counted = count(crates, files);
    let too_many = counted.iter().filter(|(_, comments)| comments.percent() > QUESTIONS_PERCENT);
    too_many.map(|(name, comments)| comments.sentence(name)).collect()
}

/// The doc comments of each crate.
pub(crate) fn count(crates: &[(String, String)], files: &[&SourceFile]) -> BTreeMap<String, Comments> {
    let mut counted = BTreeMap::<String, Comments>::new();
    for file in files {
        let is_in = |folder: &str| folder.is_empty() || file.path.starts_with(&format!("{folder}/"));
        let nearest =
            crates.iter().filter(|(_, folder)| is_in(folder)).max_by_key(|(_, folder)| folder.len());
        let Some((name, _)) = nearest else { continue };
        let comments = counted.entry(name.clone()).or_default();
        for (line, first) in doc_comments(&file.text) {
            comments.all += 1;
            if QUESTION_WORDS.contains(&first) {
                comments.questions.push(format!("{}:{line}", file.path));
            }
        }
    }
    counted
}

/// Every phrase that is not to be used, one sentence each.
fn phrases(files: &[SourceFile]) -> Vec<String> {
    // The list itself contains the phrases.
    files.iter().filter(|file| file.path != "xtask/src/policy.rs").flat_map(phrases_in).collect()
}

impl Comments {
    fn percent(&self) -> usize {
        // A share just above the limit is above it.
        (self.questions.len() * 100).div_ceil(self.all.max(1))
    }

    fn sentence(&self, name: &str) -> String {
        let places = self.questions.join("\n  ");
        format!("{name}: {self}; the limit is {QUESTIONS_PERCENT} %\n  {places}")
    }
}

impl fmt::Display for Comments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { all, questions } = self;
        write!(f, "{} of {all} doc comments begin with a question word", questions.len())
    }
}

/// The line and the first word of each block of lines that begin with `///` or `//!`.
fn doc_comments(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut before = None;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let line = line.trim_start();
        let kind =
            ["///", "//!"].into_iter().find(|kind| line.starts_with(kind) && !line.starts_with("////"));
        let is_first = kind != before;
        before = kind;
        let words = line.get(kind?.len()..)?;
        let first = words.split(|character: char| !character.is_alphanumeric()).find(|word| !word.is_empty());
        is_first.then(|| (index + 1, first.unwrap_or_default()))
    })
}

fn phrases_in(file: &SourceFile) -> Vec<String> {
    let mut found = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let line = line.to_lowercase();
        for (phrase, better) in BANNED_PHRASES.iter().filter(|(phrase, _)| has_phrase(&line, phrase)) {
            found.push(format!("{}:{} contains {phrase:?}: {better}", file.path, index + 1));
        }
    }
    found
}

/// Returns whether the line contains the phrase, and not as a part of a longer word or a name.
fn has_phrase(line: &str, phrase: &str) -> bool {
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    line.match_indices(phrase)
        .any(|(at, _)| !line[..at].ends_with(is_word) && !line[at + phrase.len()..].starts_with(is_word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: String) -> SourceFile {
        SourceFile { path: path.to_owned(), text }
    }

    fn crates() -> Vec<(String, String)> {
        [("whole", ""), ("part", "part")].map(|(name, folder)| (name.to_owned(), folder.to_owned())).to_vec()
    }

    /// A number of doc comments, some of them with a question word.
    fn comments(all: usize, questions: usize) -> String {
        let question = "/// Whether it is so,\n/// and what follows.\nfn f() {}\n".repeat(questions);
        question + &"/// Returns it.\n///\n/// What is more.\nfn g() {}\n".repeat(all - questions)
    }

    #[test]
    fn a_crate_with_too_many_question_words_is_found() {
        let most = QUESTIONS_PERCENT;
        let found = questions(&crates(), &[&file("src/a.rs", comments(100, most))]);
        assert_eq!(found, Vec::<String>::new());
        let found = questions(&crates(), &[&file("src/a.rs", comments(100, most + 1))]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0]
                .starts_with(&format!("whole: {} of 100 doc comments begin with a question word", most + 1)),
            "{found:?}"
        );
        assert!(found[0].contains("src/a.rs:1\n  src/a.rs:4"), "{found:?}");
    }

    #[test]
    fn the_comments_of_each_crate_are_counted_for_themselves() {
        let files = [file("src/a.rs", comments(900, 0)), file("part/src/a.rs", comments(100, 20))];
        let files: Vec<&SourceFile> = files.iter().collect();
        let counted = count(&crates(), &files);
        assert_eq!((counted["whole"].all, counted["part"].all), (900, 100));
        let found = questions(&crates(), &files);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("part: 20 of 100"), "{found:?}");
    }

    #[test]
    fn a_block_of_lines_is_one_comment_and_begins_with_its_first_word() {
        let text = "//! A header.\n//! What else.\n\n/// `Whose` it is.\n/// Where.\nfn f() {} // What.\n//// How.\n    /// **How**\n";
        assert_eq!(doc_comments(text).collect::<Vec<_>>(), [(1, "A"), (4, "Whose"), (8, "How")]);
    }

    #[test]
    fn phrases_are_found_in_comments_messages_and_documents() {
        let (phrase, _) = BANNED_PHRASES[0];
        for (path, text) in [
            ("src/a.rs", format!("/// It is done {phrase}.")),
            ("src/a.rs", format!("#[error(\"done {phrase}\")]")),
            ("README.md", format!("Done {}", phrase.to_uppercase())),
            ("docs/a.md", format!("{phrase}, done")),
        ] {
            let found = phrases(&[file(path, text)]);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with(&format!("{path}:1 contains {phrase:?}: ")), "{found:?}");
        }
        assert_eq!(phrases(&[file("src/a.rs", format!("fn done_{phrase}() {{}}"))]), Vec::<String>::new());
    }
}
