//! A whole answer in one piece, and how much of all of them is not sent yet.

use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;
use std::task::{Context, Poll};

/// The bytes of all answers that clients have not taken yet.
#[derive(Clone, Default)]
pub struct Unsent(Arc<AtomicUsize>);

impl Unsent {
    /// How many there are.
    pub fn bytes(&self) -> usize {
        self.0.load(Relaxed)
    }
}

/// Counts itself for as long as hyper or the socket's queue holds it.
struct Counted {
    bytes: Vec<u8>,
    unsent: Unsent,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.unsent.0.fetch_sub(self.bytes.len(), Relaxed);
    }
}

/// The body of a response.
pub struct Whole(Option<Bytes>);

impl Whole {
    /// These bytes; no body when there are none.
    pub fn new(bytes: Vec<u8>, unsent: &Unsent) -> Self {
        if bytes.is_empty() {
            return Whole(None);
        }
        unsent.0.fetch_add(bytes.len(), Relaxed);
        Whole(Some(Bytes::from_owner(Counted { bytes, unsent: unsent.clone() })))
    }
}

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
