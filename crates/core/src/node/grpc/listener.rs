//! Connections: bounded in number, and closed when they are silent for too long.

use std::io::{self, IoSlice};
use std::net::{TcpListener, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::sleep;
use tokio_io_timeout::TimeoutStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::ServeError;
use crate::rpc::ServerAddress;

/// How long it waits after an error, such as a lack of file descriptors, before it accepts again.
const ERROR_PAUSE: Duration = Duration::from_millis(50);

/// A socket that listens at an address.
pub(super) fn bind(option: &'static str, address: &ServerAddress) -> Result<TcpListener, ServeError> {
    let bind = || {
        let mut last = io::Error::other("the host has no address");
        for place in (address.host(), address.port()).to_socket_addrs()? {
            match TcpListener::bind(place) {
                Ok(listener) => return Ok(listener),
                Err(error) => last = error,
            }
        }
        Err(last)
    };
    bind().map_err(|source| ServeError::Listen { option, address: address.clone(), source })
}

/// A connection: closed when it is silent for too long, and counted while it is open.
pub(super) struct Connection {
    stream: Pin<Box<TimeoutStream<TcpStream>>>,
    info: TcpConnectInfo,
    _permit: OwnedSemaphorePermit,
}

/// The connections that come in at a listener, as long as the receiver exists. Connections beyond `most` at a time are
/// closed at once.
pub(super) fn incoming(
    listener: tokio::net::TcpListener,
    most: usize,
    silence: Duration,
) -> ReceiverStream<io::Result<Connection>> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let permits = Arc::new(Semaphore::new(most));
        loop {
            let stream = tokio::select! {
                accepted = listener.accept() => accepted,
                () = sender.closed() => return,
            };
            match (stream, Arc::clone(&permits).try_acquire_owned()) {
                (Ok((stream, _)), Ok(permit)) => {
                    let _ = sender.send(Ok(Connection::new(stream, silence, permit))).await;
                }
                (Ok((_, peer)), Err(_)) => tracing::warn!(%peer, "closed a connection, since there are {most} already"),
                (Err(error), _) => {
                    tracing::warn!("did not accept a connection: {error}");
                    sleep(ERROR_PAUSE).await;
                }
            }
        }
    });
    ReceiverStream::new(receiver)
}

impl Connection {
    fn new(stream: TcpStream, silence: Duration, permit: OwnedSemaphorePermit) -> Connection {
        // This is only an optimisation.
        let _ = stream.set_nodelay(true);
        let info = stream.connect_info();
        let mut stream = TimeoutStream::new(stream);
        stream.set_read_timeout(Some(silence));
        // A connection that accepts no data is as bad as a silent one.
        stream.set_write_timeout(Some(silence));
        Connection { stream: Box::pin(stream), info, _permit: permit }
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.info.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
