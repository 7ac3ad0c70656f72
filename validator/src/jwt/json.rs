//! JSON as tokens and key sets must be: RFC 8259 read by `serde_json`, and stricter.
//!
//! A text is refused as a whole when a member stands twice in an object at any level, when it nests
//! deeper than [`MAX_DEPTH`], when it is not UTF-8, and when a string holds a lone surrogate: also
//! in members that nobody reads, so that two readers cannot see two texts in one.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use serde_core::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Deepest nesting of arrays and objects, the outermost counted as 1.
pub const MAX_DEPTH: usize = 16;
/// Members of an object up to which each new name is compared with all before it; the names of a
/// larger object are sorted.
const FEW_MEMBERS: usize = 16;

/// A JSON text and where the values in it are.
///
/// The values lie one behind the other as they are written, and strings stay in the text unless
/// they have escapes: reading a token costs two allocations, not one a claim.
#[derive(Clone)]
pub(crate) struct Json {
    text: String,
    /// The strings with escapes, after they were read.
    unescaped: String,
    nodes: Vec<Node>,
}

impl Json {
    /// Reads a text.
    ///
    /// # Errors
    /// [`JsonError`] says which rule it breaks.
    pub(crate) fn read(text: Vec<u8>) -> Result<Json, JsonError> {
        let text = String::from_utf8(text).map_err(|_| JsonError::Encoding)?;
        let mut builder = Builder {
            text: &text,
            unescaped: String::new(),
            nodes: Vec::with_capacity(INITIAL_NODES),
            error: JsonError::Syntax,
        };
        let mut deserializer = serde_json::Deserializer::from_str(&text);
        let read = Place { builder: &mut builder, depth: 0 }.deserialize(&mut deserializer);
        if read.and_then(|()| deserializer.end()).is_err() {
            return Err(builder.error);
        }
        let Builder { unescaped, nodes, .. } = builder;
        Ok(Json { text, unescaped, nodes })
    }

    /// The text as it was read.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The outermost value.
    pub(crate) fn root(&self) -> Value<'_> {
        self.value(0)
    }

    /// The value at a position that [`Value::position`] gave.
    pub(crate) fn value(&self, position: usize) -> Value<'_> {
        Value { json: self, at: position }
    }

    /// Bytes that it takes up in memory.
    pub(crate) fn size(&self) -> usize {
        let nodes = self.nodes.capacity().saturating_mul(size_of::<Node>());
        self.text.capacity().saturating_add(self.unescaped.capacity()).saturating_add(nodes)
    }

    fn string(&self, span: Span) -> &str {
        string(&self.text, &self.unescaped, span)
    }
}

/// A value in a text.
#[derive(Clone, Copy)]
pub(crate) struct Value<'a> {
    json: &'a Json,
    at: usize,
}

