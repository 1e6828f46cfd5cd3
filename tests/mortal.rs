//! A node that dies without a goodbye, as one does whose machine loses power.

use std::thread::{self, JoinHandle};

use actix::prelude::*;
use meshzero::{Join, NetMessage};
use tokio::sync::oneshot;

/// A node on a thread of its own, with one service, until it is told to die.
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

    /// Lets it die. To be called when all that waits for it has begun; returns the thread, which ends at once.
    pub fn die(self) -> JoinHandle<()> {
        self.end.send(()).expect("it waits");
        self.thread
    }
}
