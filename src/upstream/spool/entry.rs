//! A write on disk: pure encoding and decoding.
//!
//! | bytes | what |
//! |---|---|
//! | 0–7 | when it came, milliseconds since 1970, little endian |
//! | 8 | 1: the body is gzip |
//! | 9–12 | length of path and query, little endian |
//! | 13– | path and query, then the body |
//!
//! No header of the client's is in it: the upstream's own token is added when it is delivered.

use bytes::Bytes;
use http::Uri;

/// The frame kind.
pub(super) const KIND: u8 = 2;

/// One write.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Entry {
    /// Milliseconds since 1970.
    pub(super) received: u64,
    pub(super) gzip: bool,
    /// Path and query of the native call.
    pub(super) uri: Uri,
    pub(super) body: Bytes,
}

impl Entry {
    /// Bytes on disk, nearly.
    pub(super) fn size(&self) -> u64 {
        let uri = self.uri.path_and_query().map_or(0, |path| path.as_str().len());
        (crate::wal::frame::HEADER + 13 + uri + self.body.len()) as u64
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let uri = self.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        out.extend_from_slice(&self.received.to_le_bytes());
        out.push(self.gzip.into());
        out.extend_from_slice(&u32::try_from(uri.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(uri.as_bytes());
        out.extend_from_slice(&self.body);
    }

    /// None when the bytes make no sense.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (received, rest) = bytes.split_first_chunk()?;
        let (gzip, rest) = rest.split_first()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (uri, body) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        Some(Self {
            received: u64::from_le_bytes(*received),
            gzip: match gzip {
                0 => false,
                1 => true,
                _ => return None,
            },
            uri: Uri::try_from(uri).ok().filter(|uri| uri.path_and_query().is_some())?,
            body: Bytes::copy_from_slice(body),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out(received: u64, gzip: bool, db in "[a-z%&=0-9]{0,40}", body in prop::collection::vec(any::<u8>(), 0..200)) {
            let entry = Entry { received, gzip, uri: format!("/api/v3/write_lp?{db}").parse().unwrap(), body: body.into() };
            let mut bytes = Vec::new();
            entry.encode(&mut bytes);
            prop_assert_eq!(Entry::decode(&bytes), Some(entry));
        }

        #[test]
        fn noise_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Entry::decode(&bytes);
        }
    }
}
