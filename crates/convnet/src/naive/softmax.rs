//! Softmax with cross-entropy.

/// `exp(z[c]) / sum of exp(z)`, with the maximum subtracted from `z`.
pub(super) fn probabilities(logits: &[f64]) -> Vec<f64> {
    let shifted = shift(logits);
    let sum: f64 = shifted.iter().map(|z| z.exp()).sum();
    shifted.iter().map(|z| z.exp() / sum).collect()
}

/// `-ln p[label]`
pub(super) fn loss(logits: &[f64], label: usize) -> f64 {
    let shifted = shift(logits);
    shifted.iter().map(|z| z.exp()).sum::<f64>().ln() - shifted[label]
}

/// How many classes come before the label when sorted by falling logit, lower classes first among equals.
pub(super) fn rank(logits: &[f64], label: usize) -> usize {
    if logits.iter().any(|z| z.is_nan()) {
        return logits.len();
    }
    let before = |&(c, &z): &(usize, &f64)| z > logits[label] || (z == logits[label] && c < label);
    logits.iter().enumerate().filter(before).count()
}

/// `(p - [c == label]) / n`
pub(super) fn backward(classes: usize, labels: &[u32], probabilities: &[f64]) -> Vec<f64> {
    let mut d_logits = Vec::new();
    for (image, &label) in probabilities.chunks(classes).zip(labels) {
        for (c, p) in image.iter().enumerate() {
            let target = if c == label as usize { 1.0 } else { 0.0 };
            d_logits.push((p - target) / labels.len() as f64);
        }
    }
    d_logits
}

fn shift(logits: &[f64]) -> Vec<f64> {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    logits.iter().map(|z| z - max).collect()
}
