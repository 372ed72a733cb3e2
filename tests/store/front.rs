//! POSTs and GETs to the store itself.
