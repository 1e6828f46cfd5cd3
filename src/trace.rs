//! Traces: which call caused which, through all services that take part in answering it.
//!
//! A program begins a trace, or goes on with one that came by HTTP, and sends messages for it. Each message takes the trace
//! along, the services' handlers work for it, and what they send in turn takes it further, without a line of code there. So
//! one call through three services is one trace: what `tracing` records of it in three programs has one trace id.
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
//! /// Answers with the trace that it works for.
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
//! /// Asks the motor, and knows nothing of traces.
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
//! # Where the context comes from
//!
//! A message belongs to what [`current`] says when [`send`](crate::ServiceRef::send), [`tell`](crate::ServiceRef::tell),
//! [`try_send`](crate::ServiceRef::try_send) or [`do_send`](crate::ServiceRef::do_send) is called, or to what
//! [`Request::trace`](crate::Request::trace) says. That is a context
//!
//! - in a handler of an actor that the mesh has made, while it handles a message that belongs to a trace; and in the
//!   `ResponseFuture` or `ResponseActFuture` that it gives back, until that ends,
//! - in a closure that is run [`in_scope`], and in a future that is wrapped by [`carry`].
//!
//! It is not one in a task that a handler spawns, or in what goes on later with a [`Call`](crate::Call), unless that is wrapped by
//! [`carry`] or run [`in_scope`] for what [`Call::trace`](crate::Call::trace) says; in an `AtomicResponse`, once the handler
//! has returned; and in what passes an actor's own mailbox: the handlers of an actor that was advertised by its `Addr`, and what
//! is sent through a [`recipient`](crate::ServiceRef::recipient). Nor does it travel with news.
//!
//! # What is recorded
//!
//! Handlers run in a `tracing` span `handle` with the fields `service`, `message_type`, `trace_id` and `span_id`, at the level INFO,
//! so that what they log has these as well. A message that was sent is recorded when it has ended by an event `call` at the level
//! DEBUG, with `service`, `message_type`, `trace_id`, `span_id`, `parent_id`, `outcome` and `elapsed`. Both have the target
//! `meshzero::trace`. A call has one span id at both ends, also where it is tried again. In a program without traces a
//! message costs one look at a thread-local more.
//!
//! # Other systems
//!
//! A [`TraceContext`] is read from and written as the `traceparent` of [W3C Trace Context](https://www.w3.org/TR/trace-context-1/),
//! and its ids are bytes as those of OpenTelemetry are. So a trace can come from a web server, and go on to a database:
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

pub use meshzero_actors::trace::{Carried, begin, carry, current, in_scope};
pub use meshzero_proto::trace::{InvalidTraceParent, Sampling, SpanId, TraceContext, TraceId};
