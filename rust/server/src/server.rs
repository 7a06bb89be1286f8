//! The thread: it accepts, answers, and ends when it is told to.

use crate::access::{Access, Peer};
use crate::body::{Unsent, Whole};
use crate::connections::{Connections, Phase, State};
use crate::exposition::Exposition;
use crate::fork_closed::ForkClosed;
use crate::io::Io;
use crate::responder::{answer_of, finished, refusal, with, Responder, Target};
use crate::route::{Asked, Route};
use hyper::body::{Body, Incoming};
use hyper::header::{HOST, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Version};
use std::convert::Infallible;
use std::future::{poll_fn, Future};
use std::io;
use std::mem::ManuallyDrop;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::process;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{self, Runtime};
use tokio::sync::oneshot;
use tokio::task::{spawn_blocking, spawn_local, LocalSet};
use tokio::time::{interval, sleep, timeout, Interval, MissedTickBehavior};

/// How often slow clients are looked for, while there are clients.
const TICK: Duration = Duration::from_secs(2);

/// How long answers may still be on their way when the server stops.
const FAREWELL: Duration = Duration::from_millis(500);

/// The request line and the headers together.
const MOST_HEAD: usize = 16 << 10;
const MOST_HEADERS: usize = 64;

/// As long as clients have not taken so many bytes of answers, there are no further ones.
const MOST_UNSENT: usize = 128 << 20;

/// How many answers of [`Route`]s are made at once; the others wait.
const MOST_AT_WORK: usize = 4;

/// Where to listen, and whom to answer.
pub struct Options {
    /// An address, or a name of one.
    pub host: String,
    /// 0 takes any free one.
    pub port: u16,
    /// Who may read.
    pub access: Arc<Access>,
    /// Whether protobuf has native histograms.
    pub native: bool,
    /// What is answered besides the built-in paths.
    pub routes: Vec<Arc<dyn Route>>,
}

/// Who answers, and how much of that is still to be sent.
struct Answers {
    responder: Arc<Responder>,
    unsent: Unsent,
}

/// A server that runs, until it is stopped or dropped.
pub struct Server {
    address: SocketAddr,
    /// The process that the thread is in: a forked child has a copy of this object, and no thread.
    process: u32,
    /// Not dropped in a child, where the thread's memory may already be another's.
    thread: ManuallyDrop<Option<(JoinHandle<()>, oneshot::Sender<()>)>>,
}

