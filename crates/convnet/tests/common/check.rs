//! Comparison of a device with the naive one.

use convnet::cuda::Precision;
use convnet::naive::Naive;
use convnet::ops::{Op, Region, Span, Step};

use super::Tested;
use super::memory::{Contents, Memory, read};

/// An output with fewer floats than this may be small by cancellation as a whole: its error is then compared with the
/// scale of its terms too, as that of each single float is.
const FEW: usize = 256;

/// The limit of what is rounded to bf16, sometimes twice: half of the last place is 2^-9.
const BF16_LIMIT: f64 = 4e-3;

/// Runs one operation on devices with 1 and 3 threads and on the naive one, and compares. `scales` has for
/// each output, in turn, the typical size of the terms that it is the sum of, times the root of their number.
pub fn check<D: Tested>(
    device: impl Fn(usize) -> D,
    memory: &Memory,
    op: &Op,
    step: &Step,
    scales: &[f64],
) -> Result<(), String> {
    let mut naive = Naive::new();
    let mut one = device(1);
    let precision = one.precision();
    let memory = &memory.rounded(precision);
    let after = memory.run(&mut one, op, step);
    untouched(memory, op, &memory.run(&mut naive, op, step)).map_err(|error| format!("naive {error}"))?;
    untouched(memory, op, &after)?;
    for (output, &scale) in memory.outputs(op).into_iter().zip(scales.iter().cycle()) {
        let got = &after[output.region as usize][output.start..output.end()];
        compare(op.name(), output, &read(&naive, output), got, scale, precision)?;
    }
    same_bits(op, "when run again", &after, &memory.run(&mut one, op, step))?;
    same_bits(op, "with 3 threads", &after, &memory.run(&mut device(3), op, step))
}

/// Outputs hold numbers, everything else is as before.
fn untouched(memory: &Memory, op: &Op, after: &Contents) -> Result<(), String> {
    let outputs = memory.outputs(op);
    let before = memory.before(op);
    for region in Region::ALL {
        let mut written = vec![false; before[region as usize].len()];
        for output in outputs.iter().filter(|span| span.region == region) {
            written[output.start..output.end()].fill(true);
        }
        let pairs = before[region as usize].iter().zip(&after[region as usize]);
        for (i, ((before, after), written)) in pairs.zip(written).enumerate() {
            if written && after.is_nan() {
                return Err(format!("{}: {region:?}[{i}] of an output is NaN", op.name()));
            }
            if !written && before.to_bits() != after.to_bits() {
                return Err(format!("{}: {region:?}[{i}] outside the outputs became {after}", op.name()));
            }
        }
    }
    Ok(())
}

/// Relative L2 error, then each float.
fn compare(
    op: &str,
    span: Span,
    expected: &[f64],
    got: &[f32],
    scale: f64,
    precision: Precision,
) -> Result<(), String> {
    let gradient = op.ends_with("_grad") || op.ends_with("_backward");
    let limit = match precision {
        // A region of f32 is held to f32's limits whatever it was computed from.
        Precision::Bf16 if span.region == Region::Work => BF16_LIMIT,
        _ if gradient => 1e-5,
        _ => 2e-6,
    };
    let errors: Vec<f64> = expected.iter().zip(got).map(|(x, y)| (f64::from(*y) - x).abs()).collect();
    let (size, scale) = (rms(expected), rms(expected).max(scale));
    let norm = if expected.len() < FEW { scale } else { size };
    let worst = (0..errors.len()).max_by(|&i, &j| errors[i].total_cmp(&errors[j]));
    let Some(worst) = worst else { return Ok(()) };
    let message = |what: &str, value: f64| {
        let (index, expected, got) = (worst, expected[worst], got[worst]);
        Err(format!("{op}: {what} {value:.2e} in {span}, worst at {index}: expected {expected}, got {got}"))
    };
    if rms(&errors) > limit * norm {
        return message("relative L2 error", rms(&errors) / norm);
    }
    let element = (0..errors.len()).find(|&i| errors[i] > 10.0 * limit * (scale + expected[i].abs()));
    element.map_or(Ok(()), |i| message("error of a float", errors[i]))
}

fn rms(values: &[f64]) -> f64 {
    (values.iter().map(|x| x * x).sum::<f64>() / values.len() as f64).sqrt()
}

fn same_bits(op: &Op, when: &str, first: &Contents, second: &Contents) -> Result<(), String> {
    for region in Region::ALL {
        let pairs = first[region as usize].iter().zip(&second[region as usize]);
        for (i, (first, second)) in pairs.enumerate() {
            if first.to_bits() != second.to_bits() {
                return Err(format!("{} {when}: {region:?}[{i}] is {second}, not {first}", op.name()));
            }
        }
    }
    Ok(())
}
