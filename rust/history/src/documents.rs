//! What the writer tells beside the samples: texts by their name, such as which alerts fire.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Texts by their name: in files that all processes of the directory read, or in memory.
pub struct Documents {
    folder: Option<PathBuf>,
    memory: Mutex<HashMap<String, String>>,
}

impl Documents {
    /// Those of a directory, or of this process.
    pub fn new(directory: Option<&Path>) -> Self {
        Documents { folder: directory.map(|directory| directory.join("history-documents")), memory: Mutex::default() }
    }

    /// Replaces a text; who reads it sees the old one or the new one.
    ///
    /// # Errors
    /// When the file cannot be written, or the name is no word.
    pub fn put(&self, name: &str, text: &str) -> io::Result<()> {
        let Some(folder) = &self.folder else {
            self.memory.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), text.to_owned());
            return Ok(());
        };
        let file = file(folder, name)?;
        fs::create_dir_all(folder)?;
        let fresh = folder.join(format!(".{name}.{}", std::process::id()));
        let written = fs::File::create(&fresh).and_then(|mut open| open.write_all(text.as_bytes()));
        written.and_then(|()| fs::rename(&fresh, file)).inspect_err(|_| {
            let _ = fs::remove_file(&fresh);
        })
    }

    /// A text as it was put last.
    pub fn get(&self, name: &str) -> Option<String> {
        match &self.folder {
            Some(folder) => fs::read_to_string(file(folder, name).ok()?).ok(),
            None => self.memory.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned(),
        }
    }
}

fn file(folder: &Path, name: &str) -> io::Result<PathBuf> {
    let is_word = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    if is_word {
        return Ok(folder.join(format!("{name}.json")));
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("a document's name is of lower-case letters, not {name:?}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_last_is_read() {
        let folder = tempfile::tempdir().unwrap();
        for documents in [Documents::new(None), Documents::new(Some(folder.path()))] {
            assert_eq!(documents.get("alerts"), None);
            documents.put("alerts", "one").unwrap();
            documents.put("alerts", "two").unwrap();
            assert_eq!(documents.get("alerts").as_deref(), Some("two"));
        }
        let other = Documents::new(Some(folder.path()));
        assert_eq!(other.get("alerts").as_deref(), Some("two"), "another process reads it");
        assert!(other.put("../alerts", "x").is_err());
        assert_eq!(other.get("../alerts"), None);
    }
}
