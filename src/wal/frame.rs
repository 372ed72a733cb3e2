//! Frames: pure encoding and decoding, no files.
//!
//! | bytes | what |
//! |---|---|
//! | 0–3 | magic `v1wl` |
//! | 4 | version, 1 |
//! | 5 | kind |
//! | 6–7 | zero |
//! | 8–11 | length of the payload, little endian |
//! | 12–15 | CRC-32 of bytes 4–11 and the payload, little endian |
//! | 16– | payload |

use thiserror::Error;

/// Bytes before the payload.
pub const HEADER: usize = 16;
/// Longest payload; a longer length is taken for corruption rather than believed.
pub const MAX_PAYLOAD: usize = 1 << 30;

const MAGIC: [u8; 4] = *b"v1wl";
const VERSION: u8 = 1;

/// A frame that was read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frame<'a> {
    /// What the payload is.
    pub kind: u8,
    /// The payload, its checksum verified.
    pub payload: &'a [u8],
    /// Bytes of the whole frame.
    pub len: usize,
}

/// Why a frame can't be read.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum FrameError {
    /// The bytes end before the frame does.
    #[error("the frame is cut short")]
    Incomplete,
    /// It doesn't begin as a frame does.
    #[error("no frame begins here")]
    Magic,
    /// Another program version wrote it.
    #[error("frame version {0} is not known")]
    Version(u8),
    /// The length makes no sense.
    #[error("a frame length of {0} bytes is not possible")]
    Length(u32),
    /// The checksum differs.
    #[error("the checksum differs")]
    Checksum,
}

/// Appends a frame to `out`; `payload` writes its payload behind what is there and returns its kind.
///
/// # Errors
/// `Length` when the payload is too long; `out` is then as it was.
pub fn encode(out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>) -> u8) -> Result<(), FrameError> {
    let start = out.len();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[VERSION, 0, 0, 0]);
    out.extend_from_slice(&[0; 8]);
    let kind = payload(out);
    let len = out.len() - start - HEADER;
    let Some(encoded) = u32::try_from(len).ok().filter(|_| len <= MAX_PAYLOAD) else {
        out.truncate(start);
        return Err(FrameError::Length(u32::try_from(len).unwrap_or(u32::MAX)));
    };
    let Some((header, payload)) = out.get_mut(start..).and_then(<[u8]>::split_first_chunk_mut::<HEADER>) else {
        // A payload that took away what was there before it.
        return Err(FrameError::Incomplete);
    };
    let [_, _, _, _, fields @ .., c0, c1, c2, c3] = header;
    let [_, kind_at, _, _, l0, l1, l2, l3] = fields;
    *kind_at = kind;
    [*l0, *l1, *l2, *l3] = encoded.to_le_bytes();
    [*c0, *c1, *c2, *c3] = checksum(fields, payload).to_le_bytes();
    Ok(())
}

/// Reads the frame at the beginning of `bytes`.
///
/// # Errors
/// See [`FrameError`].
pub fn decode(bytes: &[u8]) -> Result<Frame<'_>, FrameError> {
    let (header, rest) = match bytes.split_first_chunk::<HEADER>() {
        Some(split) => split,
        // A short piece of something else is not a short frame.
        None if MAGIC.starts_with(bytes) || bytes.starts_with(&MAGIC) => return Err(FrameError::Incomplete),
        None => return Err(FrameError::Magic),
    };
    let [m0, m1, m2, m3, fields @ .., c0, c1, c2, c3] = header;
    if [*m0, *m1, *m2, *m3] != MAGIC {
        return Err(FrameError::Magic);
    }
    let [version, kind, _, _, l0, l1, l2, l3] = fields;
    if *version != VERSION {
        return Err(FrameError::Version(*version));
    }
    let encoded = u32::from_le_bytes([*l0, *l1, *l2, *l3]);
    let len = encoded as usize;
    if len > MAX_PAYLOAD {
        return Err(FrameError::Length(encoded));
    }
    let Some(payload) = rest.get(..len) else { return Err(FrameError::Incomplete) };
    if u32::from_le_bytes([*c0, *c1, *c2, *c3]) != checksum(fields, payload) {
        return Err(FrameError::Checksum);
    }
    Ok(Frame { kind: *kind, payload, len: HEADER + len })
}

/// Whether a whole frame stands anywhere in `bytes`.
#[must_use]
pub fn any_valid(bytes: &[u8]) -> bool {
    memchr::memmem::find_iter(bytes, &MAGIC).any(|at| bytes.get(at..).is_some_and(|frame| decode(frame).is_ok()))
}

fn checksum(fields: &[u8; 8], payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(fields);
    crc.update(payload);
    crc.finalize()
}
