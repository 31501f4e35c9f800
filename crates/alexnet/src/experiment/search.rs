//! A small search for the learning rate with which a net learns fastest.
//!
//! Rates are two to a power of ten: 0.0032, 0.01, 0.032. The search begins at 0.01 and goes on while the best rate has
//! a neighbour that was not tried, so the best is never at the end of what was tried.

/// Epochs of a run of the search.
pub const EPOCHS: usize = 2;

/// Where it begins, and where it ends at the latest, as half powers of ten.
const START: i32 = -4;
const ENDS: std::ops::RangeInclusive<i32> = -12..=2;

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    /// Try this rate.
    Try(f64),
    /// The search is over: this rate is the best.
    Take(f64),
}

/// What to do after rates that were tried, with their training errors; one that diverged has an infinite one, and above
/// it nothing is tried.
pub fn next(error_of: impl Fn(f64) -> Option<f64>) -> Next {
    let tried = |step: i32| error_of(rate(step)).map(|error| (step, error));
    // Of equal ones that nearest to the start; of those that diverged the lowest.
    let far = |&(step, error): &(i32, f64)| if error.is_finite() { (step - START).abs() } else { step };
    let better = |a: &(i32, f64), b: &(i32, f64)| a.1.total_cmp(&b.1).then(far(a).cmp(&far(b)));
    let Some((best, error)) = ENDS.filter_map(tried).min_by(better) else { return Next::Try(rate(START)) };
    let up = error.is_finite().then_some(best + 1);
    let untried = up.into_iter().chain([best - 1]).find(|step| ENDS.contains(step) && tried(*step).is_none());
    untried.map_or(Next::Take(rate(best)), |step| Next::Try(rate(step)))
}

/// Ten to the power of half a step, with two digits: the quotient or product of whole numbers, so that it is exact.
fn rate(step: i32) -> f64 {
    let digits = if step.rem_euclid(2) == 0 { 10.0 } else { 32.0 };
    let power = step.div_euclid(2) - 1;
    let scale = 10.0_f64.powi(power.abs());
    if power < 0 { digits / scale } else { digits * scale }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rates that are tried when `error` is what they give, and the one that is taken.
    fn search(error: impl Fn(f64) -> f64) -> (Vec<f64>, f64) {
        let mut tried: Vec<f64> = Vec::new();
        loop {
            match next(|rate| tried.contains(&rate).then(|| error(rate))) {
                Next::Try(rate) => tried.push(rate),
                Next::Take(rate) => return (tried, rate),
            }
        }
    }

    #[test]
    fn the_best_rate_has_worse_neighbours() {
        assert_eq!(search(|rate| (rate / 0.01).ln().abs()), (vec![0.01, 0.032, 0.0032], 0.01));
        let (tried, best) = search(|rate| if rate > 0.002 { f64::INFINITY } else { 1.0 - rate });
        assert_eq!((tried, best), (vec![0.01, 0.0032, 0.001, 0.00032], 0.001));
    }

    #[test]
    fn it_ends_where_nothing_helps() {
        assert_eq!(search(|_| 0.9), (vec![0.01, 0.032, 0.0032], 0.01));
        assert_eq!(search(|rate| rate).1, 0.000_001);
        assert_eq!(search(|rate| -rate).1, 10.0);
    }
}
