//! What one verdict is given by: the mirror, or one view of the store.

use std::sync::{Arc, PoisonError};

use keystile_validator::jwt::{TokenLookup, TokenRecord};
use keystile_validator::wire::{NO_FORMATS, encode_formats, encode_record};
use keystile_validator::{Digest, FormatMatch};

use super::own_issuer::ClosedKeys;
use super::{Mirror, MoveError, Moved, Source, revocations};
use crate::store::{Position, ReadTransaction, StoreError};

/// What one verdict is given by.
pub(crate) enum Look<'a> {
    /// What is held in memory. It was fresh when the look began.
    Mirror(&'a Mirror),
    /// One view of the store, and a mirror that holds the issuers only.
    View(&'a Mirror, Box<dyn ReadTransaction + 'a>),
}

/// A moment of what verdicts are given by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// How often the mirror had moved.
    moves: u64,
    /// Where the store stood, when it is what verdicts are given by.
    position: Option<Position>,
}

/// What a token is judged by, beside the issuers that the sandbox has. All of it is of one moment, as long as
/// [`Mirror::stands_at`] says so of that moment after the token was judged.
pub(crate) struct Basis {
    /// What is known of the token.
    pub(crate) record: TokenRecord,
    /// The key formats, in the validator's binary form.
    pub(crate) formats: Arc<[u8]>,
    /// The keys of the store that do not open.
    pub(crate) closed: Arc<ClosedKeys>,
    /// The moment.
    pub(crate) moment: Moment,
    /// What was moved to get here.
    pub(crate) moved: Moved,
}

impl Mirror {
    /// Begins a verdict. Where the store was not looked at for a while, as after the process was stopped, this waits
    /// until it was: for two seconds at most.
    ///
    /// # Errors
    /// `None` when the mirror is not known to be what the store says, or the store cannot be read: the
    /// verdict is `unavailable`.
    pub(crate) fn look<'a>(&'a self, source: &Source<'a>) -> Option<Look<'a>> {
        match self.on_demand {
            // A store that does not say where it stands takes no change, so nothing may be allowed by it.
            true => source.store.read().ok().filter(|view| view.position().is_ok()).map(|view| Look::View(self, view)),
            false => self.health.wait_until_fresh().then_some(Look::Mirror(self)),
        }
    }

    /// How often the parts were moved.
    pub(crate) fn moves(&self) -> u64 {
        *self.moves.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the sandbox still has the issuers of this moment, and the mirror may still be used.
    pub(crate) fn has_issuers_of(&self, moment: Moment) -> bool {
        self.moves() == moment.moves && (self.on_demand || self.health.is_fresh())
    }

    /// Whether nothing that a verdict is given by has changed since this moment. Between the two a verdict may have
    /// waited for the sandbox.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked: the verdict is `unavailable`.
    pub(crate) fn stands_at(&self, moment: Moment, source: &Source<'_>) -> Result<bool, StoreError> {
        if !self.has_issuers_of(moment) {
            return Ok(false);
        }
        match moment.position {
            None => Ok(true),
            Some(position) => Ok(source.store.read()?.position()? == position),
        }
    }
}

impl Look<'_> {
    /// The moment that it shows. Of the mirror it is taken before anything is looked up.
    pub(crate) fn moment(&self) -> Result<Moment, StoreError> {
        Ok(match self {
            Look::Mirror(mirror) => Moment { moves: mirror.moves(), position: None },
            Look::View(mirror, view) => Moment { moves: mirror.moves(), position: Some(view.position()?) },
        })
    }

    /// Lends out the record of a credential, and the key formats, which only a credential without a record
    /// needs. `None`: the store cannot be read.
    pub(crate) fn with_record<T>(
        &self,
        credential: &[u8],
        digest: Option<&Digest>,
        with: impl FnOnce(Option<&[u8]>, &[u8]) -> T,
    ) -> Option<T> {
        let mirror = match self {
            Look::Mirror(mirror) => mirror,
            Look::View(_, view) => return with_record_of_view(&**view, credential, digest, with).ok(),
        };
        let Some(digest) = digest else { return Some(with(None, &mirror.formats())) };
        mirror.records.with_record(digest, |record| match record {
            Some(record) => Some(with(Some(record), NO_FORMATS)),
            None => Some(with(None, &mirror.formats())),
        })
    }

