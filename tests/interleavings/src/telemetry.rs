//! The stand-in for `meshzero_actors::telemetry`, as far as the send queue uses it.

pub(crate) mod counters {
    #[derive(Debug, Default)]
    pub(crate) struct TrafficCounters;

    impl TrafficCounters {
        pub(crate) fn wrote(&self, _bytes: usize) {}
    }
}

pub(crate) mod stats {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum LinkTransport {
        Tcp,
        Unix,
    }
}
