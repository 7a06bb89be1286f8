//! The test files of a Go module, through the `go` client.

use std::path::PathBuf;
use std::process::Command;

const MODULE: &str = "github.com/prometheus/prometheus@v0.314.0";

/// The folder of test files, or why there is none.
pub fn testdata() -> Option<PathBuf> {
    match fetch() {
        Ok(folder) => Some(folder),
        Err(words) => {
            let words = format!("needs Prometheus's test files: install Go, then `go mod download {MODULE}` ({words})");
            assert!(std::env::var("REQUIRE_REAL").as_deref() != Ok("1"), "{words}");
            println!("skipped: {words}");
            None
        }
    }
}

fn fetch() -> Result<PathBuf, String> {
    let mut go = Command::new("go");
    let installed = ["/usr/local/go/bin", "/usr/lib/go/bin"].join(":");
    let path = std::env::var("PATH").unwrap_or_default();
    go.args(["mod", "download", "-json", MODULE]).env("PATH", format!("{path}:{installed}")).env("GOFLAGS", "-mod=mod");
    // Outside of any Go module.
    go.current_dir(std::env::temp_dir());
    let output = go.output().map_err(|error| format!("go: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.trim().strip_prefix("\"Dir\": "));
    let folder = line.ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let folder = PathBuf::from(folder.trim_end_matches(',').trim_matches('"')).join("promql/promqltest/testdata");
    if folder.is_dir() {
        Ok(folder)
    } else {
        Err(format!("{} is no folder", folder.display()))
    }
}
