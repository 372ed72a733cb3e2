//! Groups, and the groups of the outermost query that they are parts of.

use std::{collections::HashMap, sync::Arc};

use super::super::{
    ir::{Select, Table},
    rows::{Groups, Key},
};

/// Numbers groups and outer groups in the order in which they turn up.
pub(super) struct Grouping<'a> {
    select: &'a Select,
    groups: Groups,
    /// Where the tags of the outer groups are among those of the groups.
    places: Vec<usize>,
    outers: HashMap<Key, usize>,
    outer_keys: Vec<Key>,
    /// Of each group its outer group.
    outer_of: Vec<usize>,
    /// Of each outer group its groups.
    members: Vec<Vec<usize>>,
}

impl<'a> Grouping<'a> {
    pub(super) fn new(select: &'a Select) -> Self {
        Self {
            select,
            groups: Groups::default(),
            places: select.outer_places(),
            outers: HashMap::new(),
            outer_keys: Vec::new(),
            outer_of: Vec::new(),
            members: Vec::new(),
        }
    }

    /// The number of the group of a series, and that of its outer group. Where they are the same, so are the numbers.
    pub(super) fn of(&mut self, tags: &Key, table: &Table) -> (usize, usize) {
        let group = self.groups.of(tags, table);
        if group == self.outer_of.len() {
            let key = &self.groups.keys[group];
            let key: Key = self.places.iter().map(|place| key[*place].clone()).collect();
            let outer = *self.outers.entry(Arc::clone(&key)).or_insert_with(|| {
                self.outer_keys.push(key);
                self.members.push(Vec::new());
                self.outer_keys.len() - 1
            });
            self.outer_of.push(outer);
            self.members[outer].push(group);
        }
        (group, self.outer_of[group])
    }

    /// Another table's tags mean something else.
    pub(super) fn next_table(&mut self) {
        self.groups.next_table();
    }

    /// The groups of an outer group, as they turned up.
    pub(super) fn members(&self, outer: usize) -> &[usize] {
        &self.members[outer]
    }

    /// The values of a group's tags.
    pub(super) fn key(&self, group: usize) -> Key {
        Arc::clone(&self.groups.keys[group])
    }

    /// Outer groups, sorted, each with its groups, which are always sorted upwards.
    pub(super) fn sorted(&self, descending: bool) -> Vec<(usize, Vec<usize>)> {
        let mut outers: Vec<(usize, Vec<usize>)> = self.members.iter().cloned().enumerate().collect();
        outers.sort_by(|a, b| self.outer_keys[a.0].cmp(&self.outer_keys[b.0]));
        if descending {
            outers.reverse();
        }
        if self.select.mixes_groups() {
            for (_, members) in &mut outers {
                members.sort_by(|a, b| self.groups.keys[*a].cmp(&self.groups.keys[*b]));
            }
        }
        outers
    }
}
