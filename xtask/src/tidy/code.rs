//! Rust without comments and quoted text, so that rules do not stumble over words.

/// The code of a Rust file, line by line.
pub(super) struct Code {
    lines: Vec<String>,
}

impl Code {
    /// Blanks comments, strings and characters; line breaks stay.
    pub(super) fn of(text: &str) -> Code {
        let characters: Vec<char> = text.chars().collect();
        let mut code = String::with_capacity(text.len());
        let mut at = 0;
        while at < characters.len() {
            let rest = &characters[at..];
            let after_name = at > 0 && is_name(characters[at - 1]);
            let len = match rest {
                ['/', '/', ..] => line_comment(rest),
                ['/', '*', ..] => block_comment(rest),
                ['"', ..] => string(rest),
                ['r', '"' | '#', ..] if !after_name => raw_string(rest, 1),
                ['b' | 'c', '"', ..] if !after_name => 1 + string(&rest[1..]),
                ['b' | 'c', 'r', '"' | '#', ..] if !after_name => raw_string(rest, 2),
                ['\'', ..] => character(rest),
                _ => 0,
            };
            if len == 0 {
                code.push(rest[0]);
                at += 1;
            } else {
                code.extend(rest[..len].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
                at += len;
            }
        }
        Code { lines: code.lines().map(str::to_string).collect() }
    }

    /// The lines, counted from 1, that have `text`, not as a part of a longer name.
    pub(super) fn lines_with(&self, text: &str) -> impl Iterator<Item = usize> {
        let starts_name = text.starts_with(is_name);
        let ends_name = text.ends_with(is_name);
        let found = move |line: &String| {
            line.match_indices(text).any(|(start, _)| {
                let goes_on_before = starts_name && line[..start].ends_with(is_name);
                let goes_on_after = ends_name && line[start + text.len()..].starts_with(is_name);
                !goes_on_before && !goes_on_after
            })
        };
        self.lines.iter().enumerate().filter(move |(_, line)| found(line)).map(|(index, _)| index + 1)
    }

    /// Whether `text` stands in the code, whatever spaces are in it.
    pub(super) fn contains(&self, text: &str) -> bool {
        self.lines.iter().any(|line| line.chars().filter(|c| !c.is_whitespace()).collect::<String>().contains(text))
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line_comment(rest: &[char]) -> usize {
    rest.iter().position(|&c| c == '\n').unwrap_or(rest.len())
}

/// Block comments nest.
fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn string(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// A raw string whose hashes start at `prefix`; 0 when it is none (`r#name`).
fn raw_string(rest: &[char], prefix: usize) -> usize {
    let hashes = rest[prefix..].iter().take_while(|&&c| c == '#').count();
    let open = prefix + hashes;
    if rest.get(open) != Some(&'"') {
        return 0;
    }
    let closes = |at: usize| rest[at] == '"' && rest[at + 1..].iter().take_while(|&&c| c == '#').count() >= hashes;
    (open + 1..rest.len()).find(|&at| closes(at)).map_or(rest.len(), |at| at + 1 + hashes)
}

/// A character; 0 for a lifetime.
fn character(rest: &[char]) -> usize {
    match rest {
        [_, '\\', _, tail @ ..] => tail.iter().position(|&c| c == '\'').map_or(0, |end| end + 4),
        [_, _, '\'', ..] => 3,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, word: &str) -> Vec<usize> {
        Code::of(text).lines_with(word).collect()
    }

    #[test]
    fn comments_and_quoted_text_are_no_code() {
        assert_eq!(lines("word // word\n/* word\n/* */ word */ word", "word"), [1, 3]);
        assert_eq!(lines("\"word \\\" word\" word\n\"a\nword\"", "word"), [1]);
        assert_eq!(lines("r#\"word \" word\"#\nbr\"word\"\nc\"word\"\nr\"\\\" word", "word"), [4]);
        assert_eq!(lines("'\"' word\n'\\'' word\n'\\u{41}' word\nb'\"' word", "word"), [1, 2, 3, 4]);
        assert_eq!(lines("fn f<'a>(x: &'a word) {}\nr#word", "word"), [1, 2]);
    }

    #[test]
    fn a_part_of_a_name_is_no_word() {
        assert_eq!(lines("words sword word_ a::word\nword!", "word"), [1, 2]);
        assert_eq!(lines("words sword word_", "word"), [0; 0]);
        assert_eq!(lines("word!()\nsword!()\nword()", "word!"), [1]);
        assert_eq!(lines("#[word]\n#[words]\n[word]", "#[word"), [1]);
    }

    #[test]
    fn spaces_do_not_hide_code() {
        assert!(Code::of("#! [ forbid( unsafe_code ) ]").contains("#![forbid(unsafe_code)]"));
        assert!(!Code::of("// #![forbid(unsafe_code)]").contains("#![forbid(unsafe_code)]"));
    }
}
