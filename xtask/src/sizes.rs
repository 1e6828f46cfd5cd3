//! The length of files: no Rust or Python file is longer than a reader can take in at once.

use crate::hygiene::SourceFile;
use crate::policy::{LONGEST_FILE, LONGEST_TESTS};

/// Every file that is too long, one sentence each.
pub(crate) fn violations(files: &[SourceFile]) -> Vec<String> {
    files.iter().filter_map(too_long).collect()
}

fn too_long(file: &SourceFile) -> Option<String> {
    let (lines, most, counted) = if file.is_test() {
        (file.text.lines().count(), LONGEST_TESTS, "a file of tests")
    } else {
        (file.lines_before_tests(), LONGEST_FILE, "a file without its tests")
    };
    (lines > most)
        .then(|| format!("{} has {lines} lines; {counted} may have at most {most}: split it", file.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: String) -> Vec<String> {
        violations(&[SourceFile { path: path.to_owned(), text }])
    }

    #[test]
    fn a_file_is_too_long_from_the_first_line_over() {
        for path in ["src/a.rs", "apps/python/python/meshzero/_a.py"] {
            assert_eq!(found(path, "x\n".repeat(LONGEST_FILE)), Vec::<String>::new());
            let sentences = found(path, "x\n".repeat(LONGEST_FILE + 1));
            assert_eq!(sentences.len(), 1);
            assert!(
                sentences[0].starts_with(&format!("{path} has {} lines", LONGEST_FILE + 1)),
                "{sentences:?}"
            );
        }
    }

    #[test]
    fn tests_inside_a_file_are_not_counted_and_files_of_tests_may_be_longer() {
        let code = "x\n".repeat(LONGEST_FILE);
        let tests = "t\n".repeat(LONGEST_TESTS);
        assert_eq!(
            found("src/a.rs", format!("{code}#[cfg(test)]\nmod tests {{\n{tests}}}\n")),
            Vec::<String>::new()
        );
        for path in ["src/a/tests.rs", "tests/a.rs", "apps/python/tests/test_a.py"] {
            assert_eq!(found(path, tests.clone()), Vec::<String>::new());
            assert_eq!(found(path, format!("{tests}t\n")).len(), 1, "{path}");
        }
    }
}
