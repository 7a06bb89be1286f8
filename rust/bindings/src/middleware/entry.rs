//! `MetricsMiddleware`: the ASGI application that stands in front of another one.

use super::dict::lookup;
use super::face;
use super::ffi::{clear, make_type, member, owned, utf8, vectorcall, Global, Obj, NO_MEMBER};
use super::keys::keys;
use super::object::Middleware;
use super::request::{Request, SPECIAL};
use super::scope::{is_http, kind, Kind, Skip, METHODS};
use crate::http_metrics::{HttpMetrics, Instrument, Options};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

/// `middleware(scope, receive, send)`
unsafe extern "C" fn call(object: Obj, arguments: *const Obj, nargsf: usize, kwnames: Obj) -> Obj {
    let middleware: *mut Middleware = object.cast();
    // SAFETY: the vectorcall protocol.
    unsafe {
        if ffi::PyVectorcall_NARGS(nargsf) != 3 || !kwnames.is_null() {
            return by_name(middleware, arguments, nargsf, kwnames);
        }
        let scope = *arguments;
        if !is_http(scope) || !(*middleware).measures_all {
            return any_call(middleware, arguments, nargsf);
        }
        let instrument = (*middleware).instrument();
        let shared = &*instrument.shared;
        let mut flags = 0;
        if shared.middlewares.get() > 1 {
            if shared.active.measures(scope as usize, middleware as usize) {
                return vectorcall((*middleware).app, arguments, nargsf, null_mut());
            }
            if instrument.application.totals().is_some() {
                flags = SPECIAL;
            }
        }
        let face = if flags == 0 { face::call } else { face::special_call };
        Request::make(middleware, face, Kind::Http, flags, scope, *arguments.add(1), *arguments.add(2)).cast()
    }
}

/// `middleware(scope, receive, send)` for any scope, and where some are skipped.
#[inline(never)]
unsafe fn any_call(middleware: *mut Middleware, arguments: *const Obj, nargsf: usize) -> Obj {
    // SAFETY: `call` has seen three arguments, and their caller holds them.
    unsafe {
        let scope = *arguments;
        let Some(kind) = kind(scope) else {
            return pass_on(middleware, scope, arguments, nargsf);
        };
        let shared = &*(*middleware).instrument().shared;
        if shared.middlewares.get() > 1 && shared.active.measures(scope as usize, middleware as usize) {
            return vectorcall((*middleware).app, arguments, nargsf, null_mut());
        }
        let kind = match kind {
            _ if (*middleware).skip.covers(scope) => {
                if kind != Kind::Http || !(*middleware).names_requests {
                    return vectorcall((*middleware).app, arguments, nargsf, null_mut());
                }
                Kind::Named
            }
            Kind::Http if (*middleware).instrument().traces.is_some() => Kind::Traced,
            kind => kind,
        };
        let is_one_of_several = (*middleware).instrument().application.totals().is_some();
        let special = kind != Kind::Http || !(*middleware).hook.is_null() || is_one_of_several;
        let (face, flags): (ffi::vectorcallfunc, u16) =
            if special { (face::special_call, SPECIAL) } else { (face::call, 0) };
        Request::make(middleware, face, kind, flags, scope, *arguments.add(1), *arguments.add(2)).cast()
    }
}

/// A connection that is not measured: lifespan, a type not known here, or no scope at all.
#[cold]
#[inline(never)]
unsafe fn pass_on(middleware: *mut Middleware, scope: Obj, arguments: *const Obj, nargsf: usize) -> Obj {
    // SAFETY: the arguments are those of a call under way; `scope` is asked for its type before it is looked into.
    unsafe {
        let is_scope = ffi::PyDict_Check(scope) != 0 && {
            let kind = lookup(scope, &keys().kind);
            !kind.is_null() && utf8(kind).is_some()
        };
        if !is_scope {
            (*middleware).instrument().shared.fault("scope");
        }
        vectorcall((*middleware).app, arguments, nargsf, null_mut())
    }
}

