//! (being written)

mod layer;

pub use layer::{Params, ParamsFuture, ParamsLayer};
