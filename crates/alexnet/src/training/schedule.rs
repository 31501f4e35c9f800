//! Learning rates: which rates hold in an epoch, as a function of the run's settings and history.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use convnet::net::{Event, Net};
use convnet::plan::Parameter;

/// How often the plateau rule divides the rates (paper, section 5: "reduced three times prior to termination").
const DIVISIONS: u32 = 3;

/// The rule that sets the rates of a run.
#[derive(Clone, Debug)]
pub struct Schedule {
    rule: Rule,
    /// The rates of the first epoch.
    first: Rates,
    /// The run's rate over the net's.
    scale: f64,
}

#[derive(Clone, Debug)]
enum Rule {
    Constant,
    Plateau {
        patience: usize,
    },
    /// Events with their epochs scaled to the run.
    Events(Vec<(usize, Event)>),
}

/// The rates of an epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates {
    /// Of weights.
    pub weights: f64,
    /// Of biases.
    pub biases: f64,
    /// Weights and biases of the layers that have rates of their own.
    pub layers: BTreeMap<String, (f64, f64)>,
    /// Standard deviation of the colour noise.
    pub colour_noise: f64,
}

impl Rates {
    /// The rate of each parameter.
    pub fn by_parameter(&self, parameters: &[Parameter]) -> Vec<f32> {
        let rate = |parameter: &Parameter| {
            let general = (self.weights, self.biases);
            let (weights, biases) = self.layers.get(&parameter.layer).copied().unwrap_or(general);
            (if parameter.bias { biases } else { weights } * parameter.rate) as f32
        };
        parameters.iter().map(rate).collect()
    }
}

/// Where the plateau rule stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plateau {
    /// How often the rates were divided.
    pub divisions: u32,
    /// Epochs since the best error, or since the last division.
    pub waited: usize,
    /// Whether the last plateau was reached.
    pub over: bool,
}

impl Plateau {
    /// The state after epochs with these validation errors.
    pub fn after(errors: &[f64], patience: usize) -> Plateau {
        let mut plateau = Plateau::default();
        let mut best = f64::INFINITY;
        for &error in errors {
            if error < best {
                best = error;
                plateau.waited = 0;
                continue;
            }
            plateau.waited += 1;
            if plateau.waited >= patience {
                plateau.waited = 0;
                plateau.over = plateau.divisions == DIVISIONS;
                plateau.divisions = (plateau.divisions + 1).min(DIVISIONS);
            }
        }
        plateau
    }
}

impl Schedule {
    /// The schedule `name` of `net` for a run of `epochs` epochs. `rate` replaces the net's rate; every other rate
    /// is scaled with it.
    ///
    /// # Errors
    /// When the net has no such schedule.
    pub fn new(net: &Net, name: &str, epochs: usize, rate: Option<f64>) -> Result<Schedule> {
        let training = &net.training;
        let rule = match name {
            "constant" => Rule::Constant,
            "plateau" => Rule::Plateau { patience: training.patience },
            _ => match net.schedule(name) {
                Some(schedule) => {
                    let scaled = |event: &Event| {
                        let epoch = event.epoch * epochs as f64 / schedule.epochs as f64;
                        (epoch.round() as usize, event.clone())
                    };
                    Rule::Events(schedule.events.iter().map(scaled).collect())
                }
                None => bail!("net {} has no schedule {name:?}; it has {}", net.name, names(net).join(", ")),
            },
        };
        let scale = match rate {
            Some(_) if training.rate == 0.0 => bail!("the rate of net {} is 0: --lr cannot scale it", net.name),
            Some(rate) => rate / training.rate,
            None => 1.0,
        };
        let first = Rates {
            weights: rate.unwrap_or(training.rate),
            biases: training.bias_rate * scale,
            layers: BTreeMap::new(),
            colour_noise: net.augment.colour_noise,
        };
        Ok(Schedule { rule, first, scale })
    }

    /// The rates of epoch `epoch`, counted from 0, after epochs with these validation errors.
    pub fn rates(&self, epoch: usize, errors: &[f64]) -> Rates {
        let mut rates = self.first.clone();
        match &self.rule {
            Rule::Constant => {}
            Rule::Plateau { patience } => {
                for _ in 0..Plateau::after(errors, *patience).divisions {
                    rates.weights /= 10.0;
                    rates.biases /= 10.0;
                }
            }
            Rule::Events(events) => {
                for (_, event) in events.iter().filter(|(start, _)| *start <= epoch) {
                    self.apply(event, &mut rates);
                }
            }
        }
        rates
    }

    fn apply(&self, event: &Event, rates: &mut Rates) {
        let (rate, bias_rate) = (event.rate.map(|rate| rate * self.scale), event.bias_rate.map(|r| r * self.scale));
        let general = (rates.weights, rates.biases);
        match &event.layer {
            Some(layer) => {
                let own = rates.layers.entry(layer.clone()).or_insert(general);
                *own = (rate.unwrap_or(own.0), bias_rate.unwrap_or(own.1));
            }
            None => {
                rates.weights = rate.unwrap_or(general.0);
                rates.biases = bias_rate.unwrap_or(general.1);
            }
        }
        rates.colour_noise = event.colour_noise.unwrap_or(rates.colour_noise);
    }

