//! Deleting points.
//!
//! 1. A delete is an entry of the log like a write, and takes its place among the writes there: what was written before goes, what is
//!    written after stays, now and at every replay.
//! 2. Once it is on disk it is laid over everything that memory and files have at that moment, as a [`Tombstone`]; readers leave out what it
//!    covers. That is quick, and all of it is seen at once.
//! 3. Files are then [settled](settle): written anew without what was deleted, or removed. Until all are, the log keeps the entry. Replaying
//!    more of the log than is needed does no harm: it says the same things in the same order.

mod entry;
mod predicate;
pub(super) mod settle;
mod tombstone;

pub(super) use entry::{Delete, Entry, Forget, TableName};
pub(super) use predicate::Predicate;
pub(super) use tombstone::{Tombstone, surviving};

#[cfg(test)]
mod tests;
