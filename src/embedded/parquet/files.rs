//! All data files.

use std::{
    collections::HashSet,
    path::Path as FsPath,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use futures_util::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, local::LocalFileSystem, path::Path};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use tokio::runtime::Handle;

use super::{Directory, layout, object::Object, read, unreadable, write};
use crate::{
    embedded::{
        buffer::Run,
        catalog::{FieldRecord, FileRecord},
    },
    error::{Error, Kind},
};

/// A file that the catalog knows, with what was read of it once.
#[derive(Debug)]
pub(in crate::embedded) struct DataFile {
    pub(in crate::embedded) record: FileRecord,
    pub(super) metadata: OnceLock<ArrowReaderMetadata>,
    pub(super) directory: OnceLock<Arc<Directory>>,
}

/// Where files are. Blocks: for threads that may.
#[derive(Clone, Debug)]
pub(in crate::embedded) struct Files {
    store: Arc<dyn ObjectStore>,
    /// The same, where it is a local disk.
    local: Option<Arc<LocalFileSystem>>,
    handle: Handle,
    /// Files that nobody needs but those who are reading them.
    doomed: Arc<Mutex<Vec<Arc<DataFile>>>>,
}

impl DataFile {
    pub(in crate::embedded) fn new(record: FileRecord) -> Self {
        Self { record, metadata: OnceLock::new(), directory: OnceLock::new() }
    }
}

impl Files {
    /// Below this folder of a local disk; everything that is written is on disk, its name too, before a call returns.
    pub(in crate::embedded) fn local(data_dir: &FsPath, handle: Handle) -> Result<Self, Error> {
        let store = LocalFileSystem::new_with_prefix(data_dir)
            .map_err(|error| Error::new(Kind::Internal, format!("can't use \"{}\": {error}", data_dir.display())))?
            .with_fsync(true);
        let store = Arc::new(store);
        Ok(Self { local: Some(Arc::clone(&store)), store, handle, doomed: Arc::default() })
    }

    /// Writes a run, durably. Nobody knows the file until the catalog does.
    pub(in crate::embedded) fn write(
        &self,
        seq: u64,
        (bucket, table): (u64, &str),
        (start, end): (i64, i64),
        run: &Run,
    ) -> Result<DataFile, Error> {
        self.write_as(seq, seq, (bucket, table), (start, end), run)
    }

    /// The same for what takes the place of file `seq`: `number` is in its name.
    pub(in crate::embedded) fn write_as(
        &self,
        number: u64,
        seq: u64,
        (bucket, table): (u64, &str),
        (start, end): (i64, i64),
        run: &Run,
    ) -> Result<DataFile, Error> {
        let path = layout::path(bucket, table, start, number);
        let failed = |error: crate::types::BoxError| {
            tracing::error!(path, %error, "a data file can't be written");
            Error::new(Kind::Unavailable, "a data file can't be written").with_source(error)
        };
        let bytes = write::encode(run).map_err(|error| failed(error.into()))?;
        let size = bytes.len() as u64;
        self.handle.block_on(self.store.put(&Path::from(path.as_str()), bytes.into())).map_err(|error| failed(error.into()))?;
        let times = run.time.values();
        let record = FileRecord {
            seq,
            bucket,
            table: table.into(),
            start,
            end,
            bytes: size,
            rows: times.len() as u64,
            min_time: times.iter().copied().min().unwrap_or(start),
            max_time: times.iter().copied().max().unwrap_or(start),
            tags: run.tags.to_vec(),
            fields: run
                .fields
                .iter()
                .map(|field| FieldRecord { name: field.name.clone(), field_type: field.field_type })
                .collect(),
            path: path.into(),
        };
        let file = DataFile::new(record);
        let _ = file.directory.set(Arc::new(Directory::of(run)));
        Ok(file)
    }

    /// Removes files that the catalog doesn't know any more, each as soon as nobody reads it.
    pub(in crate::embedded) fn bury(&self, files: impl IntoIterator<Item = Arc<DataFile>>) {
        self.doomed.lock().unwrap_or_else(PoisonError::into_inner).extend(files);
        self.reap();
    }

    /// Removes those that nobody reads any more.
    pub(in crate::embedded) fn reap(&self) {
        let mut free = Vec::new();
        {
            let mut doomed = self.doomed.lock().unwrap_or_else(PoisonError::into_inner);
            if doomed.is_empty() {
                return;
            }
            let (gone, left) = doomed.drain(..).partition(|file| Arc::strong_count(file) == 1);
            *doomed = left;
            free.extend::<Vec<_>>(gone);
        }
        free.iter().for_each(|file| self.remove(&file.record.path));
    }

    /// Removes a file; one that can't be removed stays for the next start.
    pub(in crate::embedded) fn remove(&self, path: &str) {
        if let Err(error) = self.handle.block_on(self.store.delete(&Path::from(path))) {
            tracing::warn!(path, %error, "a data file can't be removed");
        }
    }

    /// Removes what a crash left behind: files that the catalog doesn't know. Says which of those that it knows are missing.
    pub(in crate::embedded) fn sweep(&self, known: &[FileRecord]) -> Result<(), Error> {
        let known: HashSet<&str> = known.iter().map(|file| &*file.path).collect();
        let list = self.store.list(Some(&Path::from("files"))).try_collect::<Vec<_>>();
        let there =
            self.handle.block_on(list).map_err(|error| Error::new(Kind::Internal, format!("can't list data files: {error}")))?;
        let mut missing = known.clone();
        for object in there {
            let path = object.location.as_ref();
            if !missing.remove(path) && path.ends_with(".parquet") {
                tracing::info!(path, "removing a data file that was not finished");
                self.remove(path);
            }
        }
        match missing.iter().next() {
            Some(path) => Err(Error::new(
                Kind::Internal,
                format!("data file \"{path}\" and {} others are missing: restore \"data_dir\" from a backup", missing.len() - 1),
            )),
            None => Ok(()),
        }
    }

    /// The series of a file.
    pub(in crate::embedded) fn directory(&self, file: &DataFile) -> Result<Arc<Directory>, Error> {
        if let Some(directory) = file.directory.get() {
            return Ok(Arc::clone(directory));
        }
        let directory = Arc::new(read::directory(self, file)?);
        Ok(Arc::clone(file.directory.get_or_init(|| directory)))
    }

    /// A file's contents and its footer.
    pub(super) fn open(&self, file: &DataFile) -> Result<(Object, ArrowReaderMetadata), Error> {
        let path = &*file.record.path;
        let location = Path::from(path);
        let object = match &self.local {
            Some(local) => Object::local(local, location, file.record.bytes),
            None => Object::remote(Arc::clone(&self.store), location, file.record.bytes, self.handle.clone()),
        };
        let object = object.map_err(|error| unreadable(path, error))?;
        let metadata = match file.metadata.get() {
            Some(metadata) => metadata.clone(),
            None => {
                let metadata = read::metadata(&object).map_err(|error| unreadable(path, error))?;
                file.metadata.get_or_init(|| metadata).clone()
            }
        };
        Ok((object, metadata))
    }
}
