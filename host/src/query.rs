//! Queries: which keys to list, in which order, page by page.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keystile_validator::{Environment, KeyId, Scope};

use crate::ids::ImportId;
use crate::key::{Key, KeyStatus, SortColumn};
use crate::keys::Concern;
use crate::store::UnreadableRow;

/// Most keys on one page.
pub const MAX_PAGE: usize = 1_000;
/// Keys on one page when nobody says otherwise.
pub const DEFAULT_PAGE: usize = 100;
/// Longest search text, in bytes.
pub const MAX_SEARCH_LEN: usize = 128;

/// Which keys to list. The default lists all of them, newest first.
#[derive(Clone, Debug)]
pub struct KeyQuery {
    /// Only keys of this owner.
    pub owner: Option<String>,
    /// Only keys in this state.
    pub status: Option<KeyStatus>,
    /// Only keys of this environment.
    pub environment: Option<Environment>,
    /// Only keys that hold exactly this scope.
    pub scope: Option<Scope>,
    /// Only keys with this text in their name, owner, id, display form or metadata; letter case of
    /// ASCII does not matter.
    pub search: Option<String>,
    /// Only keys that raise this concern.
    pub concern: Option<Concern>,
    /// Only keys that came with this import.
    pub import: Option<ImportId>,
    /// The column to sort by; equal ones by id.
    pub sort: SortColumn,
    /// Whether the largest comes first.
    pub descending: bool,
    /// Most keys to return: 1 to [`MAX_PAGE`].
    pub limit: usize,
    /// Where the page before ended.
    pub after: Option<Cursor>,
}

impl Default for KeyQuery {
    fn default() -> KeyQuery {
        KeyQuery {
            owner: None,
            status: None,
            environment: None,
            scope: None,
            search: None,
            concern: None,
            import: None,
            sort: SortColumn::CreatedAt,
            descending: true,
            limit: DEFAULT_PAGE,
            after: None,
        }
    }
}

/// A page of keys.
#[derive(Clone, Debug)]
pub struct KeyPage {
    /// The keys, in the order that was asked for.
    pub keys: Vec<Key>,
    /// Keys of this page that cannot be read. They count towards its length.
    pub unreadable: Vec<UnreadableRow>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<Cursor>,
}

/// Where a page ended: the last key and its value in the sorted column. Pages stay stable when keys
/// are made or changed between them. Its text form is opaque.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The column that was sorted by.
    pub(crate) sort: SortColumn,
    /// The direction.
    pub(crate) descending: bool,
    /// The value of the last key in that column, as the store compares it.
    pub(crate) value: CursorValue,
    /// The last key.
    pub(crate) id: KeyId,
}

/// A value that a page ended at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CursorValue {
    /// A number or a time.
    Number(i64),
    /// A text.
    Text(String),
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, value) = match &self.value {
            CursorValue::Number(number) => ('n', number.to_string()),
            CursorValue::Text(text) => ('t', text.clone()),
        };
        let direction = if self.descending { '-' } else { '+' };
        let plain = format!("{direction}{} {} {kind}{value}", self.sort, self.id);
        f.write_str(&URL_SAFE_NO_PAD.encode(plain))
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Cursor, CursorError> {
        let plain = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        plain.as_deref().and_then(read_cursor).ok_or(CursorError)
    }
}

fn read_cursor(plain: &str) -> Option<Cursor> {
    let mut parts = plain.splitn(3, ' ');
    let sort = parts.next()?;
    let (descending, sort) = match sort.strip_prefix('-') {
        Some(sort) => (true, sort),
        None => (false, sort.strip_prefix('+')?),
    };
    let id = parts.next()?.parse().ok()?;
    let value = parts.next()?;
    let value = match value.strip_prefix('n') {
        Some(number) => CursorValue::Number(number.parse().ok()?),
        None => CursorValue::Text(value.strip_prefix('t')?.to_owned()),
    };
    Some(Cursor { sort: sort.parse().ok()?, descending, value, id })
}

/// A text that is not a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CursorError;

impl fmt::Display for CursorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a cursor · give the `next` of the page before, with the same sort order")
    }
}

impl std::error::Error for CursorError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_as_they_were_written() {
        for value in [CursorValue::Number(-7), CursorValue::Text("a b\u{e9}".into()), CursorValue::Text(String::new())]
        {
            let cursor = Cursor { sort: SortColumn::Name, descending: true, value, id: KeyId::from_bytes([3; 16]) };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for bad in ["", "x", "AAAA"] {
            assert_eq!(bad.parse::<Cursor>(), Err(CursorError));
        }
    }
}
