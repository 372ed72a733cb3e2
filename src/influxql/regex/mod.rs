//! Regular expressions: InfluxQL has Go's (RE2) syntax, for the `regex` crate it is translated.
//!
//! The two are cousins, but `\d`, `\w`, `\s` and `\b` are about ASCII in Go, a brace that starts no repetition stands for itself, and
//! `[a&&b]` is a class of three characters.

mod walk;

use super::ast::RegexLit;

/// Most memory of one compiled expression, in bytes.
const SIZE_LIMIT: usize = 2 << 20;

/// Why a regular expression is refused; `Display` is 1.x's message.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RegexError {
    /// It isn't one: what is wrong, and the part of it where.
    #[error("error parsing regexp: {0}: `{1}`")]
    Syntax(&'static str, Box<str>),
    /// It is one, but can't be compiled: most often it is too large.
    #[error("error parsing regexp: {0}")]
    Compile(Box<str>),
}

/// Whether `pattern` is a regular expression in Go's syntax. Fast enough to be done while parsing; it doesn't compile.
///
/// # Errors
/// The first mistake in it, in Go's words.
pub fn check(pattern: &str) -> Result<(), RegexError> {
    walk::walk(pattern, &mut walk::Nothing)
}

/// Compiles a pattern of Go's syntax. It matches anywhere in a text, and takes time linear in the text.
///
/// # Errors
/// When it is no regular expression, or becomes too large.
pub fn compile(pattern: &str) -> Result<::regex::Regex, RegexError> {
    let mut translated = String::with_capacity(pattern.len() + 16);
    walk::walk(pattern, &mut translated)?;
    let mut builder = ::regex::RegexBuilder::new(&translated);
    builder.size_limit(SIZE_LIMIT).dfa_size_limit(SIZE_LIMIT);
    builder.build().map_err(|error| match error {
        ::regex::Error::CompiledTooBig(_) => RegexError::Compile("expression is too large".into()),
        other => {
            // The crate's message draws the pattern over several lines; the last says why.
            let text = other.to_string();
            let why = text.lines().next_back().unwrap_or_default();
            RegexError::Compile(format!("{}: `{pattern}`", why.trim_start_matches("error: ")).into())
        }
    })
}

impl RegexLit {
    /// Compiles it, see [`compile`].
    ///
    /// # Errors
    /// When it becomes too large; its syntax was checked by the parser.
    pub fn compile(&self) -> Result<::regex::Regex, RegexError> {
        compile(&self.pattern)
    }
}

#[cfg(test)]
mod tests;
