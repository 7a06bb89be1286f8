//! The thread of one receiver: it reads rings at this receiver's cursors, sends, retries, and settles.
//!
//! Before a batch is sent its end is written down as the intent, and after it has arrived the cursor is. Who takes over
//! from a shipper that died in between finds an intent before the cursor, and marks what it sends again.

use crate::backoff::Backoff;
use crate::keys::Keys;
use crate::release::release;
use crate::rings::{Known, Rings};
use crate::signal::Signal;
use crate::sink::{Delivery, Item, Retry, Sink};
use crate::time::{now_ns, rfc3339};
use ferrometer_ring::cursors::Cursor;
use ferrometer_ring::reader::Record;
use ferrometer_ring::totals::hash;
use ferrometer_ring::{Head, Kind, Level, Reason};
use std::collections::HashMap;
use std::sync::atomic::Ordering::Acquire;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long an attempt may take.
const ATTEMPT: Duration = Duration::from_secs(10);
/// How long to wait for news when there was some a moment ago, and the longest.
const SOON: Duration = Duration::from_millis(5);
const SELDOM: Duration = Duration::from_millis(50);
/// stderr is told of trouble so often at most.
const WHISPER: Duration = Duration::from_secs(60);
/// Dropped lines are told of so often at most.
const NOTICE: Duration = Duration::from_secs(1);

/// How a receiver is doing.
#[derive(Debug, Default, Clone)]
pub struct Status {
    /// What went wrong at the latest attempt.
    pub trouble: Option<String>,
    /// Attempts that failed.
    pub failures: u64,
    /// When something arrived last, in seconds since 1970.
    pub success: f64,
}

/// What a lane is made of.
pub struct Lane {
    /// Its receiver's name.
    pub name: String,
    /// What the records are.
    pub records: Kind,
    /// Its receiver.
    pub sink: Box<dyn Sink>,
    /// What it reads.
    pub rings: Arc<Rings>,
    /// What it listens to.
    pub signal: Arc<Signal>,
    /// How it is doing.
    pub status: Arc<Mutex<Status>>,
    /// How lines say what they say.
    pub keys: Keys,
    /// Tells of the latest success.
    pub succeeded: Box<dyn Fn(f64) + Send>,
    /// When stderr was told of trouble last.
    pub whispered: Option<Instant>,
    /// The names' hashes of all receivers of the shipper.
    pub receivers: Arc<Vec<u64>>,
}

/// What is known of one ring between two batches.
struct Place {
    known: Arc<Known>,
    slot: usize,
    /// Lost lines that have been told of.
    noticed: u64,
    notice_at: Option<Instant>,
}

/// Of a batch, what belongs to one ring.
struct Part {
    uuid: [u8; 16],
    cursor: Cursor,
    /// What lies before it may have arrived before.
    intent: u64,
    /// So many of its first records are of the reserve: they count as lost so far.
    reserved: usize,
}

impl Part {
    /// One with nothing to send.
    fn empty(uuid: [u8; 16], cursor: Cursor, intent: u64) -> Self {
        Part { uuid, cursor, intent, reserved: 0 }
    }
}

impl Lane {
    /// Works until the signal says that everything ends.
    pub fn run(&mut self) {
        let mut places: HashMap<[u8; 16], Place> = HashMap::new();
        let (mut backoff, mut idle) = (Backoff::default(), SOON);
        let mut since: Option<Instant> = None;
        while !self.signal.is_over() {
            self.attach(&mut places);
            let (items, parts, bytes) = self.gather(&mut places);
            if items.is_empty() {
                self.settle(&places, &parts);
                since = None;
                self.signal.wait(idle);
                idle = (idle * 2).min(SELDOM);
                continue;
            }
            idle = SOON;
            let begun = *since.get_or_insert_with(Instant::now);
            let linger = self.sink.linger();
            if bytes < self.sink.batch_bytes() / 2 && begun.elapsed() < linger && !self.signal.is_hurried() {
                self.signal.wait(linger.saturating_sub(begun.elapsed()).min(SELDOM));
                continue;
            }
            since = None;
            let delivery = self.send(&places, &items, &parts);
            if let Some(retry) = delivery.retry {
                let wait = backoff.next(retry.after);
                let end = Instant::now() + wait;
                while Instant::now() < end && !self.signal.is_over() && !self.signal.is_hurried() {
                    self.signal.wait(end.saturating_duration_since(Instant::now()));
                }
                if self.signal.is_hurried() {
                    // Somebody waits for the end; still, not as fast as the processor can.
                    self.signal.wait(Duration::from_millis(50));
                }
            } else {
                backoff.reset();
                self.tell_of_losses(&mut places);
            }
        }
    }

    /// Tells that an attempt failed.
    pub fn fail(&mut self, trouble: &str) {
        self.tell(&Delivery::again(trouble.to_owned(), Retry::default()), 0);
    }

