//! The messages and topics of a weather station: everything that its programs have to agree on.
//!
//! A program with an older or newer version of these types still works where serde can fill the difference: a new field
//! with `#[serde(default)]` may be missing, and an unknown field is skipped.

use actix::prelude::*;
use serde::{Deserialize, Serialize};

/// The topic of [`Measurement`]s.
pub const MEASUREMENT: &str = "measurement";

/// The name of the service of a town.
pub fn station(town: &str) -> String {
    format!("weather/{town}")
}

/// An item of news: the station publishes one for each measurement.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The number of the measurement, from 1 on.
    pub number: u64,
    /// The temperature in degrees Celsius.
    pub celsius: f32,
}

/// A call: the average temperature of the last measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message, Serialize, Deserialize)]
#[rtype(result = "Result<f32, NoMeasurements>")]
pub struct Average {
    /// The number of measurements to average; fewer are taken if there are fewer.
    pub last: usize,
}

/// The answer of a station that has not measured yet. It is a reply like any other, and not an error of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoMeasurements;
