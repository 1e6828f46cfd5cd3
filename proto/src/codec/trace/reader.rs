//! A deserialiser that asks like bincode, answers with probe values, and notes what it was asked for.

use std::any::type_name;
use std::collections::HashMap;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::probe::{Kind, Probes};
use super::tape::Token;
use super::{FieldFault, Stopped};
use crate::codec::shape::{Conflict, Content, Definition, Fields, Leaf, Shape, Variant};

/// Structs and enums inside each other, at most: more are taken for recursion that does not end.
const DEEPEST: usize = 32;

/// Options, lists, tuples and newtypes inside each other with no struct or enum between, at most.
const MOST_WRAPPERS: usize = 32;

/// Values of one reading, at most.
const MOST_STEPS: usize = 50_000;

/// The kind of format that is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Without names, without descriptions of what comes.
    Bincode,
    /// With names and descriptions, for people: addresses and times are text.
    Readable,
}

/// A struct, or a variant of an enum by its number: definition first.
pub(super) type Place = (usize, usize);

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
    definitions: Vec<Definition>,
    ids: HashMap<Key, usize>,
    progress: HashMap<Place, Progress>,
    /// The number of parts of the structs and variants that were read to their end.
    lengths: HashMap<Place, usize>,
    format: Format,
    /// The struct or variant of which only fields are given that are known to be required.
    sparse: Option<Place>,
    required: HashMap<Place, Vec<&'static str>>,
    aliases: HashMap<Place, Vec<&'static str>>,
    /// An enum was passed in this reading that has variants left to explore.
    unfinished: bool,
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
    /// Nothing is known yet.
    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            sparse: None,
            required: HashMap::new(),
            aliases: HashMap::new(),
            unfinished: false,
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
        self.unfinished = false;
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

    /// Structs and variants with named fields.
    pub(super) fn structs(&self) -> impl Iterator<Item = Place> + '_ {
        self.definitions.iter().enumerate().flat_map(|(id, definition)| {
            let variants = match definition {
                Definition::Struct { .. } => 0..1,
                Definition::Enum { variants, .. } => 0..variants.len(),
            };
            variants
                .map(move |variant| (id, variant))
                .filter(|place| fields_of(definition, place.1).is_some())
        })
    }

    /// From now on gives only those fields of `place` that have been missed before.
    pub(super) fn look_for_required(&mut self, place: Place) {
        self.sparse = Some(place);
        self.forget_explored();
    }

    /// All that was found out about structs and enums.
    pub(super) fn into_definitions(mut self) -> Vec<Definition> {
        let places: Vec<Place> = self.structs().collect();
        for place in places {
            if let Some(fields) = fields_of_mut(&mut self.definitions[place.0], place.1) {
                fields.required = self.required.remove(&place).unwrap_or_default();
                fields.aliases = self.aliases.remove(&place).unwrap_or_default();
            }
        }
        self.definitions
    }

    fn give_up(&mut self, reason: impl Into<String>) -> Stopped {
        let reason = reason.into();
        self.excused = true;
        self.given_up.get_or_insert(reason.clone());
        Stopped::new(reason)
    }

    /// Notes that the value filled in last does not do.
    pub(super) fn refuse(&mut self) {
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
            return Err(Stopped::new("too deep"));
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
        if !recursing
            && self.recursions == 0
            && let Some(variant) = self.next_unexplored(id, count)
        {
            return variant;
        }
        let known = (0..count).map(|variant| (variant, self.progress_of(id, variant)));
        let open = known.filter(|(_, progress)| !progress.refused);
        open.min_by_key(|(_, progress)| progress.dead_ends).map_or(0, |(variant, _)| variant)
    }

    fn next_unexplored(&self, id: usize, count: usize) -> Option<usize> {
        (0..count).find(|variant| {
            let progress = self.progress_of(id, *variant);
            !progress.explored && !progress.refused
        })
    }

    fn progress_of(&self, id: usize, variant: usize) -> Progress {
        self.progress.get(&(id, variant)).copied().unwrap_or_default()
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

    /// Answers a type that takes what comes. Bincode cannot; other formats may send any of these.
    fn anything<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stopped> {
        *self.seen = Shape::Any;
        self.state.step()?;
        if self.state.format == Format::Bincode {
            let reason =
                "it reads what only a self-describing format can tell (untagged, tagged, flattened, dynamic)";
            return Err(self.state.give_up(reason));
        }
        let place = (self.holder, type_name::<V::Value>());
        let result = match self.state.probes.kind(place) {
            Kind::Unit => visitor.visit_unit(),
            Kind::Text => visitor.visit_str(""),
            Kind::Number => visitor.visit_u64(0),
            Kind::Truth => visitor.visit_bool(false),
            Kind::Map => visitor.visit_map(MapDeserializer::new(std::iter::empty::<((), ())>())),
            Kind::List => visitor.visit_seq(SeqDeserializer::new(std::iter::empty::<()>())),
        };
        learned(self.state, result)
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

macro_rules! anything {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stopped> {
            self.anything(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Stopped;

    fn is_human_readable(&self) -> bool {
        self.state.format == Format::Readable
    }

    anything! { deserialize_any deserialize_identifier deserialize_ignored_any }

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
        let open = Open { definition: id, forced: None };
        let result = state.within(open, |state| fields(state, (id, 0), names, &mut shapes, visitor));
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
        let outer_unfinished = std::mem::take(&mut state.unfinished);
        let result = state.within(open, |state| {
            let (content, refused) = (&mut content, &mut refused);
            visitor.visit_enum(VariantReader {
                state,
                place: (id, variant),
                name: names[variant],
                index,
                content,
                refused,
            })
        });
        let whole = result.is_ok();
        let in_full = state.recursions == 0 && !recursing;
        let inner_unfinished = state.unfinished;
        let progress = state.progress.entry((id, variant)).or_default();
        progress.refused |= refused;
        progress.explored |= whole && in_full && !inner_unfinished;
        state.excused |= refused;
        let unfinished = in_full && (inner_unfinished || state.next_unexplored(id, names.len()).is_some());
        state.unfinished = outer_unfinished || unfinished;
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

/// Lets a struct or variant read its fields.
fn fields<'de, V: Visitor<'de>>(
    state: &mut State,
    place: Place,
    names: &'static [&'static str],
    shapes: &mut Vec<Shape>,
    visitor: V,
) -> Result<V::Value, Stopped> {
    match state.format {
        Format::Bincode => parts(state, shapes, names.len(), |fields| visitor.visit_seq(fields)),
        Format::Readable => named_fields(state, place, names, shapes, visitor),
    }
}

/// Gives fields by name, and learns which names are aliases and, where fields are left out, which are required.
fn named_fields<'de, V: Visitor<'de>>(
    state: &mut State,
    place: Place,
    names: &'static [&'static str],
    shapes: &mut Vec<Shape>,
    visitor: V,
) -> Result<V::Value, Stopped> {
    state.step()?;
    shapes.resize(names.len(), Shape::Unseen);
    let known = if state.sparse == Some(place) { &state.required } else { &state.aliases };
    let known = known.get(&place).map(Vec::as_slice).unwrap_or_default();
    let sparse = state.sparse == Some(place);
    let given: Vec<usize> =
        (0..names.len()).filter(|field| known.contains(&names[*field]) == sparse).collect();
    let mut given_now = 0;
    let result = state.wrapped(|state| {
        visitor.visit_map(NamedFields { state, names, shapes, given: &given, given_now: &mut given_now })
    });
    match result.as_ref().err().and_then(|stopped| stopped.field) {
        Some(FieldFault::Missing(field)) if sparse && names.contains(&field) => {
            state.required.entry(place).or_default().push(field);
            state.excused = true;
        }
        Some(FieldFault::Duplicate(field)) if given_now >= 2 => {
            // Serde lists the names of one field side by side.
            let (before, last) = (names[given[given_now - 2]], names[given[given_now - 1]]);
            state.aliases.entry(place).or_default().push(if last == field { before } else { last });
            state.excused = true;
        }
        _ => {}
    }
    learned(state, result)
}

struct NamedFields<'a> {
    state: &'a mut State,
    names: &'static [&'static str],
    shapes: &'a mut Vec<Shape>,
    /// The fields to give, as places in `names`.
    given: &'a [usize],
    /// How many of them were given.
    given_now: &'a mut usize,
}

impl<'de> MapAccess<'de> for NamedFields<'_> {
    type Error = Stopped;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Stopped> {
        let Some(field) = self.given.get(*self.given_now) else { return Ok(None) };
        *self.given_now += 1;
        seed.deserialize(IntoDeserializer::<Stopped>::into_deserializer(self.names[*field])).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Stopped> {
        let mut seen = Shape::Unseen;
        let result = seed.deserialize(Reader::new(self.state, &mut seen, type_name::<S::Value>()));
        if let Some(field) = self.given.get(self.given_now.wrapping_sub(1)) {
            self.shapes[*field] = seen;
        }
        learned(self.state, result)
    }
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
    place: Place,
    name: &'static str,
    index: u32,
    content: &'a mut Option<Content>,
    refused: &'a mut bool,
}

impl<'de, 'a> EnumAccess<'de> for VariantReader<'a> {
    type Error = Stopped;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Stopped> {
        let variant = match self.state.format {
            Format::Bincode => seed.deserialize(IntoDeserializer::<Stopped>::into_deserializer(self.index)),
            Format::Readable => seed.deserialize(IntoDeserializer::<Stopped>::into_deserializer(self.name)),
        };
        match variant {
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
        let mut seen = Fields::unseen(names);
        let result = fields(self.state, self.place, names, &mut seen.shapes, visitor);
        *self.content = Some(Content::Struct(seen));
        result
    }
}

/// The named fields of a struct, or of an enum's variant.
fn fields_of(definition: &Definition, variant: usize) -> Option<&Fields> {
    match definition {
        Definition::Struct { fields, .. } => Some(fields),
        Definition::Enum { variants, .. } => match &variants.get(variant)?.content {
            Some(Content::Struct(fields)) => Some(fields),
            _ => None,
        },
    }
}

/// [`fields_of`] to be changed.
fn fields_of_mut(definition: &mut Definition, variant: usize) -> Option<&mut Fields> {
    match definition {
        Definition::Struct { fields, .. } => Some(fields),
        Definition::Enum { variants, .. } => match &mut variants.get_mut(variant)?.content {
            Some(Content::Struct(fields)) => Some(fields),
            _ => None,
        },
    }
}
