//! A service that ends: it says so before it is gone, and ends well.

use meshzero_testing::Process;

use crate::speaker::{SOON, Speaker};

/// Services that are tried. Of one that leaves while it is still being made sure of, a watcher may hear first that its
/// address does not answer any more.
const TRIES: usize = 5;

/// Checks that what `start` starts, a service of this name, says goodbye when `tell` has told it to end, as `watcher` hears.
pub(crate) fn is_said(
    watcher: &Speaker,
    name: &str,
    start: impl Fn() -> Process,
    tell: impl Fn(&mut Process),
) {
    let mut watch = watcher.start(&["list", "--watch", "--wait", "30s"]);
    let heard: Vec<String> = (0..TRIES)
        .map(|_| {
            let mut service = start();
            service.expect_line(" is at ", SOON);
            let up = watch.expect_line(name, SOON);
            assert!(up.starts_with("up"), "{up}");
            // This takes as long as everybody takes to know each other.
            watcher.run(&["list", "--wait", "30s"]);
            tell(&mut service);
            let down = watch.expect_line(name, SOON);
            assert!(down.starts_with("down"), "{down}");
            assert_eq!(service.wait(SOON).code(), Some(0));
            down
        })
        .take_while(|down| !down.contains("it was withdrawn"))
        .collect();
    assert!(heard.len() < TRIES, "no goodbye was heard: {heard:?}");
    watch.interrupt();
    assert_eq!(watch.wait(SOON).code(), Some(0));
}