    /// Gives this receiver a cursor in every ring.
    fn attach(&self, places: &mut HashMap<[u8; 16], Place>) {
        let all = self.rings.all();
        places.retain(|uuid, _| all.iter().any(|known| known.uuid == *uuid));
        for known in all.iter() {
            if places.get(&known.uuid).is_some_and(|place| Arc::ptr_eq(&place.known, known)) {
                continue;
            }
            let Some(slot) = known.region.slot(hash(&self.name), &self.receivers) else { continue };
            // A receiver that has come by in this ring before was told then; a new one is told of what comes.
            let is_new = known.region.cursor(slot).place.records == 0;
            let noticed = if is_new { 0 } else { lost(known, slot) };
            places.insert(known.uuid, Place { known: known.clone(), slot, noticed, notice_at: None });
        }
    }

    /// What there is to send, in the order of time, and what is known of each ring.
    fn gather(&self, places: &mut HashMap<[u8; 16], Place>) -> (Vec<Item>, Vec<Part>, usize) {
        let share = (self.sink.batch_bytes() / places.len().max(1)).max(4096);
        let (mut items, mut parts, mut bytes): (Vec<(u64, Item)>, _, _) = (Vec::new(), Vec::new(), 0);
        for place in places.values_mut() {
            let (known, slot) = (&place.known, place.slot);
            let (region, uuid) = (&known.region, known.uuid);
            // Before the records: what is dead now has no more of them.
            let is_dead = known.is_dead.load(Acquire);
            let mut cursor = region.cursor(slot);
            let intent = region.intent(slot);
            let batch = region.read(cursor.place, share);
            let missing = if is_dead && batch.records.is_empty() { region.missing_at_end(batch.end) } else { 0 };
            let gap = cursor.place.records..cursor.place.records + batch.overwritten + batch.damaged + missing;
            known.reserve.found_missing(slot, gap.clone());
            cursor.full += batch.overwritten;
            cursor.damaged += batch.damaged + missing;
            cursor.place.records = gap.end;
            if batch.records.is_empty() {
                cursor.place = batch.end;
                cursor.place.records += missing;
                cursor.place.position = cursor.place.position.max(if missing > 0 { region.head() } else { 0 });
            }
            if known.is_expired.load(Acquire) {
                known.reserve.forget(slot);
                cursor.expired += batch.records.len() as u64;
                cursor.place = batch.end;
                parts.push(Part::empty(uuid, cursor, intent));
                continue;
            }
            let due = known.reserve.due(slot, share);
            let reserved = due.len();
            // Nothing goes before what is due; so who has settled the ring's head has had that, too.
            let rest = if reserved > 0 { Vec::new() } else { batch.records };
            let mut latest = 0;
            for record in due.into_iter().chain(rest) {
                bytes += record.payload.len() + 56;
                // Records of one process stay in their order, whatever their times say.
                latest = record.head.time_ns.max(latest);
                let is_repeated = record.sequence < intent;
                items.push((latest, Item { ring: uuid, pid: known.pid, record, is_repeated }));
            }
            parts.push(Part { uuid, cursor, intent, reserved });
        }
        if parts.len() > 1 {
            items.sort_by_key(|(time, _)| *time);
        }
        (items.into_iter().map(|(_, item)| item).collect(), parts, bytes)
    }

    /// Lines that say how many others were lost, for rings where some were.
    fn notices(&self, places: &HashMap<[u8; 16], Place>) -> Vec<(Item, u64)> {
        let mut notices = Vec::new();
        for place in places.values() {
            let lost = lost(&place.known, place.slot);
            if !place.known.reserve.is_empty(place.slot) {
                // Some of them are still to come.
                continue;
            }
            if lost > place.noticed && place.notice_at.is_none_or(|at| at.elapsed() > NOTICE) {
                let count = lost - place.noticed;
                let time_ns = now_ns();
                let keys = &self.keys;
                let line = serde_json::json!({
                    keys.time.as_str(): rfc3339(time_ns),
                    keys.level.as_str(): keys.warning,
                    keys.message.as_str(): format!("{count} log lines were dropped"),
                    "dropped": count,
                    "pid": place.known.pid,
                });
                let head = Head { level: Level::Warn, time_ns, ..Head::default() };
                let record = Record { head, sequence: u64::MAX, end: 0, payload: line.to_string().into_bytes() };
                notices.push((Item { ring: place.known.uuid, pid: place.known.pid, record, is_repeated: false }, lost));
            }
        }
        notices
    }

