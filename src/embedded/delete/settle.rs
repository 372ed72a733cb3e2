//! Writes files anew without what is deleted.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Delete, surviving};
use crate::{
    embedded::{
        buffer::{Memory, Run, StoredFile, Unsettled},
        catalog::{Catalog, FileRecord},
        memory_of,
        parquet::{DataFile, FileChunks, Files, Wanted},
    },
    error::Error,
};

/// Carries deletes out in files, one after the other.
#[derive(Debug)]
pub(in crate::embedded) struct Settler {
    memory: Arc<Mutex<Memory>>,
    catalog: Arc<Catalog>,
    files: Files,
    /// One at a time.
    running: Mutex<()>,
}

/// What becomes of a file.
enum Fate {
    /// Nothing in it is deleted.
    Same,
    Gone,
    New(Arc<DataFile>),
}

impl Settler {
    pub(in crate::embedded) fn new(memory: Arc<Mutex<Memory>>, catalog: Arc<Catalog>, files: Files) -> Self {
        Self { memory, catalog, files, running: Mutex::new(()) }
    }

    /// Takes what was deleted out of files and lists. Blocks.
    ///
    /// # Errors
    /// As [`settle`](Self::settle).
    pub(in crate::embedded) fn carry_out(&self, delete: &Delete) -> Result<(), Error> {
        self.settle(&|| false)?;
        // What is in memory is sorted outside of the lock, as by a reader.
        let view = memory_of(&self.memory).view(delete.bucket);
        for (_, table) in view.tables.iter().filter(|(name, _)| delete.names(name)) {
            let touched = table.partitions.iter().filter(|partition| {
                partition.start <= *delete.tombstone.time.end() && partition.end > *delete.tombstone.time.start()
            });
            touched.flat_map(|partition| &partition.pieces).for_each(|piece| drop(piece.run()));
        }
        drop(view);
        let mut memory = memory_of(&self.memory);
        for table in memory.tables(delete.bucket).iter().filter(|table| delete.names(table)) {
            memory.prune(delete.bucket, table);
        }
        Ok(())
    }

    /// Settles all files, unless it is told to stop in between. Blocks.
    ///
    /// # Errors
    /// When a file or the catalog can't be read or written: the deletes then stay where they are, and hold.
    pub(in crate::embedded) fn settle(&self, stop: &dyn Fn() -> bool) -> Result<(), Error> {
        let _running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        self.remove_dead()?;
        while !stop() {
            let Some(next) = memory_of(&self.memory).unsettled() else { break };
            self.settle_one(&next)?;
        }
        self.files.reap();
        Ok(())
    }

    /// The files of dropped measurements.
    fn remove_dead(&self) -> Result<(), Error> {
        let dead = memory_of(&self.memory).take_dead();
        if dead.is_empty() {
            return Ok(());
        }
        let numbers: Vec<u64> = dead.iter().map(|file| file.record.seq).collect();
        if let Err(error) = self.catalog.replace_files(&numbers, &[]) {
            memory_of(&self.memory).keep_dead(dead);
            return Err(error);
        }
        memory_of(&self.memory).let_views_go();
        self.files.bury(dead);
        Ok(())
    }

    fn settle_one(&self, next: &Unsettled) -> Result<(), Error> {
        let StoredFile { file, deletes } = &next.stored;
        let old = &file.record;
        let (new, removed) = match self.fate(&next.stored)? {
            Fate::Same => (Some(Arc::clone(file)), false),
            Fate::Gone => (None, true),
            Fate::New(file) => (Some(file), true),
        };
        if removed {
            let added: Vec<FileRecord> = new.iter().map(|file| file.record.clone()).collect();
            if !self.catalog.replace_files(&[old.seq], &added)? {
                self.files.bury(new);
                // Its bucket is gone, and with it what is in memory.
                memory_of(&self.memory).settled(next, None);
                return Ok(());
            }
        }
        let mut memory = memory_of(&self.memory);
        if !memory.settled(next, new.clone()) {
            // The measurement was dropped meanwhile, and the old file is known to be dead.
            if removed {
                memory.keep_dead(new.into_iter().collect());
            }
            return Ok(());
        }
        memory.prune(next.bucket, &next.table);
        memory.let_views_go();
        drop(memory);
        if removed {
            tracing::debug!(path = &*old.path, deletes = deletes.len(), "wrote a file without what is deleted");
            self.files.bury([Arc::clone(file)]);
        }
        Ok(())
    }

    /// Reads a file and writes what is left of it.
    fn fate(&self, StoredFile { file, deletes }: &StoredFile) -> Result<Fate, Error> {
        let record = &file.record;
        let (min, max) = (record.min_time, record.max_time);
        let series = &self.files.directory(file)?.sets;
        let touched = |delete: &super::Tombstone| *delete.time.start() <= max && min <= *delete.time.end();
        let hit = |set: &Arc<[Box<str>]>| deletes.iter().any(|delete| touched(delete) && delete.hits(&record.tags, set));
        if !series.iter().any(hit) {
            return Ok(Fate::Same);
        }
        let gone = |set: &Arc<[Box<str>]>| deletes.iter().any(|delete| delete.covers(min, max) && delete.hits(&record.tags, set));
        if series.iter().all(gone) {
            return Ok(Fate::Gone);
        }
        let names: Vec<Box<str>> = record.fields.iter().map(|field| field.name.clone()).collect();
        let wanted = Wanted { time: &(i64::MIN..=i64::MAX), fields: &names, series: None, ends: None };
        let Some(mut chunks) = FileChunks::open(&self.files, file, &wanted)? else { return Ok(Fate::Gone) };
        let mut left = Vec::new();
        while let Some(batch) = chunks.next()? {
            left.extend(surviving(batch, &record.tags, deletes));
        }
        if left.is_empty() {
            return Ok(Fate::Gone);
        }
        let fields: Vec<_> = record.fields.iter().map(|field| (field.name.clone(), field.field_type)).collect();
        let run = Run::collect(&record.tags, &fields, &left)?;
        let number = self.catalog.next_file(1)?;
        let place = ((record.bucket, &*record.table), (record.start, record.end));
        Ok(Fate::New(Arc::new(self.files.write_as(number, record.seq, place.0, place.1, &run)?)))
    }
}
