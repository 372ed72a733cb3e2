//! All integration tests, in one binary: one link instead of many.

#[cfg(feature = "upstream")]
mod upstream;
