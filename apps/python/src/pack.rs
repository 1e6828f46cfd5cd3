//! Conversion of Python's objects to MessagePack.
//!
//! JSON's types map to those of MessagePack; bytes are bytes, and keys may be any value. A tuple is a list with the longest header,
//! which it does not need: a list for other programs, and a tuple again for [`unpack`](super::unpack).

use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMemoryView, PyString, PyTuple,
};

use crate::errors::{self, ExceptionKind};

/// The deepest nesting of lists, tuples and dictionaries. The other end refuses more.
pub(crate) const NESTING: usize = 64;

/// The length from which a list needs the longest header, so that a tuple cannot be distinguished from it.
pub(crate) const LONG_LIST: usize = 1 << 16;

/// Converts `what` to MessagePack; an error names `root` and the place in it.
pub(crate) fn to_bytes(root: &str, what: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    let mut out = Vec::with_capacity(64);
    match add(what, 0, &mut out) {
        Ok(()) => Ok(out),
        Err(error) => Err(error.raise(what.py(), root)),
    }
}

/// Converts an object to the MessagePack that is sent. For debugging and tests.
#[pyfunction]
pub(crate) fn pack<'py>(what: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(what.py(), &to_bytes("object", what)?))
}

/// The reason why an object cannot be converted, and the place in the message. The place is assembled while the error is returned, so
/// that success costs nothing.
struct PackError {
    reason: Cause,
    /// The steps from the inside to the outside.
    path: Vec<String>,
    /// The objects on the path, to detect one that contains itself.
    within: Vec<usize>,
}

enum Cause {
    Cannot(String),
    TooDeep,
}

impl PackError {
    fn new(reason: Cause) -> Box<Self> {
        Box::new(Self { reason, path: Vec::new(), within: Vec::new() })
    }

    fn inside(mut self: Box<Self>, object: &Bound<'_, PyAny>, step: String) -> Box<Self> {
        self.path.push(step);
        self.within.push(object.as_ptr().addr());
        self
    }

    #[cold]
    fn raise(mut self, py: Python<'_>, root: &str) -> PyErr {
        let reason = match self.reason {
            Cause::Cannot(reason) => reason,
            Cause::TooDeep => {
                self.within.sort_unstable();
                let is_circle = self.within.windows(2).any(|pair| pair[0] == pair[1]);
                // The path to the bottom would be long and useless.
                self.path.clear();
                match is_circle {
                    true => "it contains itself, and so would never end".to_owned(),
                    false => format!("it is nested more than {NESTING} levels deep"),
                }
            }
        };
        self.path.reverse();
        errors::raise(py, ExceptionKind::CannotTravel, format!("{root}{}: {reason}", self.path.concat()))
    }
}

type PackResult = Result<(), Box<PackError>>;

fn add(what: &Bound<'_, PyAny>, depth: usize, out: &mut Vec<u8>) -> PackResult {
    if let Ok(text) = what.cast_exact::<PyString>() {
        return add_text(text, out);
    }
    if let Ok(number) = what.cast_exact::<PyInt>() {
        return add_int(number, out);
    }
    if let Ok(number) = what.cast_exact::<PyFloat>() {
        return add_float(number, out);
    }
    if let Ok(dict) = what.cast_exact::<PyDict>() {
        return add_dict(dict, depth, out);
    }
    if let Ok(list) = what.cast_exact::<PyList>() {
        return add_list(list, depth, out);
    }
    add_other(what, depth, out)
}

