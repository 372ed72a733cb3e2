//! InfluxQL: lexer, parser, tree, printer, visitor, policy. Knows nothing of HTTP or of databases.
//!
//! ```
//! use v1shim::influxql::{Limits, Params, parse};
//!
//! let query = parse("select MEAN(usage) from cpu where time > now() - 1h", &Params::default(), Limits::default())?;
//! assert_eq!(query[0].to_string(), "SELECT mean(usage) FROM cpu WHERE time > now() - 1h");
//! let error = parse("SELECT usage", &Params::default(), Limits::default()).unwrap_err();
//! assert_eq!(error.to_string(), "error parsing query: found EOF, expected FROM at line 1, char 14");
//! # Ok::<(), v1shim::influxql::Error>(())
//! ```

pub mod ast;
mod bind;
pub mod duration;
mod error;
mod lexer;
mod parse;
pub mod policy;
mod print;
pub mod regex;
mod span;
pub mod time;
mod token;
pub mod validate;
pub mod visit;

pub use ast::{Statement, StatementKind};
pub use bind::{Param, Params};
pub use error::Error;
pub use parse::{Parsed, parse, parse_all};
pub use policy::{Verb, is_read_only, verb, verbs};
pub use print::{quote_ident, quote_string};
pub use span::Span;
pub use validate::validate;

/// Bounds on what is parsed.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest query text, in bytes.
    pub max_len: usize,
    /// Deepest nesting of parentheses, subqueries and calls.
    pub max_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_len: 1 << 20, max_depth: 64 }
    }
}
