//! What is no request: hyper refuses it by itself, before any service is asked, in a bare head. Here that head gets the headers and the
//! body that all other answers have.
//!
//! Whose words are written is known for certain: hyper hands over a request before it writes an answer, and has written all of an
//! answer when it flushes. A head that is written when neither is open is hyper's own.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use http::{HeaderMap, StatusCode};
use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::activity::Activity;

/// How much of what a refused client is still sending is read, in bytes, and for how long: were its connection closed at once, the
/// system might throw the answer away with what nobody read.
const LINGER_BYTES: usize = 1 << 20;
const LINGER: Duration = Duration::from_millis(500);

pin_project! {
    /// A connection that says more than hyper does to those whom it doesn't understand.
    pub(super) struct Unreadable<I, F> {
        #[pin]
        io: I,
        activity: Arc<Activity>,
        // Headers and body for a status.
        words: F,
        state: State,
    }
}

enum State {
    Open,
    /// What is left to write, and how many bytes of hyper's it stands for.
    Answering(Bytes, usize),
    Answered,
    Lingering(Pin<Box<Sleep>>, usize),
}

impl<I, F> Unreadable<I, F>
where
    F: FnMut(StatusCode) -> (HeaderMap, Bytes),
{
    pub(super) fn new(io: I, activity: Arc<Activity>, words: F) -> Self {
        Self { io, activity, words, state: State::Open }
    }
}

/// The status in hyper's own head; nothing when it is something else, such as HTTP/2's frames.
fn status(head: &[u8]) -> Option<StatusCode> {
    let rest = head.strip_prefix(b"HTTP/1.1 ").or_else(|| head.strip_prefix(b"HTTP/1.0 "))?;
    let status = StatusCode::from_bytes(rest.get(..3)?).ok()?;
    (status.is_client_error() && head.ends_with(b"\r\n\r\n")).then_some(status)
}

/// hyper's head with these headers, and this body.
fn fill(head: &[u8], headers: &HeaderMap, body: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(head.len() + 512 + body.len());
    for line in head.trim_ascii_end().split_inclusive(|byte| *byte == b'\n') {
        if !line.get(..15).is_some_and(|name| name.eq_ignore_ascii_case(b"content-length:")) {
            out.extend_from_slice(line.trim_ascii_end());
            out.extend_from_slice(b"\r\n");
        }
    }
    for (name, value) in headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    out.extend_from_slice(body);
    out.into()
}

impl<I: AsyncRead, F> AsyncRead for Unreadable<I, F> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_read(cx, buffer)
    }
}

impl<I, F> AsyncWrite for Unreadable<I, F>
where
    I: AsyncRead + AsyncWrite,
    F: FnMut(StatusCode) -> (HeaderMap, Bytes),
{
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut this = self.project();
        if let State::Open = this.state
            && this.activity.owes_nothing()
            && let Some(status) = status(bytes)
        {
            let (headers, body) = (this.words)(status);
            *this.state = State::Answering(fill(bytes, &headers, &body), bytes.len());
        }
        let State::Answering(left, stands_for) = this.state else { return this.io.poll_write(cx, bytes) };
        while left.has_remaining() {
            match ready!(this.io.as_mut().poll_write(cx, left))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => left.advance(written),
            }
        }
        let written = *stands_for;
        *this.state = State::Answered;
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let ours = !matches!(self.state, State::Answering(..)) && !self.activity.owes_nothing();
        if ours {
            return self.project().io.poll_write_vectored(cx, parts);
        }
        // hyper's head is one part, and nothing follows it.
        let first = parts.iter().find(|part| !part.is_empty()).map_or(&[][..], |part| part);
        self.poll_write(cx, first)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        ready!(this.io.poll_flush(cx))?;
        this.activity.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut this = self.project();
        if !matches!(this.state, State::Lingering(..)) {
            ready!(this.io.as_mut().poll_shutdown(cx))?;
            if let State::Answered = this.state {
                *this.state = State::Lingering(Box::pin(sleep(LINGER)), 0);
            }
        }
        let State::Lingering(end, read) = this.state else { return Poll::Ready(Ok(())) };
        let mut scratch = [0; 4096];
        while end.as_mut().poll(cx).is_pending() && *read < LINGER_BYTES {
            let mut buffer = ReadBuf::new(&mut scratch);
            match this.io.as_mut().poll_read(cx, &mut buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => *read += buffer.filled().len(),
                // It is gone, one way or the other.
                Poll::Ready(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_by_hyper_is_one() {
        let bare = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\ndate: x\r\n\r\n";
        assert_eq!(status(bare), Some(StatusCode::BAD_REQUEST));
        for other in [&b"HTTP/1.1 100 Continue\r\n\r\n"[..], b"\0\0\x12\x04\0\0\0\0\0", b"HTTP/1.1 4", b"", b"HTTP/1.1 431 cut"] {
            assert_eq!(status(other), None, "{other:?}");
        }
        let headers = [(http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain"))].into_iter().collect();
        let filled = fill(bare, &headers, b"why");
        let text = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ndate: x\r\ncontent-type: text/plain\r\ncontent-length: 3\r\n\r\nwhy";
        assert_eq!(String::from_utf8_lossy(&filled), text);
    }
}
