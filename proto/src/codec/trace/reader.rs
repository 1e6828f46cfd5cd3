//! A deserialiser that asks like bincode, answers with probe values, and notes what it was asked for.

use std::any::type_name;
use std::collections::HashMap;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

use super::Stopped;
use super::probe::Probes;
use super::tape::Token;
use crate::codec::shape::{Conflict, Content, Definition, Fields, Leaf, Shape, Variant};

/// Structs and enums inside each other, at most: more are taken for recursion that does not end.
const DEEPEST: usize = 32;

/// Options, lists, tuples and newtypes inside each other with no struct or enum between, at most.
const MOST_WRAPPERS: usize = 32;

/// Values of one reading, at most.
const MOST_STEPS: usize = 50_000;

impl Error for Stopped {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// How options and lists are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Something in each, to see what it is.
    Explore,
    /// Nothing in any.
    Small,
    /// Two elements in each list, and other numbers.
    Wide,
}

/// How a struct or an enum is recognised. Names of types alone are not unique.
type Key = (&'static str, &'static str, &'static [&'static str]);

/// What is known of an enum's variant apart from its shape.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    /// It was read to its end, where it need not be cut short.
    explored: bool,
    /// The type does not know it.
    refused: bool,
    /// How often choosing it where an enum contains itself led nowhere.
    dead_ends: usize,
}

/// A struct or an enum that is being read.
struct Open {
    definition: usize,
    /// The variant that was chosen because the enum contains itself.
    forced: Option<usize>,
}

/// All that is known of a type, and where the present reading stands.
pub(super) struct State {
    pub(super) definitions: Vec<Definition>,
    ids: HashMap<Key, usize>,
    progress: HashMap<(usize, usize), Progress>,
    /// The number of parts of the structs and variants that were read to their end.
    lengths: HashMap<(usize, usize), usize>,
    probes: Probes,
    mode: Mode,
    open: Vec<Open>,
    /// Entries of `open` that stand there twice.
    recursions: usize,
    wrappers: usize,
    steps: usize,
    /// Values of all readings together.
    pub(super) total_steps: usize,
    /// What bincode would have read.
    pub(super) tape: Vec<Token>,
    /// This reading ended because it went too deep.
    pub(super) too_deep: bool,
    /// This reading may fail: something was learned from it.
    pub(super) excused: bool,
    /// Why no further reading can help.
    pub(super) given_up: Option<String>,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            definitions: Vec::new(),
            ids: HashMap::new(),
            progress: HashMap::new(),
            lengths: HashMap::new(),
            probes: Probes::default(),
            mode: Mode::Explore,
            open: Vec::new(),
            recursions: 0,
            wrappers: 0,
            steps: 0,
            total_steps: 0,
            tape: Vec::new(),
            too_deep: false,
            excused: false,
            given_up: None,
        }
    }

    /// Starts another reading.
    pub(super) fn restart(&mut self, mode: Mode) {
        self.mode = mode;
        self.probes.restart(mode == Mode::Wide);
        self.open.clear();
        self.recursions = 0;
        self.wrappers = 0;
        self.steps = 0;
        self.tape.clear();
        self.too_deep = false;
        self.excused = false;
    }

    /// How many variants were read to their end.
    pub(super) fn explored(&self) -> usize {
        self.progress.values().filter(|progress| progress.explored).count()
    }

    /// Whether all variants that can be read were.
    pub(super) fn all_explored(&self) -> bool {
        self.progress.values().all(|progress| progress.explored || progress.refused)
    }

    /// Makes all variants be read once more.
    pub(super) fn forget_explored(&mut self) {
        self.progress.values_mut().for_each(|progress| progress.explored = false);
    }

    fn give_up(&mut self, reason: impl Into<String>) -> Stopped {
        let reason = reason.into();
        self.excused = true;
        self.given_up.get_or_insert(reason.clone());
        Stopped(reason)
    }

    /// Notes that the value filled in last does not do.
    fn refuse(&mut self) {
        if self.excused || self.too_deep {
            return;
        }
        self.excused = true;
        if let Err(name) = self.probes.refuse() {
            self.give_up(format!("`{name}` refuses every value that was tried"));
        }
    }

    /// Counts a value.
    fn step(&mut self) -> Result<(), Stopped> {
        self.steps += 1;
        self.total_steps += 1;
        if self.steps > MOST_STEPS { Err(self.give_up("it is too large to be read whole")) } else { Ok(()) }
    }

    fn length(&self) -> usize {
        match self.mode {
            _ if self.recursions > 0 => 0,
            Mode::Explore => 1,
            Mode::Small => 0,
            Mode::Wide => 2,
        }
    }

    fn id<V>(
        &mut self,
        name: &'static str,
        names: &'static [&'static str],
        new: impl FnOnce() -> Definition,
    ) -> usize {
        let next = self.definitions.len();
        let id = *self.ids.entry((type_name::<V>(), name, names)).or_insert(next);
        if id == next {
            self.definitions.push(new());
        }
        id
    }

    fn is_open(&self, definition: usize) -> bool {
        self.open.iter().any(|open| open.definition == definition)
    }

    /// Runs `inside` with a struct or an enum open.
    fn within<T>(
        &mut self,
        open: Open,
        inside: impl FnOnce(&mut Self) -> Result<T, Stopped>,
    ) -> Result<T, Stopped> {
        if self.open.len() >= DEEPEST {
            self.dead_end();
            return Err(Stopped("too deep".to_owned()));
        }
        let recursion = usize::from(self.is_open(open.definition));
        let wrappers = std::mem::take(&mut self.wrappers);
        self.open.push(open);
        self.recursions += recursion;
        let result = inside(self);
        self.open.pop();
        self.recursions -= recursion;
        self.wrappers = wrappers;
        result
    }

    fn dead_end(&mut self) {
        self.too_deep = true;
        for open in &self.open {
            if let Some(variant) = open.forced {
                self.progress.entry((open.definition, variant)).or_default().dead_ends += 1;
            }
        }
    }

    /// Runs `inside` within something that has no name.
    fn wrapped<T>(&mut self, inside: impl FnOnce(&mut Self) -> Result<T, Stopped>) -> Result<T, Stopped> {
        if self.wrappers >= MOST_WRAPPERS {
            return Err(self.give_up("it contains itself through a tuple or a newtype"));
        }
        self.wrappers += 1;
        let result = inside(self);
        self.wrappers -= 1;
        result
    }

    /// The variant to read next of an enum of `count` variants: one that is not explored, or the best way out.
    fn choose_variant(&self, id: usize, count: usize, recursing: bool) -> usize {
        let of = |variant| self.progress.get(&(id, variant)).copied().unwrap_or_default();
        if !recursing && self.recursions == 0 {
            let unexplored = (0..count).find(|variant| !of(*variant).explored && !of(*variant).refused);
            if let Some(variant) = unexplored {
                return variant;
            }
        }
        (0..count)
            .filter(|variant| !of(*variant).refused)
            .min_by_key(|variant| of(*variant).dead_ends)
            .unwrap_or(0)
    }

    /// Takes a conflict for the end of the trace.
    fn agreed(&mut self, unified: Result<(), Conflict>) -> Result<(), Stopped> {
        unified.map_err(|Conflict| self.give_up("it does not always read the same"))
    }

    /// Checks that a struct or variant that was read to its end had as many parts as before.
    fn agreed_length(&mut self, part: (usize, usize), length: usize) -> Result<(), Stopped> {
        if *self.lengths.entry(part).or_insert(length) == length {
            Ok(())
        } else {
            self.agreed(Err(Conflict))
        }
    }
}

