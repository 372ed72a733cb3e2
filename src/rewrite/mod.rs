//! (being written)

mod layer;

pub use layer::{Rewrite, RewriteLayer};
