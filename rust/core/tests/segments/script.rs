//! Processes that come, record, remove, die and are folded, in any order: the view says what the model says.

use crate::file::{Folder, Place, Process};
use crate::model::{compare, expected, shown, ModelFamily, ModelProcess, ModelSeries};
use ferrometer_core::exemplar::Exemplar;
use ferrometer_core::labels::Labels;
use ferrometer_core::mode::Mode;
use ferrometer_core::segment::fold::{fold, fold_by_steps, Folded, Step};
use ferrometer_core::segment::record::{Detail, FamilyRecord, Tombstone};
use ferrometer_core::segment::view::View;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

const STEPS: [Step; 5] = [Step::Locked, Step::Half, Step::Written, Step::Renamed, Step::Unlinked];
const TEXTS: [&str; 4] = ["a", "b\"\\\n", "", "ß,=\"}"];

#[derive(Clone, Debug)]
enum Action {
    Start,
    /// Process, family, label values, and numbers that say what is recorded.
    Record(prop::sample::Index, prop::sample::Index, u8, u16, u8),
    /// Process and family; of which series, or of all.
    Remove(prop::sample::Index, prop::sample::Index, Option<u8>),
    Unregister(prop::sample::Index, prop::sample::Index),
    Act(prop::sample::Index),
    Rewrite(prop::sample::Index),
    Kill(prop::sample::Index),
    Fold,
    KilledFold(Step),
    Look,
}

fn action() -> impl Strategy<Value = Action> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        2 => Just(Action::Start),
        16 => (index(), index(), any::<u8>(), any::<u16>(), any::<u8>())
            .prop_map(|(p, f, text, number, how)| Action::Record(p, f, text, number, how)),
        1 => (index(), index(), prop::option::of(any::<u8>())).prop_map(|(p, f, text)| Action::Remove(p, f, text)),
        1 => (index(), index()).prop_map(|(p, f)| Action::Unregister(p, f)),
        1 => index().prop_map(Action::Act),
        1 => index().prop_map(Action::Rewrite),
        1 => index().prop_map(Action::Kill),
        1 => Just(Action::Fold),
        1 => prop::sample::select(STEPS.to_vec()).prop_map(Action::KilledFold),
        3 => Just(Action::Look),
    ]
}

fn families() -> Vec<ModelFamily> {
    let mut details = vec![
        Detail::Counter,
        Detail::Info,
        Detail::Histogram(vec![0.25, 1.0, 4.0, f64::INFINITY]),
        Detail::Summary(vec![0.5, 0.99]),
        Detail::StateSet(vec!["on".into(), "off".into(), "x".into()]),
    ];
    details.extend(Mode::EVERY.map(Detail::Gauge));
    let family = |(index, detail)| {
        let labels: &[&str] = [&["z", "a"][..], &["q"], &[]][index % 3];
        ModelFamily { name: format!("f{index}"), labels: labels.iter().map(|&l| l.into()).collect(), detail }
    };
    details.into_iter().enumerate().map(family).collect()
}

/// A process, its file while it lives, and where its things are.
struct Running {
    file: Option<Process>,
    acted: u64,
    ids: BTreeMap<usize, (u32, u64)>,
    places: BTreeMap<(usize, Vec<String>), Place>,
    next: u32,
}

struct World {
    folder: Folder,
    families: Vec<ModelFamily>,
    model: Vec<ModelProcess>,
    running: Vec<Running>,
    /// Stamps of removals by family and text.
    removals: BTreeMap<(usize, Option<Vec<String>>), u64>,
    epoch: u64,
    clock: f64,
    view: Option<View>,
}

impl World {
    fn new() -> Self {
        let folder = Folder::new();
        folder.set_epoch(0);
        World {
            folder,
            families: families(),
            model: Vec::new(),
            running: Vec::new(),
            removals: BTreeMap::new(),
            epoch: 0,
            clock: 1000.0,
            view: None,
        }
    }

    fn is_hidden(&self, family: usize, values: &[String], stamp: u64) -> bool {
        let by = |key| self.removals.get(&key).is_some_and(|&at| stamp < at);
        by((family, None)) || by((family, Some(values.to_vec())))
    }

    fn living(&self, index: prop::sample::Index) -> Option<usize> {
        let living: Vec<usize> = (0..self.model.len()).filter(|&p| self.model[p].alive).collect();
        (!living.is_empty()).then(|| living[index.index(living.len())])
    }

