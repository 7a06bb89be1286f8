//! What must not be read in a log: by the name of a field, and by what a value looks like.
//!
//! Every matcher looks at one place and at a bounded stretch behind it; no regular expression runs over a line.

pub mod card;
pub mod mark;
pub mod name;
pub mod own;
pub mod pair;
pub mod prefix;
pub mod url;

/// What is done with a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A keyed hash stands in its place, so that two lines with the same key can be told to have it.
    Hash,
    /// Nothing of it is left: a hash of what is short or has few values can be guessed.
    Remove,
}

/// Which rule found it; the value of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Rule {
    /// The name of a field.
    Name,
    /// A name and a value in a text: `password=…`.
    Pair,
    /// The prefix of an API key.
    Prefix,
    /// A JSON web token.
    Jwt,
    /// `Bearer …`, `Basic …`.
    Authorization,
    /// A password in a URL.
    Url,
    /// A private key in PEM.
    PrivateKey,
    /// The number of a payment card.
    Card,
    /// A rule of the user's own.
    Own,
}

impl Rule {
    /// All of them.
    pub const ALL: [Rule; 9] = [
        Rule::Name,
        Rule::Pair,
        Rule::Prefix,
        Rule::Jwt,
        Rule::Authorization,
        Rule::Url,
        Rule::PrivateKey,
        Rule::Card,
        Rule::Own,
    ];

    /// As a label's value.
    pub fn name(self) -> &'static str {
        match self {
            Rule::Name => "name",
            Rule::Pair => "pair",
            Rule::Prefix => "prefix",
            Rule::Jwt => "jwt",
            Rule::Authorization => "authorization",
            Rule::Url => "url",
            Rule::PrivateKey => "private_key",
            Rule::Card => "card",
            Rule::Own => "own",
        }
    }
}

/// A secret in a text, from `start` to before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Where it begins; not before the place that was looked at, but for a URL's password.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// Who found it.
    pub rule: Rule,
    /// What is done.
    pub action: Action,
}

/// Whether a byte can be a part of a word.
#[inline]
pub fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// How many bytes from `start` on are of a kind, at most `most`.
pub fn run(text: &[u8], start: usize, most: usize, is: impl Fn(u8) -> bool) -> usize {
    text[start.min(text.len())..].iter().take(most).take_while(|&&byte| is(byte)).count()
}