/// A call with names, or with another number of arguments.
#[cold]
#[inline(never)]
unsafe fn by_name(middleware: *mut Middleware, arguments: *const Obj, nargsf: usize, kwnames: Obj) -> Obj {
    // SAFETY: `kwnames` is null or a tuple of as many strings as there are values behind the positional ones.
    unsafe {
        let count = ffi::PyVectorcall_NARGS(nargsf);
        let named = if kwnames.is_null() { 0 } else { ffi::PyTuple_GET_SIZE(kwnames) };
        if count + named == 3 {
            let mut found = [null_mut(), null_mut(), null_mut(), null_mut()];
            for index in 0..count {
                found[1 + index as usize] = *arguments.add(index as usize);
            }
            for index in 0..named {
                let name = utf8(ffi::PyTuple_GET_ITEM(kwnames, index)).unwrap_or_default();
                let place = [&b"scope"[..], b"receive", b"send"].iter().position(|&known| known == name);
                if let Some(place) = place {
                    found[1 + place] = *arguments.add((count + index) as usize);
                }
            }
            if found[1..].iter().all(|found| !found.is_null()) {
                let flags = 3 | ffi::PY_VECTORCALL_ARGUMENTS_OFFSET;
                return call(middleware.cast(), found.as_mut_ptr().add(1), flags, null_mut());
            }
        }
        // No ASGI call; the application says best what is wrong with it.
        vectorcall((*middleware).app, arguments, nargsf, kwnames)
    }
}

/// What Python calls to make one; the type's `tp_new` hands over to it for PyO3's reading of arguments.
static MAKE: Global<Obj> = Global::new();
static KIND: Global<*mut ffi::PyTypeObject> = Global::new();

unsafe extern "C" fn new(_: *mut ffi::PyTypeObject, arguments: Obj, keywords: Obj) -> Obj {
    // SAFETY: set at import.
    unsafe { ffi::PyObject_Call(*MAKE.get(), arguments, keywords) }
}

#[pyfunction(name = "MetricsMiddleware")]
#[pyo3(signature = (app, metrics=None, *, namespace=None, registry=None, sample=None, buckets=None,
    skip_paths=None, skip_methods=None, request_id=false, route=None, exemplars=None, **unknown))]
#[expect(clippy::too_many_arguments, reason = "they are the keyword arguments of the Python class")]
fn make(
    py: Python<'_>,
    app: &Bound<'_, PyAny>,
    metrics: Option<Bound<'_, HttpMetrics>>,
    namespace: Option<String>,
    registry: Option<&Bound<'_, PyAny>>,
    sample: Option<f64>,
    buckets: Option<Vec<f64>>,
    skip_paths: Option<&Bound<'_, PyAny>>,
    skip_methods: Option<&Bound<'_, PyAny>>,
    request_id: bool,
    route: Option<&Bound<'_, PyAny>>,
    exemplars: Option<&Bound<'_, PyAny>>,
    unknown: Option<&Bound<'_, PyDict>>,
) -> PyResult<Py<PyAny>> {
    if let Some(unknown) = unknown {
        return Err(refuse(unknown));
    }
    if !app.is_callable() {
        let text = format!("app must be an ASGI application, which is callable, not {}", app.repr()?);
        return Err(PyTypeError::new_err(text));
    }
    if let Some(route) = route {
        if !route.is_callable() {
            let text = format!("route must be a function from a scope to a template or None, not {}", route.repr()?);
            return Err(PyTypeError::new_err(text));
        }
    }
    let metrics = match metrics {
        None => Bound::new(py, HttpMetrics::make(py, Options { registry, namespace, sample, buckets, exemplars })?)?,
        Some(metrics) => {
            let given = [
                ("namespace", namespace.is_some()),
                ("registry", registry.is_some()),
                ("sample", sample.is_some()),
                ("buckets", buckets.is_some()),
                ("exemplars", exemplars.is_some()),
            ];
            if let Some((name, _)) = given.into_iter().find(|(_, given)| *given) {
                let text = format!("{name} belongs to HttpMetrics: give it there, or leave metrics out");
                return Err(PyValueError::new_err(text));
            }
            metrics
        }
    };
    let skip = skip_of(skip_paths, skip_methods)?;
    let instrument: *const Instrument = &raw const metrics.get().instrument;
    // SAFETY: the new object's fields are all set before it is tracked or returned.
    unsafe {
        let object: *mut Middleware = ffi::PyObject_GC_New(*KIND.get());
        if object.is_null() {
            return Err(PyErr::fetch(py));
        }
        (&raw mut (*object).face).write(call);
        (&raw mut (*object).weak_references).write(null_mut());
        (&raw mut (*object).app).write(app.clone().into_ptr());
        (&raw mut (*object).metrics).write(metrics.into_ptr());
        (&raw mut (*object).instrument).write(instrument);
        (&raw mut (*object).measures_all).write(skip.is_empty() && (*instrument).traces.is_none() && route.is_none());
        (&raw mut (*object).skip).write(Box::new(skip));
        (&raw mut (*object).hook).write(route.map_or(null_mut(), |route| route.clone().into_ptr()));
        (&raw mut (*object).names_requests).write(request_id);
        let middlewares = &(*object).instrument().shared.middlewares;
        middlewares.set(middlewares.get() + 1);
        ffi::PyObject_GC_Track(object.cast());
        Ok(Bound::from_owned_ptr(py, object.cast()).unbind())
    }
}

