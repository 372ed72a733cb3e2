//! The configured mapping.

use super::Mapping;

/// Configured mappings, sorted so that a look-up needs neither a hash nor an allocation.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Table(Box<[Mapping]>);

impl Table {
    /// The mapping for (`db`, `rp`), or the database's default one when `rp` is absent.
    #[must_use]
    pub fn get(&self, db: &str, rp: Option<&str>) -> Option<&Mapping> {
        let rows = self.database(db);
        match rp {
            Some(rp) => {
                let at = rows.binary_search_by(|row| (*row.retention_policy).cmp(rp)).ok()?;
                rows.get(at)
            }
            None => rows.iter().find(|row| row.default),
        }
    }

    /// All mappings of a database, by retention policy.
    #[must_use]
    pub fn database(&self, db: &str) -> &[Mapping] {
        let start = self.0.partition_point(|row| *row.database < *db);
        let rest = self.0.get(start..).unwrap_or_default();
        let len = rest.partition_point(|row| *row.database == *db);
        rest.get(..len).unwrap_or_default()
    }
}

impl From<Vec<Mapping>> for Table {
    fn from(mut rows: Vec<Mapping>) -> Self {
        rows.sort_by(|a, b| (&a.database, &a.retention_policy).cmp(&(&b.database, &b.retention_policy)));
        Self(rows.into())
    }
}

impl std::ops::Deref for Table {
    type Target = [Mapping];

    fn deref(&self) -> &[Mapping] {
        &self.0
    }
}
