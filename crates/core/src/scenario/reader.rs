//! Takes typed values out of a JSON file and knows the path of each, so that every message can name it.
//!
//! [`Source`] is the file. An [`Object`] hands out a [`Field`] for each key, present or not. The field is then asked
//! for a number, a word, a string, a list or an object of a given range. It returns the value or the complete error.
//!
//! Files that have a scenario under one of their keys are read with this, too: see [`Scenario::from_object`].
//!
//! [`Scenario::from_object`]: super::Scenario::from_object

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::ops::RangeInclusive;
use std::path::Path;

use super::error::ScenarioError;
pub(crate) use super::json::Json;
use super::json::shortened;
use crate::chaos::ConnectivityMatrix;
use crate::hint::{did_you_mean, nearest};
use crate::id::ReplicaId;
use crate::printable::printable;

/// The largest file that is read: room for as many operations and losses as a scenario can have, if their keys and
/// values are as long as the clients' own.
const FILE_BYTES_MAX: u64 = 24 * 1024 * 1024;

/// Above this, not every integer is a float.
const FLOAT_INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

/// The hint for a number that stands in quotes.
pub(crate) const WITHOUT_QUOTES: &str = "write it without quotes";

/// The file's text, with a bound on its size: the path may name an endless device. In messages the file is called
/// `file`.
pub(crate) fn read(path: &Path, file: &str) -> Result<String, ScenarioError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|opened| opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|source| ScenarioError::Read { file: file.to_owned(), source })?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(ScenarioError::Size { file: file.to_owned(), allowed_bytes: FILE_BYTES_MAX });
    }
    String::from_utf8(bytes)
        .map_err(|error| ScenarioError::Encoding { file: file.to_owned(), offset: error.utf8_error().valid_up_to() })
}

/// The file that is being read.
pub(crate) struct Source {
    file: String,
    unknown: RefCell<Vec<UnknownKey>>,
    remarks: RefCell<Vec<String>>,
}

/// A key that means nothing in its place.
#[derive(Clone, Debug)]
pub(crate) struct UnknownKey {
    /// Its path.
    pub(crate) path: String,
    /// The key that may be meant, after a semicolon; empty if no key is similar.
    pub(crate) hint: String,
}

impl Source {
    pub(crate) fn new(file: &str) -> Source {
        Source { file: printable(file), unknown: RefCell::new(Vec::new()), remarks: RefCell::new(Vec::new()) }
    }

    /// The file's name, for messages.
    pub(crate) fn file(&self) -> String {
        self.file.clone()
    }

    /// Something about the file is odd, in words of one line.
    pub(crate) fn warn(&self, what: String) {
        self.remarks.borrow_mut().push(format!("{}: {what}", self.file));
    }

    /// What is odd about the file, and the keys that mean nothing, each with a warning in one line.
    pub(crate) fn into_warnings(self) -> Vec<String> {
        let warning = |UnknownKey { path, hint }| format!("{}: unknown key `{path}` is ignored{hint}", self.file);
        self.remarks.into_inner().into_iter().chain(self.unknown.into_inner().into_iter().map(warning)).collect()
    }

    /// The first key that means nothing, if there is one.
    pub(crate) fn first_unknown(&self) -> Option<UnknownKey> {
        self.unknown.borrow().first().cloned()
    }

    /// The file's text as JSON.
    pub(crate) fn parse(&self, text: &str) -> Result<Json, ScenarioError> {
        // Some editors start a file with a byte order mark.
        serde_json::from_str(text.strip_prefix('\u{feff}').unwrap_or(text)).map_err(|error| {
            let (line, column, message) = (error.line(), error.column(), error.to_string());
            let place = format!(" at line {line} column {column}");
            let message = printable(message.strip_suffix(&place).unwrap_or(&message));
            ScenarioError::Json { file: self.file(), line, column, message }
        })
    }

    /// The whole file as an object.
    pub(crate) fn top<'a>(&'a self, json: &'a Json) -> Result<Object<'a>, ScenarioError> {
        match json {
            Json::Object(entries) => Object::open(self, String::new(), entries),
            other => Err(ScenarioError::Top { file: self.file(), value: other.shown() }),
        }
    }

    /// The whole file as one field, which messages call `path`.
    pub(crate) fn whole<'a>(&'a self, json: &'a Json, path: &str) -> Field<'a> {
        Field { source: self, path: path.to_owned(), json: Some(json), misspelt: None }
    }
}

