//! A report as a self-contained HTML page: no network, no script.
//!
//! `page` renders the text and tables, `chart` the charts, and `escape` escapes the text of both.

mod chart;
mod escape;
mod page;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::document::Report;
use crate::failure::Failure;

/// The file of a page, opened before the run: after it, an error would come too late.
#[derive(Debug)]
pub(crate) struct HtmlPage {
    path: PathBuf,
    file: File,
    /// Otherwise the file is removed if there is no report.
    was_there: bool,
    is_written: bool,
}

impl HtmlPage {
    /// Opens the file. Its content stays until the report is written.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let was_there = path.exists();
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|error| cannot(path, &error))?;
        Ok(Self { path: path.to_owned(), file, was_there, is_written: false })
    }

    /// Writes the report.
    pub(crate) fn write(mut self, report: &Report) -> Result<(), Failure> {
        let written = self.file.set_len(0).and_then(|()| self.file.write_all(page::page(report).as_bytes()));
        written.map_err(|error| cannot(&self.path, &error))?;
        self.is_written = true;
        Ok(())
    }
}

impl Drop for HtmlPage {
    fn drop(&mut self) {
        if !self.is_written && !self.was_there {
            // This run created it; an empty file would look like a report.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn cannot(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Local(format!("cannot write {}: {error}", path.display()))
}
