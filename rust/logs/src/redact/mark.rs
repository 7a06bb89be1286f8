//! What stands in place of a secret.

use super::own::Own;
use super::{Action, Rule};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Stands where nothing is left.
pub const REMOVED: &[u8] = b"[redacted]";
/// Stands before a hash.
pub const HASHED: &[u8] = b"sha256:";
/// Hexadecimal digits of a hash.
const DIGITS: usize = 12;

static COUNTS: [AtomicU64; Rule::ALL.len()] = [const { AtomicU64::new(0) }; Rule::ALL.len()];

/// How many secrets of a rule this process has taken out.
pub fn count(rule: Rule) -> u64 {
    COUNTS[rule as usize].load(Relaxed)
}

/// Writes marks; its key makes hashes that nobody outside of the installation can compute.
#[derive(Clone)]
pub struct Marker {
    mac: Hmac<Sha256>,
    /// The user's own rules.
    pub own: Own,
}

impl Marker {
    /// With a secret of the installation, of any length.
    ///
    /// # Panics
    /// Never: HMAC takes keys of every length.
    pub fn new(key: &[u8]) -> Self {
        Marker { mac: Hmac::new_from_slice(key).expect("a key of any length"), own: Own::default() }
    }

    /// With rules of the user's own besides the built-in ones.
    #[must_use]
    pub fn with(self, own: Own) -> Self {
        Marker { own, ..self }
    }

    /// Appends the mark of a secret and counts it.
    pub fn write(&self, out: &mut Vec<u8>, secret: &[u8], rule: Rule, action: Action) {
        COUNTS[rule as usize].fetch_add(1, Relaxed);
        match action {
            Action::Remove => out.extend_from_slice(REMOVED),
            Action::Hash => {
                let mut mac = self.mac.clone();
                mac.update(secret);
                out.extend_from_slice(HASHED);
                for byte in &mac.finalize().into_bytes()[..DIGITS / 2] {
                    out.extend([byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[digit as usize]));
                }
            }
        }
    }
}

/// Whether a mark stands there already.
pub fn is_mark(text: &[u8]) -> bool {
    let is_hash = |rest: &[u8]| rest.len() >= DIGITS && rest[..DIGITS].iter().all(u8::is_ascii_hexdigit);
    text.starts_with(REMOVED) || text.strip_prefix(HASHED).is_some_and(is_hash)
}
