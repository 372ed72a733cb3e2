//! A log whose disk can be told to misbehave: what was not synced is lost in a crash, and syncs can fail, or wait.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Condvar, Mutex},
};

use v1shim::wal::{LogDir, LogFile};

/// Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct FakeLog(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    released: Condvar,
}

#[derive(Clone, Debug, Default)]
struct State {
    files: BTreeMap<String, File>,
    syncs: usize,
    fail: bool,
    held: bool,
}

#[derive(Clone, Debug, Default)]
struct File {
    written: Vec<u8>,
    synced: usize,
    name_synced: bool,
}

impl FakeLog {
    /// What a machine finds that lost its power now: synced bytes of files whose names were synced.
    pub(super) fn after_power_loss(&self) -> Self {
        let mut state = self.0.state.lock().unwrap().clone();
        state.files.retain(|_, file| file.name_synced);
        for file in state.files.values_mut() {
            file.written.truncate(file.synced);
        }
        Self(Arc::new(Shared { state: Mutex::new(State { files: state.files, ..State::default() }), released: Condvar::new() }))
    }

    pub(super) fn syncs(&self) -> usize {
        self.0.state.lock().unwrap().syncs
    }

    /// All later syncs fail.
    pub(super) fn fail_syncs(&self) {
        self.0.state.lock().unwrap().fail = true;
    }

    /// Syncs wait until they are let go.
    pub(super) fn hold_syncs(&self, hold: bool) {
        self.0.state.lock().unwrap().held = hold;
        self.0.released.notify_all();
    }

    /// Changes the bytes of the last file that has any.
    pub(super) fn edit(&self, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.state.lock().unwrap();
        let file = state.files.values_mut().rev().find(|file| !file.written.is_empty()).unwrap();
        edit(&mut file.written);
        file.synced = file.written.len();
    }
}

impl LogDir for FakeLog {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.state.lock().unwrap().files.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let state = self.0.state.lock().unwrap();
        state.files.get(name).map(|file| file.written.clone()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        self.0.state.lock().unwrap().files.insert(name.to_owned(), File::default());
        Ok(Box::new(FakeFile { log: self.clone(), name: name.to_owned() }))
    }

    fn truncate(&self, name: &str, len: u64) -> io::Result<()> {
        let mut state = self.0.state.lock().unwrap();
        let file = state.files.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        file.written.truncate(len as usize);
        file.synced = file.written.len();
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.state.lock().unwrap().files.remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync(&self) -> io::Result<()> {
        self.0.state.lock().unwrap().files.values_mut().for_each(|file| file.name_synced = true);
        Ok(())
    }

    fn describe(&self, name: &str) -> String {
        format!("fake/{name}")
    }
}

#[derive(Debug)]
struct FakeFile {
    log: FakeLog,
    name: String,
}

impl LogFile for FakeFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.log.0.state.lock().unwrap();
        state.files.get_mut(&self.name).ok_or(io::ErrorKind::NotFound)?.written.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.log.0.state.lock().unwrap();
        while state.held {
            state = self.log.0.released.wait(state).unwrap();
        }
        state.syncs += 1;
        if state.fail {
            return Err(io::Error::other("the disk is broken"));
        }
        let file = state.files.get_mut(&self.name).ok_or(io::ErrorKind::NotFound)?;
        file.synced = file.written.len();
        Ok(())
    }
}
