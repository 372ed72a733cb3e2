//! `SHOW SERIES`

use std::collections::BTreeSet;

use super::Plan;
use crate::{embedded::query::context::Budget, error::Error};

/// The keys of all series, as line protocol writes them, sorted.
pub(super) fn keys(plan: &Plan, budget: &Budget<'_>) -> Result<BTreeSet<Box<str>>, Error> {
    let mut keys = BTreeSet::new();
    for (name, tables) in &plan.found {
        budget.check()?;
        let mut bytes = 0;
        let prefix = escape(name, &[',', ' ']);
        plan.each_series(name, tables, &mut |schema, tags| {
            let mut key = prefix.clone();
            for (tag, value) in schema.tags.iter().zip(tags).filter(|(_, value)| !value.is_empty()) {
                key.push(',');
                key.push_str(&escape(tag, &[',', '=', ' ']));
                key.push('=');
                key.push_str(&escape(value, &[',', '=', ' ']));
            }
            bytes += key.len() + 48;
            keys.insert(key.into());
        })?;
        budget.take(bytes)?;
    }
    Ok(keys)
}

fn escape(text: &str, special: &[char]) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if special.contains(&c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
