//! Reading the keys of a TOML table, with errors that name the place, the value and what is allowed.

use toml::{Table, Value};

use crate::Error;

/// A table whose keys are taken one by one; [`Keys::finish`] refuses what is left.
pub(super) struct Keys<'a> {
    net: &'a str,
    place: String,
    table: Table,
    known: Vec<&'static str>,
}

impl<'a> Keys<'a> {
    pub(super) fn new(net: &'a str, place: impl Into<String>, table: Table) -> Keys<'a> {
        Keys { net, place: place.into(), table, known: Vec::new() }
    }

    /// Renames the place, once a better name is known.
    pub(super) fn at(&mut self, place: impl Into<String>) {
        self.place = place.into();
    }

    pub(super) fn error(&self, key: &str, problem: impl Into<String>) -> Error {
        let place =
            if self.place.is_empty() { format!("key \"{key}\"") } else { format!("{}, key \"{key}\"", self.place) };
        Error::Net { net: self.net.to_string(), place, problem: problem.into() }
    }

    pub(super) fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.table.remove(key)
    }

    fn wrong(&self, key: &str, value: &Value, allowed: &str) -> Error {
        self.error(key, format!("{value} is not allowed; expected {allowed}"))
    }

    fn missing(&self, key: &str, allowed: &str) -> Error {
        self.error(key, format!("missing; expected {allowed}"))
    }

    /// A whole number in `low..=high`.
    pub(super) fn count(
        &mut self,
        key: &'static str,
        default: Option<usize>,
        low: usize,
        high: usize,
    ) -> Result<usize, Error> {
        let allowed = format!("a whole number from {low} to {high}");
        match self.take(key) {
            None => default.ok_or_else(|| self.missing(key, &allowed)),
            Some(value) => match value.as_integer().map(usize::try_from) {
                Some(Ok(number)) if (low..=high).contains(&number) => Ok(number),
                _ => Err(self.wrong(key, &value, &allowed)),
            },
        }
    }

    /// A number in `low..=high`; whole numbers count.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        default: Option<f64>,
        low: f64,
        high: f64,
    ) -> Result<f64, Error> {
        let found = self.optional_number(key, low, high)?;
        found.or(default).ok_or_else(|| self.missing(key, &format!("a number from {low} to {high}")))
    }

    /// A number in `low..=high`, if the key is there.
    pub(super) fn optional_number(&mut self, key: &'static str, low: f64, high: f64) -> Result<Option<f64>, Error> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let number = value.as_float().or(value.as_integer().map(|integer| integer as f64));
        match number.filter(|number| (low..=high).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(self.wrong(key, &value, &format!("a number from {low} to {high}"))),
        }
    }

    pub(super) fn flag(&mut self, key: &'static str, default: bool) -> Result<bool, Error> {
        match self.take(key) {
            None => Ok(default),
            Some(value) => value.as_bool().ok_or_else(|| self.wrong(key, &value, "true or false")),
        }
    }

    pub(super) fn text(&mut self, key: &'static str, default: Option<&str>) -> Result<String, Error> {
        let found = self.optional_text(key)?;
        found.or(default.map(str::to_string)).ok_or_else(|| self.missing(key, "a string"))
    }

    pub(super) fn optional_text(&mut self, key: &'static str) -> Result<Option<String>, Error> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(value) => Err(self.wrong(key, &value, "a string")),
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Clone>(
        &mut self,
        key: &'static str,
        default: Option<&str>,
        choices: &[(&str, T)],
    ) -> Result<T, Error> {
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let allowed = words.join(" or ");
        let value = match (self.take(key), default) {
            (Some(value), _) => value,
            (None, Some(default)) => Value::String(default.to_string()),
            (None, None) => return Err(self.missing(key, &allowed)),
        };
        let chosen = value.as_str().and_then(|text| choices.iter().find(|(word, _)| *word == text));
        chosen.map(|(_, choice)| choice.clone()).ok_or_else(|| self.wrong(key, &value, &allowed))
    }

    /// A table; empty when missing.
    pub(super) fn table(&mut self, key: &'static str, place: String) -> Result<Keys<'a>, Error> {
        match self.take(key) {
            None => Ok(Keys::new(self.net, place, Table::new())),
            Some(Value::Table(table)) => Ok(Keys::new(self.net, place, table)),
            Some(value) => Err(self.wrong(key, &value, &format!("a table, [{key}]"))),
        }
    }

    /// A list of tables; empty when missing.
    pub(super) fn tables(&mut self, key: &'static str) -> Result<Vec<Keys<'a>>, Error> {
        let list = match self.take(key) {
            None => return Ok(Vec::new()),
            Some(Value::Array(list)) => list,
            Some(value) => return Err(self.wrong(key, &value, &format!("tables, [[{key}]]"))),
        };
        let keys = list.into_iter().enumerate().map(|(index, value)| match value {
            Value::Table(table) => Ok(Keys::new(self.net, format!("{key} {}", index + 1), table)),
            other => Err(self.wrong(key, &other, &format!("tables, [[{key}]]"))),
        });
        keys.collect()
    }

    /// Refuses keys that nobody took.
    pub(super) fn finish(self) -> Result<(), Error> {
        match self.table.iter().next() {
            None => Ok(()),
            Some((key, value)) => {
                let problem = format!("unknown (value {value}); known keys are {}", self.known.join(", "));
                Err(self.error(key, problem))
            }
        }
    }
}
