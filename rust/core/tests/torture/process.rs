//! Children that can be killed anywhere.

use libc::{c_int, pid_t};

/// A small generator: what happens must happen again with the same seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(2) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 20) % end.max(1)
    }
}

/// A child of this process.
pub struct Process(pid_t);

impl Process {
    /// Forks; the child does this work and ends.
    pub fn start(work: impl FnOnce()) -> Self {
        // SAFETY: the child uses nothing that another thread of the test may hold, but the allocator, which
        // the C library makes fit for it.
        match unsafe { libc::fork() } {
            0 => {
                let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
                // SAFETY: ends the process.
                unsafe { libc::_exit(if done.is_ok() { 0 } else { 101 }) }
            }
            child => {
                assert!(child > 0, "fork: {}", std::io::Error::last_os_error());
                Process(child)
            }
        }
    }

    /// The same, stopped before the work begins.
    pub fn start_traced(work: impl FnOnce()) -> Self {
        let child = Process::start(|| {
            // SAFETY: asks to be traced by the parent, and stops.
            unsafe {
                assert_eq!(libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0), 0, "this needs ptrace");
                libc::raise(libc::SIGSTOP);
            }
            work();
        });
        assert!(libc::WIFSTOPPED(child.status()), "this needs ptrace");
        child
    }

    fn status(&self) -> c_int {
        let mut status = 0;
        // SAFETY: waits for our own child.
        assert_eq!(unsafe { libc::waitpid(self.0, &raw mut status, 0) }, self.0);
        status
    }

    /// Waits for its good end.
    pub fn wait(self) {
        let status = self.status();
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "a worker ended with {status:#x}");
    }

    /// Kills it.
    pub fn kill(self) {
        // SAFETY: our own child, which nobody has waited for.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
        let status = self.status();
        // It may have ended by itself; but if so, well.
        let is_fine = libc::WIFSIGNALED(status) || (libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0);
        assert!(is_fine && (!libc::WIFSIGNALED(status) || libc::WTERMSIG(status) == libc::SIGKILL), "{status:#x}");
    }

    /// Kills it so many instructions after it stopped itself; true when it stopped itself again before.
    pub fn kill_at_instruction(self, instructions: usize) -> bool {
        let is_stopped = |status| libc::WIFSTOPPED(status) && libc::WSTOPSIG(status) == libc::SIGSTOP;
        assert!(is_stopped(self.go_on(libc::PTRACE_CONT)), "a worker that never stopped itself");
        let finished = (0..instructions).any(|_| is_stopped(self.go_on(libc::PTRACE_SINGLESTEP)));
        self.kill();
        finished
    }

    fn go_on(&self, how: libc::c_uint) -> c_int {
        // SAFETY: our own child, which is stopped.
        assert_eq!(unsafe { libc::ptrace(how, self.0, 0, 0) }, 0);
        let status = self.status();
        assert!(libc::WIFEXITED(status) || libc::WIFSTOPPED(status), "a worker ended with {status:#x}");
        status
    }

    /// Kills it at so many entries and exits of system calls; true when it ended by itself before.
    pub fn kill_at_step(self, steps: usize) -> bool {
        for _ in 0..steps {
            let status = self.go_on(libc::PTRACE_SYSCALL);
            if libc::WIFEXITED(status) {
                assert_eq!(libc::WEXITSTATUS(status), 0, "a worker failed");
                return true;
            }
        }
        self.kill();
        false
    }
}
