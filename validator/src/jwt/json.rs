//! JSON as tokens and key sets must be: RFC 8259 read by `serde_json`, and stricter.
//!
//! A text is refused as a whole when a member stands twice in an object at any level, when it nests
//! deeper than [`MAX_JSON_DEPTH`], when it is not UTF-8, and when a string holds a lone surrogate: also
//! in members that nobody reads, so that two readers cannot see two texts in one.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use serde_core::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroize as _;

/// Deepest nesting of arrays and objects, the outermost counted as 1.
pub const MAX_JSON_DEPTH: usize = 16;
/// Members of an object up to which each new name is compared with all before it; the names of a
/// larger object are sorted.
const FEW_MEMBERS: usize = 16;

/// A JSON text and where the values in it are.
///
/// The values lie one behind the other as they are written, and strings stay in the text unless
/// they have escapes: reading a token costs two allocations, not one a claim.
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

/// A JSON text that may hold secrets: it is wiped when it is dropped.
pub(crate) struct SecretJson(Json);

impl SecretJson {
    /// Reads a text, of which a copy is made and wiped.
    ///
    /// # Errors
    /// As [`Json::read`].
    pub(crate) fn read(text: &[u8]) -> Result<SecretJson, JsonError> {
        Json::read(text.to_vec()).map(SecretJson)
    }

    /// The outermost value.
    pub(crate) fn root(&self) -> Value<'_> {
        self.0.root()
    }
}

impl Drop for SecretJson {
    fn drop(&mut self) {
        self.0.text.zeroize();
        self.0.unescaped.zeroize();
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
    /// It nests deeper than [`MAX_JSON_DEPTH`].
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

    fn push(&mut self, node: Node) {
        self.nodes.push(node);
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
        self.push(Node::String(Span { start, len }));
        Ok(())
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
        if depth > MAX_JSON_DEPTH {
            return self.builder.fail(JsonError::TooDeep);
        }
        let at = self.builder.nodes.len();
        self.builder.push(Node::Null);
        Ok((at, depth))
    }

    fn close(&mut self, at: usize, node: impl FnOnce(usize) -> Node) {
        let end = self.builder.nodes.len();
        if let Some(opened) = self.builder.nodes.get_mut(at) {
            *opened = node(end);
        }
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
        self.builder.push(Node::Null);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.builder.push(Node::Bool(value));
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.builder.push(Node::Number(Number::Unsigned(number)));
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        let number = u64::try_from(number).map_or(Number::Negative(number), Number::Unsigned);
        self.builder.push(Node::Number(number));
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.builder.push(Node::Number(Number::Float(number)));
        Ok(())
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
        self.close(at, |end| Node::Array { end });
        Ok(())
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
        self.close(at, |end| Node::Object { end });
        Ok(())
    }
}

/// Values of a usual token, names counted.
const INITIAL_NODES: usize = 32;

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::ToString as _;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Json, JsonError> {
        Json::read(text.as_bytes().to_vec())
    }

