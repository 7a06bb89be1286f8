//! Numbers of payment cards.

use super::{is_word, Action, Found, Rule};

/// Digits of such a number.
const SHORTEST: usize = 13;
const LONGEST: usize = 19;

/// A card's number that begins at `start`, a digit: issuer 2 to 6, single spaces or dashes between digits, the right
/// check digit, and no letter, digit, `.` or `_` beside it.
pub fn card(text: &[u8], start: usize) -> Option<Found> {
    if !matches!(text.get(start)?, b'2'..=b'6') || start > 0 && matches!(text[start - 1], b'.') {
        return None;
    }
    let (mut digits, mut count, mut end, mut at) = ([0; LONGEST], 0, start, start);
    while let Some(&byte) = text.get(at) {
        if byte.is_ascii_digit() {
            *digits.get_mut(count)? = byte - b'0';
            count += 1;
            end = at + 1;
        } else if !(matches!(byte, b' ' | b'-') && text.get(at + 1).is_some_and(u8::is_ascii_digit)) {
            break;
        }
        at += 1;
    }
    let is_alone = text.get(end).is_none_or(|&byte| !is_word(byte))
        && !(text.get(end) == Some(&b'.') && text.get(end + 1).is_some_and(u8::is_ascii_digit));
    let is_card = is_alone && count >= SHORTEST && is_valid(&digits[..count]);
    is_card.then_some(Found { start, end, rule: Rule::Card, action: Action::Remove })
}

/// Luhn's check, for digits that are not all the same.
fn is_valid(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, &digit)| match (place % 2, digit) {
            (0, digit) => u32::from(digit),
            (_, digit) if digit > 4 => u32::from(digit) * 2 - 9,
            (_, digit) => u32::from(digit) * 2,
        })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|&digit| digit != digits[0])
}

/// Whether a whole number is a card's.
pub fn is_card(number: u64) -> bool {
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(number).as_bytes();
    card(text, 0).is_some_and(|found| found.end == text.len())
}