/// One object of the file.
pub(crate) struct Object<'a> {
    source: &'a Source,
    /// Empty for the whole file.
    path: String,
    entries: &'a [(String, Json)],
    /// Keys that mean something here.
    known: Vec<&'static str>,
}

/// One form that an object can have, chosen by the word under its tag.
pub(crate) struct Variant {
    /// The word.
    pub(crate) name: &'static str,
    /// The keys that this form has besides those that all forms have.
    pub(crate) keys: &'static [&'static str],
}

impl<'a> Object<'a> {
    fn open(source: &'a Source, path: String, entries: &'a [(String, Json)]) -> Result<Object<'a>, ScenarioError> {
        let object = Object { source, path, entries, known: Vec::new() };
        let mut seen = BTreeSet::new();
        match entries.iter().find(|(key, _)| !seen.insert(key)) {
            Some((key, _)) => Err(ScenarioError::Duplicate { file: source.file(), key: object.path_of(key) }),
            None => Ok(object),
        }
    }

    /// Declares the known keys, and warns of all others. `deeper` are paths of keys further down in the file, for a
    /// hint if one of them is here by mistake.
    pub(crate) fn expect(&mut self, known: &[&'static str], deeper: &[&'static str]) {
        self.known = known.to_vec();
        for (key, _) in self.entries.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
            let misplaced = deeper.iter().copied().find(|path| path.rsplit('.').next() == Some(key));
            let misplaced = misplaced.map(|path| self.path_of(path));
            let meant = misplaced.or_else(|| nearest(key, known.iter().copied()).map(str::to_owned));
            let hint = meant.map(|meant| did_you_mean(&meant));
            let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            self.source.unknown.borrow_mut().push(UnknownKey { path: self.path_of(key), hint });
        }
    }

    /// Declares the known keys, and refuses all others. For objects that only seedbed knows: in those of the course,
    /// [`Object::expect`] warns.
    pub(crate) fn only(&mut self, known: &[&'static str]) -> Result<(), ScenarioError> {
        self.known = known.to_vec();
        match self.entries.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some((key, _)) => Err(ScenarioError::Unknown {
                file: self.source.file(),
                key: self.path_of(key),
                allowed: known.join(", "),
                hint: nearest(key, known.iter().copied()).map(did_you_mean),
            }),
        }
    }

    /// The form of this object: the word under `tag`. Each form has the keys `common` and its own; refuses all others.
    pub(crate) fn variant(
        &mut self,
        tag: &'static str,
        common: &[&'static str],
        variants: &[Variant],
    ) -> Result<&'static str, ScenarioError> {
        // Until the form is known, a key of any form is not taken for a misspelling of the tag.
        self.known = variants.iter().flat_map(|variant| variant.keys).copied().chain(common.iter().copied()).collect();
        self.known.push(tag);
        let names: Vec<&'static str> = variants.iter().map(|variant| variant.name).collect();
        let name = self.get(tag).word(&names)?;
        let own = variants.iter().filter(|variant| variant.name == name).flat_map(|variant| variant.keys);
        let known: Vec<&'static str> = [tag].iter().chain(common).chain(own).copied().collect();
        self.only(&known)?;
        Ok(name)
    }

    /// The field under a key, present or not.
    pub(crate) fn get(&self, key: &'static str) -> Field<'a> {
        debug_assert!(self.known.contains(&key), "`{key}` is read but not expected");
        let json = self.entries.iter().find(|(found, _)| found == key).map(|(_, json)| json);
        let strangers =
            self.entries.iter().map(|(found, _)| found.as_str()).filter(|found| !self.known.contains(found));
        let misspelt = if json.is_none() { nearest(key, strangers) } else { None };
        Field { source: self.source, path: self.path_of(key), json, misspelt }
    }

    /// All keys of an object that allows any key, with their fields.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'a str, Field<'a>)> {
        self.entries.iter().map(|(key, json)| {
            let field = Field { source: self.source, path: self.path_of(key), json: Some(json), misspelt: None };
            (key.as_str(), field)
        })
    }

    /// Whether a key is present, before the known keys are declared.
    pub(crate) fn holds(&self, key: &str) -> bool {
        self.entries.iter().any(|(found, _)| found == key)
    }

    /// Whether a key is present.
    pub(crate) fn has(&self, key: &'static str) -> bool {
        self.get(key).json.is_some()
    }

    /// Two keys contradict each other.
    pub(crate) fn conflict(&self, first: &'static str, second: &'static str, allowed: &'static str) -> ScenarioError {
        let [first, second] = [first, second].map(|key| self.path_of(key));
        ScenarioError::Conflict { file: self.source.file(), first, second, allowed }
    }

    /// The path of a key of this object.
    pub(crate) fn path_of(&self, key: &str) -> String {
        let key = shortened(key);
        if self.path.is_empty() { key } else { format!("{}.{key}", self.path) }
    }
}

