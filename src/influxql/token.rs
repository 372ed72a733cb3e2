//! Kinds of tokens, their names in messages, and keywords.

use super::ast::BinaryOp;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal),* ; $($key:ident = $word:literal),* $(,)?) => {
        /// What a token is. The name in messages of a token without text of its own is [`Kind::name`].
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(super) enum Kind {
            $($(#[$doc])* $name,)*
            $($key,)*
        }

        impl Kind {
            /// How messages call it.
            pub(super) const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                    $(Self::$key => $word,)*
                }
            }
        }

        /// Every keyword in upper case; sorted by nothing, used by tests and to build the table below.
        const KEYWORDS: &[(&str, Kind)] = &[$(($word, Kind::$key)),*];
    };
}

kinds! {
    /// A character that starts no token.
    Illegal = "ILLEGAL",
    Eof = "EOF",
    /// Spaces, tabs and newlines in a row.
    Space = "WS",
    Comment = "",
    Ident = "IDENT",
    /// `$name` for which there is no value.
    BoundParam = "",
    Number = "NUMBER",
    Integer = "",
    DurationVal = "DURATIONVAL",
    Str = "STRING",
    /// A string without its closing quote.
    BadString = "BADSTRING",
    /// A string with an unknown escape; its text is the escape.
    BadEscape = "BADESCAPE",
    Regex = "REGEX",
    /// A regular expression without its closing slash.
    BadRegex = "",
    Add = "+",
    Sub = "-",
    Mul = "*",
    Div = "/",
    Mod = "%",
    BitAnd = "&",
    BitOr = "|",
    BitXor = "^",
    Eq = "=",
    NotEq = "!=",
    EqRegex = "=~",
    NotEqRegex = "!~",
    Lt = "<",
    LtEq = "<=",
    Gt = ">",
    GtEq = ">=",
    LParen = "(",
    RParen = ")",
    Comma = ",",
    Colon = ":",
    DoubleColon = "::",
    Semicolon = ";",
    Dot = "."
    ;
    True = "TRUE",
    False = "FALSE",
    And = "AND",
    Or = "OR",
    In = "IN",
    All = "ALL",
    Alter = "ALTER",
    Analyze = "ANALYZE",
    Any = "ANY",
    As = "AS",
    Asc = "ASC",
    Begin = "BEGIN",
    By = "BY",
    Cardinality = "CARDINALITY",
    Create = "CREATE",
    Continuous = "CONTINUOUS",
    Database = "DATABASE",
    Databases = "DATABASES",
    Default = "DEFAULT",
    Delete = "DELETE",
    Desc = "DESC",
    Destinations = "DESTINATIONS",
    Diagnostics = "DIAGNOSTICS",
    Distinct = "DISTINCT",
    Drop = "DROP",
    Duration = "DURATION",
    End = "END",
    Every = "EVERY",
    Exact = "EXACT",
    Explain = "EXPLAIN",
    Field = "FIELD",
    For = "FOR",
    From = "FROM",
    Grant = "GRANT",
    Grants = "GRANTS",
    Group = "GROUP",
    Groups = "GROUPS",
    Inf = "INF",
    Insert = "INSERT",
    Into = "INTO",
    Key = "KEY",
    Keys = "KEYS",
    Kill = "KILL",
    Limit = "LIMIT",
    Measurement = "MEASUREMENT",
    Measurements = "MEASUREMENTS",
    Name = "NAME",
    Offset = "OFFSET",
    On = "ON",
    Order = "ORDER",
    Password = "PASSWORD",
    Policy = "POLICY",
    Policies = "POLICIES",
    Privileges = "PRIVILEGES",
    Queries = "QUERIES",
    Query = "QUERY",
    Read = "READ",
    Replication = "REPLICATION",
    Resample = "RESAMPLE",
    Retention = "RETENTION",
    Revoke = "REVOKE",
    Select = "SELECT",
    Series = "SERIES",
    Set = "SET",
    Show = "SHOW",
    Shard = "SHARD",
    Shards = "SHARDS",
    Slimit = "SLIMIT",
    Soffset = "SOFFSET",
    Stats = "STATS",
    Subscription = "SUBSCRIPTION",
    Subscriptions = "SUBSCRIPTIONS",
    Tag = "TAG",
    To = "TO",
    User = "USER",
    Users = "USERS",
    Values = "VALUES",
    Where = "WHERE",
    With = "WITH",
    Write = "WRITE",
}

