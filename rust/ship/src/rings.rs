//! The rings that a shipper reads: those of a directory, or the one in this process's own memory.

use crate::reserve::Reserve;
use ferrometer_ring::file::Ring;
use ferrometer_ring::region::Region;
use ferrometer_ring::Kind;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

/// A ring that is being shipped.
pub struct Known {
    /// Its memory.
    pub region: Arc<Region>,
    /// Tells it from all others.
    pub uuid: [u8; 16],
    /// The process as it sees itself.
    pub pid: u64,
    /// The file; nothing for private memory.
    pub ring: Option<Ring>,
    /// Whether its process is dead: what is in it now is all there will be.
    pub is_dead: AtomicBool,
    /// Whether it has waited too long: what is in it is given up.
    pub is_expired: AtomicBool,
    /// The errors that receivers were passed over for.
    pub reserve: Reserve,
}

impl Known {
    /// One of a directory.
    pub fn of(ring: Ring) -> Arc<Self> {
        Arc::new(Known {
            region: ring.region.clone(),
            uuid: ring.uuid,
            pid: ring.owner.pid,
            ring: Some(ring),
            is_dead: AtomicBool::new(false),
            is_expired: AtomicBool::new(false),
            reserve: Reserve::default(),
        })
    }

    /// This process's, in private memory.
    pub fn private(region: Arc<Region>) -> Arc<Self> {
        let uuid = u128::from(std::process::id()).to_be_bytes();
        let pid = u64::from(std::process::id());
        let (is_dead, is_expired) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Known { region, uuid, pid, ring: None, is_dead, is_expired, reserve: Reserve::default() })
    }
}

/// All of them; looked at by every receiver's thread, changed by the shipper's.
#[derive(Default)]
pub struct Rings(Mutex<Arc<Vec<Arc<Known>>>>);

impl Rings {
    /// Those that there are now.
    pub fn all(&self) -> Arc<Vec<Arc<Known>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// These from now on.
    pub fn set(&self, all: Vec<Arc<Known>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(all);
    }
}

/// Where rings come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The processes of a directory.
    Directory(PathBuf, Kind),
    /// This process alone.
    Private(Kind),
}
