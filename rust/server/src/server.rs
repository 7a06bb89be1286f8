//! The thread: it accepts, answers, and ends when it is told to.

use crate::access::Access;
use crate::connections::{Connections, Phase, State};
use crate::exposition::Exposition;
use crate::fork_closed::ForkClosed;
use crate::io::Io;
use crate::responder::Answers;
use hyper::server::conn::http1;
use hyper::service::service_fn;
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
use tokio::task::{spawn_local, LocalSet};
use tokio::time::{interval, sleep, timeout, Interval, MissedTickBehavior};

/// How often slow clients are looked for, while there are clients.
const TICK: Duration = Duration::from_secs(2);

/// How long answers may still be on their way when the server stops.
const FAREWELL: Duration = Duration::from_millis(500);

/// The request line and the headers together.
const MOST_HEAD: usize = 16 << 10;
const MOST_HEADERS: usize = 64;

/// Where to listen, and whom to answer.
pub struct Options {
    /// An address, or a name of one.
    pub host: String,
    /// 0 takes any free one.
    pub port: u16,
    /// Who may read.
    pub access: Access,
    /// Whether protobuf has native histograms.
    pub native: bool,
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
        let Options { host, port, access, native } = options;
        let addresses: Vec<SocketAddr> = (host.as_str(), port).to_socket_addrs()?.collect();
        let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let entered = runtime.enter();
        let listener = ForkClosed::open(|| {
            let listener = std::net::TcpListener::bind(&*addresses)?;
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        })?;
        drop(entered);
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let body = move || run(&runtime, listener, Answers::new(source, access, native), stopped);
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

fn run(runtime: &Runtime, listener: ForkClosed<TcpListener>, answers: Answers, stopped: oneshot::Receiver<()>) {
    give_way();
    let tasks = LocalSet::new();
    tasks.block_on(runtime, serve(listener, Rc::new(answers), stopped));
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
    let service = service_fn(|request| {
        state.enter(Phase::Answered);
        let response = answers.answer(&request, address);
        async { Ok::<_, Infallible>(response) }
    });
    let _ = http1::Builder::new().max_buf_size(MOST_HEAD).max_headers(MOST_HEADERS).serve_connection(io, service).await;
}
