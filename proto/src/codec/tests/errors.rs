//! Tests of the error messages for values of the wrong type.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{bytes_of, decode_default};
use crate::codec::{EncodeError, Encoding, encode, encode_preferring};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    id: u32,
    items: Vec<Item>,
    #[serde(default)]
    by_shelf: HashMap<u16, Item>,
    #[serde(default)]
    how: How,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Item {
    pos: [f32; 3],
    name: String,
}

#[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
enum How {
    #[default]
    Fast,
    Slow(u8),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Ping;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Pong {}

/// Returns the error of reading `json` as an order.
fn error_of(json: serde_json::Value) -> String {
    let bytes = bytes_of(&json, Encoding::MessagePack);
    decode_default::<Order>(&bytes, Encoding::MessagePack).expect_err("it is of the wrong type").to_string()
}

#[test]
fn an_error_names_the_field_and_the_expected_type() {
    let item = json!({ "pos": [0, 0.5, 1], "name": "a" });
    for (json, text) in [
        (
            json!({ "id": 1, "items": [{ "pos": [1, "oops", 3], "name": "a" }] }),
            r#"items[0].pos[1]: invalid type: string "oops", expected f32"#,
        ),
        (json!({ "id": 1, "items": [item, { "pos": [1, 2, 3] }] }), "items[1]: missing field `name`"),
        (json!({ "id": -1, "items": [] }), "id: invalid value: integer `-1`, expected u32"),
        (json!({ "id": 4.5, "items": [] }), "id: invalid type: floating point `4.5`, expected u32"),
        (json!({ "id": null, "items": [] }), "id: invalid type: unit value, expected u32"),
        (json!({ "items": [] }), "missing field `id`"),
        (json!([]), "invalid length 0, expected struct Order with 4 elements"),
        (json!("text"), r#"invalid type: string "text", expected struct Order"#),
        (
            json!({ "id": 1, "items": [], "how": "Sideways" }),
            "how: unknown variant `Sideways`, expected `Fast` or `Slow`",
        ),
        (
            json!({ "id": 1, "items": [], "how": { "Slow": "very" } }),
            r#"how.Slow: invalid type: string "very", expected u8"#,
        ),
        (
            json!({ "id": 1, "items": [], "by_shelf": { "7": { "pos": [1, 2], "name": "x" } } }),
            "by_shelf.7.pos: invalid length 2, expected an array of length 3",
        ),
        (
            json!({ "id": 1, "items": [], "by_shelf": { "seven": item } }),
            r#"by_shelf.seven: invalid type: string "seven", expected u16"#,
        ),
    ] {
        assert_eq!(error_of(json), text);
    }
}

#[test]
fn too_few_or_too_many_bytes_are_an_error() {
    let order = Order { id: 1, items: vec![], by_shelf: HashMap::new(), how: How::Slow(200) };
    for (encoding, path) in [(Encoding::Bincode, "[3].1"), (Encoding::MessagePack, "how.Slow")] {
        let mut bytes = bytes_of(&order, encoding);
        let short =
            decode_default::<Order>(&bytes[..bytes.len() - 1], encoding).expect_err("a byte is missing");
        assert_eq!(short.problem, "the bytes end before the value does");
        assert_eq!(short.path, path);
        bytes.push(0);
        let long = decode_default::<Order>(&bytes, encoding).expect_err("a byte is left over");
        assert!(long.to_string().contains("left over"), "{long}");
        assert!(decode_default::<Order>(&[], encoding).is_err());
    }
}

#[test]
fn a_long_text_is_not_repeated_in_full() {
    let error = error_of(json!({ "id": "x".repeat(100_000), "items": [] }));
    assert!(error.len() < 1_000, "{}", error.len());
    assert!(error.starts_with("id: invalid type"));
    let key = "k".repeat(100_000);
    let error = error_of(json!({ "id": 1, "items": [], "by_shelf": { (key): 1 } }));
    assert!(error.len() < 1_000, "{}", error.len());
}

#[test]
fn whole_numbers_are_floats_and_text_keys_are_numbers() {
    let json = json!({ "id": 1, "items": [{ "pos": [1, 2.0, -3], "name": "" }], "by_shelf": { "7": {
        "pos": [0, 0, 0], "name": "seventh" } } });
    let order: Order =
        decode_default(&bytes_of(&json, Encoding::MessagePack), Encoding::MessagePack).expect("it fits");
    assert_eq!(order.items[0].pos, [1.0, 2.0, -3.0]);
    assert_eq!(order.by_shelf[&7].name, "seventh");
}

#[test]
fn a_message_without_content_is_decoded_from_every_empty_form() {
    for empty in [json!(null), json!([]), json!({})] {
        let bytes = bytes_of(&empty, Encoding::MessagePack);
        assert_eq!(decode_default(&bytes, Encoding::MessagePack), Ok(Ping), "{empty}");
        assert_eq!(decode_default(&bytes, Encoding::MessagePack), Ok(Pong {}), "{empty}");
        assert_eq!(decode_default(&bytes, Encoding::MessagePack), Ok(()), "{empty}");
    }
    for content in [json!(1), json!([1]), json!({ "a": 1 }), json!("text")] {
        let bytes = bytes_of(&content, Encoding::MessagePack);
        assert!(decode_default::<Ping>(&bytes, Encoding::MessagePack).is_err(), "{content}");
    }
    // Unknown fields of a struct are skipped, as serde does.
    assert_eq!(
        decode_default(&bytes_of(&json!({ "a": 1 }), Encoding::MessagePack), Encoding::MessagePack),
        Ok(Pong {})
    );
}

#[test]
fn a_value_that_is_too_long_leaves_the_buffer_unchanged() {
    let text = "x".repeat(100);
    for encoding in [Encoding::Bincode, Encoding::MessagePack] {
        let mut out = b"before".to_vec();
        assert_eq!(encode(&text, encoding, 100, &mut out), Err(EncodeError::TooLarge { max: 100 }));
        assert_eq!(
            encode_preferring(&text, encoding, 100, &mut out),
            Err(EncodeError::TooLarge { max: 100 })
        );
        assert_eq!(out, b"before");
        assert_eq!(encode(&text, encoding, 105, &mut out), Ok(()));
    }
}

#[test]
fn a_serialize_that_fails_leaves_the_buffer_unchanged() {
    #[derive(Deserialize)]
    struct Fails;
    impl Serialize for Fails {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not today"))
        }
    }
    for encoding in [Encoding::Bincode, Encoding::MessagePack] {
        let mut out = b"before".to_vec();
        let error = encode_preferring(&(1_u8, Fails), encoding, 100, &mut out).expect_err("it fails");
        assert_eq!(error.to_string(), "the value cannot be encoded: not today");
        assert_eq!(out, b"before");
    }
}
