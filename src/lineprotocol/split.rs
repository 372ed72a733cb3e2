//! Where a line ends: 1.x lets strings hold newlines, and a backslash protects one.

use memchr::{memchr, memchr2};

/// Takes the first line off `body`: the line without its newline, and the rest.
///
/// 1.x looks for the newline before it looks for comments, so that a quote in a comment swallows the lines behind it; here a comment
/// ends with its line.
pub(super) fn split_line(body: &[u8]) -> (&[u8], &[u8]) {
    let plain = memchr(b'\n', body).unwrap_or(body.len());
    let line = body.get(..plain).unwrap_or(body);
    // Only quotes and backslashes can carry a line beyond its newline; most lines have neither.
    let end = if memchr2(b'"', b'\\', line).is_none() || is_comment(line) { plain } else { end_of_line(body) };
    (body.get(..end).unwrap_or(body), body.get(end + 1..).unwrap_or_default())
}

/// Drops leading white space as 1.x does: blanks, tabs and NUL.
pub(super) fn trim_start(line: &[u8]) -> &[u8] {
    let start = line.iter().position(|&byte| !is_space(byte)).unwrap_or(line.len());
    line.get(start..).unwrap_or_default()
}

pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0)
}

fn is_comment(line: &[u8]) -> bool {
    trim_start(line).first() == Some(&b'#')
}

/// The newline that ends the first line. Quotes count only in values: behind the first blank, when an `=` has been seen that no comma
/// has closed.
fn end_of_line(body: &[u8]) -> usize {
    let (mut quoted, mut in_fields, mut equals, mut commas) = (false, false, 0_usize, 0_usize);
    let mut at = 0;
    while let Some(&byte) = body.get(at) {
        match byte {
            // 1.x leaves a backslash alone when only one byte follows it.
            b'\\' if at + 2 < body.len() => at += 1,
            b' ' => in_fields = true,
            b'=' if in_fields && !quoted => equals += 1,
            b',' if in_fields && !quoted => commas += 1,
            b'"' if in_fields && equals > commas => quoted = !quoted,
            b'\n' if !quoted => return at,
            _ => {}
        }
        at += 1;
    }
    body.len()
}
