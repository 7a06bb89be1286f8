//! The text of a label value.

use pyo3::prelude::*;

/// The text of a label value: `str(value)`, with what UTF-8 cannot say replaced by `?`.
pub fn label_text(value: &Bound<'_, PyAny>) -> PyResult<String> {
    let text = value.str()?;
    match text.to_str() {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Ok(String::from_utf8_lossy(
            text.call_method1("encode", ("utf-8", "replace"))?.extract::<&[u8]>().unwrap_or_default(),
        )
        .into_owned()),
    }
}
