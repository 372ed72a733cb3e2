//! (being written)

mod format;

pub use format::{accepted, error_document, media_type, version_headers};
