//! A node that dies without a goodbye, like one whose machine loses power.

use std::thread::{self, JoinHandle};

use actix::prelude::*;
use meshzero::{Join, NetMessage};
use tokio::sync::oneshot;

/// A node with one service on a thread of its own, until it is told to die.
pub struct Mortal {
    /// The address of the service.
    pub address: String,
    end: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Mortal {
    pub async fn join<A, M>(join: Join, actor: fn() -> A) -> Self
    where
        A: Actor<Context = Context<A>> + Handler<M>,
        M: NetMessage,
    {
        let (tell, told) = oneshot::channel();
        let (end, ends) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            System::new().block_on(async {
                let mesh = join.await.expect("joined");
                let service = mesh.advertise("mortal", actor).handles::<M>().await.expect("advertised");
                tell.send(service.address()).expect("the test listens");
                ends.await.expect("the test says when");
                std::mem::forget((mesh, service));
            });
        });
        Self { address: told.await.expect("advertised").to_string(), end, thread }
    }

    /// Makes it die. Call this once all pending operations have started; the returned thread ends at once.
    pub fn die(self) -> JoinHandle<()> {
        self.end.send(()).expect("it waits");
        self.thread
    }
}