    /// Whether the run ends after epochs with these validation errors, before its number of epochs.
    pub fn over(&self, errors: &[f64]) -> bool {
        match self.rule {
            Rule::Plateau { patience } => Plateau::after(errors, patience).over,
            _ => false,
        }
    }
}

/// The names of the schedules that a run of `net` can have.
pub fn names(net: &Net) -> Vec<&str> {
    let own = net.training.schedules.iter().map(|schedule| schedule.name.as_str());
    ["plateau", "constant"].into_iter().chain(own).collect()
}

#[cfg(test)]
mod tests {
    use convnet::plan::{Mode, Plan};

    use super::*;
    use crate::nets;

    fn nips2012() -> Net {
        nets::load("nips2012", Some(10)).unwrap()
    }

    #[test]
    fn a_plateau_divides_three_times_and_then_ends() {
        // Two epochs without a better error are a plateau.
        let errors = [0.9, 0.8, 0.8, 0.85, 0.7, 0.7, 0.7, 0.71, 0.72, 0.69, 0.7, 0.7];
        let states: Vec<Plateau> = (0..=errors.len()).map(|n| Plateau::after(&errors[..n], 2)).collect();
        let divisions: Vec<u32> = states.iter().map(|state| state.divisions).collect();
        assert_eq!(divisions, [0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 3]);
        let over: Vec<bool> = states.iter().map(|state| state.over).collect();
        assert_eq!(over, [vec![false; 12], vec![true]].concat());
    }

    #[test]
    fn an_error_that_is_no_number_is_not_better() {
        assert_eq!(Plateau::after(&[0.5, f64::NAN, f64::NAN], 2).divisions, 1);
    }

    #[test]
    fn the_plateau_rule_divides_both_rates() {
        let schedule = Schedule::new(&nips2012(), "plateau", 90, None).unwrap();
        let errors = [0.5; 6];
        assert_eq!(schedule.rates(5, &errors[..5]).weights, 0.01);
        let rates = schedule.rates(6, &errors);
        assert_eq!((rates.weights, rates.biases), (0.001, 0.002));
        assert!(!schedule.over(&errors) && schedule.over(&[0.5; 21]));
    }

    #[test]
    fn events_follow_the_2012_diary() {
        let schedule = Schedule::new(&nips2012(), "ilsvrc2012", 91, None).unwrap();
        let facts = |epoch| {
            let rates = schedule.rates(epoch, &[]);
            let conv1 = rates.layers.get("conv1").copied();
            (rates.weights, rates.biases, conv1, rates.colour_noise)
        };
        assert_eq!(facts(0), (0.01, 0.02, None, 0.1));
        assert_eq!(facts(24), (0.01, 0.02, None, 0.1));
        assert_eq!(facts(25), (0.001, 0.02, None, 0.1));
        assert_eq!(facts(67), (0.0001, 0.02, Some((0.00001, 0.02)), 0.0));
        assert_eq!(facts(72), (0.0001, 0.02, Some((0.0, 0.0)), 0.0));
        // Frozen for good: a layer with rates of its own is deaf to the others' events.
        assert_eq!(facts(90), (0.00001, 0.02, Some((0.0, 0.0)), 0.0));
    }

    #[test]
    fn events_are_scaled_to_the_run_and_its_rate() {
        let schedule = Schedule::new(&nips2012(), "ilsvrc2012", 9, Some(0.005)).unwrap();
        let weights: Vec<f64> = (0..9).map(|epoch| schedule.rates(epoch, &[]).weights).collect();
        // 25, 51 and 79 of 91 epochs are 2.5, 5.04 and 7.8 of 9.
        assert_eq!(
            weights[..8].iter().map(|w| (w * 1e7).round()).collect::<Vec<_>>(),
            [50_000.0, 50_000.0, 5_000.0, 5_000.0, 5_000.0, 500.0, 500.0, 500.0]
        );
        assert_eq!(schedule.rates(0, &[]).biases, 0.01);
    }

    #[test]
    fn rates_reach_their_parameters() {
        let net = nets::load("mini", None).unwrap();
        let parameters = Plan::compile(&net, 1, Mode::Train).parameters;
        let layers = BTreeMap::from([("conv1".to_string(), (0.0, 0.5))]);
        let rates = Rates { weights: 0.25, biases: 2.0, layers, colour_noise: 0.0 };
        for (parameter, rate) in parameters.iter().zip(rates.by_parameter(&parameters)) {
            let expected = match (parameter.layer.as_str(), parameter.bias) {
                ("conv1", false) => 0.0,
                ("conv1", true) => 0.5,
                (_, false) => 0.25,
                (_, true) => 2.0,
            };
            assert_eq!(f64::from(rate), expected, "{}", parameter.name);
        }
    }

    #[test]
    fn a_schedule_that_is_not_there_is_refused() {
        let error = Schedule::new(&nips2012(), "cosine", 90, None).unwrap_err().to_string();
        assert!(error.contains("cosine") && error.contains("ilsvrc2010"), "{error}");
    }
}
