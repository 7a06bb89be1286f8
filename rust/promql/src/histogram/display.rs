//! A histogram as text, as `count_values` labels it.

use std::fmt;

use super::{Bucket, Histogram};
use crate::number::general;

impl fmt::Display for Bucket {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = if self.lower_inclusive { '[' } else { '(' };
        let close = if self.upper_inclusive { ']' } else { ')' };
        let [lower, upper, count] = [self.lower, self.upper, self.count].map(general);
        write!(to, "{open}{lower},{upper}{close}:{count}")
    }
}

impl fmt::Display for Histogram {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{{count:{}, sum:{}", general(self.count), general(self.sum))?;
        let negative = self.negative.iter().rev().map(|bin| self.negative_bucket(bin));
        let positive = self.positive.iter().map(|bin| self.positive_bucket(bin));
        let zero = std::iter::once(self.zero_bucket());
        for bucket in negative.chain(zero).chain(positive).filter(|bucket| bucket.count != 0.0) {
            write!(to, ", {bucket}")?;
        }
        to.write_str("}")
    }
}
