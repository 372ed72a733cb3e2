//! Regular expressions.

/// x
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("error parsing regexp: {0}")]
pub struct RegexError(String);

/// x
pub fn check(_pattern: &str) -> Result<(), RegexError> {
    Ok(())
}
