//! A server behind the shim that misbehaves, on real sockets.

mod catalog;
mod client;
mod raw;
mod translation;