/// Adds an object of a rarer type, or of a class derived from one of the supported types.
fn add_other(what: &Bound<'_, PyAny>, depth: usize, out: &mut Vec<u8>) -> PackResult {
    if what.is_none() {
        out.push(0xc0);
        return Ok(());
    }
    if let Ok(yes) = what.cast::<PyBool>() {
        out.push(if yes.is_true() { 0xc3 } else { 0xc2 });
        return Ok(());
    }
    if let Ok(tuple) = what.cast::<PyTuple>() {
        out.push(0xdd);
        out.extend(length(what, tuple.len())?.to_be_bytes());
        return add_items(what, tuple.iter(), depth, out);
    }
    if let Ok(bytes) = what.cast::<PyBytes>() {
        return add_bytes(what, bytes.as_bytes(), out);
    }
    if let Ok(bytes) = what.cast::<PyByteArray>() {
        return add_bytes(what, &bytes.to_vec(), out);
    }
    if let Ok(view) = what.cast::<PyMemoryView>() {
        let copied = view.call_method0("tobytes").map_err(|error| unreadable(what, &error))?;
        return match copied.cast::<PyBytes>() {
            Ok(bytes) => add_bytes(what, bytes.as_bytes(), out),
            Err(_) => Err(cannot(what)),
        };
    }
    if let Ok(text) = what.cast::<PyString>() {
        return add_text(text, out);
    }
    if let Ok(number) = what.cast::<PyInt>() {
        return add_int(number, out);
    }
    if let Ok(number) = what.cast::<PyFloat>() {
        return add_float(number, out);
    }
    if let Ok(dict) = what.cast::<PyDict>() {
        return add_dict(dict, depth, out);
    }
    match what.cast::<PyList>() {
        Ok(list) => add_list(list, depth, out),
        Err(_) => Err(cannot(what)),
    }
}

fn add_text(text: &Bound<'_, PyString>, out: &mut Vec<u8>) -> PackResult {
    let text = text.to_cow().map_err(|_| {
        PackError::new(Cause::Cannot(
            "a text with half a character (a lone surrogate) cannot travel".to_owned(),
        ))
    })?;
    let bytes = text.as_bytes();
    match bytes.len() {
        short @ 0..=31 => out.push(0xa0 | short as u8),
        short @ 32..=0xff => out.extend([0xd9, short as u8]),
        long => {
            let long = fits(long, "a text")?;
            match u16::try_from(long) {
                Ok(long) => out.extend(head(0xda, long.to_be_bytes())),
                Err(_) => out.extend(head(0xdb, long.to_be_bytes())),
            }
        }
    }
    out.extend_from_slice(bytes);
    Ok(())
}

fn add_bytes(what: &Bound<'_, PyAny>, bytes: &[u8], out: &mut Vec<u8>) -> PackResult {
    let length = length(what, bytes.len())?;
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length), _) => out.extend([0xc4, length]),
        (_, Ok(length)) => out.extend(head(0xc5, length.to_be_bytes())),
        _ => out.extend(head(0xc6, length.to_be_bytes())),
    }
    out.extend_from_slice(bytes);
    Ok(())
}

fn add_int(number: &Bound<'_, PyInt>, out: &mut Vec<u8>) -> PackResult {
    let Ok(number) = number.extract::<i64>() else {
        let Ok(large) = number.extract::<u64>() else {
            let reason = "a whole number beyond 64 bits cannot travel; send it as text".to_owned();
            return Err(PackError::new(Cause::Cannot(reason)));
        };
        out.extend(head(0xcf, large.to_be_bytes()));
        return Ok(());
    };
    match number {
        0..=0x7f => out.push(number as u8),
        0x80..=0xff => out.extend([0xcc, number as u8]),
        0x100..=0xffff => out.extend(head(0xcd, (number as u16).to_be_bytes())),
        0x1_0000..=0xffff_ffff => out.extend(head(0xce, (number as u32).to_be_bytes())),
        0x1_0000_0000.. => out.extend(head(0xcf, number.to_be_bytes())),
        -32..=-1 => out.push(number as i8 as u8),
        -0x80..=-33 => out.extend([0xd0, number as i8 as u8]),
        -0x8000..=-0x81 => out.extend(head(0xd1, (number as i16).to_be_bytes())),
        -0x8000_0000..=-0x8001 => out.extend(head(0xd2, (number as i32).to_be_bytes())),
        ..-0x8000_0000 => out.extend(head(0xd3, number.to_be_bytes())),
    }
    Ok(())
}

