//! Where the log's bytes go: a small seam, so that tests can lose what was not synced and make syncs fail.

use std::{
    fmt::Debug,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// The folder of the log.
pub trait LogDir: Debug + Send + Sync + 'static {
    /// Names of all files.
    ///
    /// # Errors
    /// As the file system's.
    fn list(&self) -> io::Result<Vec<String>>;

    /// A file's contents.
    ///
    /// # Errors
    /// As the file system's.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// At most `most` bytes from `offset` on; fewer only at the end.
    ///
    /// # Errors
    /// As the file system's.
    fn read_at(&self, name: &str, offset: u64, most: usize) -> io::Result<Vec<u8>> {
        let bytes = self.read(name)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let end = start.saturating_add(most).min(bytes.len());
        Ok(bytes.get(start..end).unwrap_or_default().to_vec())
    }

    /// A new, empty file, to be appended to; its name is durable after [`sync`](Self::sync).
    ///
    /// # Errors
    /// As the file system's; also when it is there already.
    fn create(&self, name: &str) -> io::Result<Box<dyn LogFile>>;

    /// Cuts a file off, durably.
    ///
    /// # Errors
    /// As the file system's.
    fn truncate(&self, name: &str, len: u64) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// As the file system's.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes the names durable.
    ///
    /// # Errors
    /// As the file system's.
    fn sync(&self) -> io::Result<()>;

    /// A file as people find it, for messages.
    fn describe(&self, name: &str) -> String;
}

/// A file that is appended to.
pub trait LogFile: Debug + Send {
    /// Appends.
    ///
    /// # Errors
    /// As the file system's; how much was written is then not known.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Returns when all that was appended is on disk.
    ///
    /// # Errors
    /// As the file system's. What was appended may then be lost for ever, even if a later sync succeeds: the kernel may have marked
    /// the pages clean.
    fn sync(&mut self) -> io::Result<()>;
}

/// A folder on a local disk.
#[derive(Clone, Debug)]
pub struct Disk(PathBuf);

impl Disk {
    /// Opens `path`, and makes it when it isn't there.
    ///
    /// # Errors
    /// As the file system's.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        fs::create_dir_all(&path)?;
        if let Some(parent) = path.parent() {
            sync_dir(parent)?;
        }
        Ok(Self(path))
    }
}

impl LogDir for Disk {
    fn list(&self) -> io::Result<Vec<String>> {
        fs::read_dir(&self.0)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.0.join(name))
    }

    fn read_at(&self, name: &str, offset: u64, most: usize) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.0.join(name))?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(most as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(OpenOptions::new().append(true).create_new(true).open(self.0.join(name))?))
    }

    fn truncate(&self, name: &str, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.0.join(name))?;
        file.set_len(len)?;
        file.sync_all()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        sync_dir(&self.0)
    }

    fn describe(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl LogFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        // Also makes the new length durable, which is all of the metadata that reading needs.
        self.sync_data()
    }
}

/// Makes the names in a folder durable. An empty path is the current folder.
fn sync_dir(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}
