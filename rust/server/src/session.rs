//! A browser that has signed in: a cookie that says until when, signed with what it signed in with.
//!
//! Nothing is kept: every worker, every port of the same secret and a restarted server know the cookie again, and a
//! secret that is replaced ends its sessions.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::fmt::Write;

/// What a session is signed with: made of a secret, and no longer the secret.
pub type Key = [u8; 32];

/// How long a session lasts.
pub const SECONDS: u64 = 12 * 3600;

/// The cookie's name: each secret has its own, because the ports of a host share their cookies.
pub fn cookie(key: &Key) -> String {
    format!("ferrometer_{}", &signed(key, "name")[..8])
}

/// The cookie's value for a session that ends then, in seconds since 1970.
pub fn value(key: &Key, expires: u64) -> String {
    format!("{expires}.{}", signed(key, &format!("session until {expires}")))
}

/// When the session ends that one of these `Cookie` headers holds; `None` where there is none that counts.
pub fn until<'a>(key: &Key, cookies: impl Iterator<Item = &'a [u8]>, now: u64) -> Option<u64> {
    let name = cookie(key);
    let pairs = cookies.filter_map(|header| std::str::from_utf8(header).ok()).flat_map(|header| header.split(';'));
    let mine = pairs.filter_map(|pair| pair.trim().split_once('=')).filter(|(given, _)| *given == name);
    mine.filter_map(|(_, text)| ends(key, text)).find(|&expires| expires > now && expires <= now + 2 * SECONDS)
}

fn ends(key: &Key, text: &str) -> Option<u64> {
    let (expires, signature) = text.split_once('.')?;
    let expires: u64 = expires.parse().ok()?;
    let signature = unhex(signature)?;
    authenticator(key, &format!("session until {expires}")).verify_slice(&signature).ok()?;
    Some(expires)
}

fn authenticator(key: &Key, text: &str) -> Hmac<Sha256> {
    let mut made = Hmac::<Sha256>::new_from_slice(key).expect("a key may have any length");
    made.update(text.as_bytes());
    made
}

fn signed(key: &Key, text: &str) -> String {
    let bytes = authenticator(key, text).finalize().into_bytes();
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..64).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_lasts_until_it_says() {
        let (key, other) = ([7; 32], [8; 32]);
        let header = format!("a=b; {}={}; c", cookie(&key), value(&key, 1000));
        let at = |key: &Key, now| until(key, std::iter::once(header.as_bytes()), now);
        assert_eq!(at(&key, 999), Some(1000));
        assert_eq!(at(&key, 1000), None, "expired");
        assert_eq!(at(&other, 999), None, "another secret's");
        let far = format!("{}={}", cookie(&key), value(&key, 10 * SECONDS));
        assert_eq!(until(&key, std::iter::once(far.as_bytes()), 0), None, "a clock that went back");
    }

    #[test]
    fn what_is_forged_does_not_count() {
        let key = [7; 32];
        let right = value(&key, 1000);
        let longer = right.replacen("1000", "2000", 1);
        for wrong in [&longer, "1000.", "1000", ".", "", "1000.zz", &right[..right.len() - 1], "-1.00"] {
            let header = format!("{}={wrong}", cookie(&key));
            assert_eq!(until(&key, std::iter::once(header.as_bytes()), 1), None, "{wrong}");
        }
        assert_eq!(until(&key, [&b"\xff\xfe"[..], b"="].into_iter(), 1), None);
    }
}
