//! The forms of the three files, as far as the guard reads them beside the engine: "Database File Format" and
//! "WAL-mode File Format" of SQLite's documentation. Nothing here is written.

use crate::store::Position;
use crate::store::sqlite::schema::APPLICATION_ID;

/// The header of the store's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Bytes of a page.
    pub(super) page_size: u32,
    /// Whether the file says that a write-ahead log belongs to it. A backup says that none does.
    pub(super) has_journal: bool,
    /// Grows with the changes of the first page.
    pub(super) change_counter: u32,
    /// Pages of the file.
    pub(super) pages: u32,
    pub(super) application_id: u32,
    pub(super) user_version: u32,
}

impl Header {
    pub(super) const LEN: usize = 100;

    /// `None`: not a database.
    pub(super) fn parse(bytes: &[u8; Header::LEN]) -> Option<Header> {
        let big = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk::<4>()?));
        let page_size = match u16::from_be_bytes(*bytes.get(16..)?.first_chunk::<2>()?) {
            1 => 65_536,
            size => u32::from(size),
        };
        if !bytes.starts_with(b"SQLite format 3\0") || !page_size.is_power_of_two() || page_size < 512 {
            return None;
        }
        Some(Header {
            page_size,
            has_journal: bytes.get(18..20)? == [2, 2],
            change_counter: big(24)?,
            pages: big(28)?,
            application_id: big(68)?,
            user_version: big(60)?,
        })
    }

    pub(super) fn is_ours(&self) -> bool {
        self.application_id == APPLICATION_ID
    }
}

/// Which store this is, and where it stands: the one row of the table `position`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::sqlite) struct Place {
    pub(in crate::store::sqlite) store_id: [u8; 16],
    pub(in crate::store::sqlite) position: Position,
}

impl Place {
    /// Reads it out of the root page of its table: a leaf with one row. `None`: the page is something else.
    pub(super) fn parse(page: &[u8]) -> Option<Place> {
        const LEAF_OF_A_TABLE: u8 = 0x0d;
        if *page.first()? != LEAF_OF_A_TABLE || page.get(3..5)? != [0, 1] {
            return None;
        }
        let cell = usize::from(u16::from_be_bytes(*page.get(8..)?.first_chunk::<2>()?));
        let mut rest = page.get(cell..)?;
        let (_payload, _rowid) = (varint(&mut rest)?, varint(&mut rest)?);
        let mut types = rest;
        let header_len = usize::try_from(varint(&mut types)?).ok()?;
        let used = rest.len().checked_sub(types.len())?;
        let mut types = types.get(..header_len.checked_sub(used)?)?;
        let mut body = rest.get(header_len..)?;
        // The columns: one (the row's id), store_id, created_at, epoch, generation.
        let _one = column(&mut types, &mut body)?;
        let store_id = *column(&mut types, &mut body)?.first_chunk::<16>()?;
        let _created_at = column(&mut types, &mut body)?;
        let epoch = integer(&mut types, &mut body)?;
        let generation = crate::store::Generation(integer(&mut types, &mut body)?);
        Some(Place { store_id, position: Position { epoch, generation } })
    }
}

/// A variable-length integer.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for at in 0..9 {
        let byte = *bytes.get(at)?;
        if at == 8 {
            value = value << 8 | u64::from(byte);
        } else {
            value = value << 7 | u64::from(byte & 0x7f);
        }
        if at == 8 || byte & 0x80 == 0 {
            *bytes = bytes.get(at + 1..)?;
            return Some(value);
        }
    }
    None
}

/// The bytes of the next column of a record.
fn column<'a>(types: &mut &[u8], body: &mut &'a [u8]) -> Option<&'a [u8]> {
    let kind = varint(types)?;
    let len = match kind {
        0 | 8 | 9 => 0,
        1..=4 => kind,
        5 => 6,
        6 | 7 => 8,
        12.. => (kind - 12) / 2,
        _ => return None,
    };
    let (column, rest) = body.split_at_checked(usize::try_from(len).ok()?)?;
    *body = rest;
    Some(column)
}

/// The next column of a record, which is an integer that is not negative.
fn integer(types: &mut &[u8], body: &mut &[u8]) -> Option<u64> {
    let kind = *types.first()?;
    let bytes = column(types, body)?;
    match kind {
        8 => Some(0),
        9 => Some(1),
        1..=6 if *bytes.first()? < 0x80 => Some(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))),
        _ => None,
    }
}

/// What the shared-memory file says of the write-ahead log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Index {
    /// Counts the commits.
    change: u32,
    page_size: u32,
    /// Frames of the log that are committed; the newest one is the last. 0: none.
    pub(super) frames: u32,
    /// What the log's header and each of its frames carry.
    salts: [u8; 8],
    /// Frames that are in the store's file too.
    pub(super) backfilled: u32,
    /// Frames that somebody has begun to write to the store's file.
    attempted: u32,
}

