//! Buffers to which frames are written in parts.

/// A buffer to which frames are written.
pub trait WriteBuffer {
    /// Returns the number of written bytes.
    fn length(&self) -> usize;

    /// Appends a part.
    fn put(&mut self, part: &[u8]);

    /// Calls `write` with `room` bytes at the end; it returns the number of bytes that it has written.
    ///
    /// # Errors
    /// Those of `write`; nothing is written in that case.
    fn fill<E>(&mut self, room: usize, write: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<(), E>;

    /// Calls `append`, which appends to the written bytes and must not change them.
    fn append<R>(&mut self, append: impl FnOnce(&mut Vec<u8>) -> R) -> R;

    /// Truncates the written bytes to `length`.
    fn cut(&mut self, length: usize);

    /// Returns the written bytes, to be changed in place.
    fn written_mut(&mut self) -> &mut [u8];

    /// Returns the vector behind it, whose address identifies the buffer.
    fn memory(&self) -> &Vec<u8>;
}

impl WriteBuffer for Vec<u8> {
    #[inline(always)]
    fn length(&self) -> usize {
        self.len()
    }

    #[inline(always)]
    fn put(&mut self, part: &[u8]) {
        self.extend_from_slice(part);
    }

    #[inline(always)]
    fn fill<E>(&mut self, room: usize, write: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<(), E> {
        let start = self.len();
        self.resize(start + room, 0);
        let written = write(&mut self[start..]);
        self.truncate(start + written.as_ref().copied().unwrap_or(0));
        written.map(drop)
    }

    #[inline(always)]
    fn append<R>(&mut self, append: impl FnOnce(&mut Self) -> R) -> R {
        append(self)
    }

    #[inline(always)]
    fn cut(&mut self, length: usize) {
        self.truncate(length);
    }

    #[inline(always)]
    fn written_mut(&mut self) -> &mut [u8] {
        self
    }

    #[inline(always)]
    fn memory(&self) -> &Self {
        self
    }
}

/// A reusable buffer: its memory is longer than the written bytes, because writing in place is several times as fast for small
/// parts as appending, and is zeroed once instead of for each value.
#[derive(Debug, Default)]
pub struct Buffer {
    /// The written bytes, followed by free room.
    memory: Vec<u8>,
    length: usize,
}

/// The least size of the memory in bytes, once something has been written.
const MIN_ROOM: usize = 1_024;

impl Buffer {
    /// Returns the written bytes.
    #[inline(always)]
    pub fn written(&self) -> &[u8] {
        &self.memory[..self.length]
    }

    /// Returns the size of its memory in bytes.
    #[inline(always)]
    pub fn capacity(&self) -> usize {
        self.memory.capacity()
    }

    /// Appends the written bytes to `out`.
    #[inline(always)]
    pub fn append_to(&self, out: &mut Vec<u8>) {
        let is_copied = match self.length {
            0..=32 => self.append_short::<32>(out),
            33..=96 => self.append_short::<96>(out),
            _ => false,
        };
        if !is_copied {
            out.extend_from_slice(self.written());
        }
    }

    /// Appends the written bytes, of which there are `N` at most: a copy of a fixed length is a few instructions, and one of any
    /// length a call. Returns false unless there is memory for it on both sides: `out` need not grow for bytes that are no part of it.
    #[inline(always)]
    fn append_short<const N: usize>(&self, out: &mut Vec<u8>) -> bool {
        let Some(chunk) = self.memory.first_chunk::<N>() else { return false };
        if out.capacity() - out.len() < N {
            return false;
        }
        let end = out.len() + self.length;
        out.extend_from_slice(chunk);
        out.truncate(end);
        true
    }

    /// Takes the written bytes, with their memory.
    pub fn take(&mut self) -> Vec<u8> {
        let mut memory = std::mem::take(&mut self.memory);
        memory.truncate(std::mem::take(&mut self.length));
        memory
    }

    /// Moves the bytes to `other`, which is empty, and takes its memory in exchange.
    pub fn swap(&mut self, other: &mut Vec<u8>) {
        self.memory.truncate(std::mem::take(&mut self.length));
        std::mem::swap(&mut self.memory, other);
    }

    #[cold]
    fn make_room(&mut self, end: usize) {
        self.memory.resize(end.max(MIN_ROOM), 0);
    }

    #[cold]
    fn put_growing(&mut self, part: &[u8]) {
        self.append(|memory| memory.extend_from_slice(part));
    }
}

impl From<&[u8]> for Buffer {
    fn from(bytes: &[u8]) -> Self {
        let mut buffer = Self::default();
        buffer.make_room(bytes.len());
        buffer.put(bytes);
        buffer
    }
}

impl WriteBuffer for Buffer {
    #[inline(always)]
    fn length(&self) -> usize {
        self.length
    }

