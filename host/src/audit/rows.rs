//! The rows that an audit entry leaves behind: which they are, and the hash of each. See
//! `docs/trail.md`.

use std::fmt;

use keystile_validator::KeyId;
use sha2::{Digest as _, Sha256};

use crate::ids::{ImportId, SessionId, UserId};

/// The kinds of rows that the trail binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RowKind {
    /// A key with its secrets and rotations.
    Key,
    /// A user with the hash of its password.
    User,
    /// A session.
    Session,
    /// An external issuer with its key set.
    Issuer,
    /// A key format.
    Format,
    /// A setting that is not at its default.
    Setting,
    /// A signing key, with its private half as it is sealed.
    SigningKey,
    /// A token, a session or a subject whose tokens are refused.
    Revocation,
    /// What a key-encryption key is checked against.
    Sealing,
    /// The store's own id.
    Store,
    /// An import: whether its keys are in force.
    Import,
}

impl RowKind {
    /// All kinds, in the order of their numbers.
    pub(crate) const ALL: [RowKind; 11] = [
        RowKind::Key,
        RowKind::User,
        RowKind::Session,
        RowKind::Issuer,
        RowKind::Format,
        RowKind::Setting,
        RowKind::SigningKey,
        RowKind::Revocation,
        RowKind::Sealing,
        RowKind::Store,
        RowKind::Import,
    ];

    /// The name in canonical forms, in JSON and in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            RowKind::Key => "key",
            RowKind::User => "user",
            RowKind::Session => "session",
            RowKind::Issuer => "issuer",
            RowKind::Format => "format",
            RowKind::Setting => "setting",
            RowKind::SigningKey => "signing_key",
            RowKind::Revocation => "revocation",
            RowKind::Sealing => "sealing",
            RowKind::Store => "store",
            RowKind::Import => "import",
        }
    }

    /// The number in the `rows` of an entry.
    pub(crate) const fn number(self) -> u8 {
        match self {
            RowKind::Key => 1,
            RowKind::User => 2,
            RowKind::Session => 3,
            RowKind::Issuer => 4,
            RowKind::Format => 5,
            RowKind::Setting => 6,
            RowKind::SigningKey => 7,
            RowKind::Revocation => 8,
            RowKind::Sealing => 9,
            RowKind::Store => 10,
            RowKind::Import => 11,
        }
    }

    pub(crate) fn from_number(number: u8) -> Option<RowKind> {
        RowKind::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

/// A row: its kind, and what it is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowId {
    /// The kind.
    pub kind: RowKind,
    /// The 16 bytes of an id, or a name. `docs/trail.md` says which for each kind.
    pub id: Vec<u8>,
}

impl RowId {
    /// What it is known by, as people write it: `key_…`, or a name. Foreign text is not escaped.
    pub fn text(&self) -> String {
        let uuid = <[u8; 16]>::try_from(self.id.as_slice());
        match (self.kind, uuid) {
            (RowKind::Key, Ok(id)) => KeyId::from_bytes(id).to_string(),
            (RowKind::User, Ok(id)) => UserId::from_bytes(id).to_string(),
            (RowKind::Session, Ok(id)) => SessionId::from_bytes(id).to_string(),
            (RowKind::Import, Ok(id)) => ImportId::from_bytes(id).to_string(),
            _ => String::from_utf8_lossy(&self.id).replace('\n', " "),
        }
    }
}

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            RowKind::Key | RowKind::User | RowKind::Session | RowKind::Import => f.write_str(&self.text()),
            RowKind::Issuer | RowKind::Format | RowKind::Setting => {
                write!(f, "the {} {}", self.kind.as_str(), self.text())
            }
            RowKind::SigningKey => write!(f, "the signing key {}", self.text()),
            RowKind::Revocation => write!(f, "the revocation of {}", self.text()),
            RowKind::Sealing => f.write_str("the check of the key-encryption key"),
            RowKind::Store => f.write_str("the id of the store"),
        }
    }
}

/// The hash of a row as an entry has left it: `SHA-256("keystile row 1\0" || nonce || canonical form)`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RowState(pub [u8; 32]);

impl RowState {
    /// The state of a row with this nonce and this canonical form.
    pub(crate) fn of(nonce: &[u8; 16], form: &[u8]) -> RowState {
        let hasher = Sha256::new().chain_update(b"keystile row 1\0").chain_update(nonce).chain_update(form);
        RowState(hasher.finalize().into())
    }
}

impl fmt::Display for RowState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RowState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowState({self})")
    }
}

