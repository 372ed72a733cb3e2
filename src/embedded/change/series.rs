//! `DELETE`, `DROP SERIES`, `DROP MEASUREMENT`

use std::sync::Arc;

use crate::{
    embedded::{
        Engine, Query,
        delete::{Delete, Entry, Forget, Predicate, TableName, Tombstone},
        engine::{blocking, now},
        memory_of,
        query::{compile_pattern, split_time},
    },
    error::Error,
    influxql::ast::{MeasurementName, SeriesSelection},
};

impl Engine {
    /// Deletes points. As in 1.x types of fields stay.
    pub(super) async fn delete(&self, selection: &SeriesSelection, with_time: bool, query: &Query) -> Result<(), Error> {
        let bucket = self.writable(query)?;
        let tables = selection.from.iter().map(|measurement| match &measurement.name {
            MeasurementName::Name(name) => Ok(TableName::Name(name.name.clone())),
            MeasurementName::Regex(regex) => Ok(TableName::Pattern(regex.pattern.clone(), compile_pattern(&regex.pattern)?)),
        });
        let tables = tables.collect::<Result<Vec<_>, Error>>()?;
        let (condition, [from, to]) = match &selection.condition {
            Some(condition) => split_time(condition, now())?,
            None => (None, [None; 2]),
        };
        if !with_time && (from.is_some() || to.is_some()) {
            return Err(Error::invalid("DROP SERIES doesn't support time in WHERE clause"));
        }
        let time = from.unwrap_or(i64::MIN)..=to.unwrap_or(i64::MAX);
        let all = Delete { bucket, tables, tombstone: Arc::new(Tombstone { time: time.clone(), series: None }) };
        let delete = match &condition {
            None => all,
            Some(condition) => {
                let fields = self.fields(&all);
                let is_field = |name: &str| fields.iter().any(|field| **field == *name);
                let series = Some(Predicate::new(condition, &is_field)?);
                Delete { tombstone: Arc::new(Tombstone { time, series }), ..all }
            }
        };
        if delete.tombstone.time.is_empty() {
            return Ok(());
        }
        let touched = Delete { tables: delete.tables.clone(), tombstone: Arc::clone(&delete.tombstone), bucket };
        self.submit_change(Entry::Delete(delete)).await?;
        let engine = self.clone();
        blocking(move || engine.0.settler.carry_out(&touched)).await?
    }

    /// Drops a measurement, and what is known of its fields.
    pub(super) async fn drop_measurement(&self, name: &str, query: &Query) -> Result<(), Error> {
        let bucket = self.writable(query)?;
        self.submit_change(Entry::Forget(Forget { bucket, table: name.into() })).await?;
        let engine = self.clone();
        blocking(move || engine.0.settler.settle(&|| false)).await?
    }

    /// Fields of the measurements that a delete means.
    fn fields(&self, delete: &Delete) -> Vec<Box<str>> {
        let view = memory_of(&self.0.memory).view(delete.bucket);
        let tables = view.tables.iter().filter(|(name, _)| delete.names(name));
        tables.flat_map(|(_, table)| table.schema.fields.iter().map(|(name, _)| name.clone())).collect()
    }
}
