//! Results of several calls as rows.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array};

use super::{
    super::{
        ir::{Fill, Select, Source},
        output::Output,
        rows::Key,
        value::{Scalar, Type, column, nulls},
    },
    sequence::Sequence,
};
use crate::error::Error;

/// Joins the calls' points by time and hands them on.
pub(super) fn join(
    select: &Select,
    source: &Source,
    keys: &[Key],
    results: Vec<Sequence>,
    aux: &[usize],
    output: &mut Output<'_>,
) -> Result<(), Error> {
    let mut groups: Vec<(Key, usize)> = Vec::new();
    let mut times = Vec::new();
    let mut values: Vec<Vec<Scalar>> = vec![Vec::new(); select.calls.len()];
    let mut others: Vec<Vec<Scalar>> = vec![Vec::new(); aux.len()];
    let mut heads: Vec<_> = results
        .into_iter()
        .map(|sequence| sequence.points.into_iter().zip(sequence.ranks.into_iter().chain(std::iter::repeat(0))).peekable())
        .collect();
    let mut last: Vec<Scalar> = vec![Scalar::Null; select.calls.len() + aux.len()];
    loop {
        // By group first, even where their points come by time.
        let pending = heads.iter_mut().filter_map(|head| head.peek().map(|(point, rank)| (*rank, point.time)));
        let Some((rank, time)) = (if select.ascending { pending.min() } else { pending.max() }) else { break };
        match groups.last_mut() {
            Some((key, len)) if Arc::ptr_eq(key, &keys[rank as usize]) => *len += 1,
            _ => {
                groups.push((Arc::clone(&keys[rank as usize]), 1));
                last.fill(Scalar::Null);
            }
        }
        for (i, head) in heads.iter_mut().enumerate() {
            let point = head.next_if(|(point, of)| (*of, point.time) == (rank, time)).map(|(point, _)| point);
            if aux.len() == others.len()
                && let Some(point) = &point
            {
                for (j, slot) in aux.iter().enumerate() {
                    let value = point.aux.as_ref().map_or(Scalar::Null, |aux| aux[j].clone());
                    let value = default(select, value, select.refs[*slot].kind, &mut last[select.calls.len() + j]);
                    others[j].push(value);
                }
            }
            let value = point.map_or(Scalar::Null, |point| point.value);
            if matches!(value, Scalar::Float(value) if value.is_nan()) {
                // What is no number is there: it isn't filled, and is reckoned with.
                last[i] = value.clone();
                values[i].push(value);
                continue;
            }
            let value = default(select, value, select.calls[i].output, &mut last[i]);
            values[i].push(value);
        }
        times.push(time);
    }
    let len = times.len();
    let mut slots: Vec<ArrayRef> = Vec::with_capacity(select.refs.len() + select.calls.len());
    for (slot, reference) in select.refs.iter().enumerate() {
        slots.push(match aux.iter().position(|aux| *aux == slot) {
            Some(place) => column(reference.kind, others[place].iter()),
            None => nulls(reference.kind, len),
        });
    }
    for (call, values) in select.calls.iter().zip(&values) {
        slots.push(column(call.output, values.iter()));
    }
    output.push(&source.name, groups, Int64Array::from(times), slots)
}

/// A value, or what `fill` says where there is none.
fn default(select: &Select, value: Scalar, kind: Type, last: &mut Scalar) -> Scalar {
    if value != Scalar::Null {
        if select.fill == Fill::Previous {
            *last = value.clone();
        }
        return value;
    }
    match &select.fill {
        Fill::Previous => last.clone(),
        Fill::Number(number) if kind.is_number() => number.cast(kind),
        _ => Scalar::Null,
    }
}
