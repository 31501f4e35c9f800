//! PyTorch's `.pth`: a zip archive with a pickle that describes tensors, and the tensors' bytes beside it.
//!
//! Of pickle's operations those are known that a state dict has. Nothing is ever called: what a pickle would call is
//! kept as a name with its arguments. Values lie in one list and name each other by their places, so that a file's
//! nesting is nobody's recursion.

use std::collections::HashMap;
use std::io::{Cursor, Read};

use anyhow::{Context, Result, bail};
use zip::ZipArchive;

use super::torchvision::foreign;
use crate::portable::Tensor;

/// The largest description; that of torchvision's alexnet has 2 kB.
const MAX_PICKLE: u64 = 1 << 20;

/// Reads the tensors called `names`.
pub(super) fn read(contents: &[u8], names: &[String]) -> Result<Vec<Tensor>> {
    let mut archive = ZipArchive::new(Cursor::new(contents)).context("it is no whole zip archive")?;
    let listed: Vec<String> = archive.file_names().filter_map(Result::ok).map(|name| name.into_owned()).collect();
    let description = listed.iter().find(|name| name.ends_with("data.pkl"));
    let description = description.context("it is a zip archive without the data.pkl of PyTorch")?;
    let folder = description.trim_end_matches("data.pkl").to_string();
    if listed.contains(&format!("{folder}byteorder"))
        && entry(&mut archive, &format!("{folder}byteorder"), 16)? != b"little"
    {
        bail!("its numbers are not little-endian");
    }
    let pickle = entry(&mut archive, description, MAX_PICKLE)?;
    let values = Values::parse(&pickle).context("its data.pkl is damaged, or no plain state dict")?;
    let mut tensors = Vec::new();
    for name in names {
        let stored = values.stored(name).with_context(|| foreign(name))?;
        let Stored { key, offset, dims } =
            stored.with_context(|| format!("its {name} is no plain tensor of floats"))?;
        let bytes = entry(&mut archive, &format!("{folder}data/{key}"), contents.len() as u64)?;
        let floats = bytes.as_chunks::<4>().0;
        let len = dims.iter().try_fold(1_usize, |len, &extent| len.checked_mul(extent));
        let own = len.and_then(|len| floats.get(offset..offset.checked_add(len)?));
        let own = own.with_context(|| format!("its {name} is {dims:?}, its bytes hold {} numbers", floats.len()))?;
        let values = own.iter().map(|&value| f32::from_le_bytes(value)).collect();
        tensors.push(Tensor { name: name.clone(), dims, values });
    }
    Ok(tensors)
}

/// The bytes of an entry, at most so many.
fn entry(archive: &mut ZipArchive<Cursor<&[u8]>>, name: &str, most: u64) -> Result<Vec<u8>> {
    let file = archive.by_name(name).with_context(|| format!("it lacks {name}"))?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).with_context(|| format!("its {name} is damaged"))?;
    if bytes.len() as u64 > most {
        bail!("its {name} has more than {most} bytes");
    }
    Ok(bytes)
}

/// Where a tensor's numbers are.
struct Stored {
    /// The entry `data/KEY`.
    key: String,
    /// Numbers before the first.
    offset: usize,
    dims: Vec<usize>,
}

/// A value; places are indexes into [`Values::all`].
#[derive(Clone, Debug)]
enum Value {
    /// None, a truth value, or something else that no tensor needs.
    Other,
    Number(i64),
    Text(String),
    /// A tuple or a list.
    List(Vec<usize>),
    Dict(Vec<(usize, usize)>),
    /// `module name`, which is not looked up.
    Global(String),
    /// What a call would give: callee and arguments.
    Call(usize, usize),
    /// What lies outside of the pickle.
    Persistent(usize),
}

struct Values {
    all: Vec<Value>,
    /// What the pickle is.
    root: usize,
}

impl Values {
    /// Reads a pickle.
    fn parse(bytes: &[u8]) -> Result<Values> {
        let mut machine =
            Machine { bytes, at: 0, all: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
        let root = machine.run()?;
        Ok(Values { all: machine.all, root })
    }

    /// The tensor called `name`: none when there is none, an inner none when it is no tensor.
    fn stored(&self, name: &str) -> Option<Option<Stored>> {
        let Value::Dict(items) = &self.all[self.root] else { return None };
        let is_it = |key: usize| matches!(&self.all[key], Value::Text(text) if text == name);
        let (_, value) = items.iter().find(|(key, _)| is_it(*key))?;
        Some(self.tensor(*value))
    }

    fn tensor(&self, place: usize) -> Option<Stored> {
        // torch._utils._rebuild_tensor_v2(storage, offset, size, stride, ..)
        let Value::Call(callee, arguments) = self.all[place] else { return None };
        let (Value::Global(callee), Value::List(arguments)) = (&self.all[callee], &self.all[arguments]) else {
            return None;
        };
        if callee != "torch._utils _rebuild_tensor_v2" {
            return None;
        }
        let &[storage, offset, size, stride, ..] = &arguments[..] else { return None };
        let Value::Persistent(storage) = self.all[storage] else { return None };
        // ('storage', torch.FloatStorage, key, device, numbers)
        let &[_, kind, key, ..] = &self.list(storage)?[..] else { return None };
        let (Value::Global(kind), Value::Text(key)) = (&self.all[kind], &self.all[key]) else { return None };
        let (dims, strides) = (self.numbers(size)?, self.numbers(stride)?);
        // Numbers that follow one another in the order of the extents.
        let mut expected = 1_usize;
        for (&extent, &stride) in dims.iter().zip(&strides).rev() {
            if stride != expected && extent != 1 {
                return None;
            }
            expected = expected.checked_mul(extent)?;
        }
        let is_plain = kind == "torch FloatStorage" && dims.len() == strides.len();
        is_plain.then_some(Stored { key: key.clone(), offset: self.number(offset)?, dims })
    }

    fn list(&self, place: usize) -> Option<&Vec<usize>> {
        if let Value::List(items) = &self.all[place] { Some(items) } else { None }
    }

    fn number(&self, place: usize) -> Option<usize> {
        if let Value::Number(number) = self.all[place] { usize::try_from(number).ok() } else { None }
    }

    fn numbers(&self, place: usize) -> Option<Vec<usize>> {
        self.list(place)?.iter().map(|&item| self.number(item)).collect()
    }
}

/// A pickle at work.
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    all: Vec<Value>,
    stack: Vec<usize>,
    /// Heights of the stack.
    marks: Vec<usize>,
    /// Numbers that values were remembered under.
    memo: HashMap<u32, usize>,
}

