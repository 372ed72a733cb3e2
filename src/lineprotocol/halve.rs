//! Cutting a batch in two.

use super::split::split_line;

/// Where to cut a body in two so that no line is torn, and the number of lines before the cut: the first end of a line in the second half,
/// or else the last one in the first half. None for a body of one line.
///
/// ```
/// use v1shim::lineprotocol::halve;
///
/// assert_eq!(halve(b"a v=1\nb v=2\nc v=3"), Some((12, 2)));
/// assert_eq!(halve(b"a v=1\n"), None);
/// ```
#[must_use]
pub fn halve(body: &[u8]) -> Option<(usize, u64)> {
    let (mut rest, mut lines, mut before) = (body, 0, None);
    while !rest.is_empty() {
        let (_, tail) = split_line(rest);
        rest = tail;
        lines += 1;
        let at = body.len() - rest.len();
        if !rest.is_empty() {
            before = Some((at, lines));
            if at >= body.len() / 2 {
                break;
            }
        }
    }
    before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_between_lines() {
        let table: [(&str, Option<(usize, u64)>); 8] = [
            ("", None),
            ("m v=1", None),
            ("m v=1\n", None),
            ("\n\n", Some((1, 1))),
            ("m v=1\nm v=2", Some((6, 1))),
            ("m v=1\nm v=2222222222222222222222\n", Some((6, 1))),
            ("m v=1111111111111111111\nm v=2\n", Some((24, 1))),
            // A newline within a string ends no line.
            ("m v=\"1\n2\n3\n4\n5\n6\"\nm v=2\n", Some((18, 1))),
        ];
        for (body, expected) in table {
            assert_eq!(halve(body.as_bytes()), expected, "{body:?}");
        }
    }
}
