//! One process a directory.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    path::Path,
};

use crate::error::{Error, Kind};

/// Held as long as the directory is in use; a crash lets go of it too.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "the lock is on the open file")] File);

impl Lock {
    /// Makes the directory when it isn't there. `key` is the configuration's name of it.
    pub(crate) fn take(dir: &Path, key: &str) -> Result<Self, Error> {
        let start = |message: String| Error::new(Kind::Internal, message);
        let shown = dir.display();
        fs::create_dir_all(dir).map_err(|error| start(format!("can't make the directory \"{shown}\": {error}")))?;
        let path = dir.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|error| start(format!("can't open \"{}\": {error}", path.display())))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(start(format!(
                "the directory \"{shown}\" is in use by another process: stop it, or choose another \"{key}\""
            ))),
            Err(TryLockError::Error(error)) => Err(start(format!("can't lock \"{}\": {error}", path.display()))),
        }
    }
}
