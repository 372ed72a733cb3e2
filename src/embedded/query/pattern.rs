//! Regular expressions in Go's syntax (RE2): the same family as Rust's, but that the Perl classes are ASCII and `\Q…\E` quotes.

use std::sync::Arc;

use regex::Regex;

use crate::error::Error;

/// Largest compiled pattern, in bytes: a hostile one must not take the memory.
const SIZE_LIMIT: usize = 4 << 20;

/// Compiles a pattern that was written for Go.
pub(super) fn compile(pattern: &str) -> Result<Arc<Regex>, Error> {
    regex::RegexBuilder::new(&translate(pattern))
        .size_limit(SIZE_LIMIT)
        .build()
        .map(Arc::new)
        .map_err(|_| Error::invalid(format!("invalid regular expression '{pattern}'")))
}

/// The same pattern for Rust's engine.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.chars();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('d') => out.push_str(if in_class { "0-9" } else { "[0-9]" }),
                Some('D') => out.push_str("[^0-9]"),
                Some('w') => out.push_str(if in_class { "0-9A-Za-z_" } else { "[0-9A-Za-z_]" }),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                Some('s') => out.push_str(if in_class { r"\t\n\f\r " } else { r"[\t\n\f\r ]" }),
                Some('S') => out.push_str(r"[^\t\n\f\r ]"),
                Some('b') if !in_class => out.push_str(r"(?-u:\b)"),
                Some('B') if !in_class => out.push_str(r"(?-u:\B)"),
                Some('Q') => {
                    let rest = chars.as_str();
                    let (quoted, after) = rest.split_once(r"\E").unwrap_or((rest, ""));
                    out.push_str(&regex::escape(quoted));
                    chars = after.chars();
                }
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            '[' if in_class => {
                // Go takes a bracket inside a class literally, unless it opens `[:alpha:]`; Rust would nest.
                out.push_str(if chars.as_str().starts_with(':') { "[" } else { r"\[" });
                if chars.as_str().starts_with(':')
                    && let Some(end) = chars.as_str().find(":]")
                {
                    let (name, after) = chars.as_str().split_at(end + 2);
                    out.push_str(name);
                    chars = after.chars();
                }
            }
            '[' => {
                in_class = true;
                out.push('[');
                if chars.as_str().starts_with('^') {
                    out.push('^');
                    chars.next();
                }
                if chars.as_str().starts_with(']') {
                    out.push_str(r"\]");
                    chars.next();
                }
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            // Rust's set operations don't exist in Go.
            '&' | '~' if in_class => out.extend(['\\', c]),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::compile;

    #[test]
    fn patterns_of_go() {
        for (pattern, text, matches) in [
            (r"^\d+$", "12", true),
            (r"^\d+$", "٣", false),
            (r"^[\w-]+$", "a-b_1", true),
            (r"^\w$", "ü", false),
            (r"^.$", "ü", true),
            (r"a\Q.*\Eb", "a.*b", true),
            (r"a\Q.*\Eb", "axxb", false),
            (r"[[:alpha:]]x", "bx", true),
            (r"[[]", "[", true),
            (r"[]]", "]", true),
            (r"(?i)ABC", "xabcx", true),
            (r"[a&&b]", "&", true),
            (r"", "anything", true),
        ] {
            assert_eq!(compile(pattern).unwrap().is_match(text), matches, "/{pattern}/ on '{text}'");
        }
        assert_eq!(compile("(").unwrap_err().message(), "invalid regular expression '('");
    }
}
