//! (being written)

mod layer;

pub use layer::{Auth, AuthLayer};
