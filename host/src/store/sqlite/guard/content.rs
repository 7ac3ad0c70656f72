//! Whether the store's own file, beside its log, still holds what the processes on it have written.

use std::io;
use std::thread;

use super::place::{Stamp, read_at, stat};
use super::published::{InFile, Progress, Published};
use super::raw::{Header, Index, Place};
use super::{Claim, Logical, Lost, PAUSE, TRIES, cannot_read, lock};
use crate::store::StoreError;

/// What the store's own file held when it was last looked into.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verified {
    pub(super) stamp: Stamp,
    pub(super) header: Header,
    index: Option<Index>,
    /// The page that holds the place.
    root: u32,
    /// `None`: the newest form of that table is still in the log only.
    place: Option<Place>,
}

impl Claim {
    /// Looks into the store's file, which was touched: whether it still is what the processes on it have written.
    /// `ask` asks the engine through a fresh connection, which has nothing in its cache.
    ///
    /// # Errors
    /// [`StoreError::Overwritten`] when somebody else has written to it, such as `cp`.
    pub(in crate::store::sqlite) fn verify(
        &self,
        ask: impl Fn() -> Result<Logical, StoreError>,
    ) -> Result<(), StoreError> {
        let file = self.file();
        let before = *lock(&file.verified);
        let Some(before) = before.filter(|before| before.header.has_journal) else {
            // A file without a log: another process may have given it one meanwhile.
            let mut beside = lock(&file.beside);
            beside.pin(&self.paths)?;
            drop(beside);
            return self.begin(&ask);
        };
        for _ in 0..TRIES {
            if let Some(now) = self.follow(&before, &ask)? {
                self.put_verified(now);
                return Ok(());
            }
            // A checkpoint may have written a page just while it was read.
            thread::sleep(PAUSE);
        }
        if self.index()?.is_some_and(|index| index.is_being_backfilled()) {
            // Half of the pages are old and half are new: nobody can say before it has ended.
            return Err(cannot_read(&self.paths.store, io::ErrorKind::WouldBlock.into()));
        }
        // It may have ended just now.
        if let Some(now) = self.follow(&before, &ask)? {
            self.put_verified(now);
            return Ok(());
        }
        // Those who come later have not seen what was there before.
        if let Some(published) = self.published() {
            published.set_lost();
        }
        Err(self.lose(Lost::Overwritten))
    }

    fn put_verified(&self, verified: Verified) {
        let Verified { root, place, .. } = verified;
        if let (Some(published), Some(place)) = (self.published(), place) {
            published.put_file(&InFile { root, place });
        }
        *lock(&self.file().verified) = Some(verified);
    }

    /// What the store's file holds now, when that can have come out of what it held `before`.
    fn follow(
        &self,
        before: &Verified,
        ask: &impl Fn() -> Result<Logical, StoreError>,
    ) -> Result<Option<Verified>, StoreError> {
        let told = self.told();
        let Some((stamp, index, header)) = self.read_store()? else { return Ok(None) };
        if !header.is_ours() || !header.has_journal || header.page_size != before.header.page_size {
            return Ok(None);
        }
        let place = self.read_place(before.root, &header)?;
        let is_same = place.is_some() && place == before.place && header == before.header;
        if is_same && index == before.index {
            return Ok(Some(Verified { stamp, ..*before }));
        }
        if let (Some(old), Some(new)) = (&before.index, &index)
            && old.explains_nothing_since(new)
        {
            // Nobody has made a checkpoint.
            return Ok(None);
        }
        let Some(logical) = readable(ask())? else { return Ok(None) };
        if logical.place.position < *lock(&self.file().seen) || !self.is_as_told(&told, &logical, &header, index)? {
            return Ok(None);
        }
        // All of the log is in the file then.
        let is_complete = match (&index, self.index()?) {
            (Some(before), Some(now)) => *before == now && before.backfilled == before.frames,
            _ => false,
        };
        for root in [before.root, logical.root] {
            let place = self.read_place(root, &header)?;
            let follows = match (before.place, place) {
                (Some(old), Some(new)) => is_later(&old, &new) && is_later(&new, &logical.place),
                (None, Some(new)) => is_later(&new, &logical.place),
                (None, None) => true,
                (Some(_), None) => false,
            };
            if follows && (!is_complete || place.is_none_or(|place| place == logical.place)) {
                return Ok(Some(Verified { stamp, header, index, root, place }));
            }
        }
        Ok(None)
    }

