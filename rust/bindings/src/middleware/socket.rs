//! What is counted of a websocket: its acceptance when it happens, messages as they pass, the rest at its end.

use super::ending::Ending;
use super::ffi::{clear, owned, Obj};
use super::guard::shield;
use super::message::{read, Type};
use super::object::Middleware;
use super::request::{Phase, Request, Socket, DISCONNECTED};
use crate::http_metrics::Scope;
use ferrometer_core::clock::ticks;
use ferrometer_core::error::Error;

/// A message is about to be sent.
///
/// # Safety
/// Both are live, the request is not over, no exception is pending. Likewise below.
pub unsafe fn sent(request: *mut Request, message: Obj) {
    // SAFETY: as the caller says.
    unsafe {
        match read(message).map(|message| message.kind) {
            Some(Type::Accept) if (*request).socket.is_none() => accept(request),
            Some(Type::SocketSend) => {
                if let Some(socket) = &mut (*request).socket {
                    match &socket.series {
                        Some(series) if !series.is_removed() => series.sent.inc(),
                        _ => socket.sent += 1,
                    }
                }
            }
            _ => {}
        }
    }
}

/// A message has been received.
pub unsafe fn received(request: *mut Request, kind: Type) {
    // SAFETY: as the caller says.
    unsafe {
        if kind == Type::SocketDisconnect {
            (*request).flags |= DISCONNECTED;
        } else if let Some(socket) = &mut (*request).socket {
            match &socket.series {
                Some(series) if !series.is_removed() => series.received.inc(),
                _ => socket.received += 1,
            }
        }
    }
}

unsafe fn accept(request: *mut Request) {
    // SAFETY: the request runs, so its middleware and scope are there; both are owned meanwhile, for the route's function
    // may end the request.
    unsafe {
        let (mut held, mut scope_held) = (owned((*request).middleware.cast()), owned((*request).scope));
        let middleware = &*held.cast::<Middleware>();
        let instrument = middleware.instrument();
        let shared = &*instrument.shared;
        let series = shield(shared, || {
            instrument.heed();
            let scope = Scope::new(scope_held);
            let routed = scope.route_or_endpoint() != 0 || !middleware.hook.is_null();
            routed.then(|| {
                let series = middleware.endpoint(&scope).socket(shared)?;
                series.outcome(shared, "accepted")?;
                Ok::<_, Error>(series)
            })
        });
        if matches!(series, Some(Some(Err(_)))) {
            shared.fault("series");
        }
        let series = series.flatten().and_then(Result::ok);
        if (*request).phase != Phase::Over && (*request).socket.is_none() {
            shared.socket_active.add(1.0);
            let socket = Socket { accepted: ticks(), series, received: 0, sent: 0 };
            (*request).socket = Some(Box::new(socket));
        }
        clear(&mut held);
        clear(&mut scope_held);
    }
}

/// The websocket's application has ended.
#[cold]
#[inline(never)]
pub unsafe fn end(request: *mut Request, ending: &Ending) -> Result<(), Error> {
    // SAFETY: the request is being recorded, so its middleware and scope are there, and held until it is released.
    unsafe {
        let middleware = &*(*request).middleware;
        let instrument = middleware.instrument();
        let shared = &*instrument.shared;
        let socket = (*request).socket.take();
        if socket.is_some() {
            shared.socket_active.add(-1.0);
        }
        let outcome = match ending {
            Ending::Raised(_) => "error",
            // A client that leaves makes frameworks cancel or raise; for the connection that is a close.
            Ending::Cancelled if !(*request).has(DISCONNECTED) => "cancelled",
            _ if socket.is_none() => "rejected",
            _ => "closed",
        };
        instrument.heed();
        let scope = Scope::new((*request).scope);
        let Some(socket) = socket else {
            let endpoint = middleware.endpoint(&scope);
            shared.socket_connections.series(&[endpoint.name(), outcome])?.counter().inc();
            return Ok(());
        };
        let known = socket.series.is_some();
        let series = match socket.series.filter(|series| !series.is_removed()) {
            Some(series) => series,
            None => middleware.endpoint(&scope).socket(shared)?,
        };
        if !known {
            series.outcome(shared, "accepted")?;
        }
        // What was counted before the series was known, or after it had been removed.
        series.sent.add_int(socket.sent);
        series.received.add_int(socket.received);
        series.duration.record(instrument.clock.seconds(socket.accepted, ticks()));
        series.outcome(shared, outcome)
    }
}