/// One value to be read.
pub(super) struct Reader<'a> {
    state: &'a mut State,
    seen: &'a mut Shape,
    /// The type that holds the value.
    holder: &'static str,
}

impl<'a> Reader<'a> {
    /// Reads a value held by the type `holder`, and notes in `seen` what it is.
    pub(super) fn new(state: &'a mut State, seen: &'a mut Shape, holder: &'static str) -> Self {
        Self { state, seen, holder }
    }

    fn place<V>(&self) -> (&'static str, &'static str) {
        (self.holder, type_name::<V>())
    }

    fn leaf(&mut self, leaf: Leaf) -> Result<(), Stopped> {
        self.state.step()?;
        *self.seen = Shape::Leaf(leaf);
        if leaf != Leaf::Unit {
            self.state.tape.push(Token::Leaf(leaf));
        }
        Ok(())
    }

    fn undescribed<T>(self) -> Result<T, Stopped> {
        *self.seen = Shape::Any;
        Err(self.state.give_up(
            "it reads what only a self-describing format can tell (untagged, tagged, flattened or dynamic)",
        ))
    }
}

/// Learns from a refusal.
fn learned<T>(state: &mut State, result: Result<T, Stopped>) -> Result<T, Stopped> {
    if result.is_err() {
        state.refuse();
    }
    result
}

macro_rules! numbers {
    ($($method:ident $visit:ident $type:ty, $leaf:ident)*) => {$(
        fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Stopped> {
            self.leaf(Leaf::$leaf)?;
            let number = self.state.probes.number(self.place::<V::Value>());
            let result = visitor.$visit(<$type>::from(number));
            learned(self.state, result)
        }
    )*};
}

