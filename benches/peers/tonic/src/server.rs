//! The serving side: it echoes, and streams items to subscribers, through a channel for each as tonic's examples do.

use peers_common::{Control, Numbers, Plan, Result, shared_body};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::proto::peer_server::{Peer, PeerServer};
use crate::proto::{Begin, Item};
use crate::{CONNECTION_WINDOW, STREAM_WINDOW};

/// The limit of queued items of one subscriber.
const QUEUE: usize = 1_024;

type Given = std::result::Result<Item, Status>;

pub(crate) async fn run(plan: &Plan, control: &Control) -> Result {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let listening = Mutex::new(Vec::new());
    let service = PeerServer::new(Service { plan: plan.clone(), control: control.clone(), listening });
    let serve = Server::builder()
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .add_service(service)
        .serve_with_incoming(TcpListenerStream::new(listener));
    control.ready(address);
    tokio::select! {
        ended = serve => Ok(ended?),
        () = control.over() => Ok(()),
    }
}

struct Service {
    plan: Plan,
    control: Control,
    /// The subscribers that wait for the first item until all are there.
    listening: Mutex<Vec<mpsc::Sender<Given>>>,
}

#[tonic::async_trait]
impl Peer for Service {
    type ListenStream = ReceiverStream<Given>;

    async fn echo(&self, request: Request<Item>) -> std::result::Result<Response<Item>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn listen(
        &self,
        _: Request<Begin>,
    ) -> std::result::Result<Response<ReceiverStream<Given>>, Status> {
        let (listener, items) = mpsc::channel(QUEUE);
        let mut listening = self.listening.lock().await;
        listening.push(listener);
        if listening.len() == self.plan.subscribers {
            let (all, control, size) =
                (std::mem::take(&mut *listening), self.control.clone(), self.plan.size);
            tokio::spawn(async move { publish(&all, &control, size).await });
        }
        Ok(Response::new(ReceiverStream::new(items)))
    }
}

async fn publish(all: &[mpsc::Sender<Given>], control: &Control, size: usize) {
    control.go().await;
    let body = shared_body(size);
    let mut numbers = Numbers::new(control);
    while let Some(number) = numbers.next_number() {
        for listener in all {
            // A subscriber that has left counts the items as lost.
            let _ = listener.send(Ok(Item { number, body: body.clone() })).await;
        }
    }
    numbers.tell();
}
