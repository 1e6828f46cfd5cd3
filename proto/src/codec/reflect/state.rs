//! The state of a trace: the knowledge of a type, and the next step.

use std::any::type_name;
use std::collections::HashMap;

use super::ReadingStopped;
use super::probe::Probes;
use super::tape::Token;
use crate::codec::shape::{Conflict, Content, Definition, Fields};

/// The maximum depth of structs and enums inside each other: beyond it recursion is considered endless.
const MAX_DEPTH: usize = 32;

/// The maximum depth of options, lists, tuples and newtypes inside each other with no struct or enum between.
const MAX_WRAPPERS: usize = 32;

/// The maximum number of values of one reading.
const MAX_STEPS_PER_READING: usize = 50_000;

/// The kind of format that is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Without names, and not self-describing.
    Bincode,
    /// With names, self-describing and human-readable: addresses and times are text.
    Readable,
}

/// A struct, or a variant of an enum by its number: definition first.
pub(super) type VariantIndex = (usize, usize);

/// The content of options and lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// One element in each, to see its shape.
    Explore,
    /// Nothing in any.
    Small,
    /// Two elements in each list, and other numbers.
    Wide,
}

/// The identity of a struct or an enum. Names of types alone are not unique.
type TypeKey = (&'static str, &'static str, &'static [&'static str]);

/// The state of an enum's variant apart from its shape.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct VariantProgress {
    /// It was read to its end, without being cut short unnecessarily.
    pub(super) explored: bool,
    /// The type does not know it.
    pub(super) refused: bool,
    /// The number of dead ends after choosing it in an enum that contains itself.
    pub(super) dead_ends: usize,
}

/// A struct or an enum that is being read.
pub(super) struct OpenType {
    pub(super) definition: usize,
    /// The variant that was chosen because the enum contains itself.
    pub(super) forced: Option<usize>,
}

/// The knowledge of a type, and the state of the present reading.
pub(super) struct ReflectionState {
    pub(super) definitions: Vec<Definition>,
    ids: HashMap<TypeKey, usize>,
    /// The variants of each enum, by its number. Empty for structs.
    progress: Vec<Vec<VariantProgress>>,
    /// The number of parts of the structs and variants that were read to their end.
    lengths: HashMap<VariantIndex, usize>,
    pub(super) format: Format,
    /// The struct or variant of which only fields are given that are known to be required.
    pub(super) sparse: Option<VariantIndex>,
    pub(super) required: HashMap<VariantIndex, Vec<&'static str>>,
    pub(super) aliases: HashMap<VariantIndex, Vec<&'static str>>,
    /// The variants that were chosen in this reading, in order: enum first.
    chosen: Vec<VariantIndex>,
    /// The variants to choose first, so that a reading arrives at a certain type.
    plan: Vec<VariantIndex>,
    /// The structs and variants with named fields that this reading has reached, each with the number of choices before it.
    visited: Vec<(VariantIndex, usize)>,
    /// The choices by which a reading reaches a struct or variant with named fields.
    routes: HashMap<VariantIndex, Vec<VariantIndex>>,
    /// Set if this reading passed an enum that has variants left to explore.
    pub(super) unfinished: bool,
    pub(super) probes: Probes,
    mode: Mode,
    open: Vec<OpenType>,
    /// Entries of `open` that occur twice.
    pub(super) recursions: usize,
    wrappers: usize,
    steps: usize,
    /// The number of values of all readings together.
    pub(super) total_steps: usize,
    /// The tokens that bincode would have read.
    pub(super) tape: Vec<Token>,
    /// Set if this reading ended because it went too deep.
    pub(super) too_deep: bool,
    /// Set if this reading may fail, because something was learned from it.
    pub(super) excused: bool,
    /// The reason why no further reading can help.
    pub(super) given_up: Option<String>,
}

