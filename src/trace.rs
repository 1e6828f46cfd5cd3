//! Distributed tracing: which call caused which, across all services that are involved.
//!
//! A program begins a trace, or continues one that arrived by HTTP, and sends messages in it. Each message carries the trace context,
//! the services' handlers run in it, and the messages that they send carry it further, without any code there. So one call through
//! three services is one trace: the `tracing` events of three programs have the same trace id.
//!
//! ```
//! use actix::prelude::*;
//! use meshzero::{Mesh, ServiceRef, trace};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Message, Serialize, Deserialize)]
//! #[rtype(result = "String")]
//! struct Where;
//!
//! /// Replies with the trace in which it runs.
//! struct Motor;
//!
//! impl Actor for Motor {
//!     type Context = Context<Self>;
//! }
//!
//! impl Handler<Where> for Motor {
//!     type Result = String;
//!
//!     fn handle(&mut self, _: Where, _: &mut Context<Self>) -> String {
//!         trace::current().map_or_else(String::new, |context| context.trace_id().to_string())
//!     }
//! }
//!
//! /// Calls the motor, without any code for traces.
//! struct Arm(ServiceRef);
//!
//! impl Actor for Arm {
//!     type Context = Context<Self>;
//! }
//!
//! impl Handler<Where> for Arm {
//!     type Result = ResponseFuture<String>;
//!
//!     fn handle(&mut self, message: Where, _: &mut Context<Self>) -> ResponseFuture<String> {
//!         let motor = self.0.clone();
//!         Box::pin(async move { motor.send(message).await.unwrap_or_default() })
//!     }
//! }
//!
//! #[actix::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! #   let mesh = Mesh::join().mesh(format!("doc-{}", std::process::id())).interfaces("lo").await?;
//! #   let _ = stringify! {
//!     let mesh = Mesh::join().await?;
//! #   };
//!     let _motor = mesh.advertise("motor", || Motor).handles::<Where>().await?;
//!     let motor = mesh.discover("motor").await?;
//!     let _arm = mesh.advertise("arm", move || Arm(motor.clone())).handles::<Where>().await?;
//!     let arm = mesh.discover("arm").await?;
//!
//!     let context = trace::begin();
//!     let reached = arm.send(Where).trace(context).await?;
//!     assert_eq!(reached, context.trace_id().to_string());
//!     Ok(())
//! }
//! ```
//!
//! # The source of the context
//!
//! A message belongs to the [`current`] context at the time when [`send`](crate::ServiceRef::send), [`tell`](crate::ServiceRef::tell),
//! [`try_send`](crate::ServiceRef::try_send) or [`do_send`](crate::ServiceRef::do_send) is called, or to that of
//! [`Request::trace`](crate::Request::trace). There is a current context
//!
//! - in a handler of an actor that the mesh has created, while it handles a message that belongs to a trace, and in the
//!   `ResponseFuture` or `ResponseActFuture` that it returns, until that completes,
//! - in a closure that is run [`in_scope`], and in a future that is wrapped by [`instrument`].
//!
//! There is none in a task that a handler spawns, or in work that continues later with a [`Call`](crate::Call), unless that is wrapped
//! by [`instrument`] or run [`in_scope`] with [`Call::trace`](crate::Call::trace); in an `AtomicResponse`, once the handler has returned;
//! and behind an actor's own mailbox: in the handlers of an actor that was advertised by its `Addr`, and for messages sent through a
//! [`recipient`](crate::ServiceRef::recipient). News does not carry a context.
//!
//! # Recorded spans and events
//!
//! Handlers run in a `tracing` span `handle` with the fields `service`, `message_type`, `trace_id` and `span_id`, at the level INFO,
//! so that the events inside have these as well. A message that was sent is recorded at its end, by an event `call` at the level
//! DEBUG, with `service`, `message_type`, `trace_id`, `span_id`, `parent_id`, `outcome` and `elapsed`. Both have the target
//! `meshzero::trace`. A call has the same span id at both ends, also when it is retried. In a program without traces a
//! message costs one more read of a thread-local.
//!
//! # Other systems
//!
//! A [`TraceContext`] is read from and written as the `traceparent` of [W3C Trace Context](https://www.w3.org/TR/trace-context-1/),
//! and its ids are bytes as those of OpenTelemetry are. So a trace can come from a web server, and continue in a database:
//!
//! ```
//! use meshzero::trace;
//!
//! let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
//! let context = header.parse().unwrap_or_else(|_| trace::begin());
//! trace::in_scope(context, || {
//!     // Messages that are sent here, and requests to others with this header, are part of the trace.
//!     assert_eq!(trace::current().map(|context| context.to_string()).as_deref(), Some(header));
//! });
//! assert_eq!(trace::current(), None);
//! ```

pub use meshzero_actors::telemetry::trace::{InContext, begin, current, in_scope, instrument};
pub use meshzero_proto::trace::{InvalidTraceParent, Sampling, SpanId, TraceContext, TraceId};
