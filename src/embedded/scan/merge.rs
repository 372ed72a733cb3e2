//! Merging the sources of a partition: by series, then time; at the same time the later source's fields replace the earlier's.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, Int64Array, cast::AsArray, types::Int64Type};
use arrow_buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};

use super::source::Source;
use crate::{
    embedded::{SeriesBatch, buffer},
    error::Error,
};

/// A merge of sources, older first.
pub(super) struct Merge {
    sources: Vec<Input>,
}

struct Input {
    source: Source,
    /// What comes next of it.
    head: Option<SeriesBatch>,
    finished: bool,
}

impl Merge {
    pub(super) fn new(sources: Vec<Source>) -> Self {
        Self { sources: sources.into_iter().map(|source| Input { source, head: None, finished: false }).collect() }
    }

    pub(super) fn next(&mut self) -> Result<Option<SeriesBatch>, Error> {
        loop {
            let Some(batch) = self.step()? else { return Ok(None) };
            if let Some(batch) = without_empty_rows(batch) {
                return Ok(Some(batch));
            }
        }
    }

    fn step(&mut self) -> Result<Option<SeriesBatch>, Error> {
        for input in &mut self.sources {
            if input.head.is_none() && !input.finished {
                input.head = input.source.next()?;
                input.finished = input.head.is_none();
            }
        }
        let Some(tags) = self.sources.iter().filter_map(|input| input.head.as_ref()).map(|head| &head.tags).min().map(Arc::clone)
        else {
            return Ok(None);
        };
        let same = |input: &&mut Input| input.head.as_ref().is_some_and(|head| head.tags == tags);
        let mut inputs: Vec<&mut Input> = self.sources.iter_mut().filter(same).collect();
        // What a source has of this series after its head is later than its head: up to the earliest end of all heads everything is known.
        let end = |input: &&mut Input| input.head.as_ref().and_then(|head| head.time.values().last().copied());
        let Some(horizon) = inputs.iter().filter_map(end).min() else { return Ok(None) };
        let mut parts: Vec<SeriesBatch> = inputs.iter_mut().filter_map(|input| take_until(&mut input.head, horizon)).collect();
        Ok(Some(if parts.len() == 1 { parts.swap_remove(0) } else { overlay(tags, &parts) }))
    }
}

/// Takes the rows up to `horizon`; the others stay.
fn take_until(head: &mut Option<SeriesBatch>, horizon: i64) -> Option<SeriesBatch> {
    let batch = head.take()?;
    let rows = batch.time.values().partition_point(|time| *time <= horizon);
    if rows == batch.time.len() {
        return Some(batch);
    }
    *head = Some(slice(&batch, rows, batch.time.len() - rows));
    (rows > 0).then(|| slice(&batch, 0, rows))
}

fn slice(batch: &SeriesBatch, start: usize, len: usize) -> SeriesBatch {
    SeriesBatch {
        tags: Arc::clone(&batch.tags),
        time: batch.time.slice(start, len),
        fields: batch.fields.iter().map(|field| field.as_ref().map(|values| values.slice(start, len))).collect(),
    }
}

/// Parts of one series over each other, the later ones on top.
fn overlay(tags: Arc<[Box<str>]>, parts: &[SeriesBatch]) -> SeriesBatch {
    let times: Vec<&[i64]> = parts.iter().map(|part| &**part.time.values()).collect();
    let (times, targets) = buffer::merge_times(&times, 0);
    let fields = (0..parts.first().map_or(0, |part| part.fields.len()))
        .map(|field| {
            let layers: Vec<(&ArrayRef, &[u32])> =
                parts.iter().zip(&targets).filter_map(|(part, target)| Some((part.fields[field].as_ref()?, &**target))).collect();
            let field_type = buffer::field_type(layers.first()?.0.data_type())?;
            Some(buffer::overlay(field_type, times.len(), &layers))
        })
        .collect();
    SeriesBatch { tags, time: Int64Array::new(ScalarBuffer::from(times), None), fields }
}

/// Leaves out rows without any of the wanted fields; `None` when no row is left.
fn without_empty_rows(batch: SeriesBatch) -> Option<SeriesBatch> {
    let len = batch.time.len();
    let mut any: Option<BooleanBuffer> = None;
    for values in batch.fields.iter().flatten() {
        let Some(valid) = values.nulls().map(NullBuffer::inner) else { return Some(batch) };
        any = Some(match any {
            None => valid.clone(),
            Some(any) => &any | valid,
        });
    }
    let any = any?;
    let left = any.count_set_bits();
    if left == len {
        return Some(batch);
    }
    if left == 0 {
        return None;
    }
    let keep = BooleanArray::new(any, None);
    let filter = |array: &dyn Array| arrow_select::filter::filter(array, &keep).expect("the mask is as long as the array");
    let time = filter(&batch.time).as_primitive::<Int64Type>().clone();
    let fields = batch.fields.iter().map(|field| field.as_ref().map(|values| filter(values))).collect();
    Some(SeriesBatch { tags: batch.tags, time, fields })
}
