//! A connection as hyper reads and writes it, noting what its client is at.

use crate::connections::{Phase, State};
use crate::fork_closed::ForkClosed;
use hyper::rt::{Read, ReadBufCursor, Write};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{ready, Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A request of a scraper has some hundred bytes.
const PIECE: usize = 2048;

/// A connection.
pub struct Io {
    /// The socket.
    pub stream: ForkClosed<TcpStream>,
    /// What its client is at.
    pub state: Rc<State>,
}

impl Io {
    fn stream(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(&mut *self.stream)
    }
}

impl Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut to: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut piece = [0; PIECE];
        let mut piece = ReadBuf::new(&mut piece[..PIECE.min(to.remaining())]);
        ready!(self.stream().poll_read(context, &mut piece))?;
        if !piece.filled().is_empty() && self.state.phase() == Phase::Idle {
            self.state.enter(Phase::Asking);
        }
        to.put_slice(piece.filled());
        Poll::Ready(Ok(()))
    }
}

impl Write for Io {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream().poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper asks for this when it has written all it had.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.stream().poll_flush(context))?;
        if self.state.phase() == Phase::Answered {
            self.state.enter(Phase::Idle);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }
}
