//! The whole stack as one [`tower_layer::Layer`]: the only file that knows the order of the layers.

/// (being written)
#[derive(Clone, Debug)]
pub struct V1ShimLayer;

/// (being written)
#[derive(Clone, Debug)]
pub struct V1Shim<S> {
    /// (being written)
    _inner: S,
}
