//! The names in one Rust file: the modules it declares, the items it defines, its `use` declarations and its paths.
//!
//! The file is read as tokens, which separates comments and strings from code and includes paths inside macros. Code under
//! `#[cfg(test)]` is left out.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};

/// The names in a module, which is a file or a `mod name { … }` inside one.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The items it defines.
    pub(super) items: BTreeSet<String>,
    /// The modules inside it that have a body in the same file.
    pub(super) inline: Vec<(String, Names)>,
    /// The modules below it that exist in tests only.
    pub(super) tests: BTreeSet<String>,
    /// Its `use` declarations, one for each name.
    pub(super) uses: Vec<Use>,
    /// Paths of two or more segments outside `use` declarations.
    pub(super) paths: Vec<Path>,
    /// Names that stand alone outside `use` declarations.
    pub(super) words: BTreeSet<String>,
}

/// A path as it is written, without generic arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) segments: Vec<String>,
    pub(super) line: usize,
}

/// One name that a `use` declaration brings into scope.
#[derive(Debug)]
pub(super) struct Use {
    pub(super) path: Path,
    /// The name in scope; none for `*`.
    pub(super) name: Option<String>,
    /// True for a re-export: `pub use` of any extent.
    pub(super) is_reexport: bool,
}

impl Names {
    /// Reads a file, or returns the reason for which it is not Rust.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let tokens: TokenStream = text.parse().map_err(|error: proc_macro2::LexError| error.to_string())?;
        let mut names = Self::default();
        names.collect(tokens, Level::Module);
        Ok(names)
    }

    fn collect(&mut self, tokens: TokenStream, level: Level) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut next = 0;
        while next < tokens.len() {
            next = self.take(&tokens, next, level);
        }
    }

    /// Takes the item that begins at `at`, and returns the beginning of the next.
    fn take(&mut self, tokens: &[TokenTree], at: usize, level: Level) -> usize {
        match &tokens[at] {
            TokenTree::Punct(punct) if punct.as_char() == '#' => match bracket(tokens.get(at + 1)) {
                Some(attribute) if is_for_tests(attribute) => self.skip_test(tokens, at + 2),
                _ => at + 1,
            },
            TokenTree::Group(group) => {
                self.collect(group.stream(), Level::Inner);
                at + 1
            }
            TokenTree::Ident(ident) => self.take_word(tokens, at, ident, level),
            TokenTree::Punct(_) | TokenTree::Literal(_) => at + 1,
        }
    }

    fn take_word(&mut self, tokens: &[TokenTree], at: usize, ident: &Ident, level: Level) -> usize {
        let word = ident.to_string();
        let following = tokens.get(at + 1);
        match (word.as_str(), following) {
            // `use<'a>` is a bound of an `impl Trait`.
            ("use", Some(first)) if !is_punct(first, '<') => {
                let end = end_of(tokens, at, is_semicolon);
                let mut reader = UseReader { found: Vec::new(), is_reexport: is_public(tokens, at) };
                reader.tree(&tokens[at + 1..end], &[]);
                self.uses.append(&mut reader.found);
                return end + 1;
            }
            ("mod", Some(TokenTree::Ident(name))) => {
                if let Some(TokenTree::Group(body)) = tokens.get(at + 2) {
                    let mut inner = Self::default();
                    inner.collect(body.stream(), Level::Module);
                    self.inline.push((name.to_string(), inner));
                }
                return at + 3;
            }
            (keyword, Some(TokenTree::Ident(name)))
                if level == Level::Module
                    && ITEMS.contains(&keyword)
                    && !QUALIFIERS.contains(&&*name.to_string()) =>
            {
                self.items.insert(name.to_string());
                return at + 2;
            }
            ("macro_rules", Some(bang)) if is_punct(bang, '!') => {
                if let Some(TokenTree::Ident(name)) = tokens.get(at + 2) {
                    self.items.insert(name.to_string());
                }
                return at + 3;
            }
            _ => {}
        }
        let is_field = at.checked_sub(1).is_some_and(|before| is_punct(&tokens[before], '.'));
        // A path behind `::` with nothing before it belongs to another crate, or was taken with its beginning.
        let is_rest = at >= 2 && is_separator(tokens, at - 2);
        let (segments, end) = path(tokens, at, word);
        if segments.len() == 1 {
            self.words.extend(segments);
        } else if !is_field && !is_rest {
            self.paths.push(Path { segments, line: ident.span().start().line });
        }
        end
    }

    /// Skips the item behind an attribute for tests.
    fn skip_test(&mut self, tokens: &[TokenTree], mut at: usize) -> usize {
        while tokens.get(at).is_some_and(|token| is_punct(token, '#'))
            && bracket(tokens.get(at + 1)).is_some()
        {
            at += 2;
        }
        let rest = &tokens[at.min(tokens.len())..];
        let words = rest.iter().filter_map(|token| match token {
            TokenTree::Ident(ident) => Some(ident.to_string()),
            _ => None,
        });
        let keyword = words.into_iter().next().unwrap_or_default();
        if let Some(place) = rest.iter().position(|token| is_ident(token, "mod"))
            && let (Some(TokenTree::Ident(name)), Some(end)) = (rest.get(place + 1), rest.get(place + 2))
            && ["mod", "pub"].contains(&keyword.as_str())
            && is_semicolon(end)
        {
            self.tests.insert(name.to_string());
        }
        let end = |token: &TokenTree| match keyword.as_str() {
            "use" => is_semicolon(token),
            word if STATEMENTS.contains(&word) || ITEMS.contains(&word) => {
                is_semicolon(token) || is_brace(token)
            }
            // A field, a variant, or an arm of a match.
            _ => is_semicolon(token) || is_brace(token) || is_punct(token, ','),
        };
        end_of(tokens, at, end) + 1
    }
}

