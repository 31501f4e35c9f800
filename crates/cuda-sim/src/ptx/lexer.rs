//! Cuts PTX text into words, numbers and punctuation, each with its line.

use super::PtxError;

/// One token. Words keep their dots: `ld.global.f32`, `.reg`, `%tid.x` and `$L__BB0_2` are one word each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    Word(&'a str),
    Number(&'a str),
    Text(&'a str),
    Punct(char),
}

/// A token and the line it stands on, from 1.
pub(crate) type Located<'a> = (Token<'a>, u32);

/// All tokens of `source`; comments are dropped.
pub(crate) fn tokens(source: &str) -> Result<Vec<Located<'_>>, PtxError> {
    let bytes = source.as_bytes();
    let (mut at, mut line, mut out) = (0, 1u32, Vec::new());
    while at < bytes.len() {
        let start = at;
        let next = bytes.get(at + 1).copied();
        match bytes[at] {
            b'\n' => {
                line += 1;
                at += 1;
            }
            c if c.is_ascii_whitespace() || c == 0 => at += 1,
            b'/' if next == Some(b'/') => at = find(bytes, at, b"\n").unwrap_or(bytes.len()),
            b'/' if next == Some(b'*') => {
                let end = find(bytes, at + 2, b"*/").map_or(bytes.len(), |end| end + 2);
                line += bytes[at..end].iter().filter(|&&b| b == b'\n').count() as u32;
                at = end;
            }
            b'"' => {
                let end = find(bytes, at + 1, b"\"").ok_or(PtxError::UnclosedString { line })?;
                out.push((Token::Text(&source[at + 1..end]), line));
                at = end + 1;
            }
            c if c.is_ascii_digit() => {
                while bytes.get(at).is_some_and(|&b| b.is_ascii_alphanumeric() || b == b'.') {
                    at += 1;
                }
                out.push((Token::Number(&source[start..at]), line));
            }
            c if c.is_ascii_alphabetic() || b"_$%.".contains(&c) => {
                at += 1;
                loop {
                    match bytes.get(at) {
                        Some(&b) if b.is_ascii_alphanumeric() || b"_$.".contains(&b) => at += 1,
                        Some(b':') if bytes.get(at + 1) == Some(&b':') => at += 2,
                        _ => break,
                    }
                }
                out.push((Token::Word(&source[start..at]), line));
            }
            c if b"{}[]()<>,;:=+-@!|*".contains(&c) => {
                out.push((Token::Punct(c as char), line));
                at += 1;
            }
            _ => {
                let found = source[at..].chars().next().unwrap_or_default();
                return Err(PtxError::Character { line, found });
            }
        }
    }
    Ok(out)
}

fn find(bytes: &[u8], from: usize, what: &[u8]) -> Option<usize> {
    (from..bytes.len()).find(|&at| bytes[at..].starts_with(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_dots_and_lines_are_counted() {
        let found = tokens("/* a\n b */ ld.shared::cta.f32 %r1, [x+4]; // c\n$L: \"s\" 0f3F800000").unwrap();
        let words: Vec<_> = found.iter().map(|(token, line)| (*token, *line)).collect();
        assert_eq!(words[0], (Token::Word("ld.shared::cta.f32"), 2));
        assert_eq!(words[1], (Token::Word("%r1"), 2));
        assert!(words.contains(&(Token::Word("$L"), 3)));
        assert_eq!(words[words.len() - 1], (Token::Number("0f3F800000"), 3));
    }

    #[test]
    fn a_character_outside_ptx_is_an_error() {
        assert!(matches!(tokens("add #"), Err(PtxError::Character { line: 1, found: '#' })));
    }
}
