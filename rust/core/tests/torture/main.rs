//! Processes killed at any moment. A board that outlives them knows what each was about to do and what it
//! had done: whatever was acknowledged is in the totals, nothing is counted twice, nothing ever goes
//! backwards, and the directory does not grow with the dead.
//!
//! `FERROMETER_TORTURE=10` makes it ten times as long.
#![cfg(all(target_os = "linux", not(loom), not(miri)))]

mod board;
mod process;
mod worker;

use board::{Board, Checker};
use ferrometer_core::segment::fold::fold;
use process::{Process, Random};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use worker::Program;

/// How much longer than usual.
fn times() -> usize {
    std::env::var("FERROMETER_TORTURE").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

/// A directory of its own, gone at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let base = if std::path::Path::new("/dev/shm").is_dir() { "/dev/shm".into() } else { std::env::temp_dir() };
        let path = base.join(format!("ferrometer-torture-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Directory(path)
    }

    fn files(&self) -> Vec<String> {
        let Ok(files) = std::fs::read_dir(&self.0) else { return Vec::new() };
        files.map(|file| file.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A child inherits what other threads hold at that moment, so only one test at a time has children.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is left of any number of dead: the control file, the graveyard, the lock.
const CONSTANT: usize = 3;

/// Workers that do everything at once, killed after a random time, while others go on and somebody folds.
#[test]
fn killed_at_random() {
    let _alone = alone();
    let directory = Directory::new("random");
    let board = Board::new();
    let mut checker = Checker::new(&directory.0);
    let mut random = Random::new(20_261_120);
    let mut running: Vec<Process> = Vec::new();
    for round in 0..400 * times() {
        let seed = random.next();
        running.push(Process::start(|| worker::run(Program::Everything, &directory.0, &board, seed)));
        std::thread::sleep(Duration::from_micros(random.below(4000)));
        while running.len() > random.below(4) as usize {
            let victim = random.below(running.len() as u64) as usize;
            running.swap_remove(victim).kill();
        }
        if round % 7 == 0 {
            let folded = directory.0.is_dir().then(|| fold(&directory.0));
            assert!(!matches!(folded, Some(Err(_))), "{folded:?}");
        }
        checker.check(&board);
        if times() > 1 && round % 400 == 399 {
            println!("{} workers of {} killed, nothing lost", round + 1, 400 * times());
        }
    }
    running.into_iter().for_each(Process::kill);
    fold(&directory.0).unwrap();
    checker.check(&board);
    checker.check_bins(400 * times() as u64);
    assert!(board.is_about(1000), "the workers did next to nothing");
    assert!(directory.files().len() <= CONSTANT, "{:?}", directory.files());
}

/// One program, killed at each of its system calls in turn: those are the steps that others can see.
fn killed_at_every_step(program: Program) {
    let _alone = alone();
    let directory = Directory::new(program.name());
    let board = Board::new();
    let mut checker = Checker::new(&directory.0);
    let mut steps = 0;
    loop {
        if program == Program::Fold {
            // Somebody must be dead first.
            Process::start(|| worker::run(Program::Start, &directory.0, &board, 1)).wait();
            checker.check(&board);
        }
        let finished = Process::start_traced(|| worker::run(program, &directory.0, &board, 1)).kill_at_step(steps);
        checker.check(&board);
        if steps % 16 == 0 && directory.0.is_dir() {
            fold(&directory.0).unwrap();
            checker.check(&board);
        }
        if finished {
            break;
        }
        steps += 1;
        if times() > 1 && steps % 200 == 0 {
            println!("{}: killed at each of its first {steps} steps, nothing lost", program.name());
        }
    }
    assert!(steps > 20, "{} ended after {steps} steps", program.name());
    fold(&directory.0).unwrap();
    checker.check(&board);
    assert!(directory.files().len() <= CONSTANT, "{:?}", directory.files());
}

#[test]
fn killed_at_every_step_of_a_start() {
    killed_at_every_step(Program::Start);
}

#[test]
fn killed_at_every_step_of_growing() {
    killed_at_every_step(Program::Grow);
}

#[test]
fn killed_at_every_step_of_a_removal() {
    killed_at_every_step(Program::Remove);
}

#[test]
fn killed_at_every_step_of_a_fork() {
    killed_at_every_step(Program::Fork);
}

#[test]
fn killed_at_every_step_of_folding() {
    killed_at_every_step(Program::Fold);
}

/// Killed at one instruction in so many of the way that records go.
#[test]
fn killed_at_the_instructions_of_recording() {
    let _alone = alone();
    let directory = Directory::new("record");
    let board = Board::new();
    let mut checker = Checker::new(&directory.0);
    let stride = 29 / times().min(29);
    for round in 0.. {
        let child = Process::start_traced(|| worker::run(Program::Record, &directory.0, &board, 1));
        let finished = child.kill_at_instruction(round * stride);
        checker.check(&board);
        if round % 16 == 0 {
            fold(&directory.0).unwrap();
            checker.check(&board);
        }
        if finished {
            assert!(round > 100, "over after {round} rounds");
            break;
        }
    }
}
