//! A real Prometheus 3 over backfilled samples.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Server {
    pub child: Child,
    port: u16,
    folder: PathBuf,
}

/// The folder of the binaries, or `None` where they are not built.
pub fn binaries() -> Option<PathBuf> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache/components/prometheus3");
    let folder = std::env::var_os("PROMETHEUS3").map_or(built, PathBuf::from);
    if ["prometheus", "promtool"].iter().all(|binary| folder.join(binary).is_file()) {
        return Some(folder);
    }
    let words = "needs a real Prometheus 3: make real-prometheus3 (or PROMETHEUS3=/folder/of/prometheus/and/promtool)";
    assert!(std::env::var("REQUIRE_PROMETHEUS3").as_deref() != Ok("1"), "{words}");
    println!("skipped: {words}");
    None
}

impl Server {
    /// Loads samples in `OpenMetrics` and serves them.
    pub fn start(binaries: &Path, samples: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("promql-differential-{}", std::process::id()));
        let data = folder.join("data");
        fs::create_dir_all(&data).expect("a temporary folder");
        let file = folder.join("samples.om");
        fs::write(&file, samples).expect("a file of samples");
        let output = Command::new(binaries.join("promtool"))
            .args(["tsdb", "create-blocks-from", "openmetrics"])
            .args([&file, &data])
            .output()
            .expect("promtool runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let config = folder.join("prometheus.yml");
        fs::write(&config, "global: {scrape_interval: 1h}\n").expect("a configuration");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let log = fs::File::create(folder.join("log")).expect("a log");
        let child = Command::new(binaries.join("prometheus"))
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg("--storage.tsdb.retention.time=100y")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("Prometheus runs");
        let server = Self { child, port, folder };
        let deadline = Instant::now() + Duration::from_secs(60);
        while server.ask("GET", "/-/ready", "").is_none_or(|(status, _)| status != 200) {
            let log = fs::read_to_string(server.folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "Prometheus is not ready:\n{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    /// The status and body of an answer; HTTP/1.0, so that bodies come in one piece.
    pub fn ask(&self, method: &str, path: &str, form: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
        let kind = "Content-Type: application/x-www-form-urlencoded";
        let length = form.len();
        write!(stream, "{method} {path} HTTP/1.0\r\n{kind}\r\nContent-Length: {length}\r\n\r\n{form}").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// An answer of the query API as JSON text.
    pub fn query(&self, path: &str, parameters: &[(&str, &str)]) -> String {
        let form: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        self.ask("POST", path, &form.join("&")).expect("an answer of Prometheus").1
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