impl<'a> Value<'a> {
    /// The string, when it is one.
    pub(crate) fn as_str(self) -> Option<&'a str> {
        match self.node()? {
            Node::String(span) => Some(self.json.string(span)),
            _ => None,
        }
    }

    /// The number, when it is one.
    pub(crate) fn as_number(self) -> Option<Number> {
        match self.node()? {
            Node::Number(number) => Some(number),
            _ => None,
        }
    }

    /// The truth value, when it is one.
    pub(crate) fn as_bool(self) -> Option<bool> {
        match self.node()? {
            Node::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// Whether it is `null`.
    pub(crate) fn is_null(self) -> bool {
        matches!(self.node(), Some(Node::Null))
    }

    /// The members in the order they are written, when it is an object.
    pub(crate) fn members(self) -> Option<impl Iterator<Item = (&'a str, Value<'a>)> + Clone> {
        let Some(Node::Object { end }) = self.node() else { return None };
        let json = self.json;
        let mut at = self.at.saturating_add(1);
        Some(core::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let name = json.value(at).as_str()?;
            let value = json.value(at.saturating_add(1));
            at = value.end();
            Some((name, value))
        }))
    }

    /// The items, when it is an array.
    pub(crate) fn items(self) -> Option<impl Iterator<Item = Value<'a>> + Clone> {
        let Some(Node::Array { end }) = self.node() else { return None };
        let json = self.json;
        let mut at = self.at.saturating_add(1);
        Some(core::iter::from_fn(move || {
            let item = json.value(at);
            at = item.end();
            (item.at < end).then_some(item)
        }))
    }

    /// The member of this name, when it is an object that has one.
    pub(crate) fn member(self, name: &str) -> Option<Value<'a>> {
        self.members()?.find(|(member, _)| *member == name).map(|(_, value)| value)
    }

    /// Where the value is, for [`Json::value`].
    pub(crate) fn position(self) -> usize {
        self.at
    }

    /// Appends the value as JSON, without white space.
    pub(crate) fn write(self, out: &mut String) {
        match self.node() {
            None | Some(Node::Null) => out.push_str("null"),
            Some(Node::Bool(value)) => out.push_str(if value { "true" } else { "false" }),
            Some(Node::Number(number)) => {
                // Writing to a String cannot fail.
                let _ = match number {
                    Number::Unsigned(number) => write!(out, "{number}"),
                    Number::Negative(number) => write!(out, "{number}"),
                    Number::Float(number) => write!(out, "{number:e}"),
                };
            }
            Some(Node::String(span)) => write_string(self.json.string(span), out),
            Some(Node::Array { .. }) => {
                out.push('[');
                for (index, item) in self.items().into_iter().flatten().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Some(Node::Object { .. }) => {
                out.push('{');
                for (index, (name, value)) in self.members().into_iter().flatten().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_string(name, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }

    fn node(self) -> Option<Node> {
        self.json.nodes.get(self.at).copied()
    }

    /// The position behind the value and all that is in it.
    fn end(self) -> usize {
        end(&self.json.nodes, self.at)
    }
}

/// A number of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    /// A whole number from 0 on.
    Unsigned(u64),
    /// A whole number below 0.
    Negative(i64),
    /// Any other number; finite.
    Float(f64),
}

/// Appends a text as a JSON string.
pub(crate) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\0'..='\x1f' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

/// Why a text is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonError {
    /// It is not UTF-8.
    Encoding,
    /// It is not JSON, or there is something before or behind the JSON, or a number is too large.
    Syntax,
    /// A member stands twice in an object.
    DuplicateMember,
    /// It nests deeper than [`MAX_DEPTH`].
    TooDeep,
    /// It is JSON, but no object.
    NoObject,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JsonError::Encoding => "the text is not UTF-8 · write JSON in UTF-8",
            JsonError::Syntax => "the text is not JSON · give one JSON value, without a byte order mark before it",
            JsonError::DuplicateMember => "a member stands twice in an object · give each member once",
            JsonError::TooDeep => "the JSON nests too deeply · nest at most 16 arrays and objects",
            JsonError::NoObject => "the JSON is not an object · give an object",
        })
    }
}

impl core::error::Error for JsonError {}

/// A value, its strings by where they are. Behind an array or object come the values in it, behind
/// an object each with its name before it.
#[derive(Clone, Copy)]
enum Node {
    Null,
    Bool(bool),
    Number(Number),
    String(Span),
    Array { end: usize },
    Object { end: usize },
}

/// Where a string is: in the text, or, counted on from its end, among the unescaped strings.
#[derive(Clone, Copy)]
struct Span {
    start: u32,
    len: u32,
}

fn string<'a>(text: &'a str, unescaped: &'a str, span: Span) -> &'a str {
    let (start, len) = (span.start as usize, span.len as usize);
    let (from, start) = match start.checked_sub(text.len()) {
        None => (text, start),
        Some(start) => (unescaped, start),
    };
    from.get(start..start.saturating_add(len)).unwrap_or_default()
}

fn end(nodes: &[Node], at: usize) -> usize {
    match nodes.get(at) {
        Some(Node::Array { end } | Node::Object { end }) => *end,
        _ => at.saturating_add(1),
    }
}

struct Builder<'t> {
    text: &'t str,
    unescaped: String,
    nodes: Vec<Node>,
    /// What to answer when reading fails.
    error: JsonError,
}

impl<'t> Builder<'t> {
    fn fail<T, E: Error>(&mut self, error: JsonError) -> Result<T, E> {
        self.error = error;
        Err(E::custom(""))
    }

    fn push<E>(&mut self, node: Node) -> Result<(), E> {
        self.nodes.push(node);
        Ok(())
    }

    /// A string that lies in the text.
    fn push_borrowed<E: Error>(&mut self, part: &'t str) -> Result<(), E> {
        let start = part.as_ptr().addr().checked_sub(self.text.as_ptr().addr());
        match start.filter(|start| self.text.get(*start..start.saturating_add(part.len())) == Some(part)) {
            Some(start) => self.push_span(start, part.len()),
            None => self.push_owned(part),
        }
    }

