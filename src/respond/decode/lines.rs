//! A reply cut at its line ends.

use bytes::{Buf, Bytes, BytesMut};

use super::{Frames, nonsense};
use crate::error::Error;

/// The longest line: a row of 3 Core, or a document of v2, which has ten thousand rows.
const LONGEST: usize = 256 << 20;

/// Cuts a stream of frames at line ends.
pub(super) struct Lines {
    frames: Frames,
    frame: Bytes,
    /// The beginning of a line that goes on in the next frame.
    partial: BytesMut,
    ended: bool,
}

impl Lines {
    pub(super) fn new(frames: Frames) -> Self {
        Self { frames, frame: Bytes::new(), partial: BytesMut::new(), ended: false }
    }

    /// The next line that isn't empty, without its end; one that is cut off is there too, and doesn't parse.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(line) = self.buffered() {
                return Ok(Some(line));
            }
            if self.ended {
                return Ok(None);
            }
            if self.partial.len() > LONGEST {
                return Err(nonsense(format!("a line is longer than {LONGEST} bytes")));
            }
            match self.frames.next().await? {
                Some(frame) => self.frame = frame,
                None => {
                    self.ended = true;
                    if !self.partial.iter().all(u8::is_ascii_whitespace) {
                        return Ok(Some(self.partial.split().freeze()));
                    }
                }
            }
        }
    }

    /// A line that is there without waiting.
    pub(super) fn buffered(&mut self) -> Option<Bytes> {
        while let Some(end) = memchr::memchr(b'\n', &self.frame) {
            let line = self.frame.split_to(end);
            self.frame.advance(1);
            let line = if self.partial.is_empty() {
                line
            } else {
                self.partial.extend_from_slice(&line);
                self.partial.split().freeze()
            };
            if !line.iter().all(u8::is_ascii_whitespace) {
                return Some(line);
            }
        }
        self.partial.extend_from_slice(&self.frame);
        self.frame = Bytes::new();
        None
    }
}
