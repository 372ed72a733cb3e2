//! One process a data directory.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    path::Path,
};

use super::engine::start;
use crate::error::Error;

/// Held as long as the store is open; a crash lets go of it too.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "the lock is on the open file")] File);

impl Lock {
    /// Makes the directory when it isn't there.
    pub(super) fn take(data_dir: &Path) -> Result<Self, Error> {
        let shown = data_dir.display();
        fs::create_dir_all(data_dir).map_err(|error| start(format!("can't make the data directory \"{shown}\": {error}")))?;
        let path = data_dir.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|error| start(format!("can't open \"{}\": {error}", path.display())))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(start(format!(
                "the data directory \"{shown}\" is in use by another process: stop it, or choose another \"embedded.data_dir\""
            ))),
            Err(TryLockError::Error(error)) => Err(start(format!("can't lock \"{}\": {error}", path.display()))),
        }
    }
}
