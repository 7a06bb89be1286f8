//! Texts that many series share, each once in memory: metric names, label names, bounds.
//!
//! Series whose names are one allocation are told apart by their pointers, without a look at the letters.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

/// So many are shared; further ones are copies.
const MOST: usize = 8192;

static KNOWN: Mutex<Option<HashSet<Arc<str>>>> = Mutex::new(None);

/// The shared copy of a text; one of its own where another thread is busy with them, which in the child of a fork may
/// be for ever.
pub fn shared(text: &str) -> Arc<str> {
    let Ok(mut known) = KNOWN.try_lock() else { return text.into() };
    let known = known.get_or_insert_default();
    if let Some(found) = known.get(text) {
        return found.clone();
    }
    let new: Arc<str> = text.into();
    if known.len() < MOST {
        known.insert(new.clone());
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_one() {
        assert!(Arc::ptr_eq(&shared("le"), &shared("le")));
        assert_eq!(&*shared("endpoint"), "endpoint");
    }
}