/// The nesting of items: those of a module itself, or those inside another item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Module,
    /// Inside a function, an `impl`, a macro.
    Inner,
}

/// Keywords that are followed by the name of an item.
const ITEMS: &[&str] = &["const", "enum", "fn", "static", "struct", "trait", "type", "union"];

/// Words that stand between such a keyword and another: `const fn`.
const QUALIFIERS: &[&str] = &["async", "extern", "fn", "unsafe"];

/// Other words that an item or a statement may begin with.
const STATEMENTS: &[&str] = &["async", "extern", "impl", "let", "macro_rules", "mod", "pub", "unsafe"];

struct UseReader {
    found: Vec<Use>,
    is_reexport: bool,
}

impl UseReader {
    /// Reads `a::b`, `a::b as c`, `a::*` and `a::{b, c::d}` below `prefix`.
    fn tree(&mut self, tokens: &[TokenTree], prefix: &[String]) {
        let mut segments = prefix.to_vec();
        let mut name = None;
        let mut line = 0;
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            match token {
                TokenTree::Ident(ident) if *ident == "as" => {
                    name = tokens.get(at + 1).map(ToString::to_string);
                    at += 1;
                }
                TokenTree::Ident(ident) => {
                    segments.push(ident.to_string());
                    line = ident.span().start().line;
                }
                TokenTree::Punct(punct) if punct.as_char() == '*' => {
                    let path = Path { segments, line: punct.span().start().line };
                    self.found.push(Use { path, name: None, is_reexport: self.is_reexport });
                    return;
                }
                TokenTree::Group(group) => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    for branch in inner.split(|token| is_punct(token, ',')) {
                        self.tree(branch, &segments);
                    }
                    return;
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            at += 1;
        }
        // `a::{self}` is `a`.
        if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
            segments.pop();
        }
        if let Some(last) = segments.last().cloned().filter(|_| segments != prefix || !tokens.is_empty()) {
            let path = Path { segments, line };
            self.found.push(Use { path, name: name.or(Some(last)), is_reexport: self.is_reexport });
        }
    }
}

/// Returns the segments of the path that begins at `at` with `first`, and where it ends.
fn path(tokens: &[TokenTree], at: usize, first: String) -> (Vec<String>, usize) {
    let mut segments = vec![first];
    let mut next = at + 1;
    while is_separator(tokens, next)
        && let Some(TokenTree::Ident(ident)) = tokens.get(next + 2)
    {
        segments.push(ident.to_string());
        next += 3;
    }
    (segments, next)
}

fn is_separator(tokens: &[TokenTree], at: usize) -> bool {
    let pair = tokens.get(at).zip(tokens.get(at + 1));
    pair.is_some_and(|(first, second)| is_punct(first, ':') && is_punct(second, ':'))
}

/// Returns whether the item whose keyword stands at `at` is `pub`, or `pub(…)`.
fn is_public(tokens: &[TokenTree], at: usize) -> bool {
    match at.checked_sub(1).map(|before| &tokens[before]) {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis => {
            at >= 2 && is_ident(&tokens[at - 2], "pub")
        }
        Some(token) => is_ident(token, "pub"),
        None => false,
    }
}

