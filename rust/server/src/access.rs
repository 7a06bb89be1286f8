//! Who may read, at the own port and at the application's endpoints.
//!
//! Secrets come and stay as SHA-256 digests, so nothing here can log or show one, and a comparison tells
//! nothing about a secret's length.

use crate::session;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use base64::Engine;
use hyper::header::{HeaderValue, AUTHORIZATION, COOKIE};
use hyper::HeaderMap;
use sha2::{Digest as _, Sha256};
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};
use subtle::{Choice, ConstantTimeEq};

/// A SHA-256 digest.
pub type Digest = [u8; 32];

/// Python's decoder does not mind what the last character's unused bits are.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// What a request must know.
pub enum Secrets {
    /// Nothing.
    Open,
    /// One of these bearer tokens.
    Bearer(Vec<Digest>),
    /// This user and password.
    Basic(Digest, Digest),
}

/// Addresses with a common prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    /// A network; `None` when it has no such prefix.
    pub fn new(address: IpAddr, prefix: u32) -> Option<Self> {
        let most = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= most).then_some(Network { address, prefix })
    }

    fn holds(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= self.prefix,
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= self.prefix,
            _ => false,
        }
    }
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// An address.
    Address(IpAddr),
    /// A Unix socket, which has none.
    Unix,
    /// Something that is no address, as test clients report.
    Unknown,
}

impl Peer {
    /// Who a server says it is: an address, with or without a zone; nothing for a Unix socket.
    pub fn of(host: Option<&str>) -> Self {
        let Some(host) = host.filter(|host| !host.is_empty()) else { return Peer::Unix };
        let address = host.split_once('%').map_or(host, |(address, _)| address);
        address.parse().map_or(Peer::Unknown, Peer::Address)
    }
}

/// Decides whether a request is answered.
pub struct Access {
    /// What a request must know.
    pub secrets: Secrets,
    /// Where it must come from; `None` is everywhere.
    pub networks: Option<Vec<Network>>,
    /// Whether `networks` hold Unix sockets, too.
    pub unix: bool,
}

impl Access {
    /// Whether `networks` hold who asks; an IPv4 address within IPv6 counts as IPv4.
    pub fn admits(&self, peer: Peer) -> bool {
        let Some(networks) = &self.networks else { return true };
        match peer {
            Peer::Address(address) => {
                let address = address.to_canonical();
                networks.iter().any(|network| network.holds(address))
            }
            Peer::Unix => self.unix,
            Peer::Unknown => false,
        }
    }

    /// `None` for a request with the right secret or in a session of it, else the challenge to answer with.
    pub fn challenge(&self, headers: &HeaderMap) -> Option<&'static str> {
        let challenge = self.challenge_to(&mut headers.get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes));
        challenge.filter(|_| self.session(headers, now()).is_none())
    }

    /// When the session ends that the request is in.
    pub fn session(&self, headers: &HeaderMap, now: u64) -> Option<u64> {
        let cookies = || headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
        cookies().next()?;
        self.keys().iter().find_map(|key| session::until(key, cookies(), now))
    }

    /// What sessions are signed with, for each secret.
    pub fn keys(&self) -> Vec<Digest> {
        match &self.secrets {
            Secrets::Open => Vec::new(),
            Secrets::Bearer(known) => known.clone(),
            Secrets::Basic(user, password) => vec![digest(&[*user, *password].concat())],
        }
    }

    /// What a session is signed with that this user and secret begin; `None` where they are wrong.
    pub fn key_of(&self, user: &str, secret: &str) -> Option<Digest> {
        let given = digest(secret.as_bytes());
        match &self.secrets {
            Secrets::Open => None,
            Secrets::Bearer(known) => {
                known
                    .iter()
                    .fold(None, |found, known| if bool::from(known.ct_eq(&given)) { Some(*known) } else { found })
            }
            Secrets::Basic(known, password) => {
                let is_right: bool = (known.ct_eq(&digest(user.as_bytes())) & password.ct_eq(&given)).into();
                is_right.then(|| self.keys()[0])
            }
        }
    }

    /// The challenge by the values of all `Authorization` headers.
    fn challenge_to(&self, authorization: &mut dyn Iterator<Item = &[u8]>) -> Option<&'static str> {
        match &self.secrets {
            Secrets::Open => None,
            Secrets::Bearer(known) => (!bearer(known, authorization)).then_some("Bearer"),
            Secrets::Basic(user, password) => {
                (!basic(user, password, authorization)).then_some("Basic realm=\"metrics\", charset=\"UTF-8\"")
            }
        }
    }
}

type Values<'a, 'b> = &'b mut dyn Iterator<Item = &'a [u8]>;

/// A token as it should be sent, or as the password of any user: promtool and many a data source send no other.
fn bearer(known: &[Digest], authorization: Values<'_, '_>) -> bool {
    let Some((scheme, presented)) = credentials(authorization) else { return false };
    let presented = if scheme.eq_ignore_ascii_case(b"bearer") {
        digest(presented)
    } else if let Some((_, password)) = user_and_password(scheme, presented) {
        digest(&password)
    } else {
        return false;
    };
    // All of them, so that the time does not tell which one matched.
    known.iter().fold(Choice::from(0), |found, known| found | known.ct_eq(&presented)).into()
}

fn basic(user: &Digest, password: &Digest, authorization: Values<'_, '_>) -> bool {
    let pair = credentials(authorization).and_then(|(scheme, presented)| user_and_password(scheme, presented));
    let Some((given_user, given)) = pair else { return false };
    (user.ct_eq(&digest(&given_user)) & password.ct_eq(&digest(&given))).into()
}

