//! The files in which Linux describes its interfaces. Other systems have none of them.

use std::fs;
use std::path::{Path, PathBuf};

/// Returns the directory that has one entry for each interface.
pub(crate) fn interfaces() -> &'static Path {
    Path::new("/sys/class/net")
}

/// Returns the directory of an interface.
pub(crate) fn interface(name: &str) -> PathBuf {
    interfaces().join(name)
}

/// Returns whether an interface has such a file or directory.
pub(crate) fn has(name: &str, entry: &str) -> bool {
    interface(name).join(entry).exists()
}

/// Returns the text of a file in a directory.
pub(crate) fn text(directory: &Path, file: &str) -> Option<String> {
    fs::read_to_string(directory.join(file)).ok().map(|text| text.trim().to_owned())
}

/// Returns the text of a file as a number.
pub(crate) fn number(directory: &Path, file: &str, radix: u32) -> Option<u32> {
    let text = text(directory, file)?;
    u32::from_str_radix(text.trim_start_matches("0x"), radix).ok()
}