    fn values(&self, family: usize, text: u8) -> Vec<String> {
        let text = usize::from(text);
        let values = self.families[family].labels.iter().enumerate();
        values.map(|(label, _)| TEXTS[text / 4usize.pow(label as u32) % 4].to_owned()).collect()
    }

    fn text(&self, family: usize, values: &[String]) -> Vec<u8> {
        let names: Vec<&str> = self.families[family].labels.iter().map(String::as_str).collect();
        let mut text = Vec::new();
        Labels::new(&names).render(&values.iter().map(String::as_str).collect::<Vec<_>>(), &mut text);
        text
    }

    /// A process acts upon all removals.
    fn act(&mut self, p: usize) {
        let families = self.model[p].families.clone();
        for (family, series) in families {
            for (values, series) in series {
                if self.is_hidden(family, &values, series.stamp) {
                    self.model[p].families.get_mut(&family).unwrap().remove(&values);
                    let place = self.running[p].places.remove(&(family, values)).unwrap();
                    self.running[p].file.as_ref().unwrap().remove(place.at);
                }
            }
        }
        self.running[p].acted = self.epoch;
        self.running[p].file.as_ref().unwrap().set_acted(self.epoch);
    }

    fn record(&mut self, p: usize, family: usize, text: u8, number: u16, how: u8) {
        self.act(p);
        self.clock += 1.0;
        let (clock, epoch) = (self.clock, self.epoch);
        let values = self.values(family, text);
        let rendered = self.text(family, &values);
        let definition = self.families[family].clone();
        let bounds = match &definition.detail {
            Detail::Histogram(bounds) => bounds.clone(),
            _ => vec![f64::INFINITY],
        };
        let is_histogram = matches!(definition.detail, Detail::Histogram(_) | Detail::Summary(_));
        let running = &mut self.running[p];
        let file = running.file.as_mut().unwrap();
        let (id, _) = *running.ids.entry(family).or_insert_with(|| {
            running.next += 1;
            let record = FamilyRecord {
                id: running.next,
                block: 0,
                generation: 0,
                max_series: 100,
                ordinal: 0,
                scope: "default".into(),
                name: definition.name.clone(),
                help: format!("as process {p} has it"),
                unit: String::new(),
                labels: definition.labels.clone(),
                detail: definition.detail.clone(),
            };
            (running.next, file.family(record))
        });
        let series = self.model[p].families.entry(family).or_default();
        let mut fresh = false;
        let series = series.entry(values.clone()).or_insert_with(|| {
            fresh = true;
            ModelSeries {
                stamp: epoch,
                created: clock,
                whole: 0,
                fraction: 0.0,
                value: 0.0,
                set: 0.0,
                info: None,
                values: Vec::new(),
                exemplar: None,
            }
        });
        let size = if is_histogram { 352 } else { 32 };
        let place = *running
            .places
            .entry((family, values))
            .or_insert_with(|| file.series(size, if is_histogram { bounds.len() } else { 0 }, clock));
        let amount = f64::from(number) / 64.0;
        match &definition.detail {
            Detail::Counter => {
                series.whole += u64::from(number);
                series.fraction += f64::from(how) / 4.0;
                file.counter(place, series.whole, series.fraction);
            }
            Detail::Gauge(_) | Detail::StateSet(_) => {
                (series.value, series.set) = (amount - 300.0, clock);
                file.gauge(place, series.value, clock);
            }
            Detail::Info => {
                let text = format!("build=\"{number}\"");
                file.info(place, &text, clock);
                (series.info, series.set) = (Some(text), clock);
            }
            Detail::Histogram(_) | Detail::Summary(_) => {
                let value = match how % 16 {
                    0 => 0.0,
                    1 => -amount,
                    2 => 1e-200,
                    3 => 2f64.powi(40),
                    _ => amount,
                };
                series.values.push(value);
                let before = series.values.clone();
                let held = u64::from(how / 16 % 4);
                // Held events count like the latest value.
                file.histogram(place, &bounds, &before, held, [2, 4, 8][usize::from(how) % 3]);
                file.histogram(place, &bounds, &before, held, [2, 4, 8][usize::from(number) % 3]);
                series.values.extend(std::iter::repeat_n(value, held as usize));
                file.histogram(place, &bounds, &before, held, 2);
            }
        }
        if matches!(definition.detail, Detail::Counter | Detail::Histogram(_)) && how.is_multiple_of(5) {
            let slot = usize::from(how) % bounds.len();
            let labels: Box<str> = format!("trace_id=\"{number}\"").into();
            if series.exemplar.as_ref().is_none_or(|(known, _)| *known == slot) {
                file.exemplar(place, bounds.len(), slot, &labels, amount, clock);
                series.exemplar = Some((slot, Exemplar { labels, value: amount, timestamp: clock }));
            }
        }
        if fresh {
            file.tell_of(id, place, epoch, &rendered);
        }
    }

