//! Conversion of MessagePack to Python's objects; the other direction of [`pack`](super::pack).
//!
//! The library has validated messages before they are converted here. All the same, nothing here trusts a length or a level of nesting.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyList, PyNone, PyString, PyTuple};

use crate::pack::{LONG_LIST, NESTING};

/// Converts all of `bytes` to one object.
pub(crate) fn to_object<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let mut reader = Reader { rest: bytes };
    let object = reader.object(py, NESTING, Role::Value)?;
    if reader.rest.is_empty() { Ok(object) } else { Err(bad("bytes are left over")) }
}

/// Converts MessagePack to an object. For debugging and tests.
#[pyfunction]
pub(crate) fn unpack<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    to_object(py, bytes)
}

struct Reader<'a> {
    rest: &'a [u8],
}

/// The use of an object. A list that is used as a key has to be a tuple, because Python's lists cannot be keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Value,
    Key,
}

impl Role {
    fn sequence(self) -> Sequence {
        match self {
            Self::Value => Sequence::List,
            Self::Key => Sequence::Tuple,
        }
    }
}

#[derive(Clone, Copy)]
enum Sequence {
    List,
    Tuple,
}

impl<'a> Reader<'a> {
    fn object<'py>(&mut self, py: Python<'py>, levels: usize, role: Role) -> PyResult<Bound<'py, PyAny>> {
        let [marker] = self.array()?;
        Ok(match marker {
            0x00..=0x7f => marker.into_pyobject(py)?.into_any(),
            0xe0..=0xff => (marker as i8).into_pyobject(py)?.into_any(),
            0xa0..=0xbf => self.text(py, usize::from(marker & 0x1f))?,
            0x80..=0x8f => self.dict(py, usize::from(marker & 0x0f), levels, role)?,
            0x90..=0x9f => self.sequence(py, usize::from(marker & 0x0f), levels, role, role.sequence())?,
            0xc0 => PyNone::get(py).to_owned().into_any(),
            0xc2 | 0xc3 => PyBool::new(py, marker == 0xc3).to_owned().into_any(),
            0xca => f64::from(f32::from_be_bytes(self.array()?)).into_pyobject(py)?.into_any(),
            0xcb => f64::from_be_bytes(self.array()?).into_pyobject(py)?.into_any(),
            0xcc => u8::from_be_bytes(self.array()?).into_pyobject(py)?.into_any(),
            0xcd => u16::from_be_bytes(self.array()?).into_pyobject(py)?.into_any(),
            0xce => u32::from_be_bytes(self.array()?).into_pyobject(py)?.into_any(),
            0xcf => u64::from_be_bytes(self.array()?).into_pyobject(py)?.into_any(),
            0xd0 => i8::from_be_bytes(self.array()?).into_pyobject(py)?.into_any(),
            0xd1 => i16::from_be_bytes(self.array()?).into_pyobject(py)?.into_any(),
            0xd2 => i32::from_be_bytes(self.array()?).into_pyobject(py)?.into_any(),
            0xd3 => i64::from_be_bytes(self.array()?).into_pyobject(py)?.into_any(),
            0xc4..=0xc6 => {
                let length = self.length(1 << (marker - 0xc4))?;
                PyBytes::new(py, self.take(length)?).into_any()
            }
            0xd9..=0xdb => {
                let length = self.length(1 << (marker - 0xd9))?;
                self.text(py, length)?
            }
            0xdc => {
                let length = self.length(2)?;
                self.sequence(py, length, levels, role, role.sequence())?
            }
            0xdd => {
                let length = self.length(4)?;
                let sequence = if length < LONG_LIST { Sequence::Tuple } else { role.sequence() };
                self.sequence(py, length, levels, role, sequence)?
            }
            0xde | 0xdf => {
                let length = self.length(if marker == 0xde { 2 } else { 4 })?;
                self.dict(py, length, levels, role)?
            }
            _ => return Err(bad("an extension, or a byte that stands for nothing")),
        })
    }

    fn take(&mut self, length: usize) -> PyResult<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(ends)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> PyResult<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(ends)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn length(&mut self, bytes: usize) -> PyResult<usize> {
        Ok(self.take(bytes)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
    }

    fn text<'py>(&mut self, py: Python<'py>, length: usize) -> PyResult<Bound<'py, PyAny>> {
        let text = str::from_utf8(self.take(length)?).map_err(|_| bad("a text that is not UTF-8"))?;
        Ok(PyString::new(py, text).into_any())
    }

    /// Reads a sequence. Allocates at most as many items as there are bytes, whatever the header claims. The items of a key have to be
    /// keys as well.
    fn sequence<'py>(
        &mut self,
        py: Python<'py>,
        length: usize,
        levels: usize,
        role: Role,
        sequence: Sequence,
    ) -> PyResult<Bound<'py, PyAny>> {
        let below = levels.checked_sub(1).ok_or_else(too_deep)?;
        if length > self.rest.len() {
            return Err(ends());
        }
        let mut items = Vec::with_capacity(length);
        for _ in 0..length {
            items.push(self.object(py, below, role)?);
        }
        Ok(match sequence {
            Sequence::List => PyList::new(py, items)?.into_any(),
            Sequence::Tuple => PyTuple::new(py, items)?.into_any(),
        })
    }

    fn dict<'py>(
        &mut self,
        py: Python<'py>,
        length: usize,
        levels: usize,
        role: Role,
    ) -> PyResult<Bound<'py, PyAny>> {
        if role == Role::Key {
            return Err(bad("a dictionary cannot be the key of another"));
        }
        let below = levels.checked_sub(1).ok_or_else(too_deep)?;
        let dict = PyDict::new(py);
        for _ in 0..length {
            let key = self.object(py, below, Role::Key)?;
            dict.set_item(key, self.object(py, below, Role::Value)?)?;
        }
        Ok(dict.into_any())
    }
}

fn bad(problem: &str) -> PyErr {
    PyValueError::new_err(format!("this is no message: {problem}"))
}

fn ends() -> PyErr {
    bad("it ends too early")
}

fn too_deep() -> PyErr {
    bad("it is nested too deep")
}
