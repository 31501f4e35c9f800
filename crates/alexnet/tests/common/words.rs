//! The program as people call it: a folder and words.
#![allow(dead_code, reason = "each test program uses a part")]

use std::path::Path;
use std::process::Command;

/// Runs the program in `folder`: whether it succeeded, and all that it said.
pub(crate) fn alexnet(folder: &Path, words: &str) -> (bool, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_alexnet")).current_dir(folder).args(words.split(' ')).output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// What a command that must succeed says.
pub(crate) fn good(folder: &Path, words: &str) -> String {
    let (success, text) = alexnet(folder, words);
    assert!(success, "{words}: {text}");
    text
}

/// Checks that a command fails and says `expected`.
pub(crate) fn bad(folder: &Path, words: &str, expected: &str) {
    let (success, text) = alexnet(folder, words);
    assert!(!success && text.contains(expected), "{words}: {text}");
}
