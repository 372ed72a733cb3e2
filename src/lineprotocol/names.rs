//! Names that stand twice, and the name `time`.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::{Field, Reason, Tag};

/// Up to here comparing every pair is cheaper than hashing.
const FEW: usize = 16;

/// Sorts tags by key; two of one key are refused.
pub(super) fn unique_tags(tags: &mut SmallVec<[Tag<'_>; 8]>) -> Result<(), Reason> {
    let ordered = |tags: &[Tag<'_>]| tags.windows(2).all(|pair| matches!(pair, [left, right] if left.0 < right.0));
    if ordered(tags) {
        return Ok(());
    }
    tags.sort_by(|left, right| left.0.cmp(&right.0));
    if ordered(tags) { Ok(()) } else { Err(Reason::DuplicateTags) }
}

/// 1.x ignores fields of this name.
pub(super) fn drop_time(fields: &mut SmallVec<[Field<'_>; 12]>) {
    if fields.iter().any(|(key, _)| key == "time") {
        fields.retain(|(key, _)| key != "time");
    }
}

/// Keeps the last value of each field, at the place of the first.
pub(super) fn unique_fields(measurement: &str, fields: &mut SmallVec<[Field<'_>; 12]>) -> Result<(), Reason> {
    let twice = if fields.len() <= FEW {
        fields.iter().enumerate().any(|(at, (key, _))| fields.iter().take(at).any(|(earlier, _)| earlier == key))
    } else {
        let mut seen = std::collections::HashSet::with_capacity(fields.len());
        !fields.iter().all(|(key, _)| seen.insert(key))
    };
    if !twice {
        return Ok(());
    }
    let mut places = HashMap::with_capacity(fields.len());
    let mut kept: SmallVec<[Field<'_>; 12]> = SmallVec::new();
    for (key, value) in fields.drain(..) {
        let place = *places.entry(key.clone()).or_insert(kept.len());
        match kept.get_mut(place) {
            Some((_, earlier)) if earlier.field_type() != value.field_type() => {
                return Err(Reason::FieldTypeConflict {
                    measurement: measurement.into(),
                    field: key.as_ref().into(),
                    given: value.field_type(),
                    first: earlier.field_type(),
                });
            }
            Some((_, earlier)) => *earlier = value,
            None => kept.push((key, value)),
        }
    }
    *fields = kept;
    Ok(())
}
