//! Event files that TensorBoard reads: the numbers of `log.jsonl`, as records of protobuf messages.
//!
//! A record is its length (u64), a checksum of that, the message, and a checksum of that; the checksums are CRC-32C,
//! rotated and shifted so that checksums of checksums differ.

mod proto;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use prost::Message;
use serde_json::Value;

use proto::{Event, START, SessionLog, Summary, SummaryValue};

/// How the name of a file of events begins.
pub(crate) const PREFIX: &str = "events.out.tfevents.";
/// Which number of the log has which name in TensorBoard, by the kind of the line.
const SCALARS: [(&str, &str, &str); 13] = [
    ("step", "loss", "loss/step"),
    ("step", "top1_error", "error/step"),
    ("step", "rate", "rate/weights"),
    ("step", "bias_rate", "rate/biases"),
    ("step", "images_per_second", "speed/images_per_second"),
    ("step", "data_wait", "speed/data_wait"),
    ("epoch", "train_loss", "loss/training"),
    ("epoch", "train_top1", "error/training"),
    ("epoch", "val_loss", "loss/validation"),
    ("epoch", "val_top1", "error/validation"),
    ("epoch", "val_top5", "error/validation_top5"),
    ("epoch", "images_per_second", "speed/images_per_second_epoch"),
    ("epoch", "seconds", "speed/seconds_epoch"),
];

/// The event file of a run, or of a part of one: each process has its own.
#[derive(Debug)]
pub(crate) struct Events {
    folder: PathBuf,
    /// Made with the first numbers: a run that does not begin leaves none.
    file: Option<File>,
    /// The first step of this process. What other files have from there on does not count any more.
    first: i64,
}

impl Events {
    /// Of the run in `folder`.
    pub(crate) fn new(folder: &Path) -> Events {
        Events { folder: folder.to_owned(), file: None, first: 1 }
    }

    /// Adds the numbers of a line of the log.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn add(&mut self, line: &Value) -> Result<()> {
        let kind = line["kind"].as_str().unwrap_or_default();
        let step = line["steps"].as_i64().unwrap_or_default();
        if matches!(kind, "start" | "resume") {
            self.first = step + 1;
        }
        let scalars = SCALARS.iter().filter(|scalar| scalar.0 == kind);
        let value = |&(_, field, tag): &(&str, &str, &str)| {
            let number = line[field].as_f64()? as f32;
            Some(SummaryValue { tag: tag.to_string(), simple_value: Some(number) })
        };
        let value: Vec<SummaryValue> = scalars.filter_map(value).collect();
        if value.is_empty() {
            return Ok(());
        }
        self.write(Event { step, summary: Some(Summary { value }), ..Event::default() })
    }

    fn write(&mut self, event: Event) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // TensorBoard reads the files of a folder in the order of their names.
        let name = format!("{PREFIX}{:010}.{}", now.as_secs(), process::id());
        let path = self.folder.join(name);
        let message = |event: Event| Event { wall_time: now.as_secs_f64(), ..event }.encode_to_vec();
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let file = OpenOptions::new().create(true).append(true).open(&path);
                let file = self.file.insert(file.with_context(|| format!("cannot write {}", path.display()))?);
                let version = Event { file_version: Some("brain.Event:2".to_string()), ..Event::default() };
                let session = Some(SessionLog { status: START });
                let start = Event { step: self.first, session_log: session, ..Event::default() };
                file.write_all(&[record(&message(version)), record(&message(start))].concat())?;
                file
            }
        };
        file.write_all(&record(&message(event)))
            .with_context(|| format!("cannot write events to {}", self.folder.display()))
    }
}

fn record(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u64).to_le_bytes();
    let masked = |bytes: &[u8]| crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes();
    [&length[..], &masked(&length), message, &masked(message)].concat()
}

/// CRC-32 with Castagnoli's polynomial, from the lowest bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_castagnoli_s() {
        // RFC 3720, B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&(0..32).collect::<Vec<u8>>()), 0x46dd_794e);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn every_process_begins_with_where_it_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = Events::new(folder.path());
        events.add(&serde_json::json!({ "kind": "resume", "steps": 40 })).unwrap();
        assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "there are no numbers yet");
        events.add(&serde_json::json!({ "kind": "step", "steps": 60, "loss": 1.5, "rate": 0.25 })).unwrap();
        let path = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let bytes = std::fs::read(path).unwrap();
        let mut rest = &bytes[..];
        let mut read = Vec::new();
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            let (this, behind) = rest.split_at(16 + length);
            let message = &this[12..12 + length];
            assert_eq!(this, record(message));
            read.push(Event::decode(message).unwrap());
            rest = behind;
        }
        assert_eq!(read[0].file_version.as_deref(), Some("brain.Event:2"));
        assert_eq!((read[1].step, read[1].session_log.clone()), (41, Some(SessionLog { status: START })));
        let values = &read[2].summary.as_ref().unwrap().value;
        let named: Vec<_> = values.iter().map(|it| (it.tag.as_str(), it.simple_value)).collect();
        assert_eq!((read[2].step, named), (60, vec![("loss/step", Some(1.5)), ("rate/weights", Some(0.25))]));
    }
}
