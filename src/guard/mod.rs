//! (being written)

mod layer;

pub use layer::{Guard, GuardLayer};
