//! Words that everybody uses.

use std::fmt;

/// What crosses layers when nothing more precise is known.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A boxed future, for the few dyn-safe traits.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Whose letter is followed where the seed document and InfluxDB 1.x disagree.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Profile {
    /// InfluxDB Cloud Serverless' v1 API, to the letter.
    #[default]
    Serverless,
    /// InfluxDB 1.x, to the letter.
    V1,
}

/// The unit of a timestamp: of `precision` on writes and of `epoch` on queries.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Precision {
    /// `n`, `ns`
    #[default]
    Nanosecond,
    /// `u`, `us`, `µ`
    Microsecond,
    /// `ms`
    Millisecond,
    /// `s`
    Second,
    /// `m`
    Minute,
    /// `h`
    Hour,
}

impl Precision {
    /// Nanoseconds in one unit.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        match self {
            Self::Nanosecond => 1,
            Self::Microsecond => 1_000,
            Self::Millisecond => 1_000_000,
            Self::Second => 1_000_000_000,
            Self::Minute => 60_000_000_000,
            Self::Hour => 3_600_000_000_000,
        }
    }
}

/// A credential. Neither `Debug` nor any other way of printing shows it; read it with [`Secret::expose`].
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    /// Keeps `secret` from being printed.
    #[must_use]
    pub fn new(secret: impl Into<Box<str>>) -> Self {
        Self(secret.into())
    }

    /// The secret itself; the name makes its uses easy to find.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
