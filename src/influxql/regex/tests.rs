use super::{check, compile};

#[test]
fn what_go_takes_is_taken_and_means_what_it_means_in_go() {
    // Pattern, what it matches, what it doesn't.
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("", &["", "a"], &[]),
        ("cpu", &["cpu", "xcpux"], &["CPU"]),
        ("^server0[1-3]$", &["server01"], &["server04", "server01\n", "xserver01"]),
        ("(?i)CPU", &["cpu"], &[]),
        ("(?P<host>a|b)c", &["ac"], &["c"]),
        (r"^\d+$", &["12"], &["٣", "a"]),
        (r"^\w+$", &["a_1"], &["é"]),
        (r"^\s$", &[" "], &["\u{a0}"]),
        (r"^[\d\-x]+$", &["1-x"], &["y"]),
        (r"^[^\D]$", &["1"], &["a"]),
        (r"\bb\b", &["a b c"], &["abc"]),
        ("^a{,5}$", &["a{,5}"], &["aa"]),
        ("^a{2}$", &["aa"], &["a"]),
        ("^a{1,}?$", &["aa"], &[""]),
        ("^x{$", &["x{"], &[]),
        ("^}]$", &["}]"], &[]),
        (r"^\Qa.b*\E$", &["a.b*"], &["aab"]),
        ("^[a&&b]+$", &["a&b"], &["c"]),
        ("^[+--c~~]+$", &["~,c"], &["d"]),
        ("^[[a]+$", &["[a"], &["b"]),
        ("^[]a]+$", &["]a"], &["b"]),
        ("^[[:alpha:]_]+$", &["a_"], &["1"]),
        ("^[a-]$", &["-"], &["b"]),
        (r"^\.\/\-\_\<$", &["./-_<"], &[]),
        (r"^\x41\x{42}\103$", &["ABC"], &[]),
        (r"^\pL\p{Greek}\P{^Lu}$", &["aαA"], &["1αA"]),
        ("^.$", &["é"], &["\n"]),
        ("(?s)^.$", &["\n"], &[]),
        ("(?U)a+", &["aa"], &[]),
        ("(?:a|b)+", &["ab"], &["c"]),
        ("a b#c", &["a b#c"], &["abc"]),
    ];
    for (pattern, yes, no) in cases {
        assert_eq!(check(pattern), Ok(()), "{pattern}");
        let regex = compile(pattern).unwrap();
        for text in *yes {
            assert!(regex.is_match(text), "{pattern} on {text:?}");
        }
        for text in *no {
            assert!(!regex.is_match(text), "{pattern} on {text:?}");
        }
    }
}

#[test]
fn what_go_refuses_is_refused_in_its_words() {
    let cases = [
        ("*", "missing argument to repetition operator: `*`"),
        ("a|*", "missing argument to repetition operator: `*`"),
        ("(+?)", "missing argument to repetition operator: `+?`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("a*?+", "invalid nested repetition operator: `*?+`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("a{2,1}", "invalid repeat count: `{2,1}`"),
        ("[a", "missing closing ]: `[a`"),
        ("x[", "missing closing ]: `[`"),
        ("[z-a]", "invalid character class range: `z-a`"),
        ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
        ("(a", "missing closing ): `(a`"),
        ("a)", "unexpected ): `a)`"),
        ("a\\", "trailing backslash at end of expression: ``"),
        ("\\y", "invalid escape sequence: `\\y`"),
        ("\\1", "invalid escape sequence: `\\1`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("(?<n>a)", "invalid or unsupported Perl syntax: `(?<`"),
        ("(?", "invalid or unsupported Perl syntax: `(?`"),
        ("(?-)", "invalid or unsupported Perl syntax: `(?-)`"),
        ("(?i-:a)", "invalid or unsupported Perl syntax: `(?i-:`"),
        ("(?--i)", "invalid or unsupported Perl syntax: `(?--`"),
        ("\\p", "invalid character class range: `\\p`"),
        ("\\p{L", "invalid character class range: `\\p{L`"),
        ("\\x4", "invalid escape sequence: `\\x4`"),
        ("\\x{110000}", "invalid escape sequence: `\\x{110000`"),
        ("\\Q\\E*", "missing argument to repetition operator: `*`"),
        ("(?i)*", "missing argument to repetition operator: `*`"),
        ("[]", "missing closing ]: `[]`"),
        ("a{1}{2}", "invalid nested repetition operator: `{1}{2}`"),
        ("(?P<n", "invalid named capture: `(?P<n`"),
        ("(?P<n!>a)", "invalid named capture: `(?P<n!>`"),
    ];
    for (pattern, message) in cases {
        assert_eq!(check(pattern).unwrap_err().to_string(), format!("error parsing regexp: {message}"), "{pattern}");
        assert!(compile(pattern).is_err(), "{pattern}");
    }
}

#[test]
fn large_expressions_are_refused_and_deep_ones_too() {
    let error = compile(r"(?:\pL{1000}){1000}").unwrap_err();
    assert_eq!(error.to_string(), "error parsing regexp: expression is too large");
    assert!(check(&"(".repeat(100_000)).is_err());
    assert!(compile(&format!("{}a{}", "(".repeat(150), ")".repeat(150))).is_ok());
}

#[test]
fn an_unknown_unicode_class_is_refused_when_it_is_compiled() {
    let error = compile(r"\p{Klingon}").unwrap_err().to_string();
    assert!(error.starts_with("error parsing regexp: ") && error.contains(r"`\p{Klingon}`"), "{error}");
}

proptest::proptest! {
    #[test]
    fn whatever_is_checked_is_compiled_or_too_large(pattern in r"[\[\](){}|*+?^$.\\a-cdDwWsSbpQEx0-3,:P<>=!&~#_ é-]{0,24}") {
        match (check(&pattern), compile(&pattern)) {
            (Ok(()), Err(error)) => {
                let error = error.to_string();
                proptest::prop_assert!(error.contains("too large") || pattern.contains("\\p") || pattern.contains("\\P"), "{}", error);
            }
            (Err(_), Ok(_)) => proptest::prop_assert!(false, "compiled"),
            _ => {}
        }
    }
}
