//! A batch of frames: writing it, and splitting it into frames again at the receiver.

use std::convert::Infallible;
use std::hint::black_box;

use criterion::{Criterion, Throughput};
use meshzero_proto::codec::Encoding;
use meshzero_proto::wire::frame::{CompleteFrames, FrameKind, FrameWriter, Frames, Header, scan};

/// Frames of a batch.
const FRAMES: u64 = 1_000;
const PAYLOAD: [u8; 64] = [7; 64];
/// The limit of a payload's length.
const LIMIT: usize = 1 << 20;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("batch");
    group.throughput(Throughput::Elements(FRAMES));
    group.bench_function("write", |bencher| {
        let mut batch = Vec::new();
        bencher.iter(|| {
            batch.clear();
            fill(&mut batch, black_box(&PAYLOAD));
            black_box(&batch);
        });
    });
    group.bench_function("read", |bencher| {
        let mut batch = Vec::new();
        fill(&mut batch, &PAYLOAD);
        bencher.iter(|| {
            let CompleteFrames { complete_bytes, .. } =
                scan(black_box(&batch), LIMIT).expect("they were written");
            for frame in Frames::new(&batch[..complete_bytes]) {
                black_box(frame);
            }
        });
    });
    group.finish();
}

fn fill(batch: &mut Vec<u8>, payload: &[u8]) {
    for id in 0..FRAMES {
        let header = Header { kind: FrameKind::Tell, flags: 0, slot: 1, id };
        let writing = FrameWriter::new(batch, header);
        batch.extend_from_slice(payload);
        match writing.end::<Infallible>(batch, Ok(Encoding::Bincode)) {
            Ok(()) => {}
            Err(never) => match never {},
        }
    }
}
