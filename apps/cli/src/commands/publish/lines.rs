//! Each line of standard input as an item. One that cannot be is left out and told; the others are published.

use meshzero::{PublishError, Publisher};
use serde_json::json;

use super::{Publish, Published, ticks};
use crate::failure::Failure;
use crate::session::Session;
use crate::stdin::{self, Line};

/// How many lines of a kind are told one by one. All are counted.
const TOLD: u64 = 5;

/// Publishes line after line until there are no more, or enough.
pub(super) async fn publish(
    command: &Publish,
    publisher: &Publisher,
    session: &Session,
) -> Result<Published, Failure> {
    let longest = session.mesh().await?.limits().message_bytes;
    let mut lines = stdin::lines(longest);
    let mut ticks = command.rate.map(ticks);
    let (mut told, mut number) = (Published::new(), 0_u64);
    while command.wants_more(&told)
        && let Some(line) = lines.recv().await
    {
        number += 1;
        let text = match line? {
            Line::Text(text) => text,
            Line::Replaced(text) => {
                told.replaced += 1;
                if told.replaced <= TOLD {
                    let remark = format!("line {number} is not UTF-8: what is not was replaced by \u{fffd}");
                    session
                        .out
                        .errors
                        .note(&remark, &json!({ "line": number, "replaced": "it is not UTF-8" }));
                }
                text
            }
            Line::TooLong(bytes) => {
                let why = format!("it has {bytes} bytes; a message has {longest} at most");
                leave_out(&mut told, number, &why, session);
                continue;
            }
        };
        let item = match command.value(&text) {
            Ok(item) => item,
            Err(error) => {
                leave_out(&mut told, number, &error.to_string(), session);
                continue;
            }
        };
        if let Some(ticks) = &mut ticks {
            ticks.tick().await;
        }
        match command.publish(publisher, &item).await {
            Ok(()) => told.published += 1,
            Err(PublishError::Item(error)) => leave_out(&mut told, number, &error.to_string(), session),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(told)
}

fn leave_out(told: &mut Published, number: u64, why: &str, session: &Session) {
    told.left_out += 1;
    if told.left_out <= TOLD {
        let more = if told.left_out == TOLD { "; others like it are only counted" } else { "" };
        session.out.errors.note(
            &format!("line {number} is left out: {why}{more}"),
            &json!({ "line": number, "left_out": why }),
        );
    }
}