    /// What a token is judged by. On demand the sandbox gets the issuers of this view first. `None`: it has
    /// those of a later view, so the verdict needs another look.
    pub(crate) fn basis(
        &self,
        issuer: Option<&str>,
        lookup: TokenLookup<'_>,
        source: &Source<'_>,
    ) -> Result<Option<Basis>, StoreError> {
        match self {
            Look::Mirror(mirror) => {
                // While it is held, no part moves.
                let moves = mirror.moves.read().unwrap_or_else(PoisonError::into_inner);
                let record = issuer.map(|issuer| mirror.revocations.record(issuer, lookup));
                Ok(Some(Basis {
                    record: record.unwrap_or_default(),
                    formats: mirror.formats(),
                    closed: mirror.issuers.closed_keys(),
                    moment: Moment { moves: *moves, position: None },
                    moved: Moved::default(),
                }))
            }
            Look::View(_, view) => {
                let record = issuer.map(|issuer| revocations::record_of_view(&**view, issuer, lookup)).transpose()?;
                self.at_issuers(record.unwrap_or_default(), super::read_formats(&**view)?, source)
            }
        }
    }

    /// What the signature of a token is verified by, and nothing else: no formats are read.
    pub(crate) fn signers(&self, source: &Source<'_>) -> Result<Option<Basis>, StoreError> {
        match self {
            Look::Mirror(_) => self.basis(None, TokenLookup::default(), source),
            Look::View(..) => self.at_issuers(TokenRecord::default(), Arc::from([]), source),
        }
    }

    /// A basis on demand: the sandbox gets the issuers of this view.
    fn at_issuers(
        &self,
        record: TokenRecord,
        formats: Arc<[u8]>,
        source: &Source<'_>,
    ) -> Result<Option<Basis>, StoreError> {
        let Look::View(mirror, view) = self else { return Ok(None) };
        let mut moves = mirror.moves.write().unwrap_or_else(PoisonError::into_inner);
        let position = view.position()?;
        let moved = match mirror.issuers.read(&**view, position, source) {
            Err(MoveError::Older) => return Ok(None),
            Err(MoveError::Store(error)) => return Err(error),
            Ok(None) => Moved::default(),
            Ok(Some(changes)) => mirror.put_issuers(changes, source),
        };
        if moved.documents_changed {
            *moves = moves.wrapping_add(1);
        }
        let moment = Moment { moves: *moves, position: Some(position) };
        Ok(Some(Basis { record, formats, closed: mirror.issuers.closed_keys(), moment, moved }))
    }
}

fn with_record_of_view<T>(
    view: &dyn ReadTransaction,
    credential: &[u8],
    digest: Option<&Digest>,
    with: impl FnOnce(Option<&[u8]>, &[u8]) -> T,
) -> Result<T, StoreError> {
    let formats: Vec<_> = view.formats()?.into_iter().map(|named| named.format).collect();
    // A typo is refused without a look-up, unless an imported secret could look like one.
    let could_be_known = formats.iter().any(|format| format.read(credential) == FormatMatch::Match);
    let key = match digest {
        Some(digest) if could_be_known || view.has_imports()? => view.key_by_digest(digest)?,
        _ => None,
    };
    let mut bytes = Vec::new();
    if let (Some(key), Some(digest)) = (&key, digest)
        && let Some(secret) = key.secrets.iter().find(|secret| secret.digest == *digest)
    {
        let bad = |_| StoreError::InvalidRow { column: "keys, a record that breaks a bound", row: key.id.to_string() };
        encode_record(&key.record(secret), &mut bytes).map_err(bad)?;
        return Ok(with(Some(&bytes), NO_FORMATS));
    }
    encode_formats(&formats, &mut bytes).map_err(|_| StoreError::InvalidValue { column: "formats" })?;
    Ok(with(None, &bytes))
}
