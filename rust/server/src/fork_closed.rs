//! Sockets that a forked child closes at once.
//!
//! The child has no thread that would serve them, but it would keep the port taken after its parent's end,
//! and keep clients waiting on connections that the parent has closed. So every descriptor is listed from
//! the moment it is open to the moment it is closed, both inside `fork::beside`: a fork finds the list
//! complete and its lock free. (Two or three descriptors of the event loop itself stay open in the child.)

use ferrometer_core::fork::beside;
use std::io;
use std::ops::{Deref, DerefMut};
use std::task::Poll;

#[cfg(unix)]
use std::os::fd::AsRawFd as Socket;

#[cfg(not(unix))]
use std::marker::Sized as Socket;

/// An open socket that is in the list.
pub struct ForkClosed<S: Socket> {
    /// Always there, but for the end of `drop`.
    socket: Option<S>,
}

impl<S: Socket> ForkClosed<S> {
    /// Lists what `open` opens.
    ///
    /// # Errors
    /// Those of `open`.
    pub fn open(open: impl FnOnce() -> io::Result<S>) -> io::Result<Self> {
        match Self::poll(|| Poll::Ready(open())) {
            Poll::Ready(kept) => kept,
            Poll::Pending => unreachable!("it was ready"),
        }
    }

    /// The same, where there may be nothing to open yet.
    pub fn poll(open: impl FnOnce() -> Poll<io::Result<S>>) -> Poll<io::Result<Self>> {
        beside(|| {
            open().map_ok(|socket| {
                list::add(&socket);
                ForkClosed { socket: Some(socket) }
            })
        })
    }
}

impl<S: Socket> Deref for ForkClosed<S> {
    type Target = S;

    fn deref(&self) -> &S {
        self.socket.as_ref().expect("there until it is dropped")
    }
}

impl<S: Socket> DerefMut for ForkClosed<S> {
    fn deref_mut(&mut self) -> &mut S {
        self.socket.as_mut().expect("there until it is dropped")
    }
}

impl<S: Socket> Drop for ForkClosed<S> {
    fn drop(&mut self) {
        beside(|| {
            if let Some(socket) = self.socket.take() {
                list::remove(&socket);
                drop(socket);
            }
        });
    }
}

#[cfg(unix)]
mod list {
    use std::os::fd::{AsRawFd, RawFd};
    use std::sync::{Mutex, Once, PoisonError};

    static OPEN: Mutex<Vec<RawFd>> = Mutex::new(Vec::new());

    pub fn add(socket: &impl AsRawFd) {
        static ONCE: Once = Once::new();
        // SAFETY: POSIX's function, with handlers or none; ours unwinds never and lives as long as this library.
        ONCE.call_once(|| unsafe {
            libc::pthread_atfork(None, None, Some(child));
        });
        OPEN.lock().unwrap_or_else(PoisonError::into_inner).push(socket.as_raw_fd());
    }

    pub fn remove(socket: &impl AsRawFd) {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|&fd| fd != socket.as_raw_fd());
    }

    /// After a fork, in the child. What held the sockets belongs to a thread that is not here, so nothing
    /// closes them a second time.
    unsafe extern "C" fn child() {
        if let Ok(mut open) = OPEN.try_lock() {
            for fd in open.drain(..) {
                // SAFETY: descriptors of sockets; see above.
                unsafe { libc::close(fd) };
            }
        }
    }
}

#[cfg(not(unix))]
mod list {
    pub fn add<S>(_: &S) {}

    pub fn remove<S>(_: &S) {}
}
