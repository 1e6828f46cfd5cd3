//! The cost of each step of a message: `cargo bench --bench micro`, with a part of a name behind `--` for some of them.
//!
//! As a test (`cargo test --bench micro`) it runs each step once. A figure beside one of the mesh was measured in the same run,
//! on the same thread; `mz bench` and `benches/peers` measure between processes.

mod batch;
mod calls;
mod codec;
mod fanout;
mod log;
mod message;
mod publish;
mod rig;
mod route;

use std::time::Duration;

use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default()
        .without_plots()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    codec::bench(&mut criterion);
    batch::bench(&mut criterion);
    log::bench(&mut criterion);
    route::bench(&mut criterion);
    calls::bench(&mut criterion);
    publish::bench(&mut criterion);
    fanout::bench(&mut criterion);
    criterion.final_summary();
}
