//! Services that leave right after they came.

use meshzero_testing::{Lan, eventually, require};

use super::{PATIENCE, mz, serve};

/// So many come and leave.
const SERVICES: usize = 12;

#[test]
fn a_service_that_leaves_at_once_was_withdrawn() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let _first = serve(lan.host(0), &["first"]);
    let mut watch = mz(lan.host(1), &["list", "--watch"]);
    watch.expect_line("first", PATIENCE);
    // Its goodbye and what comes of dialling it are a close race, which a machine may decide that is busy: not most times.
    let mut withdrawn = |number: &usize| {
        let name = format!("brief/{number}.");
        let mut service = serve(lan.host(0), &[&name]);
        watch.expect_line(&name, PATIENCE);
        service.interrupt();
        assert!(service.wait(PATIENCE).success());
        eventually(PATIENCE, "it is gone", || {
            let seen = watch.stdout();
            let gone = seen.lines().find(|line| line.starts_with("down") && line.contains(&name))?;
            Some(gone.contains("it was withdrawn"))
        })
    };
    let seen = (0..SERVICES).filter(&mut withdrawn).count();
    assert!(seen * 4 >= SERVICES * 3, "{seen} of {SERVICES} were seen to say goodbye: {}", watch.stdout());
}