impl ReflectionState {
    /// Creates the state of a new trace.
    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            sparse: None,
            required: HashMap::new(),
            aliases: HashMap::new(),
            chosen: Vec::new(),
            plan: Vec::new(),
            visited: Vec::new(),
            routes: HashMap::new(),
            unfinished: false,
            definitions: Vec::new(),
            ids: HashMap::new(),
            progress: Vec::new(),
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
        self.chosen.clear();
        self.visited.clear();
        self.unfinished = false;
        self.tape.clear();
        self.too_deep = false;
        self.excused = false;
    }

    /// Returns the number of variants that were read to their end.
    pub(super) fn explored(&self) -> usize {
        self.progress.iter().flatten().filter(|progress| progress.explored).count()
    }

    /// Returns true if all readable variants were read.
    pub(super) fn all_explored(&self) -> bool {
        self.progress.iter().flatten().all(|progress| progress.explored || progress.refused)
    }

    /// Marks all variants to be read once more.
    pub(super) fn forget_explored(&mut self) {
        self.progress.iter_mut().flatten().for_each(|progress| progress.explored = false);
    }

    /// Returns the structs and variants with named fields.
    pub(super) fn structs(&self) -> impl Iterator<Item = VariantIndex> + '_ {
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

    /// From now on gives only those fields of `place` that have been reported missing, and explores all variants once more.
    pub(super) fn look_for_required(&mut self, place: VariantIndex) {
        self.sparse = Some(place);
        self.plan.clear();
        self.forget_explored();
    }

    /// From now on gives only those fields of `place` that have been reported missing, and goes straight there. Returns true if
    /// the choices leading there are known.
    pub(super) fn go_for_required(&mut self, place: VariantIndex) -> bool {
        self.sparse = Some(place);
        match self.routes.get(&place) {
            Some(route) => self.plan.clone_from(route),
            None => return false,
        }
        true
    }

    /// Records that this reading has reached a struct or variant with named fields.
    pub(super) fn visit(&mut self, place: VariantIndex) {
        self.visited.push((place, self.chosen.len()));
    }

    /// Returns true if this reading has reached `place`.
    pub(super) fn has_visited(&self, place: VariantIndex) -> bool {
        self.visited.iter().any(|(visited, _)| *visited == place)
    }

    /// Records the choices by which this successful reading has reached types that none reached before.
    pub(super) fn keep_routes(&mut self) {
        for (place, choices) in &self.visited {
            self.routes.entry(*place).or_insert_with(|| self.chosen[..*choices].to_vec());
        }
    }

    /// Returns the definitions of all structs and enums found.
    pub(super) fn into_definitions(mut self) -> Vec<Definition> {
        let places: Vec<VariantIndex> = self.structs().collect();
        for place in places {
            if let Some(fields) = fields_of_mut(&mut self.definitions[place.0], place.1) {
                fields.required = self.required.remove(&place).unwrap_or_default();
                fields.aliases = self.aliases.remove(&place).unwrap_or_default();
            }
        }
        self.definitions
    }

    pub(super) fn give_up(&mut self, reason: impl Into<String>) -> ReadingStopped {
        let reason = reason.into();
        self.excused = true;
        self.given_up.get_or_insert(reason.clone());
        ReadingStopped::new(reason)
    }

    /// Records that the last value was refused.
    pub(super) fn refuse(&mut self) {
        if self.excused || self.too_deep {
            return;
        }
        self.excused = true;
        if let Err(name) = self.probes.refuse() {
            self.give_up(format!("`{name}` refuses every value that was tried"));
        }
    }

    /// Learns from a refusal.
    pub(super) fn learned<T>(&mut self, result: Result<T, ReadingStopped>) -> Result<T, ReadingStopped> {
        if result.is_err() {
            self.refuse();
        }
        result
    }

    /// Counts a value.
    pub(super) fn step(&mut self) -> Result<(), ReadingStopped> {
        self.steps += 1;
        self.total_steps += 1;
        if self.steps > MAX_STEPS_PER_READING {
            Err(self.give_up("it is too large to be read completely"))
        } else {
            Ok(())
        }
    }

    pub(super) fn length(&self) -> usize {
        match self.mode {
            _ if self.recursions > 0 => 0,
            Mode::Explore => 1,
            Mode::Small => 0,
            Mode::Wide => 2,
        }
    }

    pub(super) fn id<V>(
        &mut self,
        name: &'static str,
        names: &'static [&'static str],
        new: impl FnOnce() -> Definition,
    ) -> usize {
        let next = self.definitions.len();
        let id = *self.ids.entry((type_name::<V>(), name, names)).or_insert(next);
        if id == next {
            let definition = new();
            let variants = match &definition {
                Definition::Struct { .. } => 0,
                Definition::Enum { variants, .. } => variants.len(),
            };
            self.progress.push(vec![VariantProgress::default(); variants]);
            self.definitions.push(definition);
        }
        id
    }

    pub(super) fn is_open(&self, definition: usize) -> bool {
        self.open.iter().any(|open| open.definition == definition)
    }

    /// Runs `inside` with a struct or an enum open.
    pub(super) fn within<T>(
        &mut self,
        open: OpenType,
        inside: impl FnOnce(&mut Self) -> Result<T, ReadingStopped>,
    ) -> Result<T, ReadingStopped> {
        if self.open.len() >= MAX_DEPTH {
            self.dead_end();
            return Err(ReadingStopped::new("too deep"));
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
                self.progress[open.definition][variant].dead_ends += 1;
            }
        }
    }

    /// Runs `inside` within something that has no name.
    pub(super) fn wrapped<T>(
        &mut self,
        inside: impl FnOnce(&mut Self) -> Result<T, ReadingStopped>,
    ) -> Result<T, ReadingStopped> {
        if self.wrappers >= MAX_WRAPPERS {
            return Err(self.give_up("it contains itself through a tuple or a newtype"));
        }
        self.wrappers += 1;
        let result = inside(self);
        self.wrappers -= 1;
        result
    }

    /// Returns the variant of an enum to read next: the planned one, one that is not explored, or the best way out.
    pub(super) fn choose_variant(&mut self, id: usize, recursing: bool) -> usize {
        let planned = self.plan.get(self.chosen.len()).filter(|(planned, _)| *planned == id);
        let variant = match planned {
            Some((_, variant)) => *variant,
            None => self.best_variant(id, recursing),
        };
        self.chosen.push((id, variant));
        variant
    }

    fn best_variant(&self, id: usize, recursing: bool) -> usize {
        if !recursing
            && self.recursions == 0
            && let Some(variant) = self.next_unexplored(id)
        {
            return variant;
        }
        let open = self.progress[id].iter().enumerate().filter(|(_, progress)| !progress.refused);
        open.min_by_key(|(_, progress)| progress.dead_ends).map_or(0, |(variant, _)| variant)
    }

    pub(super) fn next_unexplored(&self, id: usize) -> Option<usize> {
        self.progress[id].iter().position(|progress| !progress.explored && !progress.refused)
    }

    /// Returns the state of a variant.
    pub(super) fn progress(&mut self, (id, variant): VariantIndex) -> &mut VariantProgress {
        &mut self.progress[id][variant]
    }

    /// Ends the trace on a conflict.
    pub(super) fn agreed(&mut self, unified: Result<(), Conflict>) -> Result<(), ReadingStopped> {
        unified.map_err(|Conflict| self.give_up("it does not always read the same values"))
    }

    /// Checks that a struct or variant that was read to its end had as many parts as before.
    pub(super) fn agreed_length(
        &mut self,
        part: (usize, usize),
        length: usize,
    ) -> Result<(), ReadingStopped> {
        if *self.lengths.entry(part).or_insert(length) == length {
            Ok(())
        } else {
            self.agreed(Err(Conflict))
        }
    }
}

/// Returns the named fields of a struct, or of an enum's variant.
fn fields_of(definition: &Definition, variant: usize) -> Option<&Fields> {
    match definition {
        Definition::Struct { fields, .. } => Some(fields),
        Definition::Enum { variants, .. } => match &variants.get(variant)?.content {
            Some(Content::Struct(fields)) => Some(fields),
            _ => None,
        },
    }
}

/// Returns the same fields as [`fields_of`], mutably.
fn fields_of_mut(definition: &mut Definition, variant: usize) -> Option<&mut Fields> {
    match definition {
        Definition::Struct { fields, .. } => Some(fields),
        Definition::Enum { variants, .. } => match &mut variants.get_mut(variant)?.content {
            Some(Content::Struct(fields)) => Some(fields),
            _ => None,
        },
    }
}
