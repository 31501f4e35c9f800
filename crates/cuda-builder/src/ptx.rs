//! The parts of a PTX file that a launcher depends on. Bodies of kernels are skipped.

/// A PTX file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Module {
    /// The version of the language, such as `7.0`.
    pub version: String,
    /// The processor, such as `sm_80`.
    pub target: String,
    /// In the file's order.
    pub entries: Vec<Entry>,
    /// Functions that are called and not there, with their lines.
    pub missing_functions: Vec<(usize, String)>,
}

/// A kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Counted from 1.
    pub line: usize,
    /// In order.
    pub parameters: Vec<Parameter>,
    /// Threads of a block, in three dimensions, where the kernel requires them.
    pub required_threads: Option<[u32; 3]>,
    /// Blocks that must fit on a multiprocessor together.
    pub min_blocks: Option<u32>,
}

/// A parameter of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The type of one element, without its dot: `u64`, `f32`, `b8`.
    pub element: String,
    /// Whether it is marked as an address.
    pub pointer: bool,
    /// Elements of an array; nothing for a number.
    pub array: Option<usize>,
    /// The alignment that is written down, for arrays.
    pub align: Option<usize>,
}

impl Parameter {
    /// The size; nothing for an unknown type.
    pub fn bytes(&self) -> Option<usize> {
        let bits: usize = self.element.get(1..)?.parse().ok()?;
        Some(bits / 8 * self.array.unwrap_or(1))
    }
}

impl Module {
    /// Reads a file.
    ///
    /// # Errors
    /// The number of a line that cannot be read.
    pub fn parse(text: &str) -> Result<Module, usize> {
        let text = without_comments(text);
        let mut module = Module::default();
        let mut rest = Cursor { text: &text, at: 0 };
        while let Some(directive) = rest.directive() {
            match directive.as_str() {
                ".version" => module.version = rest.word(),
                ".target" => module.target = rest.word().trim_end_matches(',').to_string(),
                ".entry" => {
                    let entry = rest.entry().ok_or_else(|| rest.line())?;
                    module.entries.push(entry);
                }
                ".extern" if rest.text[rest.at..].trim_start().starts_with(".func") => {
                    let line = rest.line();
                    let declaration = rest.until(';').ok_or(line)?;
                    module.missing_functions.push((line, function_name(&declaration)));
                }
                // The body of a function, or the values of a variable.
                "{" => rest.skip_braces().ok_or_else(|| rest.line())?,
                _ => {}
            }
        }
        Ok(module)
    }

    /// The entry with this name.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }
}

/// `.func (.param .b32 r) name (...)`: the name before the last bracket that opens at the top.
fn function_name(declaration: &str) -> String {
    let mut name = String::new();
    let mut depth = 0;
    for c in declaration.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 => name.push(c),
            _ => {}
        }
    }
    name.split_whitespace().rfind(|word| !word.starts_with('.')).unwrap_or_default().to_string()
}

/// Comments become blanks; lines stay.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('/') {
        let (before, comment) = rest.split_at(start);
        out += before;
        let end = if comment.starts_with("//") {
            comment.find('\n').unwrap_or(comment.len())
        } else if comment.starts_with("/*") {
            comment.find("*/").map_or(comment.len(), |end| end + 2)
        } else {
            out.push('/');
            rest = &comment[1..];
            continue;
        };
        out.extend(comment[..end].chars().filter(|&c| c == '\n'));
        rest = &comment[end..];
    }
    out + rest
}

/// A place in the text.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl Cursor<'_> {
    /// Counted from 1.
    fn line(&self) -> usize {
        self.text[..self.at].matches('\n').count() + 1
    }

    fn skip_blanks(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    /// What stands up to the next blank.
    fn word(&mut self) -> String {
        self.skip_blanks();
        let rest = &self.text[self.at..];
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        self.at += end;
        rest[..end].to_string()
    }

    /// The next word with a dot, or opening brace.
    fn directive(&mut self) -> Option<String> {
        let start = self.at + self.text[self.at..].find(['.', '{'])?;
        if self.text[start..].starts_with('{') {
            self.at = start;
            return Some("{".to_string());
        }
        let end = self.text[start + 1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        self.at = end.map_or(self.text.len(), |end| start + 1 + end);
        Some(self.text[start..self.at].to_string())
    }

    /// What stands before the next `end`, which is skipped.
    fn until(&mut self, end: char) -> Option<String> {
        let length = self.text[self.at..].find(end)?;
        let found = self.text[self.at..self.at + length].to_string();
        self.at += length + end.len_utf8();
        Some(found)
    }

    fn skip_braces(&mut self) -> Option<()> {
        let mut depth = 0;
        for (offset, c) in self.text[self.at..].char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.at += offset + c.len_utf8();
                return Some(());
            }
        }
        None
    }

    /// `name(parameters) directives {body}`.
    fn entry(&mut self) -> Option<Entry> {
        self.skip_blanks();
        let line = self.line();
        let head_end = self.text[self.at..].find('{')? + self.at;
        let head = &self.text[self.at..head_end];
        let (name, parameters, bounds) = match head.split_once('(') {
            Some((name, rest)) => {
                let (parameters, bounds) = rest.split_once(')')?;
                (name, parameters, bounds)
            }
            None => {
                let end = head.find(|c: char| c.is_whitespace() || c == '.').unwrap_or(head.len());
                (&head[..end], "", &head[end..])
            }
        };
        let listed = parameters.split(',').filter(|parameter| !parameter.trim().is_empty());
        let entry = Entry {
            name: name.trim().to_string(),
            line,
            parameters: listed.map(parameter).collect::<Option<Vec<Parameter>>>()?,
            required_threads: numbers(bounds, ".reqntid").map(|list| {
                let size = |axis: usize| list.get(axis).copied().unwrap_or(1);
                [size(0), size(1), size(2)]
            }),
            min_blocks: numbers(bounds, ".minnctapersm").and_then(|list| list.first().copied()),
        };
        self.at = head_end;
        self.skip_braces()?;
        Some(entry)
    }
}

