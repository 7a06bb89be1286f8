//! Metrics by their names, as one scrape sees them.

use ferrometer_core::family::Kind;
use ferrometer_core::reading::Reading;

/// Has the family of this name read, where there is one.
pub type Lookup<'a> = &'a dyn Fn(&str, &mut dyn FnMut(&dyn Reading));

/// The value of a counter or gauge; where it has several series, one for each process say, their sum. Zero
/// where there is none.
pub fn value(look: Lookup<'_>, name: &str) -> f64 {
    let mut sum = 0.0;
    look(name, &mut |family| {
        if family.definition().name != name {
            return; // one of whose samples is called so
        }
        match family.definition().kind {
            Kind::Counter => family.for_each(&mut |series| {
                let (whole, fraction) = series.counter();
                sum += whole as f64 + fraction;
            }),
            Kind::Gauge(_) => family.for_each(&mut |series| sum += series.gauge()),
            _ => {}
        }
    });
    sum
}
