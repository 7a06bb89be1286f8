//! Which applications record into the families of one registry, and the totals of each where there are several.
//!
//! One application's totals are those of the families. Several share the families, whose labels do not tell them
//! apart; then every application with a namespace has totals of its own, which its namespaced views are made of.

use super::definition::definition;
use super::held::Held;
use ferrometer_core::cell::{CounterCell, GaugeCell};
use ferrometer_core::error::Error;
use ferrometer_core::family::{Family, Kind};
use ferrometer_core::histogram::{grid, Histogram, Layout, Snapshot};
use ferrometer_core::mode::Mode;
use ferrometer_core::registry::Registry;
use ferrometer_server::requests::{own, status_is_failure, QUANTILES};
use std::cell::{OnceCell, RefCell};
use std::sync::{Arc, Weak};

/// The applications of one namespace, or those without one. Only touched with the GIL held.
pub struct Application {
    namespace: Option<String>,
    totals: OnceCell<Totals>,
}

/// What one of several applications has counted.
pub struct Totals {
    requests: Held<CounterCell>,
    failed: Held<CounterCell>,
    in_flight: Held<GaugeCell>,
    duration: Held<Histogram>,
}

// SAFETY: cells are `Sync`, and lie in series that are held beside their addresses; the totals are set and asked for
// with the GIL held.
unsafe impl Send for Application {}
// SAFETY: shared references meet cells, which are `Sync`, and totals that are set and asked for with the GIL held.
unsafe impl Sync for Application {}

impl Application {
    /// The totals, where there are several applications.
    #[inline(always)]
    pub fn totals(&self) -> Option<&Totals> {
        self.totals.get()
    }

    /// Gives it totals of its own, which begin with what these families of requests and durations counted before.
    fn split(&self, families: &Families, before: Option<(&Family, &Family)>) -> Result<(), Error> {
        let Some(namespace) = self.namespace.as_deref() else { return Ok(()) };
        if self.totals.get().is_some() {
            return Ok(());
        }
        let labels = [namespace];
        let totals = Totals {
            requests: Held::counter(&families.requests, &labels)?,
            failed: Held::counter(&families.failed, &labels)?,
            in_flight: Held::gauge(&families.in_flight, &labels)?,
            duration: Held::histogram(&families.duration, &labels)?,
        };
        if let Some((requests, durations)) = before {
            totals.add(requests, durations);
        }
        let _ = self.totals.set(totals);
        Ok(())
    }
}

impl Totals {
    /// A request has begun.
    pub fn begin(&self) {
        self.in_flight.add(1.0);
    }

    /// A request that began has ended.
    pub fn end(&self) {
        self.in_flight.add(-1.0);
    }

    /// Counts a request, with its duration where that was measured.
    pub fn count(&self, status: u16, seconds: Option<f64>, sampled: bool) {
        self.requests.inc();
        if status_is_failure(status) {
            self.failed.inc();
        }
        match seconds {
            Some(seconds) if sampled => self.duration.record_sample(seconds),
            Some(seconds) => self.duration.record(seconds),
            None => {
                self.duration.hold();
                true
            }
        };
    }

    /// What this process counted before it had a second application.
    fn add(&self, requests: &Family, durations: &Family) {
        requests.for_each(|series| {
            let (count, _) = series.counter().parts();
            self.requests.add_int(count);
            if ferrometer_server::requests::is_failed(series.text()) {
                self.failed.add_int(count);
            }
        });
        let mut all: Option<Snapshot> = None;
        durations.for_each(|series| {
            let snapshot = series.histogram().snapshot();
            match &mut all {
                Some(sum) => sum.merge(&snapshot),
                None => all = Some(snapshot),
            }
        });
        for (exponent, bins) in all.into_iter().flat_map(|durations| durations.bins) {
            for (bin, &count) in bins.iter().enumerate().filter(|(_, &count)| count > 0) {
                self.duration.record_many(grid::middle(exponent, bin), count);
            }
        }
    }
}

/// The applications that record into one registry.
#[derive(Default)]
pub struct Applications {
    all: RefCell<Vec<Weak<Application>>>,
    /// Once there are several.
    families: OnceCell<Families>,
}

impl Applications {
    /// The families of the totals by application, once there are several.
    pub fn families(&self) -> Option<&Families> {
        self.families.get()
    }

    /// The application of this namespace. From the second one on, each has totals of its own. `requests` and
    /// `durations` are the families that all of them record into.
    ///
    /// # Errors
    /// When one of the names belongs to something else.
    pub fn of(
        &self,
        namespace: Option<&str>,
        registry: &Registry,
        requests: &Family,
        durations: &Family,
    ) -> Result<Arc<Application>, Error> {
        let mut all = self.all.borrow_mut();
        all.retain(|application| application.strong_count() > 0);
        let known: Vec<Arc<Application>> = all.iter().filter_map(Weak::upgrade).collect();
        if let Some(same) = known.iter().find(|application| application.namespace.as_deref() == namespace) {
            return Ok(same.clone());
        }
        let fresh = Arc::new(Application { namespace: namespace.map(str::to_owned), totals: OnceCell::new() });
        if !known.is_empty() {
            if self.families.get().is_none() {
                let _ = self.families.set(Families::new(registry)?);
            }
            if let Some(families) = self.families.get() {
                // What was counted until now is of the only application that there was.
                let before = (known.len() == 1).then_some((requests, durations));
                known.iter().try_for_each(|application| application.split(families, before))?;
                fresh.split(families, None)?;
            }
        }
        all.push(Arc::downgrade(&fresh));
        Ok(fresh)
    }
}

/// The families of those totals, labelled by namespace.
pub struct Families {
    pub requests: Arc<Family>,
    pub failed: Arc<Family>,
    pub in_flight: Arc<Family>,
    pub duration: Arc<Family>,
}

impl Families {
    fn new(registry: &Registry) -> Result<Self, Error> {
        let family = |name, help, kind| registry.family(definition(name, help, "", kind, &["namespace"]));
        Ok(Self {
            requests: family(own::REQUESTS, "Requests served, by application.", Kind::Counter)?,
            failed: family(own::FAILED, "Requests answered with 5xx, by application.", Kind::Counter)?,
            in_flight: family(
                own::IN_FLIGHT,
                "Requests being served now, by application.",
                Kind::Gauge(Mode::LiveSum),
            )?,
            duration: registry.family(definition(
                own::DURATION,
                "Request durations, by application.",
                "seconds",
                Kind::Summary(Layout::new(&[])?, QUANTILES.as_slice().into()),
                &["namespace"],
            ))?,
        })
    }

    /// All of them.
    pub fn all(&self) -> [&Arc<Family>; 4] {
        [&self.requests, &self.failed, &self.in_flight, &self.duration]
    }
}
