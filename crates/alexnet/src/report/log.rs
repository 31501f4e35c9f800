//! What a run's `log.jsonl` says to a report.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// The log without what was done again after a run went on from an earlier checkpoint.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// How the run began and went on: the lines of kind `start` and `resume`.
    pub starts: Vec<Value>,
    /// Lines of kind `step`.
    steps: Vec<Value>,
    /// Lines of kind `epoch`.
    epochs: Vec<Value>,
}

impl Log {
    /// Reads a log. A line that is cut off, as by a machine that lost its power, is left out; so is a log that is not
    /// there.
    pub fn read(path: &Path) -> Log {
        let text = fs::read_to_string(path).unwrap_or_default();
        let mut log = Log::default();
        for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            match line["kind"].as_str() {
                Some("start" | "resume") => {
                    let done = |old: &Value| old["steps"].as_u64() <= line["steps"].as_u64();
                    log.steps.retain(done);
                    log.epochs.retain(done);
                    log.starts.push(line);
                }
                Some("step") => log.steps.push(line),
                Some("epoch") => log.epochs.push(line),
                _ => {}
            }
        }
        log
    }

    /// Step and mean loss of the lines, averaged until they are at most `most`.
    pub fn losses(&self, most: usize) -> Vec<(f64, f64)> {
        let point = |line: &Value| Some((line["steps"].as_f64()?, line["loss"].as_f64()?));
        let points: Vec<_> = self.steps.iter().filter_map(point).collect();
        let group = points.len().div_ceil(most.max(1)).max(1);
        let mean = |group: &[(f64, f64)]| {
            let sum: f64 = group.iter().map(|point| point.1).sum();
            (group[group.len() - 1].0, sum / group.len() as f64)
        };
        points.chunks(group).map(mean).collect()
    }

    /// Epoch, and the number of this name that it has in the log.
    pub fn of_epochs(&self, field: &str) -> Vec<(f64, f64)> {
        let point = |line: &Value| Some((line["epoch"].as_f64()?, line[field].as_f64()?));
        self.epochs.iter().filter_map(point).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_again_counts_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let step = |step: u32, loss: f64| format!("{{\"kind\":\"step\",\"steps\":{step},\"loss\":{loss}}}\n");
        let lines = [
            "{\"kind\":\"start\",\"steps\":0}\n".to_string(),
            step(20, 2.0),
            step(40, 1.0),
            "{\"kind\":\"epoch\",\"steps\":40,\"epoch\":1,\"images_per_second\":9.5}\n".to_string(),
            step(60, 9.0),
            "{\"kind\":\"resume\",\"steps\":50}\n".to_string(),
            step(60, 0.5),
            step(80, 0.25),
            "{\"kind\":\"step\",\"ste".to_string(),
        ];
        fs::write(&path, lines.concat()).unwrap();
        let log = Log::read(&path);
        assert_eq!(log.starts.len(), 2);
        assert_eq!(log.losses(9), [(20.0, 2.0), (40.0, 1.0), (60.0, 0.5), (80.0, 0.25)]);
        assert_eq!(log.losses(3), [(40.0, 1.5), (80.0, 0.375)]);
        assert_eq!(log.of_epochs("images_per_second"), [(1.0, 9.5)]);
        assert!(log.of_epochs("data_wait").is_empty());
        assert!(Log::read(&folder.path().join("nowhere")).losses(5).is_empty());
    }
}