/// One place of the file: its value, if there is one, and its path for messages.
pub(crate) struct Field<'a> {
    source: &'a Source,
    path: String,
    json: Option<&'a Json>,
    /// If there is no value: a key that looks like a misspelling of this one.
    misspelt: Option<&'a str>,
}

impl<'a> Field<'a> {
    /// Reads the value if there is one.
    pub(crate) fn optional<T>(
        &self,
        read: impl FnOnce(&Field<'a>) -> Result<T, ScenarioError>,
    ) -> Result<Option<T>, ScenarioError> {
        self.json.map(|_| read(self)).transpose()
    }

    /// Reads the value, which may be null.
    pub(crate) fn nullable<T>(
        &self,
        read: impl FnOnce(&Field<'a>) -> Result<T, ScenarioError>,
    ) -> Result<Option<T>, ScenarioError> {
        if self.json == Some(&Json::Null) { Ok(None) } else { read(self).map(Some) }
    }

    /// A number in a range.
    pub(crate) fn number(&self, range: RangeInclusive<f64>, allowed: &str) -> Result<f64, ScenarioError> {
        match self.value(allowed)? {
            // The sum makes a negative zero an ordinary one.
            Json::Number(number) => number.as_f64().filter(|value| range.contains(value)).map(|value| value + 0.0),
            _ => None,
        }
        .ok_or_else(|| self.invalid(allowed))
    }

    /// A fraction or a probability.
    pub(crate) fn fraction(&self) -> Result<f64, ScenarioError> {
        self.number(0.0..=1.0, "a number from 0 to 1")
    }

    /// A connectivity matrix for `replicas` replicas.
    pub(crate) fn matrix(&self, replicas: usize) -> Result<ConnectivityMatrix, ScenarioError> {
        let mut rows = Vec::with_capacity(replicas);
        for row in self.list(Some(replicas), &format!("a list of {replicas} rows, one for each replica"))? {
            let values = row.list(Some(replicas), &format!("a list of {replicas} numbers, one for each replica"))?;
            rows.push(values.iter().map(Field::fraction).collect::<Result<Vec<f64>, _>>()?);
        }
        ConnectivityMatrix::from_rows(replicas, &rows).map_err(|error| self.invalid(&error.to_string()))
    }

    /// An integer in a range; `5.0` is one too.
    pub(crate) fn integer(&self, range: RangeInclusive<u64>, allowed: &str) -> Result<u64, ScenarioError> {
        match self.value(allowed)? {
            Json::Number(number) => number.as_u64().or_else(|| whole(number.as_f64()?)).filter(|n| range.contains(n)),
            _ => None,
        }
        .ok_or_else(|| self.invalid(allowed))
    }

    /// An integer that may be below zero; `5.0` is one too.
    pub(crate) fn signed(&self, allowed: &str) -> Result<i64, ScenarioError> {
        match self.value(allowed)? {
            Json::Number(number) => number.as_i64().or_else(|| {
                let value = number.as_f64()?;
                whole(value.abs()).map(|whole| if value < 0.0 { -(whole as i64) } else { whole as i64 })
            }),
            _ => None,
        }
        .ok_or_else(|| self.invalid(allowed))
    }

    /// `true` or `false`.
    pub(crate) fn truth(&self) -> Result<bool, ScenarioError> {
        match self.value("true or false")? {
            Json::Bool(truth) => Ok(*truth),
            _ => Err(self.invalid("true or false")),
        }
    }

    /// A string of this many characters.
    pub(crate) fn text(&self, chars: RangeInclusive<usize>, allowed: &str) -> Result<&'a str, ScenarioError> {
        match self.value(allowed)? {
            // A string has at least as many bytes as characters, and at most four times as many.
            Json::Text(text) if text.len() <= 4 * chars.end() && chars.contains(&text.chars().count()) => Ok(text),
            _ => Err(self.invalid(allowed)),
        }
    }

    /// One of a few words.
    pub(crate) fn word(&self, words: &[&'static str]) -> Result<&'static str, ScenarioError> {
        let allowed = words.join(", ");
        let Json::Text(text) = self.value(&allowed)? else {
            return Err(self.invalid(&allowed));
        };
        let hint = || nearest(text, words.iter().copied()).map(did_you_mean);
        words.iter().copied().find(|word| word == text).ok_or_else(|| self.error(self.shown(), &allowed, hint()))
    }

    /// A list of `count` items, or of any number.
    pub(crate) fn list(&self, count: Option<usize>, allowed: &str) -> Result<Vec<Field<'a>>, ScenarioError> {
        let Json::List(items) = self.value(allowed)? else {
            return Err(self.invalid(allowed));
        };
        if count.is_some_and(|count| count != items.len()) {
            return Err(self.error(format!("a list of {}", items.len()), allowed, None));
        }
        let field = |(i, json)| Field {
            source: self.source,
            path: format!("{}[{i}]", self.path),
            json: Some(json),
            misspelt: None,
        };
        Ok(items.iter().enumerate().map(field).collect())
    }

    /// A list of at most `most` of these things.
    pub(crate) fn list_up_to(&self, most: usize, things: &str) -> Result<Vec<Field<'a>>, ScenarioError> {
        let allowed = format!("a list of at most {most} {things}");
        match self.json {
            Some(Json::List(items)) if items.len() > most => {
                Err(self.error(format!("a list of {}", items.len()), &allowed, None))
            }
            _ => self.list(None, &allowed),
        }
    }

    /// An object.
    pub(crate) fn object(&self) -> Result<Object<'a>, ScenarioError> {
        self.object_like("an object")
    }

