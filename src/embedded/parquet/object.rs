//! An object as something that Parquet's reader can read, on a thread that may block.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt, local::LocalFileSystem, path::Path};
use parquet::{
    errors::{ParquetError, Result},
    file::reader::{ChunkReader, Length},
};
use tokio::runtime::Handle;

/// Objects up to this size are fetched in one go.
const WHOLE: u64 = 1 << 20;
/// How much a sequential reader asks for at a time.
const AHEAD: u64 = 1 << 16;

/// An object.
#[derive(Clone, Debug)]
pub(super) struct Object {
    path: Path,
    size: u64,
    place: Place,
}

/// Where its bytes are.
#[derive(Clone, Debug)]
enum Place {
    /// Open for as long as it is read: a file that is removed meanwhile can be read to its end.
    Local(Arc<Mutex<File>>),
    Remote(Arc<dyn ObjectStore>, Handle),
    Memory(Bytes),
}

impl Object {
    /// A file of this size, which is known already.
    pub(super) fn local(store: &LocalFileSystem, path: Path, size: u64) -> Result<Self> {
        let file = File::open(store.path_to_filesystem(&path).map_err(|error| ParquetError::External(error.into()))?)?;
        Ok(Self { path, size, place: Place::Local(Arc::new(Mutex::new(file))) })
    }

    /// An object of this size, which is known already. Blocks.
    pub(super) fn remote(store: Arc<dyn ObjectStore>, path: Path, size: u64, handle: Handle) -> Result<Self> {
        let mut object = Self { path, size, place: Place::Remote(store, handle) };
        if size <= WHOLE {
            object.place = Place::Memory(object.range(0, size)?);
        }
        Ok(object)
    }

    fn range(&self, start: u64, len: u64) -> Result<Bytes> {
        let end = start.checked_add(len).filter(|end| *end <= self.size).ok_or_else(|| {
            ParquetError::EOF(format!("\"{}\" has {} bytes, and {len} from {start} on are wanted", self.path, self.size))
        })?;
        let bytes = match &self.place {
            Place::Memory(whole) => return Ok(whole.slice(start as usize..end as usize)),
            Place::Local(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(start))?;
                let mut bytes = Vec::with_capacity(len as usize);
                Read::take(&mut *file, len).read_to_end(&mut bytes)?;
                bytes.into()
            }
            Place::Remote(store, handle) => {
                handle.block_on(store.get_range(&self.path, start..end)).map_err(|error| ParquetError::External(error.into()))?
            }
        };
        if bytes.len() as u64 == len {
            Ok(bytes)
        } else {
            Err(ParquetError::EOF(format!("\"{}\" is shorter than it was", self.path)))
        }
    }
}
impl Length for Object {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Object {
    type T = Sequential;

    fn get_read(&self, start: u64) -> Result<Sequential> {
        Ok(Sequential { object: self.clone(), at: start, buffer: Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.range(start, length as u64)
    }
}

/// Reads on from some place.
#[derive(Debug)]
pub(super) struct Sequential {
    object: Object,
    at: u64,
    buffer: Bytes,
}

impl Read for Sequential {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.buffer.is_empty() {
            let len = self.object.size.saturating_sub(self.at).min(AHEAD);
            if len == 0 {
                return Ok(0);
            }
            self.buffer = self.object.range(self.at, len).map_err(io::Error::other)?;
            self.at += len;
        }
        let len = out.len().min(self.buffer.len());
        out[..len].copy_from_slice(&self.buffer.split_to(len));
        Ok(len)
    }
}
