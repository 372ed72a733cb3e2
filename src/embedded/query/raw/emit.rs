//! Rows on their way out: limits, `fill`, columns.

use std::{collections::HashMap, sync::Arc};

use arrow_array::{Array, ArrayRef, Int64Array, StringArray};

use super::super::{
    context::Budget,
    ir::{Fill, Select, Source},
    output::Output,
    rows::{Column, Key, Rows},
    value::{Scalar, Type, column, nulls},
};
use crate::error::Error;

/// Rows of a piece of output.
pub(super) const CHUNK: usize = 4096;

/// What `LIMIT` and `OFFSET` still leave of a group.
#[derive(Clone, Copy)]
struct Remaining {
    skip: usize,
    take: usize,
}

/// Takes rows in the order of the result.
pub(super) struct Emitter<'a, 'o, 'b> {
    select: &'a Select,
    source: &'a Source,
    budget: &'a Budget<'b>,
    output: &'a mut Output<'o>,
    /// What every group begins with.
    limit: Remaining,
    remaining: HashMap<Key, Remaining>,
    /// What is filled in, and for which group.
    last: Vec<Scalar>,
    filled: Option<Key>,
}

impl<'a, 'o, 'b> Emitter<'a, 'o, 'b> {
    pub(super) fn new(select: &'a Select, source: &'a Source, budget: &'a Budget<'b>, output: &'a mut Output<'o>) -> Self {
        let size = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        let limit = Remaining {
            skip: size(select.limits.offset.unwrap_or(0)),
            take: select.limits.limit.filter(|limit| *limit > 0).map_or(usize::MAX, size),
        };
        let last = vec![Scalar::Null; select.refs.len()];
        Self { select, source, budget, output, limit, remaining: HashMap::new(), last, filled: None }
    }

    fn is_limited(&self) -> bool {
        self.limit.skip > 0 || self.limit.take < usize::MAX
    }

    /// Whether a group needs no more rows.
    pub(super) fn is_full(&self, key: &Key) -> bool {
        self.remaining.get(key).is_some_and(|remaining| remaining.take == 0)
    }

    /// How many rows of a group are passed over and how many taken, of so many.
    fn limited(&mut self, key: &Key, len: usize) -> (usize, usize) {
        if !self.is_limited() {
            return (0, len);
        }
        let limit = self.limit;
        let remaining = self.remaining.entry(Arc::clone(key)).or_insert(limit);
        let skip = remaining.skip.min(len);
        let take = remaining.take.min(len - skip);
        remaining.skip -= skip;
        remaining.take -= take;
        (skip, take)
    }

    /// Takes rows of one group.
    pub(super) fn rows(&mut self, key: &Key, rows: &Rows) -> Result<(), Error> {
        let (mut from, take) = self.limited(key, rows.time.len());
        let end = from + take;
        while from < end {
            self.budget.check()?;
            let len = CHUNK.min(end - from);
            let part = rows.slice(from, len);
            let slots = self.select.refs.iter().zip(&part.columns).map(|(r, column)| column.array(r.kind, len)).collect();
            self.hand_on(vec![(Arc::clone(key), len)], part.time, slots)?;
            from += len;
        }
        Ok(())
    }

    /// Takes rows that were picked of `pieces`, each of a group.
    pub(super) fn picked(&mut self, pieces: &[Rows], keys: &[Key], mut indices: Vec<(usize, usize)>) -> Result<(), Error> {
        self.budget.check()?;
        if self.is_limited() {
            indices.retain(|(piece, _)| self.limited(&keys[*piece], 1).1 > 0);
        }
        if indices.is_empty() {
            return Ok(());
        }
        let mut groups: Vec<(Key, usize)> = Vec::new();
        for (piece, _) in &indices {
            match groups.last_mut() {
                Some((key, len)) if Arc::ptr_eq(key, &keys[*piece]) || *key == keys[*piece] => *len += 1,
                _ => groups.push((Arc::clone(&keys[*piece]), 1)),
            }
        }
        let time = Int64Array::from_iter_values(indices.iter().map(|(piece, row)| pieces[*piece].time.value(*row)));
        let slots = (0..self.select.refs.len()).map(|slot| gather(pieces, slot, self.select.refs[slot].kind, &indices));
        let slots = slots.collect::<Result<Vec<_>, Error>>()?;
        self.hand_on(groups, time, slots)
    }

    fn hand_on(&mut self, keys: Vec<(Key, usize)>, time: Int64Array, mut slots: Vec<ArrayRef>) -> Result<(), Error> {
        match &self.select.fill {
            Fill::Number(number) => {
                for (slot, reference) in slots.iter_mut().zip(&self.select.refs).filter(|(_, r)| r.kind.is_number()) {
                    let number = number.cast(reference.kind);
                    *slot = filled(slot, reference.kind, |_| number.clone());
                }
            }
            Fill::Previous => {
                // Each time another group comes, it begins anew.
                let mut begins = vec![false; time.len()];
                let mut row = 0;
                for (key, len) in &keys {
                    if self.filled.as_ref() != Some(key) {
                        begins[row] = true;
                        self.filled = Some(Arc::clone(key));
                    }
                    row += len;
                }
                for ((slot, reference), last) in slots.iter_mut().zip(&self.select.refs).zip(&mut self.last) {
                    let values: Vec<Scalar> = (0..slot.len())
                        .map(|row| {
                            if begins[row] {
                                *last = Scalar::Null;
                            }
                            if slot.is_valid(row) {
                                *last = Scalar::of(slot, row);
                            }
                            last.clone()
                        })
                        .collect();
                    *slot = column(reference.kind, values.iter());
                }
            }
            Fill::Null | Fill::None | Fill::Linear => {}
        }
        self.output.push(&self.source.name, keys, time, slots)
    }
}

fn filled(array: &ArrayRef, kind: Type, with: impl Fn(usize) -> Scalar) -> ArrayRef {
    if array.null_count() == 0 {
        return Arc::clone(array);
    }
    let values: Vec<Scalar> =
        (0..array.len()).map(|row| if array.is_null(row) { with(row) } else { Scalar::of(array, row) }).collect();
    column(kind, values.iter())
}

/// One column of the rows that were picked.
fn gather(pieces: &[Rows], slot: usize, kind: Type, indices: &[(usize, usize)]) -> Result<ArrayRef, Error> {
    if kind == Type::Unknown {
        return Ok(nulls(kind, indices.len()));
    }
    if pieces.iter().any(|rows| matches!(rows.columns[slot], Column::Tag(_))) {
        let values = indices.iter().map(|(piece, row)| pieces[*piece].columns[slot].text(*row));
        return Ok(Arc::new(StringArray::from_iter(values)));
    }
    let arrays: Vec<ArrayRef> = pieces.iter().map(|rows| rows.columns[slot].array(kind, rows.time.len())).collect();
    let arrays: Vec<&dyn Array> = arrays.iter().map(|array| &**array).collect();
    arrow_select::interleave::interleave(&arrays, indices).map_err(Error::internal)
}