    #[inline(always)]
    fn put(&mut self, part: &[u8]) {
        let end = self.length + part.len();
        match self.memory.get_mut(self.length..end) {
            Some(room) => {
                copy(room, part);
                self.length = end;
            }
            None => self.put_growing(part),
        }
    }

    #[inline(always)]
    fn fill<E>(&mut self, room: usize, write: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<(), E> {
        let end = self.length + room;
        if self.memory.len() < end {
            self.make_room(end);
        }
        self.length += write(&mut self.memory[self.length..end])?;
        Ok(())
    }

    #[inline(always)]
    fn append<R>(&mut self, append: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        self.memory.truncate(self.length);
        let result = append(&mut self.memory);
        self.length = self.memory.len();
        result
    }

    #[inline(always)]
    fn cut(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    #[inline(always)]
    fn written_mut(&mut self) -> &mut [u8] {
        &mut self.memory[..self.length]
    }

    #[inline(always)]
    fn memory(&self) -> &Vec<u8> {
        &self.memory
    }
}

/// Copies `part` to `room`, which is as long: a few bytes as two words that overlap, because a copy of any length is a call.
#[inline(always)]
fn copy(room: &mut [u8], part: &[u8]) {
    match part.len() {
        8..=16 => copy_ends::<8>(room, part),
        4..=7 => copy_ends::<4>(room, part),
        _ => room.copy_from_slice(part),
    }
}

/// Copies the first and the last `N` bytes.
#[inline(always)]
fn copy_ends<const N: usize>(room: &mut [u8], part: &[u8]) {
    if let (Some(to), Some(from)) = (room.first_chunk_mut::<N>(), part.first_chunk()) {
        *to = *from;
    }
    if let (Some(to), Some(from)) = (room.last_chunk_mut::<N>(), part.last_chunk()) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Put(Vec<u8>),
        /// The room, the number of bytes written to it and their value, or an error.
        Fill(usize, u8, bool),
        Append(Vec<u8>),
        Cut(usize),
        Take,
    }

    fn step() -> impl Strategy<Value = Step> {
        let part = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..20),
            prop::collection::vec(any::<u8>(), 0..700)
        ];
        prop_oneof![
            part.clone().prop_map(Step::Put),
            (0..700_usize, any::<u8>(), any::<bool>())
                .prop_map(|(room, byte, ok)| Step::Fill(room, byte, ok)),
            part.prop_map(Step::Append),
            (0..2_000_usize).prop_map(Step::Cut),
            Just(Step::Take),
        ]
    }

    fn apply(buffer: &mut impl WriteBuffer, step: &Step) {
        match step {
            Step::Put(part) => buffer.put(part),
            Step::Fill(room, byte, true) => {
                let count = room / 2;
                let write = |room: &mut [u8]| {
                    room[..count].fill(*byte);
                    Ok::<_, ()>(count)
                };
                assert_eq!(buffer.fill(*room, write), Ok(()));
            }
            Step::Fill(room, byte, false) => {
                let refuse = |room: &mut [u8]| {
                    room.fill(*byte);
                    Err("no")
                };
                assert_eq!(buffer.fill(*room, refuse), Err("no"));
            }
            Step::Append(part) => buffer.append(|memory| memory.extend_from_slice(part)),
            Step::Cut(length) => buffer.cut(*length),
            Step::Take => {}
        }
    }

    proptest! {
        #[test]
        fn it_has_the_content_of_a_vector(steps in prop::collection::vec(step(), 0..40)) {
            let (mut buffer, mut vector) = (Buffer::default(), Vec::new());
            for step in &steps {
                apply(&mut buffer, step);
                apply(&mut vector, step);
                if matches!(step, Step::Take) {
                    prop_assert_eq!(buffer.take(), std::mem::take(&mut vector));
                }
                prop_assert_eq!(buffer.written(), &vector[..]);
                prop_assert_eq!(buffer.length(), vector.len());
                for spare_bytes in [0, 1_000] {
                    let mut appended = b"before".to_vec();
                    appended.reserve_exact(spare_bytes);
                    buffer.append_to(&mut appended);
                    prop_assert_eq!(appended.strip_prefix(b"before"), Some(&vector[..]));
                }
            }
            let mut swapped = Vec::new();
            buffer.swap(&mut swapped);
            prop_assert_eq!((swapped, buffer.written()), (vector, &b""[..]));
        }
    }
}
