//! The classic bucket bounds of a family, and the table that finds a value's bucket in one load.

use super::grid;
use crate::error::Error;
use crate::sync::{global, lock, Mutex};
use std::sync::{Arc, Weak};

global! {
    /// Layouts in use, so that families with the same bounds share one 16 KiB table.
    static LAYOUTS: Mutex<Vec<Weak<Layout>>> = Mutex::new(Vec::new());
}

/// Upper-inclusive bucket bounds, ascending, the last one `+Inf`.
pub struct Layout {
    bounds: Box<[f64]>,
    /// For every bin of the fast range: the first bucket that can hold a value of that bin.
    first: Box<[u16; grid::OCTAVES * grid::BINS]>,
}

impl Layout {
    /// The layout of these bounds; `+Inf` is added when missing.
    ///
    /// # Errors
    /// When a bound is NaN, when they do not ascend strictly, or when there are more than 65 000.
    pub fn new(bounds: &[f64]) -> Result<Arc<Self>, Error> {
        if let Some(position) = bounds.iter().position(|b| b.is_nan()) {
            return Err(Error::NanBucket { position });
        }
        if let Some(position) = bounds.windows(2).position(|w| w[0] >= w[1]) {
            return Err(Error::UnsortedBuckets { left: bounds[position], right: bounds[position + 1] });
        }
        if bounds.len() > 65_000 {
            return Err(Error::TooManyBuckets { count: bounds.len() });
        }
        let mut bounds = bounds.to_vec();
        if bounds.last() != Some(&f64::INFINITY) {
            bounds.push(f64::INFINITY);
        }
        let mut layouts = lock(&LAYOUTS);
        layouts.retain(|layout| layout.strong_count() > 0);
        if let Some(known) = layouts.iter().filter_map(Weak::upgrade).find(|l| *l.bounds == *bounds) {
            return Ok(known);
        }
        let mut first = Box::new([0; grid::OCTAVES * grid::BINS]);
        for (index, entry) in first.iter_mut().enumerate() {
            let lower = grid::lower(grid::FIRST + (index / grid::BINS) as u64, index % grid::BINS);
            *entry = bounds.partition_point(|&bound| bound <= lower) as u16;
        }
        let layout = Arc::new(Layout { bounds: bounds.into(), first });
        layouts.push(Arc::downgrade(&layout));
        Ok(layout)
    }

    /// The bounds, `+Inf` included.
    pub fn bounds(&self) -> &[f64] {
        &self.bounds
    }

    /// The bucket of a value whose bin within the fast range is known.
    #[inline(always)]
    pub(crate) fn bucket_from_bin(&self, bin: usize, value: f64) -> usize {
        let mut bucket = self.first[bin] as usize;
        // One compare, unless a bound lies inside this very bin. The last bound is +Inf, so it ends.
        while value > self.bounds[bucket] {
            bucket += 1;
        }
        bucket
    }

    /// The bucket of any value that is not NaN.
    pub fn bucket(&self, value: f64) -> usize {
        self.bounds.partition_point(|&bound| bound < value)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bad_bounds_are_refused_by_value() {
        assert!(matches!(Layout::new(&[1.0, f64::NAN]), Err(Error::NanBucket { position: 1 })));
        assert!(matches!(Layout::new(&[2.0, 1.0]), Err(Error::UnsortedBuckets { .. })));
        assert!(matches!(Layout::new(&[1.0, 1.0]), Err(Error::UnsortedBuckets { .. })));
    }

    #[test]
    fn equal_bounds_share_one_layout() {
        let one = Layout::new(&[1.5, 2.5]).unwrap();
        let two = Layout::new(&[1.5, 2.5, f64::INFINITY]).unwrap();
        assert!(Arc::ptr_eq(&one, &two));
    }

    proptest! {
        #[test]
        fn both_searches_agree(
            mut bounds in proptest::collection::vec(1e-9f64..1e9, 1..40),
            values in proptest::collection::vec(1e-9f64..1e9, 1..100),
        ) {
            bounds.sort_by(f64::total_cmp);
            bounds.dedup();
            let layout = Layout::new(&bounds).unwrap();
            // The bounds themselves and their neighbours are the interesting values.
            let near = bounds.iter().flat_map(|b| [-1i64, 0, 1].map(|d| f64::from_bits(b.to_bits().wrapping_add_signed(d))));
            for value in values.into_iter().chain(near) {
                let key = grid::key(value);
                let bin = (grid::exponent(key) - grid::FIRST) as usize * grid::BINS + grid::bin(key);
                let naive = layout.bounds().iter().position(|&b| value <= b).unwrap();
                prop_assert_eq!(layout.bucket_from_bin(bin, value), naive);
                prop_assert_eq!(layout.bucket(value), naive);
            }
        }
    }
}
