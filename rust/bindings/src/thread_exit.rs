//! What becomes of a thread that waits for the GIL when the interpreter ends.
//!
//! CPython before 3.14 calls `pthread_exit` for such a thread, as soon as it asks for the GIL again. With glibc that
//! unwinds the thread's stack, and a Rust frame that has anything to drop, or that catches panics, turns the unwinding
//! into an abort of the whole process. Every call from here into Python can give up the GIL: a label object's
//! `__str__`, a callback of `set_function`, a finaliser that the garbage collector runs, the way back from
//! [`detached`](crate::gil::detached) work.
//!
//! So the thread waits for ever instead, as CPython does from 3.14 on; the end of the process takes it along. What
//! makes it wait is a cleanup handler of the thread: glibc calls it before it unwinds the first frame, whatever lies
//! between. It is registered once per thread, by the first native call that may run Python.

#[cfg(all(target_os = "linux", target_env = "gnu", not(Py_3_14)))]
mod glibc {
    use std::cell::{Cell, OnceCell};
    use std::ffi::{c_int, c_void, CStr};
    use std::ptr::null_mut;
    use std::sync::OnceLock;

    /// glibc's `struct _pthread_cleanup_buffer`.
    #[repr(C)]
    struct Buffer {
        routine: Option<unsafe extern "C" fn(*mut c_void)>,
        argument: *mut c_void,
        cancel_type: c_int,
        previous: *mut Buffer,
    }

    type Push = unsafe extern "C" fn(*mut Buffer, unsafe extern "C" fn(*mut c_void), *mut c_void);
    type Pop = unsafe extern "C" fn(*mut Buffer, c_int);

    unsafe extern "C" {
        #[cfg(Py_3_13)]
        fn Py_IsFinalizing() -> c_int;
        #[cfg(not(Py_3_13))]
        #[link_name = "_Py_IsFinalizing"]
        fn Py_IsFinalizing() -> c_int;
    }

    /// The two functions, looked up by name: where they are depends on glibc's version (libpthread before 2.34).
    fn functions() -> Option<(Push, Pop)> {
        static FUNCTIONS: OnceLock<Option<(Push, Pop)>> = OnceLock::new();
        *FUNCTIONS.get_or_init(|| {
            // SAFETY: names that end in a zero byte; the result is null or the address of a function.
            let find = |name: &CStr| unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
            let (push, pop) = (find(c"_pthread_cleanup_push"), find(c"_pthread_cleanup_pop"));
            if push.is_null() || pop.is_null() {
                return None;
            }
            // SAFETY: glibc's functions of these names have these types, in every version since 2.0.
            Some(unsafe {
                (std::mem::transmute::<*mut c_void, Push>(push), std::mem::transmute::<*mut c_void, Pop>(pop))
            })
        })
    }

    /// The registration of one thread, on the heap: glibc calls a handler once its frame is left, which it tells by the
    /// buffer's address. One that lies outside of the thread's stack counts as left from the first frame on.
    struct Registration {
        buffer: *mut Buffer,
        pop: Pop,
    }

    impl Drop for Registration {
        fn drop(&mut self) {
            // SAFETY: the thread ends by returning; the buffer is the one that was pushed, and nobody has it afterwards.
            unsafe {
                (self.pop)(self.buffer, 0);
                drop(Box::from_raw(self.buffer));
            }
        }
    }

    thread_local! {
        static REGISTERED: Cell<bool> = const { Cell::new(false) };
        static REGISTRATION: OnceCell<Registration> = const { OnceCell::new() };
    }

    #[inline(always)]
    pub fn protect() {
        if !REGISTERED.get() {
            register();
        }
    }

    #[cold]
    #[inline(never)]
    fn register() {
        REGISTERED.set(true);
        let Some((push, pop)) = functions() else { return };
        // Fails where the thread is ending already.
        let _ = REGISTRATION.try_with(|place| {
            place.get_or_init(|| {
                let empty = Buffer { routine: None, argument: null_mut(), cancel_type: 0, previous: null_mut() };
                let buffer = Box::into_raw(Box::new(empty));
                // SAFETY: the buffer lives until it is popped, at the end of this very thread.
                unsafe { push(buffer, wait_for_ever, null_mut()) };
                Registration { buffer, pop }
            });
        });
    }

    /// The handler. Ends of threads that have nothing to do with the interpreter's end go on.
    unsafe extern "C" fn wait_for_ever(_: *mut c_void) {
        // SAFETY: both may be called at any time, by any thread.
        if unsafe { Py_IsFinalizing() == 0 && pyo3::ffi::Py_IsInitialized() != 0 } {
            return;
        }
        loop {
            // SAFETY: POSIX's function.
            unsafe { libc::pause() };
        }
    }
}

/// Lets this thread wait for ever, and not unwind, should the interpreter end while it waits for the GIL. To be called
/// by every native function that may run Python code, before it does. Costs one load after the first time.
#[inline(always)]
pub fn protect() {
    #[cfg(all(target_os = "linux", target_env = "gnu", not(Py_3_14)))]
    glibc::protect();
}