/// What Basic credentials say; without a colon all of it is the user.
fn user_and_password(scheme: &[u8], presented: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let mut user = BASE64.decode(presented).ok()?;
    let colon = user.iter().position(|&byte| byte == b':').unwrap_or(user.len());
    let password = user.get(colon + 1..).unwrap_or_default().to_vec();
    user.truncate(colon);
    Some((user, password))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn digest(secret: &[u8]) -> Digest {
    Sha256::digest(secret).into()
}

/// The scheme and the rest of the one `Authorization` header.
fn credentials<'a>(authorization: Values<'a, '_>) -> Option<(&'a [u8], &'a [u8])> {
    let value = authorization.next()?;
    if authorization.next().is_some() {
        return None; // two headers are ambiguous: a proxy may have judged the other one
    }
    let space = value.iter().position(|&byte| byte == b' ').unwrap_or(value.len());
    let (scheme, rest) = value.split_at(space);
    Some((scheme, rest.trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(secrets: Secrets) -> Access {
        Access { secrets, networks: None, unix: false }
    }

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (AUTHORIZATION, value.parse().unwrap())).collect()
    }

    #[test]
    fn a_bearer_token_opens() {
        let access = access(Secrets::Bearer(vec![digest(b"old"), digest(b"new")]));
        for right in ["Bearer new", "bearer old", "BEARER   new "] {
            assert_eq!(access.challenge(&headers(&[right])), None, "{right}");
        }
        // As the password of any user, or of none: x:new, :old.
        for right in ["Basic eDpuZXc=", "basic Om9sZA=="] {
            assert_eq!(access.challenge(&headers(&[right])), None, "{right}");
        }
        // new:, new, x:new2.
        for wrong in ["Basic bmV3Og==", "Basic bmV3", "Basic eDpuZXcy"] {
            assert_eq!(access.challenge(&headers(&[wrong])), Some("Bearer"), "{wrong}");
        }
        for wrong in ["Bearer", "Bearer ", "Bearer ne", "Bearer new2", "Basic new", "new", "Bearer new, Bearer new"] {
            assert_eq!(access.challenge(&headers(&[wrong])), Some("Bearer"), "{wrong}");
        }
        assert!(access.challenge(&headers(&[])).is_some());
        assert!(access.challenge(&headers(&["Bearer new", "Bearer new"])).is_some(), "two of them");
    }

    #[test]
    fn user_and_password_open() {
        let access = access(Secrets::Basic(digest(b"ann"), digest(b"se:cret")));
        assert_eq!(access.challenge(&headers(&["Basic YW5uOnNlOmNyZXQ="])), None);
        // ann:se, ann:, ann, other alphabets, no base64 at all.
        for wrong in ["YW5uOnNl", "YW5uOg==", "YW5u", "YW5uOnNlOmNyZXQ", "====", "-_-_"] {
            assert!(access.challenge(&headers(&[&format!("Basic {wrong}")])).is_some(), "{wrong}");
        }
    }

    #[test]
    fn a_session_opens() {
        let of = |access: &Access, value: &str| {
            let cookies = [(COOKIE, value.parse().unwrap())].into_iter().collect();
            access.challenge(&cookies)
        };
        let tokens = access(Secrets::Bearer(vec![digest(b"old"), digest(b"new")]));
        let pair = access(Secrets::Basic(digest(b"ann"), digest(b"secret")));
        for (access, user, secret) in [(&tokens, "", "new"), (&tokens, "x", "old"), (&pair, "ann", "secret")] {
            let key = access.key_of(user, secret).unwrap();
            let cookie = format!("{}={}", session::cookie(&key), session::value(&key, now() + 60));
            assert_eq!(of(access, &cookie), None, "{user} {secret}");
            let ended = format!("{}={}", session::cookie(&key), session::value(&key, now() - 1));
            assert!(of(access, &ended).is_some());
        }
        for (access, user, secret) in [(&tokens, "", ""), (&pair, "bob", "secret"), (&pair, "ann", "")] {
            assert_eq!(access.key_of(user, secret), None);
        }
        assert!(of(&tokens, "a=b").is_some());
    }

    #[test]
    fn networks_admit_their_addresses() {
        let networks = [("10.0.0.0", 8), ("127.0.0.1", 32), ("fd00::", 8), ("192.0.2.0", 25)];
        let networks = networks.map(|(address, prefix)| Network::new(address.parse().unwrap(), prefix).unwrap());
        let access = Access { secrets: Secrets::Open, networks: Some(networks.to_vec()), unix: false };
        let admits = |address: &str| access.admits(Peer::of(Some(address)));
        for inside in ["10.255.0.1", "127.0.0.1", "::ffff:127.0.0.1", "fdff::1", "192.0.2.127"] {
            assert!(admits(inside), "{inside}");
        }
        for outside in ["11.0.0.1", "127.0.0.2", "::1", "fe00::", "192.0.2.128", "::ffff:11.0.0.1"] {
            assert!(!admits(outside), "{outside}");
        }
        let everything = Network::new("0.0.0.0".parse().unwrap(), 0).unwrap();
        assert!(everything.holds("255.1.1.1".parse().unwrap()) && !everything.holds("::1".parse().unwrap()));
        assert_eq!(Network::new("0.0.0.0".parse().unwrap(), 33), None);
    }
}
