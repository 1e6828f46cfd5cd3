//! Tables with aligned columns.

use std::fmt;

use anstyle::Style;

use super::escape::line;
use super::style::STRONG;

/// Rows of cells under headings, each column as wide as its widest cell.
#[derive(Debug, Clone)]
pub(crate) struct Table<const COLUMNS: usize> {
    headings: [&'static str; COLUMNS],
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub(crate) fn new(headings: [&'static str; COLUMNS]) -> Self {
        Self { headings, rows: Vec::new() }
    }

    /// Adds a row; cells are escaped.
    pub(crate) fn row(&mut self, cells: [&str; COLUMNS]) {
        self.rows.push(cells.map(|cell| line(cell).to_string()));
    }
}

impl<const COLUMNS: usize> fmt::Display for Table<COLUMNS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut widths = self.headings.map(width);
        for row in &self.rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = (*widest).max(width(cell));
            }
        }
        write_row(f, &self.headings, &widths, STRONG)?;
        self.rows.iter().try_for_each(|row| {
            f.write_str("\n")?;
            write_row(f, row, &widths, Style::new())
        })
    }
}

/// Returns the width of a text on a terminal, as nearly as possible without a table of Unicode: one for each
/// character, two for East Asian ones and pictograms.
pub(crate) fn width(text: &str) -> usize {
    text.chars()
        .map(|character| match character {
            '\u{300}'..='\u{36f}' => 0,
            '\u{1100}'..='\u{115f}'
            | '\u{2e80}'..='\u{a4cf}'
            | '\u{ac00}'..='\u{d7a3}'
            | '\u{f900}'..='\u{faff}'
            | '\u{fe30}'..='\u{fe6f}'
            | '\u{ff00}'..='\u{ff60}'
            | '\u{1f300}'..='\u{1faff}' => 2,
            _ => 1,
        })
        .sum()
}

fn write_row(
    f: &mut fmt::Formatter<'_>,
    cells: &[impl AsRef<str>],
    widths: &[usize],
    style: Style,
) -> fmt::Result {
    let last = cells.len().saturating_sub(1);
    for (place, (cell, widest)) in cells.iter().zip(widths).enumerate() {
        let cell = cell.as_ref();
        write!(f, "{style}{cell}{style:#}")?;
        if place < last {
            write!(f, "{:gap$}", "", gap = widest.saturating_sub(width(cell)) + 2)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(["SERVICE", "ADDRESS"]);
        table.row(["robot/arm", "10.0.0.5:4000"]);
        table.row(["温度", "10.0.0.6:1"]);
        table.row(["a\nb", "x"]);
        let plain = anstream::adapter::strip_str(&table.to_string()).to_string();
        assert_eq!(
            plain,
            "SERVICE    ADDRESS\nrobot/arm  10.0.0.5:4000\n温度       10.0.0.6:1\na\\nb       x"
        );
    }
}
