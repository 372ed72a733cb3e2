//! Points in memory, and what queries see of memory and files together.
//!
//! Writes go into an [`Active`](active::Active) part per partition: append only, unsorted. A query (or a size limit) seals it into a
//! [`Piece`](piece::Piece), which never changes any more; sorting it is left to the first who reads it. Pieces are merged as they get many, so that a
//! query after every write stays cheap. A snapshot is a handful of `Arc`s, and neither side waits for the other.

mod active;
mod column;
mod delete;
mod memory;
mod piece;
mod run;

pub(super) use column::{data_type, field_type, merge_times, overlay};
pub(super) use delete::Unsettled;
pub(super) use memory::{BucketView, Flush, Memory, PartitionView, StoredFile};
#[cfg(test)]
pub(super) use run::RunField;
pub(super) use run::{Run, Widener, widen};
