//! The checker reports each way in which a promise can be broken, and nothing else.

use super::*;

const ALLOWED: Duration = Duration::from_secs(1);

fn begun(number: u64, kind: Kind) -> Record {
    Record::Started { sender: 1, number, kind, allowed: ALLOWED }
}

fn ended(number: u64, outcome: Outcome) -> Record {
    Record::Ended { sender: 1, number, outcome, took: Duration::from_millis(3) }
}

fn executed(number: u64) -> Record {
    Record::Executed { by: 9, sender: 1, number }
}

fn item(number: u64) -> Record {
    Record::Item { stream: 4, by: 9, number, skipped: 0 }
}

fn judge(records: &[Record], links: Links) -> Result<Tally, Broken> {
    let mut promises = Promises::new(ALLOWED);
    records.iter().for_each(|record| promises.record(*record));
    promises.verdict(links)
}

#[track_caller]
fn is_broken(records: &[Record], said: &str) {
    let broken = judge(records, Links::Lasted).expect_err("a promise was broken");
    assert!(broken.count() == 1 && broken.to_string().contains(said), "{broken}");
}

#[test]
fn records_that_break_no_promise_are_counted_in_any_order() {
    let call = [begun(0, Kind::Call), executed(0), ended(0, Outcome::Reply)];
    let told = [executed(1), ended_tell(), begun(2, Kind::Call), ended(2, Outcome::NotSent)];
    let news =
        [item(5), Record::Missed { stream: 4, count: 2 }, item(8), Record::Lost { stream: 4 }, item(20)];
    let mut records = vec![begun(1, Kind::Tell)];
    records.extend(call);
    records.extend(told);
    records.extend(news);
    let tally = judge(&records, Links::Lasted).expect("no promise is broken");
    let expected = Tally {
        begun: 3,
        replies: 1,
        sent: 1,
        not_sent: 1,
        unknown: 0,
        executed: 2,
        items: 3,
        missed: 2,
        lost: 1,
    };
    assert_eq!(tally, expected);
}

fn ended_tell() -> Record {
    ended(1, Outcome::Sent)
}

#[test]
fn each_broken_promise_is_reported() {
    let call = begun(0, Kind::Call);
    let reply = ended(0, Outcome::Reply);
    is_broken(&[call], "never ended");
    is_broken(&[call, reply], "never executed");
    is_broken(&[call, executed(0), reply, ended(0, Outcome::Unknown)], "ended twice");
    is_broken(&[call, executed(0), executed_elsewhere(0), reply], "executed twice");
    is_broken(&[call, executed(0), ended(0, Outcome::NotSent)], "reported as not sent");
    is_broken(&[call, executed(0), ended(0, Outcome::WrongReply)], "another message");
    is_broken(&[begun(0, Kind::Tell), ended(0, Outcome::Sent)], "no process died");
    let late = Record::Ended { sender: 1, number: 0, outcome: Outcome::Unknown, took: ALLOWED * 3 };
    is_broken(&[call, late], "were allowed");
    let second = [begun(1, Kind::Call), ended(1, Outcome::Unknown)];
    let mut disorder = vec![call, ended(0, Outcome::Unknown), executed(1), executed(0)];
    disorder.extend(second);
    is_broken(&disorder, "executed after 1");
    disorder.swap(1, 4);
    judge(&disorder, Links::Ended).expect("both waited at the same time");
    disorder.swap(1, 4);
    judge(&disorder, Links::Ended).expect_err("one had ended before the other began");
    is_broken(&[item(1), item(3)], "where 2 was expected");
    is_broken(&[item(3), item(3)], "where 4 was expected");
    is_broken(&[item(3), Record::Missed { stream: 4, count: 2 }, item(5)], "where 6 was expected");
    is_broken(&[item(3), Record::Lost { stream: 4 }, item(2)], "where 4 was expected");
}

fn executed_elsewhere(number: u64) -> Record {
    Record::Executed { by: 10, sender: 1, number }
}

#[test]
fn a_dead_sender_breaks_no_promise() {
    let told = [begun(0, Kind::Tell), ended(0, Outcome::Sent), begun(1, Kind::Call)];
    judge(&told, Links::Ended).expect_err("the call never ended");
    let mut records = told.to_vec();
    records.push(Record::Died { sender: 1 });
    judge(&records, Links::Ended).expect("it died");
}

#[test]
fn records_travel_as_text() {
    let all = [
        begun(1, Kind::Tell),
        ended(2, Outcome::Unknown),
        executed(3),
        Record::Died { sender: 4 },
        Record::Subscribed { stream: 1, by: 2, next: 3 },
        item(5),
        Record::Missed { stream: 6, count: 7 },
        Record::Lost { stream: 8 },
    ];
    for record in all {
        assert_eq!(record.to_string().parse(), Ok(record));
    }
    for line in ["", "begun", "begun 1 2 call", "ended 1 2 well 3", "item 1 2 x 4", "executed 1 2 -3"] {
        line.parse::<Record>().expect_err(line);
    }
}