    /// An object; errors say what is allowed.
    pub(crate) fn object_like(&self, allowed: &str) -> Result<Object<'a>, ScenarioError> {
        match self.value(allowed)? {
            Json::Object(entries) => Object::open(self.source, self.path.clone(), entries),
            _ => Err(self.invalid(allowed)),
        }
    }

    /// The number of a replica, below `replicas`.
    pub(crate) fn replica(&self, replicas: usize) -> Result<ReplicaId, ScenarioError> {
        let last = replicas as u64 - 1;
        let number = self.integer(0..=last, &format!("a replica's number, from 0 to {last}"))?;
        Ok(ReplicaId(number as u8))
    }

    /// The error that this value is not allowed.
    pub(crate) fn invalid(&self, allowed: &str) -> ScenarioError {
        let quoted = matches!(self.json, Some(Json::Text(text)) if text.trim().parse::<f64>().is_ok());
        let hint = (quoted && allowed.contains("number")).then(|| WITHOUT_QUOTES.to_owned());
        self.error(self.shown(), allowed, hint)
    }

    /// The error that this value is missing, or not allowed.
    pub(crate) fn invalid_or_missing(&self, allowed: &str) -> ScenarioError {
        self.value(allowed).err().unwrap_or_else(|| self.invalid(allowed))
    }

    fn error(&self, value: String, allowed: &str, hint: Option<String>) -> ScenarioError {
        let (file, key, allowed) = (self.source.file(), self.path.clone(), allowed.to_owned());
        ScenarioError::Invalid { file, key, value, allowed, hint }
    }

    /// A number or a string, as a string.
    pub(crate) fn number_or_text(&self, allowed: &str) -> Result<String, ScenarioError> {
        match self.value(allowed)? {
            Json::Number(number) => Ok(number.to_string()),
            Json::Text(text) => Ok(text.clone()),
            _ => Err(self.invalid(allowed)),
        }
    }

    /// Whether the value is an object.
    pub(crate) fn is_object(&self) -> bool {
        matches!(self.json, Some(Json::Object(_)))
    }

    /// Whether the value is this string.
    pub(crate) fn is_word(&self, word: &str) -> bool {
        matches!(self.json, Some(Json::Text(text)) if text == word)
    }

    /// Whether the value is a string.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.json, Some(Json::Text(_)))
    }

    /// Whether the value is a list.
    pub(crate) fn is_list(&self) -> bool {
        matches!(self.json, Some(Json::List(_)))
    }

    fn value(&self, allowed: &str) -> Result<&'a Json, ScenarioError> {
        self.json.ok_or_else(|| ScenarioError::Missing {
            file: self.source.file(),
            key: self.path.clone(),
            allowed: allowed.to_owned(),
            hint: self.misspelt.map(|key| format!("is `{}` meant to be it?", printable(key))),
        })
    }

    fn shown(&self) -> String {
        self.json.map(Json::shown).unwrap_or_default()
    }
}

fn whole(value: f64) -> Option<u64> {
    ((0.0..=FLOAT_INTEGER_MAX).contains(&value) && value.fract() == 0.0).then_some(value as u64)
}
