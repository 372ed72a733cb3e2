//! Points at rest: Parquet files that anybody can open, through an object store.
//!
//! A file holds one partition of one measurement, sorted by series and time, in the columns `time` (nanoseconds), then tags (dictionaries;
//! null: missing), then fields. Row groups and pages carry statistics, by which reading leaves out what isn't wanted.

mod directory;
mod files;
mod layout;
mod object;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub(super) use directory::{Directory, Ends};
pub(super) use files::{DataFile, Files};
pub(super) use read::{FileChunks, Wanted};

use crate::error::{Error, Kind};

/// A file that can't be read. The client learns that it isn't its fault; the log says which file.
fn unreadable(path: &str, error: impl Into<crate::types::BoxError>) -> Error {
    let error = error.into();
    tracing::error!(path, %error, "a data file can't be read: restore it from a backup");
    Error::new(Kind::Internal, "a data file can't be read, see the server's log").with_source(error)
}
