//! Queries in logs: their beginning only, on one line, and never a password.

/// As much of a query as a log line needs.
const LONGEST: usize = 200;

/// The beginning of `q`, on one line. Quoted text behind the word `PASSWORD` (`CREATE USER … WITH PASSWORD '…'`, `SET PASSWORD FOR … =
/// '…'`) is left out, up to the end of the query and whatever the quotes: one that is wrong in a statement that is wrong is a
/// password all the same, and a semicolon may stand in a comment.
#[must_use]
pub fn shorten(q: &str) -> String {
    let mut out = String::with_capacity(q.len().min(LONGEST + 16));
    let mut chars = q.char_indices();
    let mut secret = false;
    while let Some((at, c)) = chars.next() {
        if out.len() >= LONGEST {
            out.push_str(&format!("… ({} bytes)", q.len()));
            break;
        }
        match c {
            '\'' | '"' => {
                let start = out.len();
                out.push(c);
                quoted(&mut chars, c, &mut out);
                if secret {
                    out.truncate(start);
                    out.push_str("[…]");
                }
            }
            c if c.is_control() => out.push(' '),
            c => {
                secret |= matches!(c, 'p' | 'P') && starts_with_password(q.get(at..).unwrap_or_default());
                out.push(c);
            }
        }
    }
    out
}

/// Takes what stands up to the closing quote. Bounded, since `out` is only looked at between tokens.
fn quoted(chars: &mut std::str::CharIndices<'_>, quote: char, out: &mut String) {
    let mut escaped = false;
    for (_, c) in chars.by_ref() {
        if out.len() < LONGEST {
            out.push(if c.is_control() { ' ' } else { c });
        }
        match c {
            '\\' if !escaped => escaped = true,
            c if c == quote && !escaped => return,
            _ => escaped = false,
        }
    }
}

fn starts_with_password(text: &str) -> bool {
    text.get(..8).is_some_and(|word| word.eq_ignore_ascii_case("password"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_stay_out() {
        for (q, expected) in [
            ("SELECT * FROM cpu", "SELECT * FROM cpu"),
            ("SELECT *\n\tFROM 'x'", "SELECT *  FROM 'x'"),
            ("CREATE USER \"a\" WITH PASSWORD 'secret'", "CREATE USER \"a\" WITH PASSWORD […]"),
            (
                "create user a with password 'se\\'cret' with all privileges",
                "create user a with password […] with all privileges",
            ),
            ("SET PASSWORD FOR a = 'secret'; SELECT 'x'", "SET PASSWORD FOR a = […]; SELECT […]"),
            ("SET PASSWORD FOR a = \"secret\"", "SET PASSWORD FOR a = […]"),
            ("SET PaSsWoRd/* ; */FOR a = 'secret'", "SET PaSsWoRd/* ; */FOR a = […]"),
            ("SET PASSWORD FOR a = 'never closed", "SET PASSWORD FOR a = […]"),
        ] {
            assert_eq!(shorten(q), expected, "{q}");
        }
    }

    #[test]
    fn long_queries_are_cut_at_a_character() {
        let q = format!("SELECT '{}' FROM {}", "ä".repeat(5000), "m".repeat(5000));
        let short = shorten(&q);
        assert!(short.len() < 2 * LONGEST && short.ends_with(&format!("… ({} bytes)", q.len())), "{short}");
        assert!(shorten(&"ß".repeat(1000)).len() < 2 * LONGEST);
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics_and_everything_is_short(q in ".{0,600}") {
            let short = shorten(&q);
            assert!(short.len() < 2 * LONGEST && !short.contains(char::is_control));
        }
    }
}
