//! Medians and quartiles of samples, and percentiles of durations.

/// The middle of some samples, and how far they spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// Median and quartiles of at least one sample.
    pub(crate) fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        Self { median: quantile(&samples, 0.5), low: quantile(&samples, 0.25), high: quantile(&samples, 0.75) }
    }
}

/// The value below which that share of the sorted samples lies; between two samples, in proportion.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_two() {
        let spread = Spread::of(vec![4.0, 1.0, 3.0, 2.0]);
        assert_eq!(spread, Spread { median: 2.5, low: 1.75, high: 3.25 });
    }

    #[test]
    fn one_sample_is_its_own_spread() {
        assert_eq!(Spread::of(vec![7.0]), Spread { median: 7.0, low: 7.0, high: 7.0 });
    }

    #[test]
    fn an_outlier_moves_neither_median_nor_quartiles_far() {
        let spread = Spread::of(vec![1.0, 1.0, 1.0, 1.0, 1000.0]);
        assert_eq!(spread, Spread { median: 1.0, low: 1.0, high: 1.0 });
    }

    #[test]
    fn the_ends_are_the_least_and_the_most() {
        let sorted = [1.0, 2.0, 9.0];
        assert_eq!((quantile(&sorted, 0.0), quantile(&sorted, 1.0)), (1.0, 9.0));
    }
}