    fn remove(&mut self, p: usize, family: usize, text: Option<u8>) {
        self.act(p);
        self.epoch += 1;
        self.folder.set_epoch(self.epoch);
        let values = text.map(|text| self.values(family, text));
        let text = values.as_ref().map(|values| self.text(family, values));
        self.removals.insert((family, values), self.epoch);
        let name = self.families[family].name.clone();
        let file = self.running[p].file.as_mut().unwrap();
        file.bury(Tombstone { stamp: self.epoch, scope: "default".into(), name, text });
        self.act(p);
    }

    fn unregister(&mut self, p: usize, family: usize) {
        if let Some((_, block)) = self.running[p].ids.remove(&family) {
            self.running[p].file.as_ref().unwrap().remove(block);
            self.running[p].places.retain(|(other, _), _| *other != family);
            self.model[p].families.remove(&family);
        }
    }

    fn run(&mut self, action: &Action) {
        match *action {
            Action::Start if self.model.iter().filter(|process| process.alive).count() < 5 => {
                self.clock += 1.0;
                let pid = 100 + self.model.len() as u64;
                let file = Process::start(&self.folder.0, pid, self.clock);
                file.set_acted(self.epoch);
                let (ids, places) = (BTreeMap::new(), BTreeMap::new());
                self.running.push(Running { file: Some(file), acted: self.epoch, ids, places, next: 0 });
                self.model.push(ModelProcess { pid, alive: true, families: BTreeMap::new() });
            }
            Action::Record(p, family, text, number, how) => {
                if let Some(p) = self.living(p) {
                    self.record(p, family.index(self.families.len()), text, number, how);
                }
            }
            Action::Remove(p, family, text) => {
                if let Some(p) = self.living(p) {
                    self.remove(p, family.index(self.families.len()), text);
                }
            }
            Action::Unregister(p, family) => {
                if let Some(p) = self.living(p) {
                    self.unregister(p, family.index(self.families.len()));
                }
            }
            Action::Act(p) => {
                if let Some(p) = self.living(p) {
                    self.act(p);
                }
            }
            Action::Rewrite(p) => {
                if let Some(p) = self.living(p) {
                    self.running[p].file.as_mut().unwrap().rewrite();
                }
            }
            Action::Kill(p) => {
                if let Some(p) = self.living(p) {
                    self.model[p].alive = false;
                    self.running[p].file.take().unwrap().die();
                }
            }
            Action::Fold => {
                assert_ne!(fold(&self.folder.0).unwrap(), Folded::Busy);
                let living = self.model.iter().filter(|process| process.alive).count();
                assert!(self.folder.files().iter().filter(|file| !file.starts_with('.')).count() <= living + 1);
            }
            Action::KilledFold(step) => {
                let _ = fold_by_steps(&self.folder.0, &mut |now| now != step);
            }
            Action::Start | Action::Look => {}
        }
    }

    /// Both a view that was there all the while and a new one say what the model says.
    fn look(&mut self) {
        let expected = expected(&self.families, &self.model, |f, values, stamp| self.is_hidden(f, values, stamp));
        let mut fresh = View::open(&self.folder.0).unwrap();
        fresh.refresh();
        assert_eq!((fresh.unreadable(), fresh.conflicts()), (vec![], vec![]));
        compare(&shown(&fresh), &expected, "a fresh view");
        let view = self.view.get_or_insert_with(|| View::open(&self.folder.0).unwrap());
        view.refresh();
        assert_eq!((view.unreadable(), view.conflicts()), (vec![], vec![]));
        compare(&shown(view), &expected, "a view that was there before");
    }
}

proptest! {
    #[test]
    fn all_processes_together_are_what_the_model_says(script in vec(action(), 1..120)) {
        let mut world = World::new();
        world.run(&Action::Start);
        for action in script {
            let look = matches!(action, Action::Look | Action::Fold | Action::KilledFold(_));
            world.run(&action);
            if look {
                world.look();
            }
        }
        world.look();
        world.run(&Action::Fold);
        world.look();
    }
}
