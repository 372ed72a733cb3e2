//! Fields and tags of measurements, asked of the service below where its replies leave open what the columns are, and remembered for a
//! moment: a dashboard asks the same again and again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::respond::FieldsAndTags;

/// How long an answer counts. New columns show up after this long at the latest.
const FRESH: Duration = Duration::from_secs(10);
/// How many answers are kept.
const KEPT: usize = 256;

/// What has been asked lately, by bucket and measurements.
#[derive(Debug, Default)]
pub(super) struct Schemas(Mutex<HashMap<Asked, Answered>>);

type Asked = (Box<str>, Box<str>);
type Answered = (Instant, Arc<FieldsAndTags>);

impl Schemas {
    pub(super) fn get(&self, bucket: &str, measurements: &str, now: Instant) -> Option<Arc<FieldsAndTags>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .get(&(bucket.into(), measurements.into()))
            .filter(|(since, _)| now.saturating_duration_since(*since) < FRESH)
            .map(|(_, schema)| Arc::clone(schema))
    }

    pub(super) fn put(&self, bucket: &str, measurements: &str, schema: Arc<FieldsAndTags>, now: Instant) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT {
            known.retain(|_, (since, _)| now.saturating_duration_since(*since) < FRESH);
        }
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert((bucket.into(), measurements.into()), (now, schema));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_grow_old_and_are_few() {
        let schemas = Schemas::default();
        let now = Instant::now();
        schemas.put("b", "m", Arc::default(), now);
        assert!(schemas.get("b", "m", now + Duration::from_secs(9)).is_some());
        assert!(schemas.get("b", "m", now + Duration::from_secs(10)).is_none());
        assert!(schemas.get("b", "n", now).is_none());
        for index in 0..3 * KEPT {
            schemas.put("b", &index.to_string(), Arc::default(), now);
        }
        assert!(schemas.0.lock().unwrap().len() <= KEPT);
    }
}