    /// Looks into the store's file for the first time.
    pub(super) fn begin(&self, ask: &impl Fn() -> Result<Logical, StoreError>) -> Result<(), StoreError> {
        for _ in 0..TRIES {
            let told = self.told();
            if let Some((stamp, index, header)) = self.read_store()?
                && let Some(logical) = readable(ask())?
            {
                let place = self.read_place(logical.root, &header)?;
                if header.has_journal && !lock(&self.file().beside).is_complete() {
                    return Err(self.lose(Lost::Journal));
                }
                if place.is_none_or(|place| is_later(&place, &logical.place))
                    && self.is_as_told(&told, &logical, &header, index)?
                {
                    self.put_verified(Verified { stamp, header, index, root: logical.root, place });
                    self.publish(&logical.place);
                    return Ok(());
                }
            }
            thread::sleep(PAUSE);
        }
        // The log beside it is of another file, and would be written into this one; or the file is older than what
        // others have written to it.
        Err(self.lose(Lost::Overwritten))
    }

    /// What the processes on the store have written down. To be asked before the engine is, which then knows of it.
    fn told(&self) -> Progress {
        self.published().map(Published::read).unwrap_or_default()
    }

    /// Whether the store and its own file, beside its log, are as far as others have told.
    fn is_as_told(
        &self,
        told: &Progress,
        logical: &Logical,
        header: &Header,
        index: Option<Index>,
    ) -> Result<bool, StoreError> {
        if !told.leads_to(&logical.place) {
            return Ok(false);
        }
        let Some(InFile { root, place: old }) = told.file else { return Ok(true) };
        // The row moves to another page when the file is written anew.
        for root in [logical.root, root] {
            if self.read_place(root, header)?.is_some_and(|place| is_later(&old, &place)) {
                return Ok(true);
            }
        }
        // Half of the pages may be old and half of them new.
        Ok(index.is_some_and(|index| index.is_being_backfilled()))
    }

    /// The stamp of the store's file, where its log stands, and its header, in this order: what comes later is
    /// noticed the next time.
    fn read_store(&self) -> Result<Option<(Stamp, Option<Index>, Header)>, StoreError> {
        let file = self.file();
        let found = stat(&self.paths.store).map_err(|error| cannot_read(&self.paths.store, error))?;
        let Some(found) = found else { return Err(self.lose(Lost::Store)) };
        let index = self.index()?;
        let mut header = [0; Header::LEN];
        match read_at(&file.store, &mut header, 0) {
            Ok(()) => Ok(Header::parse(&header).map(|header| (found.stamp, index, header))),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(cannot_read(&self.paths.store, error)),
        }
    }

    fn read_place(&self, root: u32, header: &Header) -> Result<Option<Place>, StoreError> {
        let mut page = vec![0; header.page_size as usize];
        let at = u64::from(root.saturating_sub(1)) * u64::from(header.page_size);
        match read_at(&self.file().store, &mut page, at) {
            Ok(()) => Ok(Place::parse(&page)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(cannot_read(&self.paths.store, error)),
        }
    }
}

/// Whether a store can have come from `old` to `new`: forward, and to another store only by a restore.
pub(in crate::store::sqlite) fn is_later(old: &Place, new: &Place) -> bool {
    old.position <= new.position && (old.store_id == new.store_id || old.position.epoch < new.position.epoch)
}

/// What the engine says, unless it makes no sense of the files.
fn readable(answer: Result<Logical, StoreError>) -> Result<Option<Logical>, StoreError> {
    match answer {
        Ok(logical) => Ok(Some(logical)),
        Err(StoreError::Corrupt | StoreError::InvalidValue { .. } | StoreError::InvalidRow { .. }) => Ok(None),
        Err(StoreError::OtherProgram { .. } | StoreError::NotAStore { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
