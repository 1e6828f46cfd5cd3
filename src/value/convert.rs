//! Conversions between a value and any type that serde supports, by way of the wire's own MessagePack.

use meshzero_proto::codec::{self, DecodeLimits, Encoding};
use meshzero_proto::limits::Limits;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Value;
use crate::error::debug_is_display;

/// The error of a failed conversion: it names the field at fault, and what was expected there.
///
/// ```
/// use meshzero::value::Value;
///
/// let error = Value::from("fast").to::<f32>().expect_err("a text is no number");
/// assert_eq!(error.to_string(), r#"invalid type: string "fast", expected f32"#);
/// ```
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConvertError(pub(super) String);

debug_is_display!(ConvertError);

impl Value {
    /// Converts `item` to the value that it is on the wire: structs become maps with the names of their fields.
    ///
    /// # Errors
    /// [`ConvertError`] if the type's own `Serialize` fails, or nests deeper than a message may by default.
    ///
    /// ```
    /// # use meshzero::value::Value;
    /// #[derive(serde::Serialize)]
    /// struct Move { x: f32, fast: bool }
    ///
    /// let value = Value::of(&Move { x: 0.5, fast: true })?;
    /// assert_eq!(value.to_string(), r#"{"x":0.5,"fast":true}"#);
    /// # Ok::<(), meshzero::value::ConvertError>(())
    /// ```
    pub fn of<T: Serialize + ?Sized>(item: &T) -> Result<Self, ConvertError> {
        convert(item)
    }

    /// Converts this value to a `T`, by the rules for a message that arrives for a handler of `T`.
    ///
    /// # Errors
    /// [`ConvertError`] names the field that does not fit.
    ///
    /// ```
    /// # use meshzero::value::Value;
    /// #[derive(serde::Deserialize)]
    /// struct Move { to: Vec<f32> }
    ///
    /// let value = Value::from_json(r#"{"to": [1, 2.5]}"#)?;
    /// assert_eq!(value.to::<Move>()?.to, [1.0, 2.5]);
    ///
    /// let error = Value::from_json(r#"{"to": [1, "far"]}"#)?.to::<Move>().err().expect("far is no number");
    /// assert_eq!(error.to_string(), r#"to[1]: invalid type: string "far", expected f32"#);
    /// # Ok::<(), meshzero::value::ConvertError>(())
    /// ```
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, ConvertError> {
        convert(self)
    }
}

/// Converts by way of the wire's own MessagePack, so that a conversion here and one at the other end agree.
fn convert<T: Serialize + ?Sized, U: DeserializeOwned>(item: &T) -> Result<U, ConvertError> {
    let limits = DecodeLimits {
        bytes: usize::MAX,
        nesting: Limits::default().nesting,
        values: usize::MAX,
        values_per_byte: 0,
    };
    let mut bytes = Vec::new();
    codec::encode(item, Encoding::MessagePack, usize::MAX, &mut bytes)
        .map_err(|error| ConvertError(error.to_string()))?;
    codec::read(&bytes, Encoding::MessagePack, &limits).map_err(|error| ConvertError(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde::Deserialize;

    use super::*;

    #[test]
    fn it_becomes_a_type_and_back() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        enum Order {
            Stop,
            Move { to: [f32; 2], by: HashMap<u32, String> },
        }
        let order = Order::Move { to: [1.0, 2.0], by: HashMap::from([(7, "arm".to_owned())]) };
        let value = Value::of(&order).expect("it is a value");
        assert_eq!(value["Move"]["to"][1].as_f64(), Some(2.0));
        assert_eq!(value.to::<Order>(), Ok(order));
        let json = r#"{"Move":{"to":[1,2],"by":{"7":"arm"}}}"#;
        let typed = Value::from_json(json).and_then(|value| value.to::<Order>());
        assert!(matches!(typed, Ok(Order::Move { by, .. }) if by[&7] == "arm"));
        assert_eq!(Value::from("Stop").to::<Order>(), Ok(Order::Stop));
    }

    #[test]
    fn a_main_that_returns_the_error_prints_its_sentence() {
        let error = Value::from("fast").to::<f32>().expect_err("a text is no number");
        assert_eq!(format!("{error:?}"), r#"invalid type: string "fast", expected f32"#);
    }
}