    #[test]
    fn values_are_where_they_are_written() {
        let json =
            read(r#" {"a": "b\n", "": [null, true, [], {}, -1, 1.5], "c": {"d": 18446744073709551615}, "é": "é"} "#);
        let json = json.unwrap();
        let root = json.root();
        assert_eq!(root.member("a").unwrap().as_str(), Some("b\n"));
        assert_eq!(root.member("é").unwrap().as_str(), Some("é"));
        assert!(root.member("b").is_none() && root.member("d").is_none());
        let largest = root.member("c").unwrap().member("d").unwrap().as_number();
        assert_eq!(largest, Some(Number::Unsigned(u64::MAX)));
        let items: Vec<_> = root.member("").unwrap().items().unwrap().collect();
        assert_eq!(items.len(), 6);
        assert!(items[0].is_null() && !items[1].is_null());
        assert_eq!(items[1].as_bool(), Some(true));
        assert_eq!((items[2].items().unwrap().count(), items[3].members().unwrap().count()), (0, 0));
        assert_eq!(
            (items[4].as_number(), items[5].as_number()),
            (Some(Number::Negative(-1)), Some(Number::Float(1.5)))
        );
        assert!(items[2].members().is_none() && items[3].items().is_none() && items[4].as_str().is_none());
        assert_eq!(root.members().unwrap().map(|(name, _)| name).collect::<Vec<_>>(), ["a", "", "c", "é"]);
    }

    #[test]
    fn a_member_stands_once_in_each_object() {
        for good in [r#"{"a":{"a":{"a":1}}}"#, r#"[{"a":1},{"a":1}]"#, r#"{"a":1,"A":2,"b":"a"}"#] {
            assert!(read(good).is_ok(), "{good}");
        }
        for bad in [r#"{"a":1,"a":1}"#, r#"[{"b":{"a":1,"c":[{}],"a":1}}]"#, r#"{"":1,"":1}"#, r#"{"\u0061":1,"a":1}"#]
        {
            assert_eq!(read(bad).err(), Some(JsonError::DuplicateMember), "{bad}");
        }
        // On both sides of the number up to which names are compared one by one.
        for count in [FEW_MEMBERS - 1, FEW_MEMBERS, FEW_MEMBERS + 1, FEW_MEMBERS + 2, 1_000] {
            let object = |repeated: usize| {
                let names = (0..count).map(|at| if at + 1 == count { repeated } else { at });
                let members: Vec<_> = names.map(|name| format!("\"m{name}\":{{\"m0\":[]}}")).collect();
                format!("{{{}}}", members.join(","))
            };
            assert!(read(&object(count)).is_ok(), "{count}");
            for repeated in [0, count / 2, count - 2] {
                assert_eq!(read(&object(repeated)).err(), Some(JsonError::DuplicateMember), "{count}, {repeated}");
            }
        }
    }

    /// A large object's names are sorted, the empty one among them.
    #[test]
    fn a_member_without_a_name_is_one_like_the_others() {
        for count in [FEW_MEMBERS - 1, FEW_MEMBERS, FEW_MEMBERS + 1, 100] {
            let members: Vec<_> = (0..count).map(|at| format!("\"m{at}\":{at}")).collect();
            let members = members.join(",");
            assert!(read(&format!("{{\"\":[],{members}}}")).is_ok(), "{count}");
            assert!(read(&format!("{{{members},\"\":[]}}")).is_ok(), "{count}");
            let twice = read(&format!("{{\"\":[],{members},\"\":{{}}}}"));
            assert_eq!(twice.err(), Some(JsonError::DuplicateMember), "{count}");
        }
    }

    #[test]
    fn only_strings_with_escapes_are_kept_beside_the_text() {
        let text = r#"{"name":"é","list":["a","",{"b":"c"}],"one\n":"\u0041","c":"d"}"#;
        let json = read(text).unwrap();
        assert_eq!((json.text(), &*json.unescaped), (text, "one\nA"));
        assert!(json.size() >= text.len() + "one\nA".len() + json.nodes.len() * size_of::<Node>());
        assert_eq!(json.nodes.len(), 14);
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |open: &str, close: &str, depth: usize| format!("{}{}", open.repeat(depth), close.repeat(depth));
        assert!(read(&nested("[", "]", MAX_JSON_DEPTH)).is_ok());
        assert_eq!(read(&nested("[", "]", MAX_JSON_DEPTH + 1)).err(), Some(JsonError::TooDeep));
        assert!(read(&nested("[", "]", 500_000)).is_err());
        let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        assert!(read(&objects(MAX_JSON_DEPTH)).is_ok());
        assert_eq!(read(&objects(MAX_JSON_DEPTH + 1)).err(), Some(JsonError::TooDeep));
    }

    #[test]
    fn the_text_is_one_value_in_utf_8() {
        let bad = [
            "",
            " ",
            "{",
            "{}}",
            "{} {}",
            "\u{feff}{}",
            "nul",
            "01",
            "1.",
            ".5",
            "+1",
            "0x1",
            "NaN",
            "Infinity",
            "1e999",
            "'a'",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "\"\t\"",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\\udc00\\ud800\"",
            "\"\\ud800\\u0041\"",
            "// a\n1",
            "\u{a0}1",
        ];
        for bad in bad {
            assert_eq!(read(bad).err(), Some(JsonError::Syntax), "{bad:?}");
        }
        for bad in [&b"\"\xff\""[..], b"\"\xed\xa0\x80\"", b"\"\xc0\x80\"", b"\xff\xfe{\0}\0"] {
            assert_eq!(Json::read(bad.to_vec()).err(), Some(JsonError::Encoding));
        }
        assert_eq!(read("\"\\ud83d\\udd11\"").unwrap().root().as_str(), Some("\u{1f511}"));
    }

    /// Any JSON at all, as the independent reader sees it.
    fn values() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map_into(),
            any::<i64>().prop_map_into(),
            any::<u64>().prop_map_into(),
            // Quarters: `serde_json` reads other fractions only nearly as they were written.
            any::<i32>().prop_map(|number| json!(f64::from(number) / 4.0)),
            "\\PC{0,6}".prop_map_into(),
            "[\\x00-\\x20\"\\\\/é]{0,4}".prop_map_into(),
        ];
        leaf.prop_recursive(6, 40, 20, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..8).prop_map(|items| json!(items)),
                proptest::collection::btree_map("[a-c\"\\\\\\n]{0,3}", inner, 0..20).prop_map(|members| json!(members)),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_is_written(value in values()) {
            for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                let json = read(&text).unwrap();
                let mut written = String::new();
                json.root().write(&mut written);
                prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&written).unwrap(), value.clone());
            }
        }

        #[test]
        fn what_serde_json_refuses_is_refused(text in "[\\[\\]{}\",:0-9a\\\\ue.+-]{0,16}") {
            let theirs = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            match read(&text) {
                Ok(_) => prop_assert!(theirs),
                Err(error) => prop_assert!(!theirs || error == JsonError::DuplicateMember),
            }
        }
    }
}
