//! What a partition is read from: its files and its pieces in memory, each by series and time.

use std::{ops::Range, sync::Arc};

use arrow_array::{Array, Int64Array};

use crate::{
    embedded::{
        Scan, SeriesBatch, SeriesFilter, TagSet,
        buffer::{PartitionView, Run, StoredFile, widen},
        delete::{Tombstone, surviving},
        parquet::{Ends, FileChunks, Files, Wanted},
    },
    error::Error,
};

/// Longest batch.
const ROWS: usize = 1 << 16;

/// Gives a source's points by series and time.
pub(super) enum Source {
    Memory(Memory),
    File(Box<File>),
}

/// Everything that a partition is read from, older first.
pub(super) fn open(files: &Files, partition: &PartitionView, tags: &Arc<[Box<str>]>, scan: &Scan) -> Result<Vec<Source>, Error> {
    let mut sources = Vec::with_capacity(partition.files.len() + partition.pieces.len());
    for file in &partition.files {
        sources.extend(File::open(files, file, tags, scan)?.map(|file| Source::File(Box::new(file))));
    }
    for piece in &partition.pieces {
        sources.push(Source::Memory(Memory::new(piece.run(), tags, scan)));
    }
    Ok(sources)
}

fn ends(scan: &Scan) -> Option<Ends> {
    scan.most.map(|most| if scan.descending { Ends::Last(most) } else { Ends::First(most) })
}

impl Source {
    pub(super) fn next(&mut self) -> Result<Option<SeriesBatch>, Error> {
        match self {
            Self::Memory(memory) => Ok(memory.next()),
            Self::File(file) => file.next(),
        }
    }
}

/// A run.
pub(super) struct Memory {
    run: Arc<Run>,
    widener: crate::embedded::buffer::Widener,
    /// For each wanted field its place in the run.
    fields: Vec<Option<usize>>,
    time: std::ops::RangeInclusive<i64>,
    series: Option<SeriesFilter>,
    /// Which rows of a series suffice.
    ends: Option<Ends>,
    /// The next series.
    place: usize,
    /// What is left of the one before.
    rest: Option<(TagSet, Range<usize>)>,
}

impl Memory {
    fn new(run: Arc<Run>, tags: &[Box<str>], scan: &Scan) -> Self {
        let place = |name: &str| run.fields.binary_search_by(|field| (*field.name).cmp(name)).ok();
        Self {
            widener: widen(&run.tags, tags),
            fields: scan.fields.iter().map(|name| place(name)).collect(),
            time: scan.time.clone(),
            series: scan.series.clone(),
            ends: ends(scan),
            place: 0,
            rest: None,
            run,
        }
    }

    fn next(&mut self) -> Option<SeriesBatch> {
        loop {
            if let Some((tags, rows)) = self.rest.take() {
                let end = rows.end.min(rows.start + ROWS);
                let batch = self.cut(&tags, rows.start..end);
                if end < rows.end {
                    self.rest = Some((tags, end..rows.end));
                }
                return Some(batch);
            }
            let set = self.run.series.get(self.place)?;
            let (start, end) = (self.run.starts[self.place], self.run.starts[self.place + 1]);
            self.place += 1;
            let tags = self.widener.widen(set);
            if !self.series.as_ref().is_none_or(|series| series(&tags)) {
                continue;
            }
            let times = &self.run.time.values()[start..end];
            let from = start + times.partition_point(|time| time < self.time.start());
            let to = start + times.partition_point(|time| time <= self.time.end());
            if from < to {
                self.rest = Some((tags, self.ends(from..to)));
            }
        }
    }

    /// The rows that suffice, where each of them has all fields.
    fn ends(&self, rows: Range<usize>) -> Range<usize> {
        let complete = |place: usize| {
            let nulls = self.run.fields[place].values.nulls();
            nulls.is_none_or(|nulls| nulls.slice(rows.start, rows.len()).null_count() == 0)
        };
        match self.ends {
            Some(ends) if self.fields.iter().flatten().all(|place| complete(*place)) => ends.of(rows),
            _ => rows,
        }
    }

    fn cut(&self, tags: &Arc<[Box<str>]>, rows: Range<usize>) -> SeriesBatch {
        let time: Int64Array = self.run.time.slice(rows.start, rows.len());
        let fields = self.fields.iter().map(|place| {
            let values = self.run.fields[(*place)?].values.slice(rows.start, rows.len());
            (values.null_count() < values.len()).then_some(values)
        });
        SeriesBatch { tags: Arc::clone(tags), time, fields: fields.collect() }
    }
}

/// A file.
pub(super) struct File {
    chunks: FileChunks,
    /// The file's own tags, and what is deleted of it.
    keys: Vec<Box<str>>,
    deletes: Vec<Arc<Tombstone>>,
    widener: crate::embedded::buffer::Widener,
}

impl File {
    fn open(files: &Files, stored: &StoredFile, tags: &Arc<[Box<str>]>, scan: &Scan) -> Result<Option<Self>, Error> {
        let file = &*stored.file;
        let narrow = &file.record.tags;
        // The filter is asked about all tags, the file has some of them.
        let series = scan.series.clone().map(|series| {
            if **narrow == **tags {
                return series;
            }
            let widener = widen(narrow, tags);
            let filter: SeriesFilter = Arc::new(move |set: &[Box<str>]| series(&widener.widen(&Arc::from(set))));
            filter
        });
        // What is deleted may be at the ends.
        let ends = ends(scan).filter(|_| stored.deletes.is_empty());
        let wanted = Wanted { time: &scan.time, fields: &scan.fields, series, ends };
        let chunks = FileChunks::open(files, file, &wanted)?;
        let (keys, deletes) = (narrow.clone(), stored.deletes.clone());
        Ok(chunks.map(|chunks| Self { chunks, keys, deletes, widener: widen(narrow, tags) }))
    }

    fn next(&mut self) -> Result<Option<SeriesBatch>, Error> {
        let mut batch = loop {
            let Some(batch) = self.chunks.next()? else { return Ok(None) };
            if let Some(batch) = surviving(batch, &self.keys, &self.deletes) {
                break batch;
            }
        };
        batch.tags = self.widener.widen(&batch.tags);
        for field in &mut batch.fields {
            // The same as no such field, and cheaper for everybody who reads it.
            field.take_if(|values| values.null_count() == values.len());
        }
        Ok(Some(batch))
    }
}
