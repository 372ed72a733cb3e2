//! Native replies → v1 answers, as a stream in bounded memory.
//!
//! ```text
//!  native reply ─▶ decode ─▶ batches of rows ─▶ cut into series ─▶ frame into documents ─▶ encode ─▶ 64 KiB frames
//!                  arrow                         name, tags         one, or chunks          JSON (pretty)
//!                  jsonl                         SLIMIT, SOFFSET                            CSV
//!                  v1 JSON                                                                  MessagePack
//! ```
//!
//! Four axes, four places: `decode` knows native replies, `writer` cuts and frames, `json`, `csv` and `msgpack` only encode. What
//! is written is, byte for byte, what InfluxDB 1.6.7 writes, with these exceptions:
//!
//! - `results` is never empty, and a statement after a failed one has a result of its own that says `not executed` (1.6.7 puts the failed
//!   statement's number there, and loses its error).
//! - CSV has a failed statement's error, in a block of its own; 1.x leaves it out.
//! - A reply that breaks off ends its open series, and the result carries `error`: valid JSON always, never a silent truncation.

mod columns;
mod csv;
mod decode;
mod format;
mod json;
mod msgpack;
mod number;
mod table;
mod time;
mod writer;

pub(crate) use columns::{Columns, FieldsAndTags, needs_schema, of_statement};
pub(crate) use decode::Reply;
pub use format::{accepted, error_document, media_type, version_headers};
pub(crate) use table::{Batch, Cell, Column, Event, Header, Value};
pub(crate) use time::zone;
pub(crate) use writer::{Answer, Message, Writer};

#[cfg(test)]
mod tests;
