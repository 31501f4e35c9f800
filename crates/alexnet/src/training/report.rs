//! What a run says: the line beside the bar, a row per epoch, and the lines of `log.jsonl`.

use convnet::run::Outcome;
use serde_json::{Value, json};

use super::Ending;
use super::meter::{Meter, Todo};
use super::schedule::Rates;
use crate::checkpoint::{State, Sums};
use crate::console::{clock, percent, thousands};

/// Names of what [`row`] gives; errors are top-1 where they do not say top-5.
pub(super) const HEADER: &str = concat!(
    "        | training       | validation             |\n",
    "  epoch |   loss   error |   loss   error   top-5 |     rate images/s wait",
);

/// The row of the last epoch.
pub(super) fn row(state: &State, meter: &Meter, is_best: bool) -> String {
    let epochs = format!("{}/{}", state.history.len(), state.settings.epochs);
    let Some(epoch) = state.history.last() else { return epochs };
    format!(
        "{epochs:>7} | {:>6.4} {:>5} % | {:>6.4} {:>5} % {:>5} % | {:>8} {:>8} {:>2.0} %{}",
        epoch.train_loss,
        percent(epoch.train_top1),
        epoch.val_loss,
        percent(epoch.val_top1),
        percent(epoch.val_top5),
        rounded(epoch.rate),
        thousands(meter.epoch_speed() as usize),
        meter.waiting() * 100.0,
        if is_best { " best" } else { "" }
    )
}

/// What changed at the start of an epoch.
pub(super) fn rates(epoch: usize, rates: &Rates) -> String {
    let mut text = format!(
        "from epoch {}: rate {}, of biases {}, colour noise {}",
        epoch + 1,
        rounded(rates.weights),
        rounded(rates.biases),
        rates.colour_noise
    );
    for (layer, (weights, biases)) in &rates.layers {
        text += &format!(", {layer} {} and {}", rounded(*weights), rounded(*biases));
    }
    text
}

/// A rate without the noise of its last digits.
fn rounded(rate: f64) -> String {
    let short = format!("{rate:.4e}").parse().unwrap_or(rate);
    format!("{short}")
}

/// Losses and errors as a person reads them.
pub fn error_of(outcome: &Outcome) -> String {
    if outcome.images == 0 {
        return String::new();
    }
    let (top1, top5) = (percent(outcome.top1_error()), percent(outcome.top5_error()));
    format!("loss {:.3}, error {top1} % (top-5 {top5} %)", outcome.mean_loss())
}

/// What stands beside the bar.
pub(super) fn message(state: &State, meter: &Meter, todo: Todo, wide: bool) -> String {
    let results = state.position.sums.outcome();
    let (epoch, run) = meter.left(todo);
    let speed = thousands(meter.speed() as usize);
    let waiting = meter.waiting() * 100.0;
    if wide {
        let (epoch, run) = (clock(epoch), clock(run));
        let results = error_of(&results);
        return format!("{results}, {speed} images/s, data wait {waiting:.0} %, left {epoch} (run {run})");
    }
    if results.images == 0 {
        return String::new();
    }
    let (top1, top5) = (percent(results.top1_error()), percent(results.top5_error()));
    format!("loss {:.3} err {top1}/{top5} % {speed}/s wait {waiting:.0} % left {}", results.mean_loss(), clock(run))
}

/// The log's line of the steps since the epoch's results were `logged`.
pub(super) fn step(state: &State, logged: &Sums, rates: &Rates, meter: &Meter) -> Value {
    let results = state.position.sums.since(logged);
    json!({
        "kind": "step",
        "epoch": state.position.epoch + 1,
        "step": state.position.step,
        "steps": state.position.steps,
        "images": state.position.images,
        "loss": results.mean_loss(),
        "top1_error": results.top1_error(),
        "top5_error": results.top5_error(),
        "epoch_loss": state.position.sums.outcome().mean_loss(),
        "rate": rates.weights,
        "bias_rate": rates.biases,
        "images_per_second": meter.speed(),
        "data_wait": meter.waiting(),
    })
}

/// The log's line of the last epoch.
pub(super) fn epoch(state: &State, meter: &Meter) -> Value {
    let mut line = json!(state.history.last());
    line["kind"] = json!("epoch");
    line["epoch"] = json!(state.history.len());
    line["steps"] = json!(state.position.steps);
    line["seconds"] = json!(meter.elapsed().as_secs_f64());
    line["images_per_second"] = json!(meter.epoch_speed());
    line["data_wait"] = json!(meter.waiting());
    line
}

/// The log's last line.
pub(super) fn stop(ending: Ending, state: &State) -> Value {
    let reason = match ending {
        Ending::Epochs => "epochs",
        Ending::Plateau => "plateau",
        Ending::Goal => "goal",
        Ending::Steps => "max-steps",
        Ending::Interrupt => "interrupt",
    };
    json!({ "kind": "stop", "reason": reason, "epoch": state.position.epoch + 1, "steps": state.position.steps })
}
