//! The library's log, added to the account of the simulation that runs on the same thread.
//!
//! One subscriber serves all threads. The interest in each log statement is cached for the whole process and rebuilt with every
//! new subscriber, so that one for each simulation would let those on other threads lose lines now and then.

use std::cell::RefCell;
use std::io;
use std::sync::Once;

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{LevelFilter, dynamic_filter_fn};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{Registry, fmt};

use crate::account::Account;

thread_local! {
    static ACCOUNT: RefCell<Option<Account>> = const { RefCell::new(None) };
}

/// Runs a closure on this thread, and adds the lines logged meanwhile to `account`, if there is one.
pub fn logged_to<T>(account: Option<Account>, run: impl FnOnce() -> T) -> T {
    static SUBSCRIBED: Once = Once::new();
    SUBSCRIBED.call_once(|| {
        let lines = fmt::layer().with_writer(|| Lines).with_ansi(false).without_time();
        let is_told = |line: &Metadata<'_>, _: &Context<'_, _>| {
            *line.level() <= Level::DEBUG && ACCOUNT.with_borrow(Option::is_some)
        };
        let is_told = dynamic_filter_fn(is_told).with_max_level_hint(LevelFilter::DEBUG);
        tracing::subscriber::set_global_default(Registry::default().with(lines).with(is_told))
            .expect("there is no other subscriber");
    });
    ACCOUNT.set(account);
    let done = run();
    ACCOUNT.set(None);
    done
}

/// The writer of the lines.
struct Lines;

impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let account = ACCOUNT.with_borrow(Clone::clone);
        if let Some(account) = account {
            account.logged(String::from_utf8_lossy(line).trim_end());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
