//! Tests of the memory used while untrusted bytes are decoded, as the allocator sees it: reserved memory counts as used.
//!
//! One test in a process of its own, because the allocator counts for all threads.

use std::collections::{BTreeMap, HashMap};

use meshzero_proto::codec::{Blob, DecodeLimits, Encoding, WireType, decode};
use meshzero_proto::discovery::peer::PeerUpdate;
use meshzero_proto::limits::Limits;
use meshzero_proto::news::Subscribe;
use meshzero_proto::wire::catalogue::Catalogue;
use meshzero_proto::wire::description::Description;
use meshzero_proto::wire::hello::{MAGIC, parse_hello};
use meshzero_proto::wire::refusal::Refusal;
use peak_alloc::PeakAlloc;
use serde::{Deserialize, Serialize};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The maximum memory that a few forged bytes may reserve.
const LITTLE: usize = 64 << 10;

#[derive(Serialize, Deserialize)]
struct Tree {
    ballast: Option<[[u64; 32]; 8]>,
    branches: Vec<Tree>,
}

/// Returns the most memory that was in use at once while `read` ran, beyond the amount before.
fn peak<T>(read: impl FnOnce() -> T) -> usize {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let result = read();
    let peak = ALLOCATOR.peak_usage().saturating_sub(before);
    drop(result);
    peak
}

#[track_caller]
fn takes_little(what: &str, read: impl FnOnce()) {
    let peak = peak(read);
    assert!(peak <= LITTLE, "{what}: {peak} bytes");
}

fn typed<T: WireType>(bytes: &[u8], encoding: Encoding) {
    // Rejected or not: only the memory matters here.
    drop(decode::<T>(bytes, encoding, &DecodeLimits::default()));
}

/// Returns lengths as bincode writes them, each forged.
fn lengths(levels: usize) -> Vec<u8> {
    // An absent ballast and a length of 65,535, repeated.
    [0, 251, 255, 255].repeat(levels)
}

fn few_bytes_reserve_little() {
    let bincode: [&[u8]; 4] =
        [&[251, 255, 255], &[252, 255, 255, 255, 127], &[253, 0, 0, 0, 0, 0, 0, 0, 16], &lengths(1)];
    for bytes in bincode {
        takes_little("bincode list of numbers", || typed::<Vec<u64>>(bytes, Encoding::Bincode));
        takes_little("bincode list of large elements", || {
            typed::<Vec<[[u64; 32]; 8]>>(bytes, Encoding::Bincode)
        });
        takes_little("bincode text", || typed::<String>(bytes, Encoding::Bincode));
        takes_little("bincode blob", || typed::<Blob>(bytes, Encoding::Bincode));
        takes_little("bincode map", || typed::<HashMap<u64, [u64; 32]>>(bytes, Encoding::Bincode));
        takes_little("bincode units", || typed::<Vec<()>>(bytes, Encoding::Bincode));
    }
    for marker in [0xc6, 0xc9, 0xdb, 0xdd, 0xdf] {
        let bytes = [marker, 127, 255, 255, 255];
        takes_little("named list of numbers", || typed::<Vec<u64>>(&bytes, Encoding::MessagePack));
        takes_little("named list of large elements", || typed::<Vec<Tree>>(&bytes, Encoding::MessagePack));
        takes_little("named text", || typed::<String>(&bytes, Encoding::MessagePack));
        takes_little("named blob", || typed::<Blob>(&bytes, Encoding::MessagePack));
        takes_little("named map", || typed::<HashMap<u64, [u64; 32]>>(&bytes, Encoding::MessagePack));
        takes_little("a value", || typed::<serde_json::Value>(&bytes, Encoding::MessagePack));
        takes_little("a catalogue", || drop(Catalogue::from_bytes(&bytes)));
        takes_little("a subscription", || drop(Subscribe::from_bytes(&bytes)));
        takes_little("a telling", || drop(PeerUpdate::decode(&bytes)));
        takes_little("a refusal", || drop(Refusal::from_bytes(&bytes)));
        let hello = [&MAGIC[..], &[5, 0], &bytes].concat();
        takes_little("a hello", || drop(parse_hello(&hello)));
    }
    let told = [&[0x81, 0xa5][..], b"known", &[0xdd, 127, 255, 255, 255]].concat();
    takes_little("a telling of many", || drop(PeerUpdate::decode(&told)));
    let handles = [&[0x81, 0xa9][..], b"NoHandler", &[0x92, 0xa0, 0xdd, 127, 255, 255, 255]].concat();
    takes_little("a refusal of many", || drop(Refusal::from_bytes(&handles)));
}

/// Decoding a complete message of the largest size takes no more than documented: three times the limit, for a list that grows.
fn large_messages_take_no_more_memory_than_documented() {
    let limits = Limits::default();
    let promised = 3 * limits.message_bytes * limits.decoded_factor + 3 * limits.message_bytes;
    let size = limits.message_bytes;
    let list = |element: &[u8]| {
        let count = (size - 5) / element.len();
        [&[0xdd][..], &(count as u32).to_be_bytes(), &element.repeat(count)].concat()
    };
    for (what, element) in [
        ("nil", &[0xc0][..]),
        ("empty texts", &[0xa0]),
        ("short texts", &[0xa1, b'x']),
        ("empty lists", &[0x90]),
        ("short lists", &[0x91, 0xc0]),
        ("empty maps", &[0x80]),
        ("maps of one entry", &[0x81, 0xa0, 0xc0]),
        ("maps of maps", &[0x81, 0xa0, 0x81, 0xa0, 0xc0]),
    ] {
        let bytes = list(element);
        let within = |name: &str, peak: usize| {
            assert!(peak <= promised, "{what} as {name}: {peak} bytes");
        };
        let named = Encoding::MessagePack;
        within("values", peak(|| typed::<serde_json::Value>(&bytes, named)));
        within("texts", peak(|| typed::<Vec<String>>(&bytes, named)));
        within("trees", peak(|| typed::<Vec<BTreeMap<String, serde_json::Value>>>(&bytes, named)));
        within("tables", peak(|| typed::<Vec<HashMap<String, serde_json::Value>>>(&bytes, named)));
        within("large options", peak(|| typed::<Vec<Option<[[u64; 32]; 8]>>>(&bytes, named)));
        within("boxes", peak(|| typed::<Vec<Option<Box<u8>>>>(&bytes, named)));
        within("a catalogue", peak(|| Catalogue::from_bytes(&bytes)));
        within("a refusal", peak(|| Refusal::from_bytes(&bytes)));
    }
    let tree = [[0, 251, 255, 255].repeat(60), vec![0; 1_000]].concat();
    let taken = peak(|| typed::<Tree>(&tree, Encoding::Bincode));
    // As many elements as there are bytes, each of two kilobytes and a little.
    assert!(taken <= tree.len() * 3_000, "a tree of {} bytes took {taken}", tree.len());
    let json = [&b"["[..], &br#"{"":0},"#.repeat(size / 7), b"0]"].concat();
    let taken = peak(|| Description::from_bytes(&json));
    assert!(taken <= 100 * size, "a description took {taken} bytes");
}

#[test]
fn hostile_bytes_take_no_more_memory_than_is_promised() {
    few_bytes_reserve_little();
    large_messages_take_no_more_memory_than_documented();
}