/// What to say of arguments that there are not: other middlewares' words for ours are among them.
fn refuse(unknown: &Bound<'_, PyDict>) -> PyErr {
    const KNOWN: [&str; 10] = [
        "metrics",
        "namespace",
        "registry",
        "sample",
        "buckets",
        "skip_paths",
        "skip_methods",
        "request_id",
        "route",
        "exemplars",
    ];
    let words = unknown
        .py()
        .import("ferrometer.http.peer_arguments")
        .and_then(|module| module.call_method1("explain", ("MetricsMiddleware", unknown.keys(), KNOWN)))
        .and_then(|words| words.extract::<String>());
    words.map_or_else(|error| error, PyTypeError::new_err)
}

fn skip_of(paths: Option<&Bound<'_, PyAny>>, methods: Option<&Bound<'_, PyAny>>) -> PyResult<Skip> {
    let mut skip = Skip::default();
    for path in strings("skip_paths", "/health", paths)? {
        if !path.starts_with('/') && path != "*" {
            let text = format!("skip_paths must start with '/', not {path:?}; a trailing '*' skips all that begin so");
            return Err(PyValueError::new_err(text));
        }
        skip.path(&path);
    }
    for method in strings("skip_methods", "OPTIONS", methods)? {
        if !skip.method(&method.to_ascii_uppercase()) {
            let text = format!("skip_methods must be of {}, not {method:?}", METHODS.join(" "));
            return Err(PyValueError::new_err(text));
        }
    }
    Ok(skip)
}

fn strings(name: &str, example: &str, given: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<String>> {
    let Some(given) = given else { return Ok(Vec::new()) };
    if given.is_instance_of::<PyString>() {
        let text = format!("{name} must be a list of strings, not one string; write [{example:?}]");
        return Err(PyTypeError::new_err(text));
    }
    given.try_iter()?.map(|item| item?.extract()).collect()
}

unsafe extern "C" fn dealloc(object: Obj) {
    let middleware: *mut Middleware = object.cast();
    // SAFETY: the last reference is gone; untracked before it is taken apart, weak references told first.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        if !(*middleware).weak_references.is_null() {
            ffi::PyObject_ClearWeakRefs(object);
        }
        tp_clear(object);
        clear(&mut (*middleware).app);
        let middlewares = &(*middleware).instrument().shared.middlewares;
        middlewares.set(middlewares.get().saturating_sub(1));
        clear(&mut (*middleware).metrics);
        (&raw mut (*middleware).skip).drop_in_place();
        let kind = ffi::Py_TYPE(object);
        ffi::PyObject_GC_Del(object.cast());
        ffi::Py_DECREF(kind.cast());
    }
}

unsafe extern "C" fn traverse(object: Obj, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    let middleware: *mut Middleware = object.cast();
    // SAFETY: live; what is shown is what is owned.
    unsafe {
        let owned = [ffi::Py_TYPE(object).cast(), (*middleware).app, (*middleware).metrics, (*middleware).hook];
        for object in owned {
            if !object.is_null() {
                let answer = visit(object, arg);
                if answer != 0 {
                    return answer;
                }
            }
        }
    }
    0
}

unsafe extern "C" fn tp_clear(object: Obj) -> c_int {
    let middleware: *mut Middleware = object.cast();
    // SAFETY: live. The collector clears only what nobody can call any more; what was `app` is replaced by `None` and
    // not by null all the same, so that even then a call is an error and not a crash. The metrics stay to the end,
    // for the instrument lies in them.
    unsafe {
        let none = owned(ffi::Py_None());
        let mut app = std::mem::replace(&mut (*middleware).app, none);
        clear(&mut app);
        clear(&mut (*middleware).hook);
    }
    0
}

unsafe extern "C" fn app(object: Obj, _: *mut c_void) -> Obj {
    // SAFETY: live.
    unsafe { owned((*object.cast::<Middleware>()).app) }
}

