//! What the processes that have a store open tell each other of it: how far it has come.
//!
//! Each of them knows only what it has read or written itself. Somebody who copies an older state over the store's
//! file shows it to whoever has not looked meanwhile, and to whoever comes later. So each one writes down what it has
//! committed, before it acknowledges that, and what it has found in the store's own file; and each one compares with
//! that what the engine shows.
//!
//! It lies in the first page of the file that is kept beside the store ([`super::super::reserve`]), and holds as long
//! as any process has the store open: each has a shared lock on that file (`flock`), and whoever finds none begins
//! anew. A backup that was put in the place of the store while nobody had it open is therefore as good as the store
//! was.

use std::fs::File;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::is_later;
use super::place::{read_at, write_at};
use super::raw::Place;
use crate::store::sqlite::reserve::{KEPT, open_reserve};
use crate::store::{Generation, Position};

/// Where the processes on a store write it down. This one has a lock on it.
#[derive(Debug)]
pub(super) struct Published {
    file: File,
}

/// What was written down. Nothing, when nobody has yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// The newest place that was committed or read.
    pub(super) store: Option<Place>,
    /// The newest place that was found in the store's own file, without its log, and on which page.
    pub(super) file: Option<InFile>,
}

/// A place that was found in the store's own file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InFile {
    pub(super) root: u32,
    pub(super) place: Place,
}

impl Published {
    /// Joins those who have the store open. `None`: there is no such file, or it cannot be written or locked; then
    /// this process is told nothing, and tells nothing.
    pub(super) fn join(store: &Path, may_create: bool) -> Option<Published> {
        let file = open_reserve(store, may_create).ok()?;
        if file.try_lock().is_ok() {
            // Nobody else has it open: what is there is of another time.
            write_at(&file, &[0; KEPT], 0).ok()?;
        }
        for _ in 0..super::TRIES {
            if file.try_lock_shared().is_ok() {
                return Some(Published { file });
            }
            // Another one is just beginning anew.
            std::thread::sleep(super::PAUSE);
        }
        None
    }

    /// What was written down so far. What cannot be read tells nothing.
    pub(super) fn read(&self) -> Progress {
        let mut page = [0; KEPT];
        for tries in 1..=super::TRIES {
            if read_at(&self.file, &mut page, 0).is_err() {
                break;
            }
            let slots = || page.as_chunks::<SLOT>().0;
            if tries < super::TRIES && slots().iter().any(|slot| matches!(parse(slot), Slot::Torn)) {
                // It is being written.
                std::thread::sleep(super::PAUSE);
                continue;
            }
            let mut progress = Progress::default();
            for slot in slots() {
                match parse(slot) {
                    Slot::Store(place) if progress.store.is_none_or(|old| old.position <= place.position) => {
                        progress.store = Some(place);
                    }
                    Slot::File(found) if progress.file.is_none_or(|old| old.place.position <= found.place.position) => {
                        progress.file = Some(found);
                    }
                    _ => {}
                }
            }
            return progress;
        }
        Progress::default()
    }

    /// Writes down what was committed or read, unless something later is there.
    pub(super) fn put_store(&self, place: &Place) {
        self.put(IS_STORE, 0, place);
    }

    /// Writes down what was found in the store's own file, unless something later is there.
    pub(super) fn put_file(&self, found: &InFile) {
        self.put(IS_FILE, found.root, &found.place);
    }

    /// Says to everybody that the store's file was written over.
    pub(super) fn set_lost(&self) {
        let _ = write_at(&self.file, &[LOST], IS_LOST_AT);
    }

    /// Whether somebody has said so.
    pub(super) fn is_lost(&self) -> bool {
        let mut byte = [0];
        read_at(&self.file, &mut byte, IS_LOST_AT).is_ok() && byte == [LOST]
    }

    /// Each generation has a slot of its own, so that two processes that write at the same moment do not undo what
    /// the other one has written. A failure takes nothing from what was acknowledged: others then compare with less.
    fn put(&self, kind: u8, root: u32, place: &Place) {
        let number = 1 + u64::from(kind - IS_STORE) * SLOTS + place.position.generation.0 % SLOTS;
        let at = number * SLOT as u64;
        let mut slot = [0; SLOT];
        if read_at(&self.file, &mut slot, at).is_err() {
            return;
        }
        let new = build(kind, root, place);
        let is_newer = match parse(&slot) {
            Slot::Store(old) | Slot::File(InFile { place: old, .. }) => is_later(&old, place) && slot != new,
            Slot::Empty | Slot::Torn => true,
        };
        if is_newer {
            let _ = write_at(&self.file, &new, at);
        }
    }
}