impl Index {
    pub(super) const LEN: usize = 136;

    /// `None`: somebody is writing it just now, or it is not there yet.
    pub(super) fn parse(bytes: &[u8; Index::LEN]) -> Option<Index> {
        let (first, second) = (bytes.get(..48)?, bytes.get(48..96)?);
        let native = |at: usize| Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk::<4>()?));
        let is_made = *bytes.get(12)? == 1;
        if first != second || !is_made {
            return None;
        }
        let page_size = match u16::from_ne_bytes(*bytes.get(14..)?.first_chunk::<2>()?) {
            1 => 65_536,
            size => u32::from(size),
        };
        Some(Index {
            change: native(8)?,
            page_size,
            frames: native(16)?,
            salts: *bytes.get(32..)?.first_chunk::<8>()?,
            backfilled: native(96)?,
            attempted: native(128)?,
        })
    }

    /// Where the header of the last committed frame lies in the log.
    pub(super) fn last_frame(&self) -> Option<u64> {
        let before = u64::from(self.frames.checked_sub(1)?);
        Some(LOG_HEADER as u64 + before * self.frame_len())
    }

    /// Bytes that the log has at least.
    pub(super) fn log_len(&self) -> u64 {
        LOG_HEADER as u64 + u64::from(self.frames) * self.frame_len()
    }

    fn frame_len(&self) -> u64 {
        FRAME_HEADER as u64 + u64::from(self.page_size)
    }

    /// Whether these are the headers of the log and of its last frame: then the engine finds them again after
    /// everybody has ended.
    pub(super) fn belongs_to(&self, log: &[u8; LOG_HEADER], frame: &[u8; FRAME_HEADER]) -> bool {
        let is_log = matches!(log.first_chunk::<4>(), Some([0x37, 0x7f, 0x06, 0x82 | 0x83]));
        is_log && log.get(16..24) == Some(&self.salts) && frame.get(8..16) == Some(&self.salts)
    }

    /// Whether somebody is writing pages of the log to the store's file.
    pub(super) fn is_being_backfilled(&self) -> bool {
        self.attempted > self.backfilled
    }

    /// Whether nobody has written pages of the log to the store's file since `self`, nor has begun to.
    pub(super) fn explains_nothing_since(&self, now: &Index) -> bool {
        self == now && !self.is_being_backfilled()
    }
}

/// Bytes of the header of a write-ahead log.
pub(super) const LOG_HEADER: usize = 32;
/// Bytes of the header of each of its frames.
pub(super) const FRAME_HEADER: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Generation;
    use rusqlite::Connection;

    /// The engine writes it, whatever the numbers are.
    #[test]
    fn the_row_is_read_as_the_engine_writes_it() {
        let folder = tempfile::tempdir().unwrap();
        for (number, (epoch, generation)) in
            [(1, 1), (1, 2), (127, 128), (300, 70_000), (1 << 40, i64::MAX), (5, 8_388_608)].into_iter().enumerate()
        {
            let path = folder.path().join(number.to_string());
            let connection = Connection::open(&path).unwrap();
            connection
                .execute_batch(
                    "CREATE TABLE position (one INTEGER PRIMARY KEY, store_id BLOB, created_at INTEGER, epoch INTEGER,
                     generation INTEGER, has_imports INTEGER NOT NULL DEFAULT 0) STRICT",
                )
                .unwrap();
            let insert = "INSERT INTO position VALUES (1, x'000102030405060708090a0b0c0d0e0f', ?1, ?2, ?3, 0)";
            connection.execute(insert, [i64::try_from(number).unwrap(), epoch, generation]).unwrap();
            drop(connection);
            let bytes = std::fs::read(&path).unwrap();
            let header = Header::parse(bytes.first_chunk().unwrap()).unwrap();
            assert_eq!((header.page_size, header.pages, header.has_journal, header.is_ours()), (4096, 2, false, false));
            let position =
                Position { epoch: epoch.cast_unsigned(), generation: Generation(generation.cast_unsigned()) };
            let store_id = std::array::from_fn(|at| u8::try_from(at).unwrap());
            assert_eq!(Place::parse(&bytes[4096..]), Some(Place { store_id, position }));
            assert_eq!(Place::parse(&bytes[..4096]), None, "the first page is another one");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(page in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let mut page = page;
            let _ = Place::parse(&page);
            for (at, byte) in [0x0d, 0, 0, 0, 1, 0, 0, 0, 0, 10].into_iter().enumerate() {
                if let Some(place) = page.get_mut(at) {
                    *place = byte;
                }
            }
            let _ = Place::parse(&page);
        }
    }

    #[test]
    fn what_is_no_database_has_no_header() {
        assert_eq!(Header::parse(&[0; Header::LEN]), None);
        assert_eq!(Index::parse(&[0; Index::LEN]), None);
    }
}
