//! Where there are no segments.

use super::share_error::ShareError;
use std::path::{Path, PathBuf};

/// Refuses.
///
/// # Errors
/// Always: it takes Linux.
pub fn share(directory: &Path) -> Result<(), ShareError> {
    let text = format!("metrics cannot be shared in {}: that takes Linux", directory.display());
    Err(ShareError { text, code: None })
}

/// None.
pub fn shared_directory() -> Option<PathBuf> {
    None
}

/// Nothing.
pub fn take_failure() -> Option<ShareError> {
    None
}