impl Server {
    /// Listens and serves.
    ///
    /// # Errors
    /// When the address is no address of this machine, or the port is taken; and when the system has no
    /// thread or descriptor left.
    pub fn start(options: Options, source: Arc<dyn Exposition>) -> io::Result<Self> {
        let Options { host, port, access, native, routes } = options;
        let responder = routes.into_iter().fold(Responder::new(source, access, native), Responder::with);
        let answers = Answers { responder: Arc::new(responder), unsent: Unsent::default() };
        let addresses: Vec<SocketAddr> = (host.as_str(), port).to_socket_addrs()?.collect();
        let mut builder = runtime::Builder::new_current_thread();
        let runtime = builder.enable_io().enable_time().max_blocking_threads(MOST_AT_WORK).build()?;
        let entered = runtime.enter();
        let listener = ForkClosed::open(|| {
            let listener = std::net::TcpListener::bind(&*addresses)?;
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        })?;
        drop(entered);
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let body = move || run(runtime, listener, answers, stopped);
        let thread = without_signals(|| Builder::new().name("ferrometer-http".into()).spawn(body))?;
        Ok(Server { address, process: process::id(), thread: ManuallyDrop::new(Some((thread, stop))) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it serves in this process.
    pub fn is_running(&self) -> bool {
        self.process == process::id() && self.thread.as_ref().is_some_and(|(thread, _)| !thread.is_finished())
    }

    /// Ends the thread and waits for it: the answers on their way have half a second. Nothing in a child,
    /// nor the second time.
    pub fn stop(&mut self) {
        if self.process != process::id() {
            return;
        }
        if let Some((thread, stop)) = self.thread.take() {
            let _ = stop.send(()); // refused when the thread is gone already
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Starts a thread that no signal interrupts: those are for the threads that Python knows.
#[cfg(unix)]
fn without_signals<T>(start: impl FnOnce() -> T) -> T {
    // SAFETY: both sets are this function's, and filled before they are used.
    unsafe {
        let mut all = std::mem::zeroed();
        let mut before = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let started = start();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
        started
    }
}

#[cfg(not(unix))]
fn without_signals<T>(start: impl FnOnce() -> T) -> T {
    start()
}

/// Where the processor is short, requests come before scrapes: the thread asks for a tenth of a share.
#[cfg(target_os = "linux")]
fn give_way() {
    const NICE: libc::c_int = 10;
    // SAFETY: a plain call. On Linux it is about the calling thread alone; a refusal changes nothing.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
}

#[cfg(not(target_os = "linux"))]
fn give_way() {}

fn run(runtime: Runtime, listener: ForkClosed<TcpListener>, answers: Answers, stopped: oneshot::Receiver<()>) {
    give_way();
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, serve(listener, Rc::new(answers), stopped));
    drop(tasks);
    runtime.shutdown_timeout(FAREWELL); // an answer that is still made then is nobody's any more
}

enum Event {
    Stop,
    Come(ForkClosed<TcpStream>, SocketAddr),
    /// Descriptors or memory are short, or a client has gone before it was met.
    Failed,
    Tick,
}

async fn serve(listener: ForkClosed<TcpListener>, answers: Rc<Answers>, mut stopped: oneshot::Receiver<()>) {
    let connections = Connections::default();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        match next(&listener, &connections, &mut ticks, &mut stopped).await {
            Event::Stop => break,
            Event::Come(stream, address) => {
                if connections.make_room() {
                    let _ = stream.set_nodelay(true);
                    let state = State::new();
                    let task = spawn_local(talk(Io { stream, state: state.clone() }, address.ip(), answers.clone()));
                    connections.add(task.abort_handle(), state);
                }
            }
            Event::Failed => sleep(Duration::from_millis(20)).await,
            Event::Tick => connections.end_slow(),
        }
    }
    drop(listener);
    let quiet = async {
        while connections.are_busy() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let _ = timeout(FAREWELL, quiet).await;
}

async fn next(
    listener: &ForkClosed<TcpListener>,
    connections: &Connections,
    ticks: &mut Interval,
    stopped: &mut oneshot::Receiver<()>,
) -> Event {
    poll_fn(|context| {
        if Pin::new(&mut *stopped).poll(context).is_ready() {
            return Poll::Ready(Event::Stop);
        }
        let mut address = None;
        let come = ForkClosed::poll(|| {
            listener.poll_accept(context).map_ok(|(stream, from)| {
                address = Some(from);
                stream
            })
        });
        match (come, address) {
            (Poll::Ready(Ok(stream)), Some(address)) => return Poll::Ready(Event::Come(stream, address)),
            (Poll::Ready(_), _) => return Poll::Ready(Event::Failed),
            (Poll::Pending, _) => {}
        }
        if connections.is_empty() {
            return Poll::Pending; // nobody is woken for nothing
        }
        ticks.poll_tick(context).map(|_| Event::Tick)
    })
    .await
}

/// Serves one connection to its end. Its faults are the client's, which learns of them.
async fn talk(io: Io, address: IpAddr, answers: Rc<Answers>) {
    let state = io.state.clone();
    let service = service_fn(|request: Request<Incoming>| {
        let (state, answers) = (state.clone(), answers.clone());
        async move {
            let method = request.method().clone();
            let response = finished(answer(request, Peer::Address(address), &answers, &state).await, &method);
            state.enter(Phase::Answered);
            Ok::<_, Infallible>(response.map(|body| Whole::new(body, &answers.unsent)))
        }
    });
    let _ = http1::Builder::new().max_buf_size(MOST_HEAD).max_headers(MOST_HEADERS).serve_connection(io, service).await;
}

async fn answer(request: Request<Incoming>, peer: Peer, answers: &Answers, state: &State) -> Response<Vec<u8>> {
    let (head, body) = request.into_parts();
    if head.version == Version::HTTP_11 && head.headers.get_all(HOST).iter().count() != 1 {
        return refusal(StatusCode::BAD_REQUEST); // RFC 9112, 3.2
    }
    let Some(target) = answers.responder.target(head.uri.path()) else { return refusal(StatusCode::NOT_FOUND) };
    if let Some(refused) = answers.responder.refuse(&target, &asked(&head, peer, &[])) {
        return refused;
    }
    if target.is_protected() && answers.unsent.bytes() > MOST_UNSENT {
        return with(refusal(StatusCode::SERVICE_UNAVAILABLE), RETRY_AFTER, "1");
    }
    let Target::Route(route) = target else {
        state.enter(Phase::Answered);
        return answers.responder.answer(&target, &asked(&head, peer, &[]));
    };
    let Ok(body) = whole(body, route.most_body()).await else { return refusal(StatusCode::BAD_REQUEST) };
    state.enter(Phase::Working);
    // It may compute for long: scrapes are answered meanwhile. It has only the route: families end elsewhere.
    let work = move || answer_of(&*route, &asked(&head, peer, &body));
    spawn_blocking(work).await.unwrap_or_else(|_| refusal(StatusCode::INTERNAL_SERVER_ERROR))
}

fn asked<'a>(head: &'a Parts, peer: Peer, body: &'a [u8]) -> Asked<'a> {
    let (path, query) = (head.uri.path(), head.uri.query());
    Asked { method: &head.method, path, query, headers: &head.headers, peer, body }
}

/// The body of a request; of one that is longer than `most` one byte more than that, by which it is refused.
async fn whole(mut body: Incoming, most: usize) -> hyper::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        if let Ok(data) = frame?.into_data() {
            let room = (most + 1).saturating_sub(bytes.len());
            bytes.extend_from_slice(&data[..data.len().min(room)]);
        }
        if bytes.len() > most {
            break;
        }
    }
    Ok(bytes)
}
