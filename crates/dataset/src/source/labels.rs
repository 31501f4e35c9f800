//! Text files beside the tars: labels of the validation images, and names of the classes.
//!
//! The first line tells which it is; the others must look the same.
//!
//! | Line | Meaning |
//! | --- | --- |
//! | `490` | label of one validation image, in the order of their names: a number of the development kit |
//! | `n01751748` | the same: a class |
//! | `ILSVRC2012_val_00000001.JPEG 65` | label of the image named: a place in the sorted classes, from 0, as Caffe counts |
//! | `ILSVRC2012_val_00000001.JPEG n01751748` | label of the image named: a class |
//! | `n01440764 tench, Tinca tinca` | the name of a class |

use std::collections::HashMap;

use crate::folder::is_image;

/// What a text file says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Text {
    /// Labels of validation images, in the order of their names.
    Ordered(Vec<Label>),
    /// Labels of validation images by their file names.
    Named(HashMap<String, Label>),
    /// Words by classes.
    Words(HashMap<String, String>),
}

/// The class of a validation image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Label {
    /// In [`Text::Ordered`] a number of the development kit, in [`Text::Named`] a place in the sorted classes.
    Number(u32),
    /// The class itself.
    Class(String),
}

impl Label {
    fn new(word: &str) -> Label {
        word.parse().map_or_else(|_| Label::Class(word.to_owned()), Label::Number)
    }
}

/// What a line can be.
enum Line<'a> {
    Ordered(&'a str),
    Named(&'a str, &'a str),
    Words(&'a str, &'a str),
}

impl<'a> Line<'a> {
    fn new(line: &'a str) -> Line<'a> {
        match line.split_once(char::is_whitespace) {
            None => Line::Ordered(line),
            Some((name, label)) if is_image(name.as_ref()) => Line::Named(name, label.trim_start()),
            Some((class, words)) => Line::Words(class, words.trim_start()),
        }
    }
}

/// Reads the content of a text file.
pub(crate) fn parse(bytes: &[u8]) -> Result<Text, String> {
    const EXPECTED: &str =
        "expected the tars of ILSVRC, its development kit, labels of the validation images or names of classes";
    let content = std::str::from_utf8(bytes).map_err(|_| format!("neither a tar nor text; {EXPECTED}"))?;
    let lines: Vec<&str> = content.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut text = match lines.first().map(|line| Line::new(line)) {
        None => return Err(format!("it is empty; {EXPECTED}")),
        Some(Line::Ordered(_)) => Text::Ordered(Vec::new()),
        Some(Line::Named(..)) => Text::Named(HashMap::new()),
        Some(Line::Words(..)) => Text::Words(HashMap::new()),
    };
    for line in lines {
        match (Line::new(line), &mut text) {
            (Line::Ordered(label), Text::Ordered(labels)) => labels.push(Label::new(label)),
            (Line::Named(name, label), Text::Named(labels)) => {
                let name = name.rsplit('/').next().unwrap_or_default().to_owned();
                labels.insert(name, Label::new(label));
            }
            (Line::Words(class, name), Text::Words(words)) => {
                words.insert(class.to_owned(), name.to_owned());
            }
            _ => {
                let shown: String = line.chars().take(60).collect();
                return Err(format!("the line {shown:?} is not like the first; {EXPECTED}"));
            }
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str) -> Label {
        Label::Class(name.to_owned())
    }

    #[test]
    fn the_first_line_tells_what_a_file_is() {
        assert_eq!(parse(b"490\n\n361\n").unwrap(), Text::Ordered(vec![Label::Number(490), Label::Number(361)]));
        assert_eq!(parse(b"n01\r\nn02\r\n").unwrap(), Text::Ordered(vec![class("n01"), class("n02")]));
        let named = [("a.JPEG".to_owned(), Label::Number(65)), ("b.JPEG".to_owned(), class("n02"))];
        assert_eq!(parse(b"a.JPEG 65\nval/b.JPEG  n02\n").unwrap(), Text::Named(named.into()));
        let words = [("n01".to_owned(), "tench, Tinca tinca".to_owned())];
        assert_eq!(parse(b"n01 tench, Tinca tinca\n").unwrap(), Text::Words(words.into()));
    }

    #[test]
    fn other_files_are_refused() {
        for (bytes, says) in [
            (&b""[..], "empty"),
            (b"490\nn01 tench\n", "\"n01 tench\" is not like the first"),
            (b"a.JPEG 65\n3\n", "\"3\" is not like"),
            (b"\xff\xfe\x00", "neither a tar nor text"),
        ] {
            let problem = parse(bytes).unwrap_err();
            assert!(problem.contains(says) && problem.contains("expected the tars"), "{problem}");
        }
    }
}
