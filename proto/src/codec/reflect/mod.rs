//! Determines the shape of a type in bincode, by letting serde read it from generated input.
//!
//! The type's own `Deserialize` is run against a [`Reader`] that requests values like bincode and returns probe values:
//! repeatedly until every variant of every enum was read, with the next probe if a type refuses one, and on the shortest way out
//! if a type contains itself. Each resulting value is written by the type's own `Serialize` onto a tape, which must equal the
//! tape of the read values. Two more readings, with empty and with longer lists and other numbers, find shapes that depend on
//! values. A type whose trace stopped early proves nothing.

mod fields;
mod parts;
mod probe;
mod reader;
mod state;
mod tape;
#[cfg(test)]
mod tests;
mod variant;

use std::fmt;

use serde::de::{self, DeserializeOwned};
use serde::ser::{self, Serialize};

use super::shape::{Definition, Shape, Shapes};
use reader::Reader;
use state::{Format, Mode, ReflectionState, VariantIndex};
use tape::Tape;

/// The maximum number of readings of one type. Each explores a variant or learns that a probe is refused.
const MAX_READINGS: usize = 4_000;

/// The maximum number of values read in all runs together.
const MAX_STEPS: usize = 1_000_000;

/// The maximum number of runs that end in endless recursion before a type is considered endless.
const MAX_DEAD_ENDS: usize = 200;

/// The reason why a reading stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReadingStopped {
    reason: String,
    field: Option<FieldFault>,
}

/// The error that a struct has reported about the names that it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FieldFault {
    /// This field was not given.
    Missing(&'static str),
    /// This field was given before, possibly under another name.
    Duplicate(&'static str),
}

impl ReadingStopped {
    fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), field: None }
    }
}

impl fmt::Display for ReadingStopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for ReadingStopped {}

impl de::Error for ReadingStopped {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Self { reason: format!("missing field `{field}`"), field: Some(FieldFault::Missing(field)) }
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self { reason: format!("duplicate field `{field}`"), field: Some(FieldFault::Duplicate(field)) }
    }
}

impl ser::Error for ReadingStopped {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }
}

/// The result of the trace of a type.
#[derive(Debug, Clone)]
pub(super) struct TypeReflection {
    /// All shapes that were seen.
    pub(super) shapes: Shapes,
    /// `Ok` if equal shapes mean equal bytes, or else the reason why that is not certain.
    pub(super) proven: Result<(), String>,
}

/// Traces `T` as a format with names would read it, without proving anything: parts that could not be seen stay unseen.
pub(super) fn trace_readable<T: DeserializeOwned>() -> Shapes {
    trace_readable_with(attempt::<T>)
}

fn trace_readable_with(attempt: AttemptFn) -> Shapes {
    let mut root = Shape::Unseen;
    let mut state = ReflectionState::new(Format::Readable);
    // A trace that stopped early has seen something nevertheless.
    if explore(attempt, &mut state, &mut root).is_ok() {
        let places: Vec<_> = state.structs().collect();
        for place in places {
            if !find_required_there(attempt, &mut state, &mut root, place) {
                find_required(attempt, &mut state, &mut root, place);
            }
        }
    }
    Shapes { root, definitions: state.into_definitions() }
}

/// Leaves out all fields of one struct or variant, and adds those that are reported missing, in readings that go straight there.
/// Returns true if that came to an end.
fn find_required_there(
    attempt: AttemptFn,
    state: &mut ReflectionState,
    root: &mut Shape,
    place: VariantIndex,
) -> bool {
    if !state.go_for_required(place) {
        return false;
    }
    for _ in 0..MAX_READINGS {
        match attempt(state, root, Mode::Explore) {
            Ok(Ok(())) => return state.has_visited(place),
            Ok(Err(_)) if state.excused => {}
            Ok(Err(_)) | Err(_) => return false,
        }
    }
    false
}

