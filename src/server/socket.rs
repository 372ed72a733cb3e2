//! Where the server listens: addresses, and sockets in the file system.

use std::{
    fmt, fs, io,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::config::Listen;

/// Bound, and removed when it is dropped if it is a file.
#[derive(Debug)]
pub(super) enum Listener {
    /// An address.
    Tcp(TcpListener),
    /// A socket in the file system.
    Unix(UnixListener, SocketFile),
}

/// Somebody who has come.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Leaves the runtime.
    pub(super) fn into_std(self) -> io::Result<Detached> {
        match self {
            Self::Tcp(stream) => stream.into_std().map(Detached::Tcp),
            Self::Unix(stream) => stream.into_std().map(Detached::Unix),
        }
    }
}

/// Somebody who has come, and is on no runtime.
#[derive(Debug)]
pub(super) enum Detached {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl Detached {
    /// Joins the runtime that this is called on.
    pub(super) fn into_tokio(self) -> io::Result<Stream> {
        match self {
            Self::Tcp(stream) => TcpStream::from_std(stream).map(Stream::Tcp),
            Self::Unix(stream) => UnixStream::from_std(stream).map(Stream::Unix),
        }
    }
}

impl Listener {
    pub(super) async fn bind(listen: &Listen) -> io::Result<Self> {
        match listen {
            Listen::Tcp(address) => TcpListener::bind(address).await.map(Self::Tcp),
            Listen::Unix(path) => {
                remove_stale(path).await?;
                Ok(Self::Unix(UnixListener::bind(path)?, SocketFile(path.clone())))
            }
        }
    }

    /// Who comes on a socket of the file system has no address: it is shown as the unspecified one.
    pub(super) async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Answers are small and come in one piece: waiting for more to send with them only delays them.
                let _ = stream.set_nodelay(true);
                Ok((Stream::Tcp(stream), peer))
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))))
            }
        }
    }

    /// Whether TLS is spoken here, if it is configured: whoever is on this machine already needs none.
    pub(super) fn takes_tls(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(listener) => match listener.local_addr() {
                Ok(address) => address.fmt(f),
                Err(error) => error.fmt(f),
            },
            Self::Unix(_, SocketFile(path)) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A socket's file.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody else may have taken the place; then it isn't ours to remove, but neither can it be told.
        let _ = fs::remove_file(&self.0);
    }
}

/// Removes a socket that nobody listens on any more: what a process leaves that was killed.
async fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something that is no socket is there"));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens there")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let listen = Listen::Unix(dir.path().join("s"));
        let first = Listener::bind(&listen).await.unwrap();
        assert_eq!(Listener::bind(&listen).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let Listener::Unix(socket, file) = first else { panic!("a socket") };
        // Killed: nobody removes the file.
        drop(socket);
        std::mem::forget(file);
        let again = Listener::bind(&listen).await.unwrap();
        assert_eq!(again.to_string(), format!("unix:{}", dir.path().join("s").display()));
        drop(again);
        assert!(!dir.path().join("s").exists());
        fs::write(dir.path().join("s"), "a letter").unwrap();
        assert_eq!(Listener::bind(&listen).await.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }
}
