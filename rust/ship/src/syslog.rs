//! Lines over TCP, with TLS or without: as they are, for Logstash's `json_lines`, or as RFC 5424 messages with their
//! length before them (RFC 6587, RFC 5425).
//!
//! TCP acknowledges bytes, not messages. A batch is settled when the peer's system has acknowledged all of it; what a
//! reset left in doubt is sent again, and says so.

use crate::fields::{hex, marked};
use crate::lane::unknown;
use crate::sink::{Delivery, Item, Retry, Sink};
use crate::time::rfc3339;
use ferrometer_ring::Level;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde::Deserialize;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a record becomes bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// The line and a newline.
    JsonLines,
    /// A length and an RFC 5424 message.
    Rfc5424,
}

enum Connection {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Connection {
    fn socket(&self) -> &TcpStream {
        match self {
            Connection::Plain(socket) => socket,
            Connection::Tls(stream) => &stream.sock,
        }
    }

    /// Whether the peer still listens: a write to a closed connection succeeds once.
    fn is_open(&mut self) -> bool {
        if self.socket().set_nonblocking(true).is_err() {
            return false;
        }
        let open = match self {
            Connection::Plain(socket) => match socket.peek(&mut [0]) {
                Ok(bytes) => bytes > 0,
                Err(error) => error.kind() == io::ErrorKind::WouldBlock,
            },
            Connection::Tls(stream) => match stream.conn.read_tls(&mut stream.sock) {
                Ok(0) => false,
                Ok(_) => stream.conn.process_new_packets().is_ok_and(|state| !state.peer_has_closed()),
                Err(error) => error.kind() == io::ErrorKind::WouldBlock,
            },
        };
        self.socket().set_nonblocking(false).is_ok() && open
    }

    fn write(&mut self, bytes: &[u8], until: Instant) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let time = until.saturating_duration_since(Instant::now());
            if time.is_zero() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not read"));
            }
            self.socket().set_write_timeout(Some(time))?;
            let chunk = &rest[..rest.len().min(64 * 1024)];
            let written = match self {
                Connection::Plain(socket) => socket.write(chunk)?,
                Connection::Tls(stream) => stream.write(chunk)?,
            };
            rest = &rest[written..];
        }
        if let Connection::Tls(stream) = self {
            stream.flush()?;
        }
        self.acknowledged(until)
    }

    /// Waits until the peer's system has everything.
    fn acknowledged(&mut self, until: Instant) -> io::Result<()> {
        let mut pause = Duration::from_micros(50);
        loop {
            let mut waiting: libc::c_int = 0;
            // SAFETY: the descriptor is open and the number lives.
            if unsafe { libc::ioctl(self.socket().as_raw_fd(), libc::TIOCOUTQ, &raw mut waiting) } != 0 {
                return Err(io::Error::last_os_error());
            }
            if let Some(error) = self.socket().take_error()? {
                return Err(error);
            }
            if waiting == 0 {
                // A reset throws away what waited, and then nothing waits.
                return match self.socket().peer_addr() {
                    Ok(_) => Ok(()),
                    Err(error) => Err(error),
                };
            }
            if Instant::now() > until {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not read"));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The child of a fork may have the descriptor too, and the peer is to know all the same.
        let _ = self.socket().shutdown(std::net::Shutdown::Both);
    }
}

/// A receiver.
pub struct Syslog {
    host: String,
    port: u16,
    framing: Framing,
    tls: Option<Arc<ClientConfig>>,
    header: Header,
    connection: Option<Connection>,
    bytes: Vec<u8>,
}

/// What all messages of a service say.
pub struct Header {
    /// Printable ASCII without spaces, 48 characters at most.
    pub service: String,
    /// Of this machine.
    pub host: String,
    /// 16 for `local0`.
    pub facility: u8,
}

impl Syslog {
    /// Sends to a host and port; nothing is connected yet.
    pub fn new(host: &str, port: u16, framing: Framing, tls: Option<Arc<ClientConfig>>, header: Header) -> Self {
        Syslog { host: host.to_owned(), port, framing, tls, header, connection: None, bytes: Vec::new() }
    }

    fn connect(&self, until: Instant) -> io::Result<Connection> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "no address");
        for address in (self.host.as_str(), self.port).to_socket_addrs()? {
            let time = until.saturating_duration_since(Instant::now()).min(Duration::from_secs(5));
            if time.is_zero() {
                break;
            }
            match TcpStream::connect_timeout(&address, time) {
                Ok(socket) => return self.secure(socket, until),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn secure(&self, socket: TcpStream, until: Instant) -> io::Result<Connection> {
        socket.set_nodelay(true)?;
        let Some(config) = &self.tls else { return Ok(Connection::Plain(socket)) };
        let time = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        socket.set_read_timeout(Some(time))?;
        socket.set_write_timeout(Some(time))?;
        let name = ServerName::try_from(self.host.clone())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, format!("no host name: {}", self.host)))?;
        let connection = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Connection::Tls(Box::new(stream)))
    }
}

