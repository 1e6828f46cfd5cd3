//! The code that tonic generates from `peer.proto`.
#![allow(missing_docs, unreachable_pub, reason = "generated")]

tonic::include_proto!("peer");
