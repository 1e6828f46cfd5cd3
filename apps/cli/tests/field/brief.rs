//! Services that leave right after they came.

use meshzero_testing::{Lan, eventually, require};

use super::{PATIENCE, mz, serve};

#[test]
fn a_service_that_leaves_at_once_was_withdrawn() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let _first = serve(lan.host(0), &["first"]);
    let mut watch = mz(lan.host(1), &["list", "--watch"]);
    watch.expect_line("first", PATIENCE);
    let mut number = 0;
    // Its goodbye and what comes of dialling it are a close race, which a machine may decide that is busy: not every time.
    eventually(PATIENCE, "a service is seen to say goodbye", || {
        number += 1;
        let name = format!("brief/{number}.");
        let mut service = serve(lan.host(0), &[&name]);
        service.interrupt();
        assert!(service.wait(PATIENCE).success());
        eventually(PATIENCE, "it is gone", || {
            let seen = watch.stdout();
            let gone = seen.lines().find(|line| line.starts_with("down") && line.contains(&name))?;
            Some(gone.contains("it was withdrawn").then_some(()))
        })
    });
}
