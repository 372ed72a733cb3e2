//! `SHOW STATS` and `SHOW DIAGNOSTICS` of the embedded store: rows of values → 1.x's series, each with columns of its own.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    error::Error,
    respond::{Batch, Cell, Column, Event, Header, Reply, Value},
};

/// Reads the whole reply, which is as long as there are measured things.
pub(super) async fn series(mut reply: Reply) -> Result<VecDeque<Event>, Error> {
    let mut modules = Modules::default();
    while let Some(event) = reply.next().await? {
        if let Event::Rows(batch) = event {
            modules.add(&batch);
        }
    }
    Ok(modules.finish())
}

#[derive(Default)]
struct Modules(Vec<Module>);

struct Module {
    name: String,
    tags: String,
    columns: Vec<Box<str>>,
    values: Vec<Value>,
}

impl Modules {
    /// Columns: tags, key, number, text.
    fn add(&mut self, batch: &Batch) {
        for row in 0..batch.len {
            let text = |column: usize| batch.columns.get(column).map_or("", |column| column.text(row));
            let name = batch.name.as_ref().map_or("", |name| name.text(row));
            if !self.0.last().is_some_and(|last| last.name == name && last.tags == text(0)) {
                let (columns, values) = (Vec::new(), Vec::new());
                self.0.push(Module { name: name.into(), tags: text(0).into(), columns, values });
            }
            let value = match batch.columns.get(2).map(|column| column.cell(row)) {
                Some(Cell::Integer(number)) => Value::Integer(number),
                _ => Value::Text(text(3).into()),
            };
            if let Some(module) = self.0.last_mut() {
                module.columns.push(text(1).into());
                module.values.push(value);
            }
        }
    }

    fn finish(self) -> VecDeque<Event> {
        let mut events = VecDeque::with_capacity(2 * self.0.len());
        for module in self.0 {
            let tags: BTreeMap<Box<str>, Box<str>> = serde_json::from_str(&module.tags).unwrap_or_default();
            let (keys, values): (Vec<_>, Vec<_>) = tags.into_iter().unzip();
            events.push_back(Event::Header(Header { tags: keys, columns: module.columns }));
            events.push_back(Event::Rows(Batch {
                len: 1,
                name: Some(Column::Constant(Value::Text(module.name.into()))),
                tags: values.into_iter().map(|value| Column::Constant(Value::Text(value))).collect(),
                columns: module.values.into_iter().map(|value| Column::Values(vec![value])).collect(),
            }));
        }
        events
    }
}