unsafe extern "C" fn metrics(object: Obj, _: *mut c_void) -> Obj {
    // SAFETY: live.
    unsafe { owned((*object.cast::<Middleware>()).metrics) }
}

unsafe extern "C" fn repr(object: Obj) -> Obj {
    // SAFETY: live.
    unsafe { ffi::PyUnicode_FromFormat(c"MetricsMiddleware(%R)".as_ptr(), (*object.cast::<Middleware>()).app) }
}

/// Makes the type.
pub fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let slot = |slot, pfunc: *mut c_void| ffi::PyType_Slot { slot, pfunc };
    let mut members = [
        member(c"__vectorcalloffset__", std::mem::offset_of!(Middleware, face)),
        member(c"__weaklistoffset__", std::mem::offset_of!(Middleware, weak_references)),
        NO_MEMBER,
    ];
    let attribute = |name: &'static std::ffi::CStr, get, doc: &'static std::ffi::CStr| ffi::PyGetSetDef {
        name: name.as_ptr(),
        get: Some(get),
        set: None,
        doc: doc.as_ptr(),
        closure: null_mut(),
    };
    // The type refers to this list for as long as it lives, which is to the end of the process.
    let attributes: &'static mut [ffi::PyGetSetDef] = Box::leak(Box::new([
        attribute(c"app", app, c"The application behind."),
        attribute(c"metrics", metrics, c"The HttpMetrics it records into."),
        ffi::PyGetSetDef::default(),
    ]));
    let mut slots = [
        slot(ffi::Py_tp_doc, DOC.as_ptr().cast_mut().cast()),
        slot(ffi::Py_tp_new, new as *mut c_void),
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_traverse, traverse as *mut c_void),
        slot(ffi::Py_tp_clear, tp_clear as *mut c_void),
        slot(ffi::Py_tp_call, ffi::PyVectorcall_Call as *mut c_void),
        slot(ffi::Py_tp_repr, repr as *mut c_void),
        slot(ffi::Py_tp_members, members.as_mut_ptr().cast()),
        slot(ffi::Py_tp_getset, attributes.as_mut_ptr().cast()),
        slot(0, null_mut()),
    ];
    let flags = ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_HAVE_GC | ffi::Py_TPFLAGS_HAVE_VECTORCALL;
    let make = wrap_pyfunction!(make, module)?;
    // SAFETY: the slots are those of `Middleware`; at import, with the GIL held.
    unsafe {
        let kind = make_type::<Middleware>(module, c"ferrometer.middleware.MetricsMiddleware", flags, &mut slots)?;
        KIND.set(kind);
        MAKE.set(make.into_ptr());
        module.add("MetricsMiddleware", Bound::from_borrowed_ptr(module.py(), kind.cast()))?;
    }
    module.add_function(wrap_pyfunction!(show_call, module)?)
}

/// Makes `middleware.__call__` look up as this coroutine function, while calls go straight to the native code.
///
/// Servers (uvicorn, hypercorn, asgiref) tell an ASGI 3 application by `iscoroutinefunction(app.__call__)`, which no
/// native method satisfies. Writing to the type's dictionary and not to its attribute leaves the call slot alone.
#[pyfunction]
fn show_call(function: &Bound<'_, PyAny>) -> PyResult<()> {
    // SAFETY: a heap type of ours, with a dictionary, whose cached look-ups are told of the change.
    unsafe {
        let kind = *KIND.get();
        let dict = Bound::from_borrowed_ptr(function.py(), (*kind).tp_dict).cast_into::<PyDict>()?;
        dict.set_item("__call__", function)?;
        ffi::PyType_Modified(kind);
    }
    Ok(())
}

const DOC: &std::ffi::CStr = c"MetricsMiddleware(app, metrics=None, *, namespace=None, registry=None, sample=None, buckets=None, skip_paths=None, skip_methods=None, request_id=False, route=None, exemplars=None)
--

Measures every request to the ASGI application `app` and changes none.

Give either `metrics`, an HttpMetrics, or what one is made of: `namespace`, `registry`, `sample`, `buckets`, `exemplars`.
`skip_paths` are not measured at all (a trailing '*' skips all that begin so), nor are `skip_methods`.
`request_id=True` takes or makes an X-Request-ID. `route` is a function from a scope to a template, or None where
it knows none, for frameworks other than Starlette and FastAPI.";