    /// A string that had escapes.
    fn push_owned<E: Error>(&mut self, string: &str) -> Result<(), E> {
        let start = self.text.len().saturating_add(self.unescaped.len());
        self.unescaped.push_str(string);
        self.push_span(start, string.len())
    }

    fn push_span<E: Error>(&mut self, start: usize, len: usize) -> Result<(), E> {
        let (Ok(start), Ok(len)) = (u32::try_from(start), u32::try_from(len)) else {
            return self.fail(JsonError::Syntax);
        };
        self.push(Node::String(Span { start, len }))
    }

    fn name(&self, at: usize) -> &str {
        match self.nodes.get(at) {
            Some(Node::String(span)) => string(self.text, &self.unescaped, *span),
            _ => "",
        }
    }

    /// Where the names of an object's members are, from its first one on.
    fn names(&self, first: usize) -> impl Iterator<Item = usize> {
        let mut at = first;
        core::iter::from_fn(move || {
            let name = at;
            at = end(&self.nodes, at.saturating_add(1));
            (name < self.nodes.len()).then_some(name)
        })
    }

    fn has_duplicates(&self, first: usize) -> bool {
        let mut names: Vec<&str> = self.names(first).map(|at| self.name(at)).collect();
        names.sort_unstable();
        names.windows(2).any(|pair| matches!(pair, [one, next] if one == next))
    }
}

/// Where the next value goes.
struct Place<'b, 't> {
    builder: &'b mut Builder<'t>,
    /// Arrays and objects around it.
    depth: usize,
}

impl<'t> Place<'_, 't> {
    /// Opens an array or object; its place among the nodes and the depth inside.
    fn open<E: Error>(&mut self) -> Result<(usize, usize), E> {
        let depth = self.depth.saturating_add(1);
        if depth > MAX_DEPTH {
            return self.builder.fail(JsonError::TooDeep);
        }
        let at = self.builder.nodes.len();
        self.builder.push(Node::Null)?;
        Ok((at, depth))
    }

    fn close<E>(&mut self, at: usize, node: impl FnOnce(usize) -> Node) -> Result<(), E> {
        let end = self.builder.nodes.len();
        if let Some(opened) = self.builder.nodes.get_mut(at) {
            *opened = node(end);
        }
        Ok(())
    }
}

impl<'t> DeserializeSeed<'t> for Place<'_, 't> {
    type Value = ();

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'t> Visitor<'t> for Place<'_, 't> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.builder.push(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.builder.push(Node::Bool(value))
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.builder.push(Node::Number(Number::Unsigned(number)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        let number = u64::try_from(number).map_or(Number::Negative(number), Number::Unsigned);
        self.builder.push(Node::Number(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.builder.push(Node::Number(Number::Float(number)))
    }

    fn visit_borrowed_str<E: Error>(self, string: &'t str) -> Result<(), E> {
        self.builder.push_borrowed(string)
    }

    fn visit_str<E: Error>(self, string: &str) -> Result<(), E> {
        self.builder.push_owned(string)
    }

    fn visit_seq<A: SeqAccess<'t>>(mut self, mut items: A) -> Result<(), A::Error> {
        let (at, depth) = self.open()?;
        while items.next_element_seed(Place { builder: self.builder, depth })?.is_some() {}
        self.close(at, |end| Node::Array { end })
    }

    fn visit_map<A: MapAccess<'t>>(mut self, mut members: A) -> Result<(), A::Error> {
        let (at, depth) = self.open()?;
        let first = at.saturating_add(1);
        let mut count = 0_usize;
        loop {
            let name = self.builder.nodes.len();
            if members.next_key_seed(Place { builder: self.builder, depth })?.is_none() {
                break;
            }
            let builder = &*self.builder;
            let known = |other: usize| other != name && builder.name(other) == builder.name(name);
            if count < FEW_MEMBERS && builder.names(first).any(known) {
                return self.builder.fail(JsonError::DuplicateMember);
            }
            count = count.saturating_add(1);
            members.next_value_seed(Place { builder: self.builder, depth })?;
        }
        if count > FEW_MEMBERS && self.builder.has_duplicates(first) {
            return self.builder.fail(JsonError::DuplicateMember);
        }
        self.close(at, |end| Node::Object { end })
    }
}

/// Values of a usual token, names counted.
const INITIAL_NODES: usize = 32;