fn add_float(number: &Bound<'_, PyFloat>, out: &mut Vec<u8>) -> PackResult {
    out.extend(head(0xcb, number.value().to_be_bytes()));
    Ok(())
}

fn add_list(list: &Bound<'_, PyList>, depth: usize, out: &mut Vec<u8>) -> PackResult {
    let length = length(list, list.len())?;
    match (length, u16::try_from(length)) {
        (0..=15, _) => out.push(0x90 | length as u8),
        (_, Ok(length)) => out.extend(head(0xdc, length.to_be_bytes())),
        _ => out.extend(head(0xdd, length.to_be_bytes())),
    }
    add_items(list, list.iter(), depth, out)
}

fn add_items<'py>(
    whole: &Bound<'py, PyAny>,
    items: impl Iterator<Item = Bound<'py, PyAny>>,
    depth: usize,
    out: &mut Vec<u8>,
) -> PackResult {
    let below = deeper(depth)?;
    for (place, item) in items.enumerate() {
        add(&item, below, out).map_err(|error| error.inside(whole, format!("[{place}]")))?;
    }
    Ok(())
}

fn add_dict(dict: &Bound<'_, PyDict>, depth: usize, out: &mut Vec<u8>) -> PackResult {
    let length = length(dict, dict.len())?;
    match (length, u16::try_from(length)) {
        (0..=15, _) => out.push(0x80 | length as u8),
        (_, Ok(length)) => out.extend(head(0xde, length.to_be_bytes())),
        _ => out.extend(head(0xdf, length.to_be_bytes())),
    }
    let below = deeper(depth)?;
    for (key, value) in dict.iter() {
        let at = |error: Box<PackError>| error.inside(dict, step(&key));
        add(&key, below, out).map_err(|error| at(error.inside(dict, " (the key)".to_owned())))?;
        add(&value, below, out).map_err(at)?;
    }
    Ok(())
}

fn deeper(depth: usize) -> Result<usize, Box<PackError>> {
    if depth < NESTING { Ok(depth + 1) } else { Err(PackError::new(Cause::TooDeep)) }
}

/// A key as a step of a path: `["items"]`.
fn step(key: &Bound<'_, PyAny>) -> String {
    match key.cast::<PyString>() {
        Ok(text) => format!("[{:?}]", text.to_string_lossy()),
        Err(_) => format!("[{}]", key.repr().map_or_else(|_| "?".to_owned(), |repr| repr.to_string())),
    }
}

fn head<const N: usize>(marker: u8, number: [u8; N]) -> impl Iterator<Item = u8> {
    std::iter::once(marker).chain(number)
}

fn length(what: &Bound<'_, PyAny>, length: usize) -> Result<u32, Box<PackError>> {
    fits(length, &kind(what))
}

fn fits(length: usize, kind: &str) -> Result<u32, Box<PackError>> {
    u32::try_from(length)
        .map_err(|_| PackError::new(Cause::Cannot(format!("{kind} of {length} is too long"))))
}

#[cold]
fn cannot(what: &Bound<'_, PyAny>) -> Box<PackError> {
    let kind = kind(what);
    PackError::new(Cause::Cannot(format!(
        "{kind} cannot travel; what can is None, bool, int, float, str, bytes, list, tuple and dict"
    )))
}

#[cold]
fn unreadable(what: &Bound<'_, PyAny>, error: &PyErr) -> Box<PackError> {
    PackError::new(Cause::Cannot(format!("{} cannot be read: {error}", kind(what))))
}

/// The name of its class, with an article.
fn kind(what: &Bound<'_, PyAny>) -> String {
    let name = what.get_type().name().map_or_else(|_| "object".to_owned(), |name| name.to_string());
    let article = if name.starts_with(['a', 'e', 'i', 'o', 'A', 'E', 'I', 'O']) { "an" } else { "a" };
    format!("{article} {name}")
}
