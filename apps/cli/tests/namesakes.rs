//! Several services of one name: the later one is told, and may refuse.

use crate::support::{Room, SOON, json};

#[test]
fn a_second_service_of_a_name_is_told_of_the_first() {
    let room = Room::new();
    let (_first, address) = room.advertise(&["robot/arm", "--echo"]);
    let (mut second, _) = room.advertise(&["robot/arm", "--echo"]);
    let line = second.expect_error_line("another program offers \"robot/arm\" as well", SOON);
    assert!(line.contains(&address) && line.contains("--fail-if-exists"), "{line}");

    let mut third = room.start(&["publish", "robot/arm", "topic", "1", "--json"]);
    let told = json(&third.expect_error_line("robot/arm", SOON));
    assert_eq!(
        (&told["also"], told["instances"].as_array().map(Vec::len)),
        (&"robot/arm".into(), Some(2)),
        "{told}"
    );
}

#[test]
fn a_name_that_is_taken_can_be_an_error() {
    let room = Room::new();
    let (mut first, address) = room.advertise(&["robot/arm", "--echo", "--fail-if-exists"]);
    room.run(&["advertise", "robot/arm", "--echo", "--fail-if-exists"])
        .failed(6, &["another program offers \"robot/arm\" already", &address]);
    // One that is gone, however that came, is none.
    first.kill();
    let (_second, _) = room.advertise(&["robot/arm", "--echo", "--fail-if-exists"]);
    // Nor is a longer name.
    let (_third, _) = room.advertise(&["robot", "--echo", "--fail-if-exists"]);
}

#[test]
fn of_several_that_start_at_the_same_time_one_stays() {
    let room = Room::new();
    let arguments = ["advertise", "robot/arm", "--echo", "--fail-if-exists"];
    let mut all: Vec<_> = (0..4).map(|_| room.start(&arguments)).collect();
    meshzero_testing::eventually(SOON, "one is left", || {
        (all.iter_mut().map(|one| usize::from(!one.is_running())).sum::<usize>() == 3).then_some(())
    });
    let left = all.iter_mut().position(|one| one.is_running()).expect("one is left");
    all.swap_remove(left).expect_line(" is at ", SOON);
    for mut other in all {
        assert_eq!(other.wait(SOON).code(), Some(6));
    }
}
