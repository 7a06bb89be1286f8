//! What is taken out of a text, and what stays. Secrets are put together here, so that no scanner of repositories
//! finds one; cards are made with their check digit.

use ferrometer_logs::redact::mark::Marker;
use ferrometer_logs::text;
use proptest::prelude::*;

const KEY: &str = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0";

fn shown(value: &str) -> String {
    let mut out = vec![b'"'];
    text::write(&mut out, value.as_bytes(), &Marker::new(b"installation"));
    out.push(b'"');
    serde_json::from_slice(&out).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&out)))
}

fn card(first: &str, length: usize) -> String {
    let mut digits: Vec<u32> = first.bytes().map(|byte| u32::from(byte - b'0')).collect();
    digits.resize(length - 1, 7);
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| if place % 2 == 0 { digit * 2 / 10 + digit * 2 % 10 } else { *digit })
        .sum();
    digits.push((10 - sum % 10) % 10);
    digits.iter().map(|digit| char::from_digit(*digit, 10).unwrap()).collect()
}

/// A text, and the part of it that nobody may read.
fn secrets() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for prefix in [
        "sk-",
        "sk-proj-",
        "sk-ant-api03-",
        "sk-or-v1-",
        "sk_live_",
        "rk_live_",
        "whsec_",
        "ghp_",
        "gho_",
        "ghu_",
        "ghs_",
        "ghr_",
        "github_pat_",
        "glpat-",
        "xoxb-",
        "xoxp-",
        "xapp-",
        "hooks.slack.com/services/",
        "AIza",
        "ya29.",
        "GOCSPX-",
        "hf_",
        "npm_",
        "SG.",
        "r8_",
        "gsk_",
        "xai-",
        "dop_v1_",
        "hvs.",
    ] {
        all.push((format!("calling with {prefix}{KEY} now"), KEY.to_owned()));
    }
    all.push((format!("key AKIA{}", "QWERTYUIOP123456"), "QWERTYUIOP123456".into()));
    all.push((format!("pypi-{KEY}{KEY}"), KEY.into()));
    all.push((format!("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.{KEY}"), KEY.into()));
    for word in ["Bearer", "bearer", "Basic"] {
        all.push((format!("{word} {KEY}="), KEY.into()));
    }
    all.push((format!("postgres://app:{KEY}@db:5432/shop"), KEY.into()));
    all.push((format!("redis://:{KEY}@cache/0"), KEY.into()));
    all.push((format!("-----BEGIN RSA PRIVATE KEY-----\n{KEY}\n{KEY}\n-----END RSA PRIVATE KEY-----"), KEY.into()));
    all.push((format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{KEY}"), KEY.into()));
    for name in [
        "password",
        "db_password",
        "passwd",
        "client_secret",
        "api_key",
        "apikey",
        "aws_secret_access_key",
        "access_token",
        "refresh_token",
        "token",
        "X-Api-Key",
    ] {
        for (open, close) in
            [("=", ""), ("='", "'"), ("\": \"", "\""), ("': '", "'"), (": ", ""), ("\\\": \\\"", "\\\"")]
        {
            all.push((format!("{{{name}{open}{KEY}{close}, x"), KEY.into()));
        }
    }
    all.push((format!("GET /v1?sig={KEY}&a=1"), KEY.into()));
    all.push((format!("GET /v1?a=1&X-Amz-Signature={KEY}"), KEY.into()));
    all.push(("password=hunter2".into(), "hunter2".into()));
    all.push(("password: hunter2".into(), "hunter2".into()));
    all.push((format!("Cookie: session={KEY}; a=b"), KEY.into()));
    for (first, length) in
        [("4", 16), ("4", 13), ("51", 16), ("2221", 16), ("34", 15), ("37", 15), ("6011", 16), ("62", 19)]
    {
        let number = card(first, length);
        all.push((format!("card {number} declined"), number.clone()));
        let spaced: Vec<String> =
            number.as_bytes().chunks(4).map(|four| String::from_utf8_lossy(four).into_owned()).collect();
        for between in [" ", "-"] {
            all.push((format!("card {}.", spaced.join(between)), spaced.join(between)));
        }
    }
    all
}

const HARMLESS: [&str; 36] = [
    "Basic authentication-failure",
    "pwd: /home/app",
    "secret: rotated",
    "bearer of bad news",
    "basic plan",
    "550e8400-e29b-41d4-a716-446655440000",
    "trace 4bf92f3577b34da6a3ce929d0e0e4736",
    "11112222333344445555666677778888",
    "at 1768307696789123456 ns",
    "at 1768307696789 ms",
    "order 4111111111111112",
    "pi 4.111111111111111",
    "4111111111111111.5",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "https://host:8080/a@b",
    "risk-adjusted-return-2024-q3-long",
    "task_sk-12345678901234567890",
    "prompt_tokens=17",
    "max_tokens: 4096",
    "token_count=3",
    "next_page_token=abcdef123456",
    "author=bob authority=x",
    "session_id s-123 opened",
    "idempotency_key=abc-123",
    "key=value",
    "key: value",
    "sk-learn is a library of some length",
    "password=None",
    "password reset for bob",
    "token expired",
    "the secret is out",
    "2001:db8::1",
    "10.0.0.1:8080",
    "http://user@host/",
    "4444444444444444",
    "tokens: 100 in, 200 out",
];

#[test]
fn secrets_are_taken_out_and_what_looks_like_one_stays() {
    let secrets = secrets();
    let missed: Vec<&String> =
        secrets.iter().filter(|(text, secret)| shown(text).contains(secret.as_str())).map(|(text, _)| text).collect();
    let hit: Vec<&str> = HARMLESS.into_iter().filter(|text| shown(text) != *text).collect();
    println!(
        "{} of {} secrets, {} false hits of {}",
        secrets.len() - missed.len(),
        secrets.len(),
        hit.len(),
        HARMLESS.len()
    );
    assert!(missed.is_empty(), "{missed:#?}");
    assert!(hit.is_empty(), "{hit:#?}");
}

#[test]
fn redaction_is_idempotent_and_keeps_what_is_around() {
    for (text, _) in secrets() {
        let once = shown(&text);
        assert_eq!(shown(&once), once, "{text}");
    }
    assert_eq!(shown("postgres://app:hunter2@db:5432/shop"), "postgres://app:[redacted]@db:5432/shop");
    assert_eq!(shown("a password=hunter2, b"), "a password=[redacted], b");
    let marked = shown(&format!("with sk-{KEY} now"));
    assert!(marked.starts_with("with sha256:") && marked.ends_with(" now"), "{marked}");
    assert_eq!(marked.len(), "with sha256: now".len() + 12);
}

fn harmless() -> impl Strategy<Value = String> {
    // No digits, no separators: nothing in it can be a secret.
    proptest::string::string_regex("[a-z \\n\\t\"\\\\/é漢😀.,!?]{0,60}").unwrap()
}

proptest! {
    /// What holds no secret comes out as it went in, whatever it is.
    #[test]
    fn clean_texts_are_unchanged(text in harmless()) {
        prop_assert_eq!(shown(&text), text);
    }

    /// Any text at all becomes valid JSON, and the same text when nothing was marked.
    #[test]
    fn any_text_is_valid_json(text in any::<String>()) {
        let shown = shown(&text);
        if !shown.contains("[redacted]") && !shown.contains("sha256:") {
            prop_assert_eq!(shown, text);
        }
    }

    /// No secret is read wherever it stands.
    #[test]
    fn a_planted_secret_is_never_shown(before in harmless(), after in harmless(), which in any::<prop::sample::Index>(), space in "[ \\n,;(]") {
        let all = secrets();
        let (text, secret) = which.get(&all);
        let line = format!("{before}{space}{text} {after}");
        prop_assert!(!shown(&line).contains(secret.as_str()), "{}", line);
    }
}