fn end_of(tokens: &[TokenTree], from: usize, is_end: impl Fn(&TokenTree) -> bool) -> usize {
    let end = tokens.iter().skip(from).position(is_end);
    end.map_or(tokens.len(), |place| from + place)
}

/// Returns whether the attribute is `cfg(test)` or `cfg(all(test, …))`.
fn is_for_tests(attribute: &Group) -> bool {
    fn within(tokens: TokenStream) -> bool {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        tokens.split(|token| is_punct(token, ',')).any(|part| match part {
            [word] => is_ident(word, "test"),
            [word, TokenTree::Group(group)] => is_ident(word, "all") && within(group.stream()),
            _ => false,
        })
    }
    let tokens: Vec<TokenTree> = attribute.stream().into_iter().collect();
    match tokens.as_slice() {
        [word, TokenTree::Group(group)] => is_ident(word, "cfg") && within(group.stream()),
        _ => false,
    }
}

fn bracket(token: Option<&TokenTree>) -> Option<&Group> {
    match token {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Bracket => Some(group),
        _ => None,
    }
}

fn is_brace(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

fn is_semicolon(token: &TokenTree) -> bool {
    is_punct(token, ';')
}

fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

fn is_ident(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if *ident == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Names {
        Names::read(text).expect("the test's own source is Rust")
    }

    fn uses(text: &str) -> Vec<String> {
        let names = names(text);
        names.uses.iter().map(|one| format!("{} as {:?}", one.path.segments.join("::"), one.name)).collect()
    }

    fn paths(text: &str) -> Vec<String> {
        names(text).paths.iter().map(|path| path.segments.join("::")).collect()
    }

    #[test]
    fn each_name_of_a_grouped_use_is_read() {
        let found = uses("use crate::{a::{self, B as C}, d::*, e};\npub(crate) use super::f::G;");
        let expected = [
            r#"crate::a as Some("a")"#,
            r#"crate::a::B as Some("C")"#,
            "crate::d as None",
            r#"crate::e as Some("e")"#,
            r#"super::f::G as Some("G")"#,
        ];
        assert_eq!(found, expected);
        assert!(names("pub(super) use a::b;").uses[0].is_reexport);
        assert!(!names("fn f() {}\nuse a::b;").uses[0].is_reexport);
    }

    #[test]
    fn paths_are_read_in_code_and_macros_and_not_in_comments_or_strings() {
        let text = "/// crate::no::A\n// crate::no::B\nfn f() -> crate::a::A<super::b::B> { go!(x => crate::c::d(1)) }\n\
            const S: &str = \"crate::no::C\"; fn g() { r#\"crate::no::D\"#; <T as crate::e::E>::f(); ::std::mem::drop(1) }";
        assert_eq!(paths(text), ["crate::a::A", "super::b::B", "crate::c::d", "crate::e::E"]);
    }

    #[test]
    fn code_for_tests_is_left_out() {
        let text = "#[cfg(test)]\nuse crate::a::A;\n#[cfg(all(test, unix))]\nmod pair;\n#[cfg(test)]\n#[allow(x)]\nmod tests { use crate::b::B; }\n\
            struct S { #[cfg(test)] field: crate::c::C, other: crate::d::D }\n\
            #[cfg(test)]\npub(crate) fn f(a: crate::e::E, b: u8) { crate::f::f() }\n#[cfg(not(test))]\nuse crate::g::G;";
        assert_eq!(uses(text), [r#"crate::g::G as Some("G")"#]);
        assert_eq!(paths(text), ["crate::d::D"]);
        assert!(names(text).tests.contains("pair"));
    }

    #[test]
    fn only_the_items_of_the_module_itself_are_its_items() {
        let text = "pub const fn a() { fn inner() {} }\nstruct B;\nimpl B { fn method() {} }\nmod c { struct D; }\n\
            macro_rules! e { () => {} }\nstatic F: u8 = 0;\nconst G: u8 = 1;";
        let names = names(text);
        assert_eq!(names.items.iter().map(String::as_str).collect::<Vec<_>>(), ["B", "F", "G", "a", "e"]);
        assert_eq!(names.inline[0].0, "c");
        assert!(names.inline[0].1.items.contains("D"));
    }
}
