//! A connection whose peer has to read: one that takes nothing for too long is cut off, and what was being made for it stops.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

pin_project! {
    /// Fails writes that wait longer than `patience`.
    pub(super) struct Patient<I> {
        #[pin]
        io: I,
        patience: Duration,
        waiting: Option<Pin<Box<Sleep>>>,
    }
}

impl<I> Patient<I> {
    pub(super) fn new(io: I, patience: Duration) -> Self {
        Self { io, patience, waiting: None }
    }
}

fn or_lose_patience<T>(
    polled: Poll<io::Result<T>>,
    waiting: &mut Option<Pin<Box<Sleep>>>,
    patience: Duration,
    cx: &mut Context<'_>,
) -> Poll<io::Result<T>> {
    if polled.is_ready() {
        *waiting = None;
        return polled;
    }
    match waiting.get_or_insert_with(|| Box::pin(sleep(patience))).as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client has stopped reading"))),
        Poll::Pending => Poll::Pending,
    }
}

impl<I: AsyncRead> AsyncRead for Patient<I> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_read(cx, buffer)
    }
}

impl<I: AsyncWrite> AsyncWrite for Patient<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.project();
        or_lose_patience(this.io.poll_write(cx, bytes), this.waiting, *this.patience, cx)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = self.project();
        let written = match parts {
            // What most answers are; the system does less for it.
            [whole] => this.io.poll_write(cx, whole),
            parts => this.io.poll_write_vectored(cx, parts),
        };
        or_lose_patience(written, this.waiting, *this.patience, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        or_lose_patience(this.io.poll_flush(cx), this.waiting, *this.patience, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        or_lose_patience(this.io.poll_shutdown(cx), this.waiting, *this.patience, cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_reads_slowly_is_served_and_who_stops_is_cut_off() {
        let (near, mut far) = duplex(4);
        let mut near = Patient::new(near, Duration::from_secs(10));
        let writer = tokio::spawn(async move { near.write_all(&[7; 100]).await });
        let mut buffer = [0; 4];
        for _ in 0..3 {
            sleep(Duration::from_secs(9)).await;
            far.read_exact(&mut buffer).await.unwrap();
        }
        assert_eq!(writer.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
