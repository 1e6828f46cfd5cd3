//! Escaped text and tables for HTML.

use std::fmt;

/// Text without any markup.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            // Control characters are not allowed in a page, not even escaped.
            character if character.is_control() && character != '\n' => f.write_str("\u{fffd}"),
            character => write!(f, "{character}"),
        })
    }
}

/// Renders a table with a caption.
pub(super) fn table(caption: &str, headings: &[&str], rows: &[Vec<String>]) -> String {
    let cells = |tag: &str, cells: &mut dyn Iterator<Item = &str>| {
        cells.map(|cell| format!("<{tag}>{}</{tag}>", Escaped(cell))).collect::<String>()
    };
    let head = cells("th", &mut headings.iter().copied());
    let body: String = rows
        .iter()
        .map(|row| format!("<tr>{}</tr>\n", cells("td", &mut row.iter().map(String::as_str))))
        .collect();
    format!(
        "<table><caption>{}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table>\n",
        Escaped(caption)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_elsewhere_is_markup() {
        let table = table("<b>", &["a&b"], &[vec!["<script>alert('x')</script>\u{1b}".to_owned()]]);
        assert!(!table.contains("<script") && !table.contains("<b>") && !table.contains('\u{1b}'), "{table}");
        assert!(table.contains("&lt;script&gt;alert(&#39;x&#39;)") && table.contains("a&amp;b"), "{table}");
    }
}
