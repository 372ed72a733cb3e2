//! What buckets may be called and how long they may keep points.

use std::time::Duration;

use crate::error::Error;

/// Longest name of a bucket, in bytes: v3's limit for databases.
const MAX_NAME: usize = 511;

pub(super) fn check(name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(Error::invalid(format!("bucket name length must be between 1 and {MAX_NAME} bytes, not {}", name.len())));
    }
    match name.chars().find(|c| c.is_control()) {
        Some(c) => Err(Error::invalid(format!("bucket name {name:?} contains the control character {c:?}"))),
        None => Ok(()),
    }
}

pub(super) fn check_retention(retention: Option<Duration>) -> Result<(), Error> {
    // 1.x's smallest.
    const HOUR: Duration = Duration::from_secs(3600);
    match retention {
        Some(retention) if retention < HOUR => {
            Err(Error::invalid(format!("retention must be at least one hour, not {} seconds", retention.as_secs_f64())))
        }
        Some(retention) if i64::try_from(retention.as_nanos()).is_err() => {
            Err(Error::invalid(format!("retention of {} seconds is longer than 64 bits of nanoseconds", retention.as_secs())))
        }
        _ => Ok(()),
    }
}
