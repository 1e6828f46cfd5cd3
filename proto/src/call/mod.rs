//! Rules of calls: open calls with their deadlines, retries, and the ejection of outliers.

pub mod deadline_queue;
pub mod in_flight;
pub mod outlier;
pub mod retry;