/// The numbers behind a directive.
fn numbers(text: &str, directive: &str) -> Option<Vec<u32>> {
    let (_, rest) = text.split_once(directive)?;
    let list = rest.split('.').next()?;
    Some(list.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect())
}

/// `.param .u64 .ptr .align 1 name` or `.param .align 4 .b8 name[12]`.
fn parameter(text: &str) -> Option<Parameter> {
    let mut found = Parameter { element: String::new(), pointer: false, array: None, align: None };
    let mut words = text.split_whitespace();
    if words.next()? != ".param" {
        return None;
    }
    while let Some(word) = words.next() {
        match word {
            ".ptr" => found.pointer = true,
            ".align" => {
                let align = words.next()?.parse().ok()?;
                // Behind `.ptr` it is the alignment of what is pointed to.
                found.align = found.align.or((!found.pointer).then_some(align));
            }
            ".global" | ".shared" | ".const" | ".local" => {}
            _ => match word.strip_prefix('.') {
                Some(element) => found.element = element.to_string(),
                None => {
                    let array = word.split_once('[').map(|(_, size)| size.trim_end_matches(']').parse());
                    found.array = array.transpose().ok()?;
                }
            },
        }
    }
    (!found.element.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "// .entry commented(\n.version 7.0\n.target sm_80\n.address_size 64\n\
        .extern .shared .align 16 .b8 POOL[];\n.global .align 4 .b8 table[4] = {1, 2, 3, 4};\n\
        .visible .entry first(\n\t.param .u64 .ptr .global .align 4 first_param_0,\n\t.param .f32 first_param_1,\n\
        \t.param .align 4 .b8 first_param_2[12]\n)\n.reqntid 256, 1, 1\n.minnctapersm 2\n{\n\
        \t.reg .b32 %r<3>;\n\t{ .reg .b32 t; } /* } */\n\tret;\n}\n.visible .entry second()\n{\n\tret;\n}\n";

    #[test]
    fn entries_have_parameters_and_bounds() {
        let module = Module::parse(TEXT).unwrap();
        assert_eq!((module.version.as_str(), module.target.as_str()), ("7.0", "sm_80"));
        let names: Vec<&str> = module.entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["first", "second"]);
        let first = module.entry("first").unwrap();
        assert_eq!(first.line, 7);
        assert_eq!((first.required_threads, first.min_blocks), (Some([256, 1, 1]), Some(2)));
        let sizes: Vec<Option<usize>> = first.parameters.iter().map(Parameter::bytes).collect();
        assert_eq!(sizes, [Some(8), Some(4), Some(12)]);
        assert_eq!(first.parameters[0].align, None);
        assert_eq!(first.parameters[2].align, Some(4));
        let second = module.entry("second").unwrap();
        assert_eq!((second.parameters.len(), second.required_threads, second.min_blocks), (0, None, None));
        assert!(module.missing_functions.is_empty());
    }

    #[test]
    fn missing_functions_are_named() {
        let text = ".version 7.0\n.extern .func  (.param .b32 result) memcmp\n(\n\t.param .b64 a,\n\
            \t.param .b64 b\n)\n;\n\
            .extern .func panic();\n";
        let module = Module::parse(text).unwrap();
        assert_eq!(module.missing_functions, [(2, "memcmp".to_string()), (8, "panic".to_string())]);
    }

    #[test]
    fn a_cut_file_is_refused() {
        let cut = &TEXT[..TEXT.find("\tret").unwrap()];
        assert_eq!(Module::parse(cut), Err(14));
    }
}
