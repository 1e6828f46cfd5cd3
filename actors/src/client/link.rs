//! A link: the client's side of a connection to one endpoint, which survives the loss of single TCP connections.

pub(crate) mod negotiated_types;
pub(crate) mod outgoing;
pub(crate) mod watchdog;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use meshzero_proto::call::in_flight::{CallId, InFlight};
use meshzero_proto::wire::catalogue::Catalogue;
use meshzero_proto::wire::frame::{self, Frame, FrameKind, Header};
use meshzero_proto::wire::hello::Welcome;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use self::in_flight::InFlightCall;
pub(crate) use self::in_flight::{CallEnd, ReplyFuture};
pub(crate) use self::send::{Query, SendError};
use self::task::LinkTask;
use self::unread_replies::UnreadResults;
use crate::client::link::negotiated_types::NegotiatedTypes;
use crate::client::link::watchdog::Watchdog;
use crate::link::config::LinkConfig;
use crate::link::dial::Handshaken;
use crate::link::reader::{FrameReader, FrameReaderError};
use crate::link::reconnect::Reconnector;
use crate::link::send_queue::{AheadShare, Flush, SendQueue, SpaceNeeded};
use crate::link::stats::link_stats;
use crate::net::connection::Connection;
use crate::runtime::clock;
use crate::runtime::shutdown::ShutdownSignal;
use crate::runtime::waking;
use crate::telemetry::stats::{LinkPurpose, LinkStats};

mod in_flight;
mod send;
mod task;
mod unread_replies;

/// The client's side of a link for requests. Shared by all handles of this process.
pub struct Link {
    /// The endpoint's answer to the handshake, with its identity.
    pub welcome: Welcome,
    /// The message types that the endpoint handles.
    pub catalogue: Catalogue,
    send_queue: SendQueue,
    /// The address of the endpoint that the link is connected to at the moment.
    address: Mutex<SocketAddr>,
    is_attached: AtomicBool,
    calls: Mutex<InFlight<InFlightCall>>,
    /// Set when a call is refused because too many are open, and cleared when there is a slot again: in between, no
    /// request is encoded in vain.
    was_full: AtomicBool,
    /// The results of calls that gave up their slots before their callers read them. Locked only while `calls` is locked.
    unread: Mutex<UnreadResults>,
    negotiated: NegotiatedTypes,
    /// The notification that a slot is free, for tasks that wait for one.
    slot_freed: Notify,
    deadline_changed: Notify,
    closing: AtomicBool,
    ended: ShutdownSignal,
    max_bytes: usize,
}

/// The reason why a link could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The connection failed.
    #[error(transparent)]
    Read(#[from] FrameReaderError),
    /// The endpoint did not send its catalogue.
    #[error("the endpoint did not send its catalogue: {0}")]
    NoCatalogue(String),
}

impl Link {
    /// Opens a link over a connection that has completed the handshake, and runs it in a task of its own on this
    /// thread. When the connection is lost, the link continues over one from `reconnector`.
    ///
    /// # Errors
    /// [`LinkError`].
    pub(crate) async fn open(
        handshaken: Handshaken,
        reconnector: Reconnector,
        link_config: &LinkConfig,
    ) -> Result<Arc<Self>, LinkError> {
        let limits = &link_config.limits;
        let Handshaken { connection, welcome, address, round_trip } = handshaken;
        let connection = connection.into_used();
        connection.keep_alive(limits.keep_alive);
        let Connection { reader, writer } = connection;
        let mut reader = FrameReader::new(reader, limits.message_bytes, link_config);
        let catalogue = match reader.next().await? {
            Some(Frame { header: Header { kind: FrameKind::Catalogue, .. }, payload }) => {
                Catalogue::from_bytes(&payload).map_err(LinkError::NoCatalogue)?
            }
            Some(frame) => {
                return Err(LinkError::NoCatalogue(format!("received {:?} instead", frame.header.kind)));
            }
            None => return Err(LinkError::NoCatalogue("it closed the connection".to_owned())),
        };
        let link = Arc::new(Self {
            max_bytes: limits.message_bytes.min(welcome.message_bytes as usize),
            welcome,
            catalogue,
            send_queue: link_config.send_queue(writer),
            address: Mutex::new(address),
            is_attached: AtomicBool::new(true),
            calls: Mutex::new(InFlight::new(limits.requests_in_flight)),
            was_full: AtomicBool::new(false),
            unread: Mutex::new(UnreadResults::new(limits.send_queue_bytes)),
            negotiated: NegotiatedTypes::default(),
            slot_freed: Notify::new(),
            deadline_changed: Notify::new(),
            closing: AtomicBool::new(false),
            ended: ShutdownSignal::default(),
        });
        let watchdog = Watchdog::new(reader.progress(), round_trip, link_config);
        let ahead = AheadShare::join(&link_config.ahead);
        actix::spawn(LinkTask::new(Arc::clone(&link), reader, reconnector, watchdog, ahead).run());
        Ok(link)
    }

