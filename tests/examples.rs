//! The examples do what their first lines promise.

mod axum_layer;
mod http;
#[cfg(feature = "server")]
mod stories;