/// What an entry says of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundRow {
    /// The row.
    pub row: RowId,
    /// Whether the row was not as the entry before had left it: something else than Keystile has
    /// written to it in between.
    pub found_changed: bool,
    /// The sequence of the entry that named the row before; 0: none, since it last began to exist.
    pub previous: u64,
    /// Its state; `None`: the row is gone.
    pub state: Option<RowState>,
}

/// The rows that an entry leaves behind, as the entry's hash covers them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct BoundRows(Vec<u8>);

/// Rows that one entry names, at most. A change of more rows is followed by further entries.
pub const MAX_ROWS: usize = 1_000;

const GONE: u8 = 1;
const FOUND_CHANGED: u8 = 2;

impl BoundRows {
    /// Takes the bytes as they are in the store; [`iter`](BoundRows::iter) says whether they are well formed.
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> BoundRows {
        BoundRows(bytes)
    }

    /// The bytes, as in the store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the entry names no row.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rows, in order. `None`: the rest is not well formed; nothing comes after it.
    pub fn iter(&self) -> impl Iterator<Item = Option<BoundRow>> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let row = take(&mut rest);
            if row.is_none() {
                rest = &[];
            }
            Some(row)
        })
    }

    /// Adds a row. Whether there was room in an entry for an id that long.
    pub(crate) fn push(&mut self, bound: &BoundRow) -> bool {
        let Ok(len) = u16::try_from(bound.row.id.len()) else { return false };
        let gone = if bound.state.is_none() { GONE } else { 0 };
        let found = if bound.found_changed { FOUND_CHANGED } else { 0 };
        self.0.extend_from_slice(&[bound.row.kind.number(), gone | found]);
        self.0.extend_from_slice(&len.to_le_bytes());
        self.0.extend_from_slice(&bound.row.id);
        self.0.extend_from_slice(&bound.previous.to_le_bytes());
        self.0.extend(bound.state.iter().flat_map(|state| state.0));
        true
    }
}

fn take(rest: &mut &[u8]) -> Option<BoundRow> {
    let kind = RowKind::from_number(*rest.split_off_first()?)?;
    let flags = *rest.split_off_first()?;
    if flags & !(GONE | FOUND_CHANGED) != 0 {
        return None;
    }
    let len = u16::from_le_bytes(*take_array(rest)?);
    let id = rest.split_off(..usize::from(len))?.to_vec();
    let previous = u64::from_le_bytes(*take_array(rest)?);
    let state = if flags & GONE == 0 { Some(RowState(*take_array(rest)?)) } else { None };
    Some(BoundRow { row: RowId { kind, id }, found_changed: flags & FOUND_CHANGED != 0, previous, state })
}

fn take_array<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (array, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(array)
}

impl fmt::Debug for BoundRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(kind: RowKind, id: &[u8], state: Option<[u8; 32]>) -> BoundRow {
        let row = RowId { kind, id: id.to_vec() };
        BoundRow { row, found_changed: state.is_none(), previous: 7, state: state.map(RowState) }
    }

    #[test]
    fn rows_are_read_as_they_were_written() {
        let written: Vec<_> = RowKind::ALL
            .into_iter()
            .flat_map(|kind| [bound(kind, &[9; 16], Some([3; 32])), bound(kind, b"", None)])
            .collect();
        let mut rows = BoundRows::default();
        assert!(rows.is_empty());
        for row in &written {
            assert!(rows.push(row));
        }
        assert_eq!(rows.iter().map(Option::unwrap).collect::<Vec<_>>(), written);
    }

    #[test]
    fn what_is_cut_off_or_unknown_ends_the_list() {
        let mut rows = BoundRows::default();
        rows.push(&bound(RowKind::Key, &[1; 16], Some([2; 32])));
        let whole = rows.as_bytes().to_vec();
        for len in 1..whole.len() {
            let read: Vec<_> = BoundRows::from_bytes(whole[..len].to_vec()).iter().collect();
            assert_eq!(read, [None], "{len} bytes");
        }
        for (place, byte) in [(0, 0), (0, 99), (1, 4)] {
            let mut other = whole.clone();
            other[place] = byte;
            assert_eq!(BoundRows::from_bytes(other).iter().collect::<Vec<_>>(), [None]);
        }
        assert!(!rows.push(&bound(RowKind::Issuer, &vec![b'a'; 65_536], None)), "longer than a length can say");
    }

    #[test]
    fn a_state_depends_on_nonce_and_form() {
        let state = RowState::of(&[1; 16], b"key\n");
        assert_ne!(state, RowState::of(&[2; 16], b"key\n"));
        assert_ne!(state, RowState::of(&[1; 16], b"key \n"));
    }
}
