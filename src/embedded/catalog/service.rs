//! The catalog for the resolver of `db` and `rp`.

use std::sync::Arc;

use super::Catalog;
use crate::{
    access::Identity,
    dbrp::{self, Mapping},
    embedded::{Engine, engine::blocking},
    error::Error,
    types::BoxFuture,
};

impl Engine {
    /// Buckets and mappings, for the resolver of `db` and `rp`.
    #[must_use]
    pub fn catalog(&self) -> Arc<dyn dbrp::Catalog> {
        Arc::new(Shared(Arc::clone(&self.0.catalog)))
    }
}

#[derive(Debug)]
struct Shared(Arc<Catalog>);

impl dbrp::Catalog for Shared {
    fn resolve<'a>(
        &'a self,
        _: &'a Identity,
        db: &'a str,
        rp: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Option<Box<str>>, Error>> {
        Box::pin(std::future::ready(Ok(self.0.resolve(db, rp).map(|bucket| (&*bucket.name).into()))))
    }

    fn create<'a>(&'a self, _: &'a Identity, db: &'a str, rp: Option<&'a str>) -> BoxFuture<'a, Result<Box<str>, Error>> {
        let catalog = Arc::clone(&self.0);
        let (db, rp): (Box<str>, Option<Box<str>>) = (db.into(), rp.map(Into::into));
        Box::pin(async move {
            let bucket = blocking(move || catalog.provide(&db, rp.as_deref())).await??;
            Ok((&*bucket.name).into())
        })
    }

    fn list<'a>(&'a self, _: &'a Identity) -> BoxFuture<'a, Result<Vec<Mapping>, Error>> {
        Box::pin(std::future::ready(Ok(self.0.mappings().into_iter().map(|(_, _, mapping)| mapping).collect())))
    }
}