macro_rules! undescribed {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stopped> {
            self.undescribed()
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Stopped;

    fn is_human_readable(&self) -> bool {
        false
    }

    undescribed! { deserialize_any deserialize_identifier deserialize_ignored_any }

    numbers! {
        deserialize_u8 visit_u8 u8, U8 deserialize_u16 visit_u16 u16, U16
        deserialize_u32 visit_u32 u32, U32 deserialize_u64 visit_u64 u64, U64
        deserialize_u128 visit_u128 u128, U128
        deserialize_i16 visit_i16 i16, I16 deserialize_i32 visit_i32 i32, I32
        deserialize_i64 visit_i64 i64, I64 deserialize_i128 visit_i128 i128, I128
        deserialize_f32 visit_f32 f32, F32 deserialize_f64 visit_f64 f64, F64
    }

    fn deserialize_i8<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Stopped> {
        self.leaf(Leaf::I8)?;
        let number = self.state.probes.number(self.place::<V::Value>());
        // Probe numbers are at most 100.
        let result = visitor.visit_i8(i8::try_from(number).unwrap_or(0));
        learned(self.state, result)
    }

    fn deserialize_bool<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Stopped> {
        self.leaf(Leaf::Bool)?;
        let truth = self.state.probes.truth(self.place::<V::Value>());
        let result = visitor.visit_bool(truth);
        learned(self.state, result)
    }

    fn deserialize_char<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Stopped> {
        self.leaf(Leaf::Char)?;
        let character = self.state.probes.character(self.place::<V::Value>());
        let result = visitor.visit_char(character);
        learned(self.state, result)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stopped> {
        self.deserialize_string(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Stopped> {
        self.leaf(Leaf::Text)?;
        let text = self.state.probes.text(self.place::<V::Value>());
        let result = visitor.visit_string(text.to_owned());
        learned(self.state, result)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stopped> {
        self.deserialize_byte_buf(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Stopped> {
        self.leaf(Leaf::Bytes)?;
        let bytes = self.state.probes.bytes(self.place::<V::Value>());
        let result = visitor.visit_byte_buf(bytes);
        learned(self.state, result)
    }

    fn deserialize_unit<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Stopped> {
        self.leaf(Leaf::Unit)?;
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Stopped> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stopped> {
        let Self { state, seen, holder } = self;
        state.step()?;
        let mut inner = Shape::Unseen;
        let result = if state.length() == 0 {
            state.tape.push(Token::None);
            visitor.visit_none()
        } else {
            state.tape.push(Token::Some);
            state.wrapped(|state| visitor.visit_some(Reader::new(state, &mut inner, holder)))
        };
        *seen = Shape::Option(Box::new(inner));
        result
    }

    /// Bincode writes a newtype as what it holds; a type that checks it gets probes of its own.
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Stopped> {
        let Self { state, seen, .. } = self;
        let result = state
            .wrapped(|state| visitor.visit_newtype_struct(Reader::new(state, seen, type_name::<V::Value>())));
        learned(state, result)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stopped> {
        let Self { state, seen, .. } = self;
        let length = state.length();
        state.tape.push(Token::List(length));
        let mut shapes = Vec::new();
        let result = parts(state, &mut shapes, length, |list| visitor.visit_seq(list));
        let mut element = Shape::Unseen;
        let unified = shapes.into_iter().try_for_each(|shape| element.unify(shape));
        *seen = Shape::List(Box::new(element));
        state.agreed(unified)?;
        result
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Stopped> {
        let Self { state, seen, .. } = self;
        let mut shapes = Vec::new();
        let result = parts(state, &mut shapes, length, |list| visitor.visit_seq(list));
        // Parts that the type does not ask for stay unseen: bincode would not skip them.
        shapes.resize(length, Shape::Unseen);
        *seen = Shape::Tuple(shapes);
        result
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Stopped> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stopped> {
        let Self { state, seen, .. } = self;
        let length = state.length();
        state.tape.push(Token::Map(length));
        let mut shapes = Vec::new();
        let result = parts(state, &mut shapes, length, |map| visitor.visit_map(map));
        let (mut key, mut value) = (Shape::Unseen, Shape::Unseen);
        let unified = shapes.into_iter().enumerate().try_for_each(|(place, shape)| {
            if place % 2 == 0 { key.unify(shape) } else { value.unify(shape) }
        });
        *seen = Shape::Map(Box::new(key), Box::new(value));
        state.agreed(unified)?;
        result
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stopped> {
        let Self { state, seen, .. } = self;
        let id =
            state.id::<V::Value>(name, names, || Definition::Struct { name, fields: Fields::unseen(names) });
        *seen = Shape::Named(id);
        let mut shapes = Vec::new();
        let result = state.within(Open { definition: id, forced: None }, |state| {
            parts(state, &mut shapes, names.len(), |fields| visitor.visit_seq(fields))
        });
        if result.is_ok() {
            state.agreed_length((id, 0), shapes.len())?;
        }
        if let Definition::Struct { fields, .. } = &mut state.definitions[id] {
            let unified = fields.unify(shapes);
            state.agreed(unified)?;
        }
        result
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stopped> {
        let Self { state, seen, .. } = self;
        state.step()?;
        let id = state.id::<V::Value>(name, names, || {
            let variants = names.iter().map(|name| Variant { name, content: None }).collect();
            Definition::Enum { name, variants }
        });
        *seen = Shape::Named(id);
        if names.is_empty() {
            return Err(state.give_up(format!("the enum `{name}` has no variants")));
        }
        for variant in 0..names.len() {
            state.progress.entry((id, variant)).or_default();
        }
        let recursing = state.is_open(id);
        let variant = state.choose_variant(id, names.len(), recursing);
        // No enum that compiles has more variants than fit in 32 bits.
        let index = u32::try_from(variant).unwrap_or(u32::MAX);
        state.tape.push(Token::Variant(index));
        let open = Open { definition: id, forced: recursing.then_some(variant) };
        let mut content = None;
        let mut refused = false;
        let result = state.within(open, |state| {
            visitor.visit_enum(VariantReader { state, index, content: &mut content, refused: &mut refused })
        });
        let whole = result.is_ok();
        let in_full = state.recursions == 0 && !recursing;
        let progress = state.progress.entry((id, variant)).or_default();
        progress.refused |= refused;
        progress.explored |= whole && in_full;
        state.excused |= refused;
        if let Some(content) = content {
            if whole {
                state.agreed_length((id, variant), content.parts())?;
            }
            if let Definition::Enum { variants, .. } = &mut state.definitions[id] {
                let unified = match &mut variants[variant].content {
                    Some(known) => known.unify(content),
                    unseen => {
                        *unseen = Some(content);
                        Ok(())
                    }
                };
                state.agreed(unified)?;
            }
        }
        learned(state, result)
    }
}

/// Lets `visit` read up to `length` parts or entries, and notes their shapes.
fn parts<T>(
    state: &mut State,
    shapes: &mut Vec<Shape>,
    length: usize,
    visit: impl FnOnce(Parts<'_>) -> Result<T, Stopped>,
) -> Result<T, Stopped> {
    state.step()?;
    let result = state.wrapped(|state| visit(Parts { state, shapes, left: length }));
    learned(state, result)
}

struct Parts<'a> {
    state: &'a mut State,
    shapes: &'a mut Vec<Shape>,
    left: usize,
}

impl Parts<'_> {
    fn part<'de, S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Stopped> {
        let mut seen = Shape::Unseen;
        let result = seed.deserialize(Reader::new(self.state, &mut seen, type_name::<S::Value>()));
        self.shapes.push(seen);
        learned(self.state, result)
    }
}

impl<'de> SeqAccess<'de> for Parts<'_> {
    type Error = Stopped;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Stopped> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.part(seed).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> MapAccess<'de> for Parts<'_> {
    type Error = Stopped;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Stopped> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Stopped> {
        self.part(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

struct VariantReader<'a> {
    state: &'a mut State,
    index: u32,
    content: &'a mut Option<Content>,
    refused: &'a mut bool,
}

impl<'de, 'a> EnumAccess<'de> for VariantReader<'a> {
    type Error = Stopped;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Stopped> {
        match seed.deserialize(IntoDeserializer::<Stopped>::into_deserializer(self.index)) {
            Ok(variant) => Ok((variant, self)),
            Err(stopped) => {
                *self.refused = true;
                Err(stopped)
            }
        }
    }
}

impl<'de> VariantAccess<'de> for VariantReader<'_> {
    type Error = Stopped;

    fn unit_variant(self) -> Result<(), Stopped> {
        *self.content = Some(Content::Unit);
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Stopped> {
        let mut seen = Shape::Unseen;
        let result = seed.deserialize(Reader::new(self.state, &mut seen, type_name::<S::Value>()));
        *self.content = Some(Content::Newtype(seen));
        result
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Stopped> {
        let mut shapes = Vec::new();
        let result = parts(self.state, &mut shapes, length, |list| visitor.visit_seq(list));
        shapes.resize(length, Shape::Unseen);
        *self.content = Some(Content::Tuple(shapes));
        result
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stopped> {
        let mut shapes = Vec::new();
        let result = parts(self.state, &mut shapes, names.len(), |fields| visitor.visit_seq(fields));
        *self.content = Some(Content::Struct(Fields { names, shapes }));
        result
    }
}
