//! What tonic generates of `peer.proto`.
#![allow(missing_docs, unreachable_pub, reason = "generated")]

tonic::include_proto!("peer");