/// Finds the required fields by reading every variant once more: slow, and certain to get there.
fn find_required(attempt: AttemptFn, state: &mut ReflectionState, root: &mut Shape, place: VariantIndex) {
    state.look_for_required(place);
    for _ in 0..MAX_READINGS {
        let explored = state.explored();
        match attempt(state, root, Mode::Explore) {
            Ok(Ok(())) if state.explored() == explored || state.all_explored() => return,
            Ok(Err(_)) if !state.excused => return,
            Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// Traces `T` as bincode would read it.
pub(super) fn trace<T: Serialize + DeserializeOwned>() -> TypeReflection {
    trace_with(attempt_both_ways::<T>)
}

fn trace_with(attempt: AttemptFn) -> TypeReflection {
    let mut root = Shape::Unseen;
    let mut state = ReflectionState::new(Format::Bincode);
    let proven = prove(attempt, &mut state, &mut root);
    let shapes = Shapes { root, definitions: state.into_definitions() };
    let proven = match proven {
        Ok(()) if !shapes.is_whole() => Err("not all of it could be read".to_owned()),
        other => other,
    };
    TypeReflection { shapes, proven }
}

fn prove(attempt: AttemptFn, state: &mut ReflectionState, root: &mut Shape) -> Result<(), String> {
    explore(attempt, state, root)?;
    for mode in [Mode::Small, Mode::Wide] {
        vary(attempt, state, root, mode)?;
    }
    Ok(())
}

/// The result of one reading: the outer error ends the trace, the inner one is that of the type's own `Deserialize`.
type ReadAttempt<T> = Result<Result<T, ReadingStopped>, String>;

/// One reading of a type. Only this is compiled for each type.
type AttemptFn = fn(&mut ReflectionState, &mut Shape, Mode) -> ReadAttempt<()>;

/// Reads until every variant has been seen.
fn explore(attempt: AttemptFn, state: &mut ReflectionState, root: &mut Shape) -> Result<(), String> {
    let mut dead_ends = 0;
    for _ in 0..MAX_READINGS {
        let explored = state.explored();
        match attempt(state, root, Mode::Explore)? {
            Ok(()) if state.all_explored() => return Ok(()),
            Ok(()) if state.explored() == explored => {
                return Err("some of its variants cannot be reached".to_owned());
            }
            Err(_) if state.too_deep => {
                dead_ends += 1;
                if dead_ends > MAX_DEAD_ENDS {
                    return Err("it contains itself endlessly".to_owned());
                }
            }
            Err(ReadingStopped { reason, .. }) if !state.excused => {
                return Err(format!("it refuses the values that it requested: {reason}"));
            }
            _ => {}
        }
    }
    Err("it takes too many attempts to see all of it".to_owned())
}

/// Reads every variant once more in another `mode`. A type may refuse that: a list that must not be empty, for example.
fn vary(attempt: AttemptFn, state: &mut ReflectionState, root: &mut Shape, mode: Mode) -> Result<(), String> {
    state.forget_explored();
    for _ in 0..MAX_READINGS {
        let explored = state.explored();
        let result = attempt(state, root, mode)?;
        if result.is_err() || state.explored() == explored || state.all_explored() {
            return Ok(());
        }
    }
    Ok(())
}

/// Reads one `T`.
fn attempt<T: DeserializeOwned>(
    state: &mut ReflectionState,
    root: &mut Shape,
    mode: Mode,
) -> ReadAttempt<()> {
    run::<T>(state, root, mode).map(|result| result.map(drop))
}

/// Reads one `T`, writes it, and compares the tapes.
fn attempt_both_ways<T: Serialize + DeserializeOwned>(
    state: &mut ReflectionState,
    root: &mut Shape,
    mode: Mode,
) -> ReadAttempt<()> {
    let value = match run::<T>(state, root, mode)? {
        Ok(value) => value,
        Err(stopped) => return Ok(Err(stopped)),
    };
    // Sets and maps keep one of two equal elements, so a wide reading is not written back as it was.
    if mode != Mode::Wide {
        let mut written = Vec::new();
        value.serialize(Tape(&mut written)).map_err(|stopped| format!("it {stopped}"))?;
        if written != state.tape {
            return Err("it writes other values than it reads".to_owned());
        }
    }
    Ok(Ok(()))
}

/// Reads one `T`, and adds the shapes it saw to `root`.
fn run<T: DeserializeOwned>(state: &mut ReflectionState, root: &mut Shape, mode: Mode) -> ReadAttempt<T> {
    state.restart(mode);
    let mut seen = Shape::Unseen;
    let value = T::deserialize(Reader::new(state, &mut seen, std::any::type_name::<T>()));
    conclude(state, root, seen, value.is_ok())?;
    Ok(value)
}

/// Adds the shapes that one reading has seen to `root`. An error ends the trace.
fn conclude(state: &mut ReflectionState, root: &mut Shape, seen: Shape, is_read: bool) -> Result<(), String> {
    if is_read {
        state.keep_routes();
    } else {
        state.refuse();
    }
    if root.unify(seen).is_err() {
        return Err("it does not always read the same values".to_owned());
    }
    if let Some(reason) = state.given_up.take() {
        return Err(reason);
    }
    if state.total_steps > MAX_STEPS {
        return Err("it is too large to be read completely".to_owned());
    }
    Ok(())
}

impl Shapes {
    /// Returns true if nothing was left unseen.
    fn is_whole(&self) -> bool {
        self.root.is_whole()
            && self.definitions.iter().all(|definition| match definition {
                Definition::Struct { fields, .. } => fields.shapes.iter().all(Shape::is_whole),
                Definition::Enum { variants, .. } => variants
                    .iter()
                    .filter_map(|variant| variant.content.as_ref())
                    .all(|content| content.is_whole()),
            })
    }
}