impl Progress {
    /// Whether a store in which all of this was written can be at this place.
    pub(super) fn leads_to(&self, place: &Place) -> bool {
        self.store.is_none_or(|store| is_later(&store, place))
    }
}

/// What is in a slot.
enum Slot {
    /// Nothing of ours.
    Empty,
    /// Half of it is written.
    Torn,
    Store(Place),
    File(InFile),
}

fn build(kind: u8, root: u32, place: &Place) -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    let position = place.position;
    let parts: [&[u8]; 6] = [
        MAGIC,
        &[kind, 0, 0, 0],
        &root.to_le_bytes(),
        &place.store_id,
        &position.epoch.to_le_bytes(),
        &position.generation.0.to_le_bytes(),
    ];
    let content = parts.concat();
    let checksum = Sha256::digest(&content);
    for (byte, value) in slot.iter_mut().zip(content.iter().chain(&checksum)) {
        *byte = *value;
    }
    slot
}

fn parse(slot: &[u8; SLOT]) -> Slot {
    let number = |at: usize| slot.get(at..).and_then(|rest| rest.first_chunk::<8>()).copied().map(u64::from_le_bytes);
    if !slot.starts_with(MAGIC) {
        return Slot::Empty;
    }
    let root = slot.get(8..).and_then(|rest| rest.first_chunk::<4>()).copied().map(u32::from_le_bytes);
    let store_id = slot.get(12..).and_then(|rest| rest.first_chunk::<16>()).copied();
    let (Some(root), Some(store_id), Some(epoch), Some(generation), Some(kind)) =
        (root, store_id, number(28), number(36), slot.get(4))
    else {
        return Slot::Torn;
    };
    let place = Place { store_id, position: Position { epoch, generation: Generation(generation) } };
    match *kind {
        kind if build(kind, root, &place) != *slot => Slot::Torn,
        IS_STORE => Slot::Store(place),
        IS_FILE => Slot::File(InFile { root, place }),
        _ => Slot::Empty,
    }
}

const MAGIC: &[u8] = b"kst1";
/// Bytes of a slot: what it is, the page, the store, epoch and generation, and as much of a SHA-256 as fits.
const SLOT: usize = 64;
/// Slots of each kind. The first one of the page says whether the file was written over.
const SLOTS: u64 = 31;
const IS_STORE: u8 = 1;
const IS_FILE: u8 = 2;
const IS_LOST_AT: u64 = 0;
const LOST: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn place(id: u8, epoch: u64, generation: u64) -> Place {
        Place { store_id: [id; 16], position: Position { epoch, generation: Generation(generation) } }
    }

    #[test]
    fn the_newest_counts_as_long_as_anybody_has_the_store_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        assert!(Published::join(&path, false).is_none(), "there is no such file, and none is made");
        let one = Published::join(&path, true).unwrap();
        assert_eq!(one.read(), Progress::default());
        let two = Published::join(&path, false).unwrap();
        for generation in (1..100).chain([40, 99, 70]) {
            two.put_store(&place(7, 3, generation));
            two.put_file(&InFile { root: 9, place: place(7, 3, generation / 2) });
        }
        let expected =
            Progress { store: Some(place(7, 3, 99)), file: Some(InFile { root: 9, place: place(7, 3, 49) }) };
        assert_eq!(one.read(), expected);
        drop(one);
        let three = Published::join(&path, true).unwrap();
        assert_eq!(three.read(), expected);
        assert!(expected.leads_to(&place(7, 3, 99)) && expected.leads_to(&place(8, 4, 100)));
        assert!(!expected.leads_to(&place(7, 3, 98)) && !expected.leads_to(&place(8, 3, 100)));
        assert!(!three.is_lost());
        two.set_lost();
        assert!(three.is_lost());
        drop((two, three));
        let four = Published::join(&path, false).unwrap();
        assert_eq!((four.read(), four.is_lost()), (Progress::default(), false), "nobody was there any more");
    }

    #[test]
    fn what_is_half_written_or_of_another_kind_tells_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let published = Published::join(&path, true).unwrap();
        published.put_store(&place(1, 1, 5));
        let other = Published::join(&path, true).unwrap();
        let mut slot = build(IS_STORE, 0, &place(1, 1, 6));
        slot[63] ^= 1;
        write_at(&other.file, &slot, 6 * SLOT as u64 + SLOT as u64).unwrap();
        assert_eq!(published.read().store, Some(place(1, 1, 5)));
        write_at(&other.file, &[0xa5; SLOT], 6 * SLOT as u64 + SLOT as u64).unwrap();
        assert_eq!(published.read().store, Some(place(1, 1, 5)));
        other.put_store(&place(1, 1, 6));
        assert_eq!(published.read().store, Some(place(1, 1, 6)), "what is no slot is written over");
    }
}
