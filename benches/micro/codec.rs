//! Values to bytes and back, in both encodings.

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use meshzero_proto::codec::{Blob, DecodeLimits, Encoding, WireType, decode, encode};

use crate::message::POSE;

/// More than any of the encoded values.
const MOST_BYTES: usize = 1 << 20;

pub(crate) fn bench(criterion: &mut Criterion) {
    for (name, encoding) in [("bincode", Encoding::Bincode), ("message_pack", Encoding::MessagePack)] {
        let mut group = criterion.benchmark_group(format!("codec_{name}"));
        both_ways(&mut group, encoding, "pose", &POSE);
        both_ways(&mut group, encoding, "blob_1_kib", &Blob::from(vec![7; 1 << 10]));
        both_ways(&mut group, encoding, "1000_poses", &vec![POSE; 1_000]);
        group.finish();
    }
}

fn both_ways<T: WireType>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    encoding: Encoding,
    name: &str,
    value: &T,
) {
    let limits = DecodeLimits::default();
    let mut bytes = Vec::new();
    encode(value, encoding, MOST_BYTES, &mut bytes).expect("it can be encoded");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function(format!("encode_{name}"), |bencher| {
        let mut out = Vec::with_capacity(bytes.len());
        bencher.iter(|| {
            out.clear();
            encode(black_box(value), encoding, MOST_BYTES, &mut out).expect("it can be encoded");
            black_box(&out);
        });
    });
    group.bench_function(format!("decode_{name}"), |bencher| {
        bencher.iter(|| decode::<T>(black_box(&bytes), encoding, &limits).expect("it was encoded"));
    });
}
