//! A report as one page that needs nothing else: no network, no script.
//!
//! `page` is the text and its tables, `chart` the drawings, `escape` how both stay text whatever is in them.

mod chart;
mod escape;
mod page;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::document::Report;
use crate::failure::Failure;

/// The file of a page, open from before the run on: it is too late to find out afterwards that it cannot be written.
#[derive(Debug)]
pub(crate) struct HtmlPage {
    path: PathBuf,
    file: File,
    /// Nothing of it is to be left if there is no report.
    was_there: bool,
    is_written: bool,
}

impl HtmlPage {
    /// Opens the file. What is in it stays until the report is written.
    ///
    /// # Errors
    /// When it cannot be written.
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
            // It was to be made by this run; an empty file would look like one that was.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn cannot(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Local(format!("cannot write {}: {error}", path.display()))
}
