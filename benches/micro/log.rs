//! The log of news: items appended once, and read by each subscriber.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use meshzero_proto::buffer::Buffer;
use meshzero_proto::news::{Cursor, Log};

/// Items that are appended before they are read.
const ITEMS: u64 = 256;
/// A pose with a header and a short topic.
const FRAME: [u8; 86] = [7; 86];
/// The limits of items and bytes that are buffered for a subscriber.
const KEEP: u32 = 1_024;
const KEEP_BYTES: u64 = 4 << 20;
/// The bytes of one read.
const READ_BYTES: usize = 64 << 10;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log_append_and_read");
    group.throughput(Throughput::Elements(ITEMS));
    for subscribers in [1, 8] {
        group.bench_with_input(
            BenchmarkId::from_parameter(subscribers),
            &subscribers,
            |bencher, subscribers| {
                let mut log = Log::new(KEEP, KEEP_BYTES);
                let mut cursors: Vec<Cursor> = (0..*subscribers).map(|_| log.join()).collect();
                let frame = Buffer::from(&FRAME[..]);
                bencher.iter(|| {
                    (0..ITEMS).for_each(|_| log.append(black_box(&frame)));
                    for cursor in &mut cursors {
                        black_box(log.read(cursor, READ_BYTES));
                    }
                });
                assert!(cursors.iter().all(|cursor| log.is_read(cursor)), "all that was appended was read");
            },
        );
    }
    group.finish();
}
