//! The whole stack in front of a server that gives the answers recorded from InfluxDB 3 Core and InfluxDB 2.

pub(crate) mod fixtures;
#[cfg(feature = "arrow")]
mod flight;
mod influxdb2;
#[cfg(feature = "server")]
mod program;
mod queries;
mod server;
pub(crate) mod stack;
mod writes;
