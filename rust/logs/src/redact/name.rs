//! Names of fields whose values are secrets.

use super::Action::{self, Hash, Remove};

/// The longest name that is looked at.
const LONGEST: usize = 64;

/// What a name ends with, as whole words, and what is done with its value.
const ENDINGS: [(&str, Action); 36] = [
    ("password", Remove),
    ("pass_word", Remove),
    ("clientsecret", Remove),
    ("passwd", Remove),
    ("pwd", Remove),
    ("passphrase", Remove),
    ("secret", Remove),
    ("secret_key", Remove),
    ("private_key", Remove),
    ("credential", Remove),
    ("credentials", Remove),
    ("cookie", Remove),
    ("dsn", Remove),
    ("card_number", Remove),
    ("credit_card", Remove),
    ("cvv", Remove),
    ("cvc", Remove),
    ("pan", Remove),
    ("ssn", Remove),
    ("authorization", Hash),
    ("api_key", Hash),
    ("apikey", Hash),
    ("access_key", Hash),
    ("access_key_id", Hash),
    ("account_key", Hash),
    ("signing_key", Hash),
    ("encryption_key", Hash),
    ("client_secret", Remove),
    ("access_token", Hash),
    ("refresh_token", Hash),
    ("id_token", Hash),
    ("auth_token", Hash),
    ("bearer_token", Hash),
    ("session_token", Hash),
    ("secret_token", Hash),
    ("token", Hash),
];

/// Words before a last `token` that make it something else: a page, or a piece of text.
const HARMLESS_TOKENS: [&str; 13] =
    ["page", "next", "continuation", "cursor", "stop", "pad", "eos", "bos", "unk", "mask", "sep", "cls", "per"];

/// What is done with the value of a field of that name; `None` for a name that is no secret's.
pub fn action(name: &[u8]) -> Option<Action> {
    let mut folded = [0; LONGEST * 2];
    let name = fold(name, &mut folded)?;
    ENDINGS.iter().find(|(ending, _)| ends_with(name, ending)).and_then(|&(ending, action)| {
        let before = name.strip_suffix("token").unwrap_or("").trim_end_matches('_');
        let is_harmless = ending == "token" && HARMLESS_TOKENS.iter().any(|word| ends_with(before, word));
        (!is_harmless).then_some(action)
    })
}

/// Whether a folded name ends with these whole words.
pub(super) fn ends_with(name: &str, ending: &str) -> bool {
    name.strip_suffix(ending).is_some_and(|before| before.is_empty() || before.ends_with('_'))
}

/// A name as names are compared.
pub(super) fn folded(name: &[u8]) -> String {
    fold(name, &mut [0; LONGEST * 2]).unwrap_or_default().to_owned()
}

/// In lower case, words separated by `_`: `X-Api-Key`, `apiKey` and `api.key` are `api_key` at their end.
fn fold<'a>(name: &[u8], out: &'a mut [u8; LONGEST * 2]) -> Option<&'a str> {
    let name = &name[name.len().saturating_sub(LONGEST)..];
    let (mut length, mut was_lower, mut was_upper) = (0, false, false);
    for (at, &byte) in name.iter().enumerate() {
        // In `userPassword` before the P, in `ETSYToken` before the T.
        let is_last_upper = was_upper && name.get(at + 1).is_some_and(u8::is_ascii_lowercase);
        if byte.is_ascii_uppercase() && (was_lower || is_last_upper) {
            out[length] = b'_';
            length += 1;
        }
        out[length] = match byte {
            b'-' | b'.' | b' ' => b'_',
            _ => byte.to_ascii_lowercase(),
        };
        length += 1;
        was_lower = byte.is_ascii_lowercase() || byte.is_ascii_digit();
        was_upper = byte.is_ascii_uppercase();
    }
    std::str::from_utf8(&out[..length]).ok()
}

#[cfg(test)]
mod tests {
    use super::{action, Action};

    #[test]
    fn secrets_and_their_neighbours() {
        for name in [
            "password",
            "db_password",
            "userPassword",
            "PassWord",
            "DBPassword",
            "PGPASSWD",
            "X-Card-Number",
            "CVV",
            "aws.secret",
        ] {
            let expected = (name != "PGPASSWD").then_some(Action::Remove);
            assert_eq!(action(name.as_bytes()), expected, "{name}");
        }
        for name in ["api_key", "apiKey", "X-Api-Key", "OPENAI_API_KEY", "access_token", "token", "Authorization"] {
            assert_eq!(action(name.as_bytes()), Some(Action::Hash), "{name}");
        }
        for name in [
            "prompt_tokens",
            "max_tokens",
            "token_count",
            "token_type",
            "next_page_token",
            "author",
            "authority",
            "session_id",
            "request_id",
            "key",
            "idempotency_key",
            "company",
            "secretary",
            "passwords_changed",
            "eos_token",
            "",
        ] {
            assert_eq!(action(name.as_bytes()), None, "{name}");
        }
    }
}