impl Sink for Syslog {
    fn send(&mut self, items: &[Item], until: Instant) -> Delivery {
        let place = format!("{}:{}", self.host, self.port);
        if self.connection.as_mut().is_some_and(|connection| !connection.is_open()) {
            self.connection = None;
        }
        let mut connection = match self.connection.take().map_or_else(|| self.connect(until), Ok) {
            Ok(connection) => connection,
            Err(error) => return Delivery::again(format!("{place}: {error}"), Retry::default()),
        };
        self.bytes.clear();
        for item in items {
            match self.framing {
                Framing::JsonLines => {
                    marked(item, &mut self.bytes);
                    self.bytes.push(b'\n');
                }
                Framing::Rfc5424 => message(item, &self.header, &mut self.bytes),
            }
        }
        match connection.write(&self.bytes, until) {
            Ok(()) => {
                self.connection = Some(connection);
                Delivery::all(items)
            }
            Err(error) => unknown(format!("{place}: {error}")),
        }
    }
}

/// Appends an RFC 5424 message and its length. No byte order mark: receivers take it for a part of the text.
pub fn message(item: &Item, header: &Header, out: &mut Vec<u8>) {
    let severity = match item.record.head.level {
        Level::Fatal => 2,
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug => 7,
    };
    let mut data = format!("[meta sequenceId=\"{}\"]", item.record.sequence % 2_147_483_647 + 1);
    let mut own = format!("[ferrometer@32473 ring=\"{}\"", hex(&item.ring).unwrap_or_default());
    for (name, id) in [("trace", &item.record.head.trace_id[..]), ("span", &item.record.head.span_id[..])] {
        if let Some(id) = hex(id) {
            let _ = write!(own, " {name}=\"{id}\"");
        }
    }
    if item.is_repeated {
        own.push_str(" repeated=\"true\"");
    }
    data.push_str(&own);
    data.push(']');
    let head = format!(
        "<{}>1 {} {} {} {} - {data} ",
        u16::from(header.facility) * 8 + severity,
        rfc3339(item.record.head.time_ns),
        header.host,
        header.service,
        item.pid,
    );
    let payload = &item.record.payload;
    out.extend_from_slice(format!("{} ", head.len() + payload.len()).as_bytes());
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(payload);
}

/// A name as RFC 5424 has it: printable ASCII without spaces, so many characters at most, `-` for nothing.
pub fn name(text: &str, most: usize) -> String {
    let name: String = text.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).take(most).collect();
    if name.is_empty() {
        "-".into()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrometer_ring::reader::Record;
    use ferrometer_ring::Head;

    #[test]
    fn a_message_word_by_word() {
        let head = Head { level: Level::Error, time_ns: 1_700_000_000_123_456_789, ..Head::default() };
        let head = Head { trace_id: [0x4b; 16], span_id: [0; 8], ..head };
        let record = Record { head, sequence: 6, end: 0, payload: "{\"ü\":1}".into() };
        let item = Item { ring: [0xab; 16], pid: 42, record, is_repeated: true };
        let header = Header { service: name("my service\n", 48), host: name("", 255), facility: 16 };
        let mut out = Vec::new();
        message(&item, &header, &mut out);
        let text = String::from_utf8(out).unwrap();
        let (length, rest) = text.split_once(' ').unwrap();
        assert_eq!(length.parse(), Ok(rest.len()));
        let ids = (hex(&[0xab; 16]).unwrap(), hex(&[0x4b; 16]).unwrap());
        let wanted = format!(
            "<131>1 2023-11-14T22:13:20.123456Z - my_service_ 42 - [meta sequenceId=\"7\"][ferrometer@32473 \
             ring=\"{}\" trace=\"{}\" repeated=\"true\"] {{\"ü\":1}}",
            ids.0, ids.1
        );
        assert_eq!(rest, wanted);
    }
}
