//! Where there are no segments: nobody shares, and there is nothing to see.

/// This process's own segment.
pub mod writer {
    use crate::segment::share_error::ShareError;
    use std::path::PathBuf;

    /// Nothing to do.
    pub fn leave() {}

    /// None.
    pub fn shared_directory() -> Option<PathBuf> {
        None
    }

    /// Nothing.
    pub fn take_failure() -> Option<ShareError> {
        None
    }
}

/// What ties the families to it.
pub mod mirror {
    use crate::segment::share_error::ShareError;
    use std::path::Path;

    /// Refuses.
    ///
    /// # Errors
    /// Always: it takes Linux.
    pub fn share(directory: &Path) -> Result<(), ShareError> {
        let text = format!("metrics cannot be shared in {}: that takes Linux", directory.display());
        Err(ShareError { text, code: None })
    }
}

/// All segments of a directory.
pub mod view {
    use crate::computed::Computed;
    use crate::family::Family;
    use crate::reading::Reading;
    use std::io;
    use std::path::Path;

    /// There is none.
    pub enum View {}

    impl View {
        /// The family as all processes recorded it.
        pub fn reading<'a>(&'a self, _: &'a Family) -> Option<Box<dyn Reading + 'a>> {
            match *self {}
        }

        /// Refuses.
        ///
        /// # Errors
        /// Always: it takes Linux.
        pub fn open(_: &Path) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        /// Looks again.
        pub fn refresh(&mut self) {
            match *self {}
        }

        /// How many processes live.
        pub fn living(&self) -> usize {
            match *self {}
        }

        /// The families of all scopes.
        pub fn everything(&self) -> std::slice::Iter<'_, &Family> {
            match *self {}
        }

        /// The families of a scope.
        pub fn families(&self, _: &str) -> std::slice::Iter<'_, &Family> {
            match *self {}
        }

        /// What there is to say about the directory itself.
        pub fn about(&self) -> Vec<Computed> {
            match *self {}
        }
    }
}

/// The view of the directory that this process shares.
pub mod shared {
    use super::view::View;

    /// There is none.
    pub type Shared = Box<View>;

    pub(crate) fn blind() -> Vec<crate::computed::Computed> {
        Vec::new()
    }

    /// Nothing.
    pub fn take_damage() -> Vec<String> {
        Vec::new()
    }

    pub(crate) fn look() -> Option<Shared> {
        None
    }
}

/// Removals by others.
pub mod remote_removals {
    /// There are none.
    #[inline(always)]
    pub fn apply() {}

    /// None.
    #[inline(always)]
    pub fn counted() -> u64 {
        0
    }

    /// Always.
    pub fn is_up_to_date() -> bool {
        true
    }
}
