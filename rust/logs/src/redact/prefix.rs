//! Secrets that are known by how they begin.

use super::{run, Action, Found, Rule};

/// The longest that is looked at.
const MOST: usize = 8192;

/// A prefix, and how many bytes of a key follow it at least. Sorted by the first byte, longer ones first.
const PREFIXES: [(&[u8], usize); 92] = [
    (b"AGE-SECRET-KEY-1", 40),
    (b"ATATT3", 60),
    (b"ATCTT3", 60),
    (b"ABIA", 16),
    (b"ACCA", 16),
    (b"AIza", 30),
    (b"AKIA", 16),
    (b"ASIA", 16),
    (b"CLOJARS_", 30),
    (b"EAAM", 40),
    (b"EZAK", 40),
    (b"EZTK", 40),
    (b"GOCSPX-", 20),
    (b"HRKU-", 30),
    (b"NRAK-", 20),
    (b"NRII-", 20),
    (b"NRJS-", 15),
    (b"PMAK-", 40),
    (b"SG.", 20),
    (b"ZXlK", 40),
    (b"api_org_", 30),
    (b"doo_v1_", 32),
    (b"dop_v1_", 32),
    (b"dor_v1_", 32),
    (b"dt0c01.", 40),
    (b"duffel_", 30),
    (b"dnkey-", 40),
    (b"dp.pt.", 30),
    (b"dapi", 32),
    (b"figd_", 30),
    (b"fo1_", 30),
    (b"fm1", 60),
    (b"github_pat_", 20),
    (b"glcbt-", 16),
    (b"glpat-", 16),
    (b"glptt-", 20),
    (b"gldt-", 16),
    (b"glrt-", 16),
    (b"glsa_", 30),
    (b"gho_", 30),
    (b"ghp_", 30),
    (b"ghr_", 30),
    (b"ghs_", 30),
    (b"ghu_", 30),
    (b"glc_", 30),
    (b"gsk_", 20),
    (b"hooks.slack.com/services/", 10),
    (b"hvb.", 40),
    (b"hvs.", 20),
    (b"hf_", 20),
    (b"ico-", 30),
    (b"lin_api_", 30),
    (b"nvapi-", 30),
    (b"npm_", 30),
    (b"ops_ey", 60),
    (b"pscale_", 20),
    (b"pplx-", 40),
    (b"pypi-", 40),
    (b"pul-", 30),
    (b"rubygems_", 40),
    (b"rk_live_", 10),
    (b"rk_test_", 10),
    (b"rdme_", 40),
    (b"r8_", 20),
    (b"sk_live_", 10),
    (b"sk_test_", 10),
    (b"sha256~", 40),
    (b"shippo_", 20),
    (b"sntrys_", 30),
    (b"sntryu_", 30),
    (b"sq0atp-", 20),
    (b"sq0csp-", 20),
    (b"shpat_", 30),
    (b"shpca_", 30),
    (b"shppa_", 30),
    (b"shpss_", 30),
    (b"sgp_", 30),
    (b"sk-", 16),
    (b"sk_", 20),
    (b"tk-us-", 40),
    (b"whsec_", 16),
    (b"xkeysib-", 40),
    (b"xapp-", 10),
    (b"xoxa-", 10),
    (b"xoxb-", 10),
    (b"xoxe-", 10),
    (b"xoxe.", 10),
    (b"xoxp-", 10),
    (b"xoxr-", 10),
    (b"xoxs-", 10),
    (b"xai-", 20),
    (b"ya29.", 20),
];

/// Where the prefixes with a first byte begin, and how many there are.
const PLACES: [(u8, u8); 256] = {
    let mut places = [(0, 0); 256];
    let mut index = 0;
    while index < PREFIXES.len() {
        let first = PREFIXES[index].0[0] as usize;
        if places[first].1 == 0 {
            places[first].0 = index as u8;
        }
        places[first].1 += 1;
        index += 1;
    }
    places
};