/// Longest keyword, `SUBSCRIPTIONS`.
const LONGEST: usize = 13;
/// Slots of [`TABLE`]; a power of two, so that few words share a slot.
const SLOTS: usize = 512;

/// An open-addressed table over [`KEYWORDS`], built at compile time: an identifier costs one hash and mostly one comparison.
static TABLE: [u8; SLOTS] = table();

const fn hash(word: &[u8]) -> usize {
    let mut sum = word.len() as u32;
    let mut i = 0;
    while i < word.len() {
        #[allow(clippy::indexing_slicing, reason = "`i` is below the length; `get` isn't const")]
        let byte = word[i];
        sum = sum.wrapping_mul(31).wrapping_add((byte | 0x20) as u32);
        i += 1;
    }
    (sum ^ (sum >> 9)) as usize % SLOTS
}

#[allow(clippy::indexing_slicing, reason = "evaluated at compile time, where an index out of bounds is a compile error")]
const fn table() -> [u8; SLOTS] {
    let mut table = [u8::MAX; SLOTS];
    let mut i = 0;
    while i < KEYWORDS.len() {
        let mut slot = hash(KEYWORDS[i].0.as_bytes());
        while table[slot] != u8::MAX {
            slot = (slot + 1) % SLOTS;
        }
        table[slot] = i as u8;
        i += 1;
    }
    table
}

impl Kind {
    /// The keyword that `word` is, in any capitalisation.
    pub(super) fn keyword(word: &str) -> Option<Self> {
        if word.len() < 2 || word.len() > LONGEST {
            return None;
        }
        let mut slot = hash(word.as_bytes());
        loop {
            let (text, kind) = KEYWORDS.get(usize::from(*TABLE.get(slot)?))?;
            if text.eq_ignore_ascii_case(word) {
                return Some(*kind);
            }
            slot = (slot + 1) % SLOTS;
        }
    }

    /// The binary operator it is.
    pub(super) const fn operator(self) -> Option<BinaryOp> {
        Some(match self {
            Self::Or => BinaryOp::Or,
            Self::And => BinaryOp::And,
            Self::Eq => BinaryOp::Eq,
            Self::NotEq => BinaryOp::NotEq,
            Self::EqRegex => BinaryOp::EqRegex,
            Self::NotEqRegex => BinaryOp::NotEqRegex,
            Self::Lt => BinaryOp::Lt,
            Self::LtEq => BinaryOp::LtEq,
            Self::Gt => BinaryOp::Gt,
            Self::GtEq => BinaryOp::GtEq,
            Self::Add => BinaryOp::Add,
            Self::Sub => BinaryOp::Sub,
            Self::BitOr => BinaryOp::BitOr,
            Self::BitXor => BinaryOp::BitXor,
            Self::Mul => BinaryOp::Mul,
            Self::Div => BinaryOp::Div,
            Self::Mod => BinaryOp::Mod,
            Self::BitAnd => BinaryOp::BitAnd,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keyword_is_found_in_any_capitalisation_and_nothing_else() {
        for (word, kind) in KEYWORDS {
            assert_eq!(Kind::keyword(word), Some(*kind));
            assert_eq!(Kind::keyword(&word.to_lowercase()), Some(*kind));
            let longer = format!("{word}x");
            if !KEYWORDS.iter().any(|(other, _)| other.eq_ignore_ascii_case(&longer)) {
                assert_eq!(Kind::keyword(&longer), None);
            }
        }
        for word in ["", "a", "fill", "time", "tz", "value", "now", "usage_user", "selec", "s\u{e9}lect", "@n"] {
            assert_eq!(Kind::keyword(word), None, "{word}");
        }
        assert_eq!(KEYWORDS.iter().map(|(word, _)| word.len()).max(), Some(LONGEST));
    }
}
