//! An object as something that Parquet's reader can read, on a thread that may block.

use std::{
    io::{self, Read},
    sync::Arc,
};

use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use parquet::{
    errors::{ParquetError, Result},
    file::reader::{ChunkReader, Length},
};
use tokio::runtime::Handle;

/// Objects up to this size are read in one go.
const WHOLE: u64 = 1 << 20;
/// How much a sequential reader asks for at a time.
const AHEAD: u64 = 1 << 16;

/// An object.
#[derive(Clone, Debug)]
pub(super) struct Object {
    store: Arc<dyn ObjectStore>,
    path: Path,
    size: u64,
    handle: Handle,
    whole: Option<Bytes>,
}

impl Object {
    /// Of this size, which is known already. Blocks.
    pub(super) fn open(store: Arc<dyn ObjectStore>, path: Path, size: u64, handle: Handle) -> Result<Self> {
        let mut object = Self { store, path, size, handle, whole: None };
        if size <= WHOLE {
            object.whole = Some(object.range(0, size)?);
        }
        Ok(object)
    }

    fn range(&self, start: u64, len: u64) -> Result<Bytes> {
        let end = start.checked_add(len).filter(|end| *end <= self.size).ok_or_else(|| {
            ParquetError::EOF(format!("\"{}\" has {} bytes, and {len} from {start} on are wanted", self.path, self.size))
        })?;
        if let Some(whole) = &self.whole {
            return Ok(whole.slice(start as usize..end as usize));
        }
        let bytes = self
            .handle
            .block_on(self.store.get_range(&self.path, start..end))
            .map_err(|error| ParquetError::External(error.into()))?;
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