    /// Sends a batch and settles what became of it.
    fn send(&mut self, places: &HashMap<[u8; 16], Place>, items: &[Item], parts: &[Part]) -> Delivery {
        for part in parts {
            let last = items.iter().rev().find(|item| item.ring == part.uuid);
            if let (Some(last), Some(place)) = (last, places.get(&part.uuid)) {
                place.known.region.set_intent(place.slot, part.intent.max(last.record.sequence + 1));
            }
        }
        // Mostly all of them are for this receiver.
        let is_all = items.iter().all(|item| self.sink.wants(&item.record.head));
        let (delivery, arrived) = if is_all {
            let delivery = self.sink.send(items, Instant::now() + ATTEMPT);
            let arrived = delivery.taken;
            (delivery, arrived)
        } else {
            self.send_wanted(items)
        };
        self.tell(&delivery, arrived - delivery.rejected.min(arrived));
        let mut rejected = delivery.rejected;
        for part in parts {
            let Some(place) = places.get(&part.uuid) else { continue };
            let mut cursor = part.cursor;
            let settled = items[..delivery.taken].iter().filter(|item| item.ring == part.uuid);
            for (number, item) in settled.enumerate() {
                if number < part.reserved {
                    place.known.reserve.settle(place.slot, item.record.sequence);
                    let was = if cursor.full > 0 { &mut cursor.full } else { &mut cursor.damaged };
                    *was = was.saturating_sub(1);
                } else {
                    cursor.place.position = item.record.end;
                    cursor.place.records = item.record.sequence + 1;
                }
                if !self.sink.wants(&item.record.head) {
                    cursor.skipped += 1;
                } else if rejected > 0 {
                    // Which ones a receiver refused it does not say.
                    rejected -= 1;
                    cursor.rejected += 1;
                } else {
                    cursor.shipped += 1;
                    cursor.repeated += u64::from(item.is_repeated);
                }
            }
            let region = &place.known.region;
            if !delivery.retry.is_some_and(|retry| retry.may_have_arrived) {
                // What did not arrive is not marked.
                region.set_intent(place.slot, part.intent.max(cursor.place.records));
            }
            region.set_cursor(place.slot, &cursor);
            release(&place.known, &self.receivers);
        }
        delivery
    }

    /// Sends those that this receiver wants; what became of the batch is told in all of them.
    fn send_wanted(&mut self, items: &[Item]) -> (Delivery, usize) {
        let wanted = items.iter().enumerate().filter(|(_, item)| self.sink.wants(&item.record.head));
        let (at, wanted): (Vec<usize>, Vec<Item>) = wanted.map(|(at, item)| (at, item.clone())).unzip();
        let mut delivery = Delivery::default();
        if !wanted.is_empty() {
            delivery = self.sink.send(&wanted, Instant::now() + ATTEMPT);
        }
        let arrived = delivery.taken;
        delivery.taken = at.get(arrived).copied().unwrap_or(items.len());
        (delivery, arrived)
    }

    /// Sends the lines that say how many others were lost; they count nowhere, and are not sent again.
    fn tell_of_losses(&mut self, places: &mut HashMap<[u8; 16], Place>) {
        if self.records != Kind::Lines {
            // What is not read line by line has counters, and no line that tells of them.
            return;
        }
        let notices = self.notices(places);
        if notices.is_empty() {
            return;
        }
        let (items, lost): (Vec<Item>, Vec<u64>) = notices.into_iter().unzip();
        let delivery = self.sink.send(&items, Instant::now() + ATTEMPT);
        for (item, lost) in items.iter().zip(lost).take(delivery.taken) {
            if let Some(place) = places.get_mut(&item.ring) {
                (place.noticed, place.notice_at) = (lost, Some(Instant::now()));
            }
        }
    }

    /// Settles what there was to settle without sending anything.
    fn settle(&mut self, places: &HashMap<[u8; 16], Place>, parts: &[Part]) {
        for part in parts {
            let Some(place) = places.get(&part.uuid) else { continue };
            if place.known.region.cursor(place.slot) != part.cursor {
                place.known.region.set_cursor(place.slot, &part.cursor);
                release(&place.known, &self.receivers);
            }
        }
    }

    /// Tells how it went: the state, and one line on stderr when it begins to fail.
    fn tell(&mut self, delivery: &Delivery, arrived: usize) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if arrived > 0 {
            status.success = now_ns() as f64 / 1e9;
            (self.succeeded)(status.success);
        }
        let failed_before = status.trouble.is_some();
        if let Some(trouble) = &delivery.trouble {
            status.failures += 1;
            let is_due = self.whispered.is_none_or(|at| at.elapsed() > WHISPER);
            if !failed_before && is_due && self.name != "stderr" {
                self.whispered = Some(Instant::now());
                whisper(&format!("ferrometer: {} for {}: {trouble}\n", self.records.noun(), self.name));
            }
        }
        status.trouble.clone_from(&delivery.trouble);
    }
}

/// Lines of a ring that this receiver never sees.
fn lost(known: &Known, slot: usize) -> u64 {
    let cursor = known.region.cursor(slot);
    known.region.counts().refused(Reason::Full) + cursor.full + cursor.damaged
}

/// A line on stderr, past everything that could hold a lock or lead back here.
pub fn whisper(text: &str) {
    // SAFETY: the bytes live; a closed or full stderr loses the line.
    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
}

/// For sinks that cannot know whether a batch arrived.
pub fn unknown(trouble: String) -> Delivery {
    Delivery::again(trouble, Retry { after: None, may_have_arrived: true })
}