impl Machine<'_> {
    fn run(&mut self) -> Result<usize> {
        loop {
            let at = self.at;
            match self.byte()? {
                0x80 => drop(self.take(1)?),                       // PROTO
                b'.' => return self.pop(),                         // STOP
                b'(' => self.marks.push(self.stack.len()),         // MARK
                b'N' | 0x88 | 0x89 => self.push(Value::Other),     // NONE, NEWTRUE, NEWFALSE
                b')' | b']' => self.push(Value::List(Vec::new())), // EMPTY_TUPLE, EMPTY_LIST
                b'}' => self.push(Value::Dict(Vec::new())),        // EMPTY_DICT
                b'K' => self.number(1)?,                           // BININT1
                b'M' => self.number(2)?,                           // BININT2
                b'J' => self.number(4)?,                           // BININT
                0x8a => {
                    let len = self.byte()?.into(); // LONG1
                    self.number(len)?;
                }
                b'X' => {
                    let len = self.word()?; // BINUNICODE
                    let text = String::from_utf8(self.take(len as usize)?.to_vec())?;
                    self.push(Value::Text(text));
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?); // GLOBAL
                    self.push(Value::Global(format!("{module} {name}")));
                }
                b'q' => {
                    let key = self.byte()?.into(); // BINPUT
                    self.remember(key)?;
                }
                b'r' => {
                    let key = self.word()?; // LONG_BINPUT
                    self.remember(key)?;
                }
                b'h' => {
                    let key = self.byte()?.into(); // BINGET
                    self.recall(key)?;
                }
                b'j' => {
                    let key = self.word()?; // LONG_BINGET
                    self.recall(key)?;
                }
                b't' => {
                    let items = self.above_mark()?; // TUPLE
                    self.push(Value::List(items));
                }
                count @ 0x85..=0x87 => {
                    let mut items = vec![0; usize::from(count - 0x84)]; // TUPLE1 to TUPLE3
                    for item in items.iter_mut().rev() {
                        *item = self.pop()?;
                    }
                    self.push(Value::List(items));
                }
                b'Q' => {
                    let what = self.pop()?; // BINPERSID
                    self.push(Value::Persistent(what));
                }
                b'R' => {
                    let (arguments, callee) = (self.pop()?, self.pop()?); // REDUCE
                    let is_dict = matches!(&self.all[callee], Value::Global(name) if name == "collections OrderedDict");
                    self.push(if is_dict { Value::Dict(Vec::new()) } else { Value::Call(callee, arguments) });
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?); // SETITEM
                    self.set(&[key, value])?;
                }
                b'u' => {
                    let items = self.above_mark()?; // SETITEMS
                    self.set(&items)?;
                }
                b'b' => drop(self.pop()?), // BUILD: attributes of an object
                other => bail!("operation {other:#04x} at byte {at} is none that a state dict has"),
            }
        }
    }

    fn take(&mut self, len: usize) -> Result<&[u8]> {
        let end = self.at.checked_add(len).filter(|&end| end <= self.bytes.len()).context("it is cut off")?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn word(&mut self) -> Result<u32> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn line(&mut self) -> Result<String> {
        let rest = &self.bytes[self.at..];
        let len = rest.iter().position(|&byte| byte == b'\n').context("it is cut off")?;
        let line = String::from_utf8(rest[..len].to_vec())?;
        self.at += len + 1;
        Ok(line)
    }

    /// A little-endian number of so many bytes; one or two are without sign.
    fn number(&mut self, len: usize) -> Result<()> {
        if len > 8 {
            bail!("a number of {len} bytes is no extent");
        }
        let bytes = self.take(len)?;
        let negative = len > 2 && bytes[len - 1] & 0x80 != 0;
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        wide[..len].copy_from_slice(bytes);
        self.push(Value::Number(i64::from_le_bytes(wide)));
        Ok(())
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.all.len());
        self.all.push(value);
    }

    /// Takes what is on top, above the last mark.
    fn pop(&mut self) -> Result<usize> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            bail!("it takes what it has not put, before byte {}", self.at);
        }
        self.stack.pop().context("it is empty")
    }

    fn above_mark(&mut self) -> Result<Vec<usize>> {
        let mark = self.marks.pop().context("it lacks a mark")?;
        Ok(self.stack.split_off(mark))
    }

    fn remember(&mut self, key: u32) -> Result<()> {
        let &top = self.stack.last().context("it remembers nothing")?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<()> {
        let found = self.memo.get(&key);
        let &place = found.with_context(|| format!("it recalls {key}, which it never remembered"))?;
        self.stack.push(place);
        Ok(())
    }

    fn set(&mut self, items: &[usize]) -> Result<()> {
        let &dict = self.stack.last().context("it lacks a dict")?;
        let Value::Dict(entries) = &mut self.all[dict] else { bail!("it sets items of what is no dict") };
        entries.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        Ok(())
    }
}
