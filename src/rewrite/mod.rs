//! (being written)

mod headers;
mod layer;
mod plan;
mod query;
mod schema;
mod show;
mod statement;
mod write;

pub use layer::{MissingLayer, Rewrite, RewriteLayer};
