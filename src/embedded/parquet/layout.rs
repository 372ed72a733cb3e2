//! Names of files and columns.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

/// Longest encoded name of a table; longer ones are cut and get a hash.
const MAX_NAME: usize = 120;

/// `files/<bucket>/<table>/<partition start>/<sequence>.parquet`
pub(super) fn path(bucket: u64, table: &str, start: i64, seq: u64) -> String {
    format!("files/{bucket}/{}/{start}/{seq:020}.parquet", encode(table))
}

/// A name that every file system and object store takes as it is: letters, digits, `_` and `-` stay, other bytes become `+XX`.
fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("+{byte:02X}"));
        }
    }
    if out.len() > MAX_NAME {
        out.truncate(MAX_NAME);
        let hash = Sha256::digest(name);
        out.push_str(&format!("++{:02x}{:02x}{:02x}{:02x}{:02x}{:02x}", hash[0], hash[1], hash[2], hash[3], hash[4], hash[5]));
    }
    out
}

/// Names of columns: `time`, the tags, the fields. A field that is called like a tag gets a number behind its name, as in 1.x's `SELECT *`.
pub(super) fn columns(tags: &[Box<str>], fields: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = std::iter::once("time".to_owned()).chain(tags.iter().map(ToString::to_string)).collect();
    let mut taken: HashSet<String> = names.iter().cloned().chain(fields.iter().map(ToString::to_string)).collect();
    let tags: HashSet<&str> = tags.iter().map(AsRef::as_ref).collect();
    for field in fields {
        let mut name = (*field).to_owned();
        let mut number = 0;
        while tags.contains(&*name) || number > 0 && !taken.insert(name.clone()) {
            number += 1;
            name = format!("{field}_{number}");
        }
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_safe_and_different() {
        assert_eq!(path(7, "cpu", -259_200_000_000_000, 3), "files/7/cpu/-259200000000000/00000000000000000003.parquet");
        for (name, encoded) in
            [("odd name", "odd+20name"), ("..", "+2E+2E"), ("a/b", "a+2Fb"), ("é", "+C3+A9"), ("a+2Fb", "a+2B2Fb")]
        {
            assert_eq!(encode(name), encoded);
        }
        let (a, b) = (encode(&"x".repeat(500)), encode(&"x".repeat(501)));
        assert!(a.len() < 140 && a != b);
    }

    #[test]
    fn columns_are_called_differently() {
        let tags = ["f".into(), "host".into()];
        assert_eq!(columns(&tags, &["a", "f", "f_1", "g"]), ["time", "f", "host", "a", "f_2", "f_1", "g"]);
    }
}
