//! Measuring: two sides, of which one sends and the other receives and counts.
//!
//! `transport` starts or finds the other side (`child` is a second process), `serve` is what it offers, `serving` the
//! actor behind it and `subscriber` those that listen to news; `protocol` is what they say to each other, `packet` what is
//! sent and `tally` how it is counted. `plan` says what a measurement is to do, `measure` does it with `load` (as fast as
//! it goes), `pace` (by a timetable) and `way` (without a reply), and `measured` is what came of it, by
//! `account`: times are `percentiles`, `usage` and `wire` what it took, `bottleneck` who held it up. `floor` is the same without a mesh, and `beside` which of it stands beside a measurement.
//! `runs` and `discovery` put measurements together, `find_max` searches a rate. A `report` is the whole, about a
//! `machine`; `show` is it for people, `html` as a page, `compare` beside another one; `progress` is what is seen meanwhile.

mod account;
mod beside;
mod bottleneck;
mod child;
mod compare;
mod comparison;
mod discovery;
mod figures;
mod find_max;
mod floor;
mod html;
mod load;
mod machine;
mod measure;
mod measured;
mod pace;
mod packet;
mod percentiles;
mod plan;
mod progress;
mod protocol;
mod report;
mod runs;
mod search;
mod serve;
mod serving;
mod show;
mod subscriber;
mod tally;
mod transport;
mod usage;
mod way;
mod wire;

pub(crate) use compare::compare;
pub(crate) use discovery::discovery;
pub(crate) use find_max::Bound;
pub(crate) use html::Page;
pub(crate) use pace::be_punctual;
pub(crate) use packet::{LONGEST, SHORTEST};
pub(crate) use plan::{Kind, Plan};
pub(crate) use protocol::{MOST_SUBSCRIBERS, NAME};
pub(crate) use report::{Report, Subject};
pub(crate) use runs::{WAITING, single, sweep};
pub(crate) use serve::serve;
pub(crate) use transport::{Far, Transport, roomy};