    /// The address that the link is connected to at the moment.
    pub(crate) fn address(&self) -> SocketAddr {
        *self.address.lock()
    }

    /// Returns whether there is a connection. Without one, messages wait for the next.
    pub(crate) fn is_attached(&self) -> bool {
        self.is_attached.load(Ordering::Relaxed)
    }

    /// Returns whether the link accepts no more messages: it has ended, or is about to.
    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Waits until the link has ended.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(crate) async fn closed(&self) {
        self.ended.triggered().await;
    }

    /// Returns the current statistics of the link.
    pub(crate) fn stats(&self) -> LinkStats {
        let calls = self.lock();
        let unread = self.unread().bytes() as u64;
        drop(calls);
        let link = link_stats(&self.send_queue, self.welcome.node, self.address(), LinkPurpose::Requests);
        LinkStats { unread, ..link }
    }

    /// The number of calls that wait for their replies.
    pub(crate) fn in_flight(&self) -> usize {
        self.lock().len()
    }

    /// The number of calls sent over this link so far.
    pub(crate) fn calls(&self) -> u64 {
        self.lock().opened()
    }

    /// Ends the link once the queued frames have been written.
    pub(crate) fn close(&self) {
        // First, so that a caller who finds the connection closed does not pick this link again.
        self.closing.store(true, Ordering::Release);
        self.send_queue.close();
        self.slot_freed.notify_waiters();
    }

    async fn watch_deadlines(&self) {
        loop {
            let next = self.lock().poll_timeout();
            tokio::select! {
                biased;
                () = self.deadline_changed.notified() => {}
                () = clock::sleep_until(next) => {
                    let mut expired = Vec::new();
                    self.lock().expire(clock::now(), |id, call, request| {
                        let is_withdrawn = self.send_queue.withdraw(request);
                        let end = || if is_withdrawn { CallEnd::Withdrawn } else { CallEnd::TimedOut };
                        expired.extend(call.finish(end).map(|caller| ((!is_withdrawn).then_some(id), caller)));
                    });
                    for (unanswered, caller) in expired {
                        if let Some(id) = unanswered {
                            self.cancel(id);
                        }
                        waking::wake(caller);
                    }
                    self.notify_slot_freed();
                }
            }
        }
    }

    fn cancel(&self, id: CallId) {
        // A link that has ended has no peer to notify.
        let _ = self.send_queue.push::<Infallible>(SpaceNeeded::Any, Flush::Batched, |out| {
            frame::write(out, Header::new(FrameKind::Cancel, id.to_wire()), b"");
            Ok(())
        });
    }

    fn end(&self) {
        self.close();
        let mut callers = Vec::new();
        // Under the lock no call is half opened, and afterwards none opens.
        self.lock().end_all(self.send_queue.handed_to_kernel(), |call, state| {
            callers.extend(call.finish(|| CallEnd::Lost(state)));
        });
        self.ended.trigger();
        waking::wake_all(callers);
        // A caller, or the cache of a thread, that still holds the link keeps neither its connection nor its queue.
        self.send_queue.abandon();
    }

    /// Frees a slot at the limit, if one of the open calls has ended and its caller has not read the result:
    /// callers need not poll in any order. Unread results are bounded like the send queue.
    #[cold]
    fn make_room(&self, calls: &mut InFlight<InFlightCall>) {
        let mut unread = self.unread();
        if unread.has_room()
            && let Some((id, call)) = calls.close_ended()
            && let Some(end) = call.into_end()
        {
            unread.insert(id, end);
        }
    }

    fn unread(&self) -> MutexGuard<'_, UnreadResults> {
        self.unread.lock()
    }

    #[inline]
    fn lock(&self) -> MutexGuard<'_, InFlight<InFlightCall>> {
        self.calls.lock()
    }
}