/// Which bytes one of all that begins with.
pub const FIRST: [bool; 256] = {
    let mut first = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        first[byte] = PLACES[byte].1 > 0;
        byte += 1;
    }
    // JSON web tokens; bearer and basic.
    let others = b"ebB";
    let mut index = 0;
    while index < others.len() {
        first[others[index] as usize] = true;
        index += 1;
    }
    first
};

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/' | b'+' | b'=' | b'~')
}

fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/' | b'=')
}

/// A secret that begins at `start`, the beginning of a word.
pub fn prefixed(text: &[u8], start: usize) -> Option<Found> {
    let rest = &text[start..];
    match rest[0] {
        b'e' if rest.starts_with(b"eyJ") => jwt(text, start),
        b'b' | b'B' => authorization(text, start),
        _ => key(text, start),
    }
}

fn key(text: &[u8], start: usize) -> Option<Found> {
    let rest = &text[start..];
    let (first, count) = PLACES[rest[0] as usize];
    let known = &PREFIXES[first as usize..first as usize + count as usize];
    let &(prefix, least) = known.iter().find(|(prefix, _)| rest.starts_with(prefix))?;
    let from = start + prefix.len();
    let mut length = run(text, from, MOST, is_key);
    // The end of a sentence is not the key's.
    while length > 0 && matches!(text[from + length - 1], b'.' | b'/' | b'-') {
        length -= 1;
    }
    (length >= least && is_random(&text[from..from + length])).then_some(Found {
        start,
        end: from + length,
        rule: Rule::Prefix,
        action: Action::Hash,
    })
}

/// Whether it has a digit, or is long and of both cases: words have neither.
fn is_random(key: &[u8]) -> bool {
    let is_mixed = || key.iter().any(u8::is_ascii_uppercase) && key.iter().any(u8::is_ascii_lowercase);
    key.iter().any(u8::is_ascii_digit) || key.len() >= 30 && is_mixed() || key.len() >= 40
}

fn jwt(text: &[u8], start: usize) -> Option<Found> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let head = run(text, start, MOST, is_part);
    if head < 10 || !text[start + head..].starts_with(b".ey") {
        return None;
    }
    let length = run(text, start, MOST, |byte| is_part(byte) || byte == b'.' || byte == b'=');
    Some(Found { start, end: start + length, rule: Rule::Jwt, action: Action::Hash })
}

/// The token behind `Bearer` or `Basic`; the word stays.
fn authorization(text: &[u8], start: usize) -> Option<Found> {
    let rest = &text[start..];
    let is = |word: &[u8]| rest.len() > word.len() && rest[..word.len()].eq_ignore_ascii_case(word);
    let word = [&b"bearer "[..], b"basic "].into_iter().find(|word| is(word))?;
    let from = start + word.len();
    let length = run(text, from, MOST, is_token);
    let has_digit = text[from..from + length].iter().any(u8::is_ascii_digit);
    (length >= 16 && has_digit).then_some(Found {
        start: from,
        end: from + length,
        rule: Rule::Authorization,
        action: Action::Hash,
    })
}

/// A private key in PEM that begins at `start`, a dash; to its end, or to the end of the text.
pub fn private_key(text: &[u8], start: usize) -> Option<Found> {
    let rest = &text[start..];
    let title = rest.strip_prefix(b"-----BEGIN ")?;
    let close = title.iter().take(64).position(|&byte| byte == b'-')?;
    if !title[..close].ends_with(b"PRIVATE KEY") && !title[..close].ends_with(b"PRIVATE KEY BLOCK") {
        return None;
    }
    let end = find(rest, b"-----END ").and_then(|at| {
        let after = at + b"-----END ".len();
        find(&rest[after..], b"-----").map(|dashes| after + dashes + 5)
    });
    let end = start + end.unwrap_or(rest.len());
    Some(Found { start, end, rule: Rule::PrivateKey, action: Action::Remove })
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
