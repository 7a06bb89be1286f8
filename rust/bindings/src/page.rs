//! The live page as answers of a port: the files that Python brings, for whom an `Access` lets in.

use crate::responder::{access_of, Access, NativeRoute};
use ferrometer_server::page::{routes, File};
use pyo3::prelude::*;
use std::sync::{Arc, Mutex, PoisonError};

/// The files of the page that was shown last in this process: what a port of its own shows, too.
static LATEST: Mutex<Option<Arc<Vec<File>>>> = Mutex::new(None);

/// The files of the live page. Each is a name below `/ferrometer/`, a media type and the contents; the page itself has
/// an empty name.
#[pyclass(frozen, module = "ferrometer._core")]
pub struct LivePage {
    files: Arc<Vec<File>>,
}

#[pymethods]
impl LivePage {
    #[new]
    fn new(files: Vec<(String, String, Vec<u8>)>) -> Self {
        let file = |(name, media_type, body)| File { name, media_type, body };
        LivePage { files: Arc::new(files.into_iter().map(file).collect()) }
    }

    /// Makes it the page that `latest_routes` are about.
    fn show(&self) {
        *LATEST.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.files.clone());
    }

    /// The page, to those whom `access` lets in; the page holds no figures.
    #[pyo3(signature = (access=None))]
    fn routes(&self, access: Option<&Bound<'_, Access>>) -> Vec<NativeRoute> {
        routes(&self.files, &access_of(access)).map(|route| NativeRoute { route }).into()
    }

    /// The same for the page of this process that is shown last; none where none is.
    #[staticmethod]
    #[pyo3(signature = (access=None))]
    fn latest_routes(access: Option<&Bound<'_, Access>>) -> Vec<NativeRoute> {
        let files = LATEST.lock().unwrap_or_else(PoisonError::into_inner).clone();
        files
            .map_or_else(Vec::new, |files| routes(&files, &access_of(access)).map(|route| NativeRoute { route }).into())
    }
}
