//! The turnstile: a store, the validator in its sandbox, and what keeps them together.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keystile_validator::bounds::{MAX_BATCH, MAX_CREDENTIAL_LEN, MAX_MESSAGE_LEN};
use keystile_validator::wire::{
    Item, Message, RecordHints, decode_verdict, encode_formats, encode_record, record_hints,
};
use keystile_validator::{Code, Digest, FormatMatch, KeyFormat, KeyFormatError, Request, Timestamp, Verdict};
use serde_json::json;

use crate::audit::{self, AuditEntry, AuditReport, Checkpoint};
use crate::clock::{Clock, SystemClock};
use crate::follower::{FLUSH_INTERVAL, GraceQueue, Workers};
use crate::formats::{AddFormatError, is_format_name};
use crate::key::{NamedFormat, Settings};
use crate::keys::Keys;
use crate::limits::{RateWindows, Reservation};
use crate::records::Records;
use crate::sandbox::{Sandbox, SandboxCounters, SandboxError, SandboxOptions};
use crate::settings::SetSettingsError;
use crate::store::{Mode, SqliteStore, Store, StoreError, WriteTransaction};
use crate::usage::UsageBuffer;

/// A turnstile over one store. Clones share everything; it can be used from many threads at once.
///
/// When the last clone is dropped, the background threads end and what was counted is written.
#[derive(Clone)]
pub struct Keystile {
    pub(crate) inner: Arc<Inner>,
    _workers: Arc<Workers>,
}

/// What a [`Keystile`] is made of.
pub(crate) struct Inner {
    store: Box<dyn Store>,
    records: Option<Records>,
    sandbox: Sandbox,
    pub(crate) usage: UsageBuffer,
    pub(crate) graces: GraceQueue,
    windows: RateWindows,
    clock: Box<dyn Clock>,
    actor: String,
    read_only: bool,
}

/// What a new store starts with.
#[derive(Clone, Debug, Default)]
pub struct NewStore {
    /// Its key formats with their names, the default one first; none: one with the prefix `ks`.
    pub formats: Vec<(String, KeyFormat)>,
    /// Its settings.
    pub settings: Settings,
}

impl Keystile {
    /// Makes a new store. The file and all that is later written beside it is readable by its owner
    /// only.
    ///
    /// # Errors
    /// [`CreateStoreError`] when there is something at the path, or the store cannot be made; nothing
    /// is left behind then.
    pub fn create(path: impl AsRef<Path>, new: NewStore) -> Result<(), CreateStoreError> {
        OpenOptions::default().create(path, new)
    }

    /// Opens a store and loads its records; from then on they follow the store, whoever writes it.
    ///
    /// # Errors
    /// [`OpenError`] when the store or the sandbox cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> Result<Keystile, OpenError> {
        OpenOptions::default().open(path)
    }

    /// Opens a store in another way than [`Keystile::open`] does.
    pub fn options() -> OpenOptions {
        OpenOptions::default()
    }

    /// A request at this moment that asks for nothing in particular.
    pub fn request(&self) -> Request {
        Request::at(self.inner.now())
    }

    /// Judges a credential: an API key as the caller presented it. An allow counts as a use of the
    /// key, takes a place in its rate window, and starts a grace period that waits for it.
    ///
    /// Whatever goes wrong on the way is a deny with [`Code::Unavailable`].
    pub fn verify(&self, credential: impl AsRef<[u8]>, request: &Request) -> Verdict {
        self.inner.verify(credential.as_ref(), request, Counting::Counted)
    }

    /// Judges a credential and leaves no trace: nothing is counted, no grace starts, and a rate
    /// window that is full is not looked at. For trying things out, and for judging at another time.
    pub fn preview(&self, credential: impl AsRef<[u8]>, request: &Request) -> Verdict {
        self.inner.verify(credential.as_ref(), request, Counting::Untraced)
    }

    /// Judges many credentials against one request: [`Keystile::verify`] for each, in order, with
    /// fewer calls into the sandbox.
    pub fn verify_batch<C: AsRef<[u8]>>(&self, credentials: &[C], request: &Request) -> Vec<Verdict> {
        let mut verdicts = Vec::with_capacity(credentials.len());
        let mut rest = credentials;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(batch_len(rest));
            self.inner.verify_batch(now, request, &mut verdicts);
            rest = later;
        }
        verdicts
    }

    /// The key operations.
    pub fn keys(&self) -> Keys<'_> {
        Keys::new(&self.inner)
    }

    /// Writes what was counted and starts the grace periods that wait, now instead of within a
    /// minute.
    ///
    /// # Errors
    /// [`StoreError`] when the store refuses; what was counted is kept for the next time.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.inner.flush()
    }

    /// Audit entries after this sequence, oldest first; only those of a subject (such as a key id)
    /// when one is given.
    ///
    /// # Errors
    /// [`StoreError`] when the store refuses.
    pub fn audit(&self, subject: Option<&str>, after: u64, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        self.inner.store.read()?.audit(subject, after, limit)
    }

    /// The newest audit entries, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store refuses.
    pub fn recent_audit(&self, subject: Option<&str>, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        self.inner.store.read()?.recent_audit(subject, limit)
    }

    /// Walks the whole audit trail; an entry that was noted elsewhere must still be in it.
    ///
    /// # Errors
    /// [`StoreError`] when the store refuses.
    pub fn verify_audit(&self, checkpoint: Option<Checkpoint>) -> Result<AuditReport, StoreError> {
        audit::verify(&*self.inner.store, checkpoint)
    }

    /// Writes a consistent copy of the store into a new file, while it goes on being used.
    ///
    /// # Errors
    /// [`StoreError`] when there is something at the path, or the copy cannot be written.
    pub fn backup(&self, to: impl AsRef<Path>) -> Result<(), StoreError> {
        self.inner.store.backup(to.as_ref())
    }

    /// What the sandbox counted.
    pub fn sandbox_counters(&self) -> SandboxCounters {
        self.inner.sandbox.counters()
    }

    /// How many secrets are held in memory; 0 when records are looked up on demand.
    pub fn secrets_in_memory(&self) -> u64 {
        self.inner.records.as_ref().map_or(0, Records::len)
    }
}

impl fmt::Debug for Keystile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keystile").field("actor", &self.inner.actor).finish_non_exhaustive()
    }
}

/// How to open a store.
pub struct OpenOptions {
    actor: String,
    clock: Box<dyn Clock>,
    read_only: bool,
    on_demand: bool,
    flush_interval: Duration,
    sandbox: SandboxChoice,
}

enum SandboxChoice {
    Embedded(SandboxOptions),
    Given(Box<Sandbox>),
}

impl Default for OpenOptions {
    fn default() -> OpenOptions {
        OpenOptions {
            actor: "library".to_owned(),
            clock: Box::new(SystemClock),
            read_only: false,
            on_demand: false,
            flush_interval: FLUSH_INTERVAL,
            sandbox: SandboxChoice::Embedded(SandboxOptions::default()),
        }
    }
}

impl OpenOptions {
    /// Who the audit trail says made the changes.
    pub fn actor(mut self, actor: impl Into<String>) -> OpenOptions {
        self.actor = actor.into();
        self
    }

    /// Where the time comes from; the system's clock when nothing is said.
    pub fn clock(mut self, clock: impl Clock) -> OpenOptions {
        self.clock = Box::new(clock);
        self
    }

    /// Refuses every change; uses are not counted.
    pub fn read_only(mut self, read_only: bool) -> OpenOptions {
        self.read_only = read_only;
        self
    }

    /// Looks records up in the store one by one instead of holding all of them in memory: for
    /// programs that verify a few credentials and end. There are no background threads then.
    pub fn on_demand(mut self, on_demand: bool) -> OpenOptions {
        self.on_demand = on_demand;
        self
    }

    /// How often uses are written; once a minute when nothing is said.
    pub fn flush_interval(mut self, interval: Duration) -> OpenOptions {
        self.flush_interval = interval;
        self
    }

    /// Limits of the sandbox.
    pub fn sandbox_options(mut self, options: SandboxOptions) -> OpenOptions {
        self.sandbox = SandboxChoice::Embedded(options);
        self
    }

    /// Another sandbox than the one with the validator in this program.
    pub fn sandbox(mut self, sandbox: Sandbox) -> OpenOptions {
        self.sandbox = SandboxChoice::Given(Box::new(sandbox));
        self
    }

    /// Makes a new store; see [`Keystile::create`].
    ///
    /// # Errors
    /// [`CreateStoreError`]; nothing is left behind then.
    pub fn create(self, path: impl AsRef<Path>, new: NewStore) -> Result<(), CreateStoreError> {
        let now = self.clock.now();
        crate::settings::check(&new.settings).map_err(CreateStoreError::Settings)?;
        let mut formats: Vec<NamedFormat> = Vec::with_capacity(new.formats.len());
        for (name, format) in new.formats {
            if !is_format_name(&name) {
                return Err(CreateStoreError::Format(AddFormatError::Name));
            }
            if formats.iter().any(|known| known.name == name) {
                return Err(CreateStoreError::Format(AddFormatError::NameTaken { name }));
            }
            formats.push(NamedFormat { name, format, created_at: now });
        }
        if formats.len() > keystile_validator::bounds::MAX_FORMATS {
            return Err(CreateStoreError::Format(AddFormatError::TooMany));
        }
        if formats.is_empty() {
            let format = KeyFormat::with_defaults(DEFAULT_PREFIX).map_err(CreateStoreError::DefaultFormat)?;
            formats.push(NamedFormat { name: DEFAULT_PREFIX.to_owned(), format, created_at: now });
        }
        let names: Vec<_> = formats.iter().map(|named| &named.name).collect();
        let detail = json!({ "formats": names, "max_lifetime_seconds": new.settings.max_lifetime });
        SqliteStore::create_with(path.as_ref(), &new.settings, &formats, now, |transaction| {
            audit::append(transaction, now, &self.actor, "store.created", None, &detail)
        })?;
        Ok(())
    }

    /// Opens a store; see [`Keystile::open`].
    ///
    /// # Errors
    /// [`OpenError`] when the store or the sandbox cannot be opened.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Keystile, OpenError> {
        let mode = if self.read_only { Mode::ReadOnly } else { Mode::ReadWrite };
        let store: Box<dyn Store> = Box::new(SqliteStore::open(path.as_ref(), mode)?);
        let records = if self.on_demand { None } else { Some(Records::load(&*store)?) };
        let sandbox = match self.sandbox {
            SandboxChoice::Embedded(options) => Sandbox::new(options)?,
            SandboxChoice::Given(sandbox) => *sandbox,
        };
        let inner = Arc::new(Inner {
            store,
            records,
            sandbox,
            usage: UsageBuffer::new(),
            graces: GraceQueue::default(),
            windows: RateWindows::new(),
            clock: self.clock,
            actor: self.actor,
            read_only: self.read_only,
        });
        let workers = Workers::start(&inner, self.flush_interval).map_err(OpenError::Thread)?;
        Ok(Keystile { inner, _workers: Arc::new(workers) })
    }
}

/// The prefix of the format that a store gets when none was chosen.
const DEFAULT_PREFIX: &str = "ks";

/// Whether a verdict leaves a trace.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counting {
    Counted,
    Untraced,
}

impl Inner {
    pub(crate) fn store(&self) -> &dyn Store {
        &*self.store
    }

    pub(crate) fn records(&self) -> Option<&Records> {
        self.records.as_ref()
    }

    pub(crate) fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn actor(&self) -> &str {
        &self.actor
    }

    /// Makes a change in one transaction. When it returns, the change is on disk, and this process
    /// judges by it.
    pub(crate) fn change<T, E: From<StoreError>>(
        &self,
        change: impl FnOnce(&mut dyn WriteTransaction, Timestamp) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut transaction = self.store.write()?;
        let result = change(&mut *transaction, self.now())?;
        transaction.commit()?;
        if let Some(records) = &self.records {
            // The change is done. If it cannot be read back, the records say that they are not
            // healthy, and everything is denied until they have caught up.
            let _ = records.follow(&*self.store);
        }
        Ok(result)
    }

    pub(crate) fn audit(
        &self,
        transaction: &mut dyn WriteTransaction,
        now: Timestamp,
        action: &str,
        subject: Option<String>,
        detail: &serde_json::Value,
    ) -> Result<(), StoreError> {
        audit::append(transaction, now, &self.actor, action, subject, detail)
    }

    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        if self.read_only {
            return Ok(());
        }
        self.graces.start_all(self)?;
        self.windows.sweep(self.now());
        self.usage.flush(&*self.store)
    }

    fn verify(&self, credential: &[u8], request: &Request, counting: Counting) -> Verdict {
        let digest = digest_of(credential);
        let mut hints = RecordHints::default();
        let mut reservation: Option<Reservation> = None;
        let result = self.sandbox.check(
            |buffer| {
                self.with_record(credential, digest.as_ref(), |record, formats| {
                    if let Some(record) = record {
                        hints = record_hints(record).ok()?;
                    }
                    let mut counted_request = None;
                    if let (Some((key, rate)), Counting::Counted) = (hints.rate, counting) {
                        let taken = reservation.insert(self.windows.reserve(key, rate, request.now));
                        counted_request = Some(Request { usage: Some(taken.usage), ..request.clone() });
                    }
                    let request = counted_request.as_ref().unwrap_or(request);
                    Message { request, formats, items: &[Item { credential, record }] }.write_to(buffer).ok()
                })?
            },
            |answer| match decode_verdict(answer) {
                Ok((verdict, [])) => Some(verdict),
                _ => None,
            },
        );
        // The sandbox has counted the failure and told its hook; the caller gets a deny.
        let verdict = result.unwrap_or(Verdict::deny(Code::Unavailable));
        if let (false, Some(reservation)) = (verdict.is_allow(), &reservation) {
            self.windows.release(reservation);
        }
        if let (Some(digest), Counting::Counted) = (digest, counting) {
            self.leave_trace(&verdict, &digest, hints.starts_grace, request.now);
        }
        verdict
    }

    fn verify_batch<C: AsRef<[u8]>>(&self, credentials: &[C], request: &Request, verdicts: &mut Vec<Verdict>) {
        // Rates are counted one call after the other.
        let one_by_one = |verdicts: &mut Vec<Verdict>| {
            verdicts.extend(credentials.iter().map(|one| self.verify(one.as_ref(), request, Counting::Counted)));
        };
        let mut found = Vec::with_capacity(credentials.len());
        let mut known_formats: Vec<u8> = Vec::new();
        for credential in credentials {
            let digest = digest_of(credential.as_ref());
            let lent = self.with_record(credential.as_ref(), digest.as_ref(), |record, formats| {
                if !formats.is_empty() {
                    formats.clone_into(&mut known_formats);
                }
                let hints = record.map(record_hints).transpose().unwrap_or_default().unwrap_or_default();
                (record.map(<[u8]>::to_vec), hints)
            });
            match lent {
                Some((record, hints)) if hints.rate.is_none() => found.push((digest, record, hints.starts_grace)),
                _ => return one_by_one(verdicts),
            }
        }
        let items: Vec<_> = credentials
            .iter()
            .zip(&found)
            .map(|(credential, (_, record, _))| Item { credential: credential.as_ref(), record: record.as_deref() })
            .collect();
        let formats = if known_formats.is_empty() { NO_FORMATS } else { &known_formats };
        let answered = self.sandbox.check(
            |buffer| Message { request, formats, items: &items }.write_to(buffer).ok(),
            |mut answer| {
                let mut answered = Vec::with_capacity(items.len());
                while !answer.is_empty() {
                    let (verdict, rest) = decode_verdict(answer).ok()?;
                    answered.push(verdict);
                    answer = rest;
                }
                Some(answered).filter(|answered| answered.len() == items.len())
            },
        );
        // An answer that did not fit is asked for again in parts.
        let Ok(answered) = answered else { return one_by_one(verdicts) };
        for (verdict, (digest, _, starts_grace)) in answered.iter().zip(&found) {
            if let Some(digest) = digest {
                self.leave_trace(verdict, digest, *starts_grace, request.now);
            }
        }
        verdicts.extend(answered);
    }

    /// Lends out the record of a credential, and the key formats, which only a credential without a
    /// record needs. `None`: the store cannot be trusted to be up to date.
    fn with_record<T>(
        &self,
        credential: &[u8],
        digest: Option<&Digest>,
        with: impl FnOnce(Option<&[u8]>, &[u8]) -> T,
    ) -> Option<T> {
        let Some(records) = &self.records else { return self.with_record_of_store(credential, digest, with) };
        if !records.is_healthy() {
            return None;
        }
        let Some(digest) = digest else { return Some(with(None, &records.formats())) };
        records.with_record(digest, |record| match record {
            Some(record) => Some(with(Some(record), NO_FORMATS)),
            None => Some(with(None, &records.formats())),
        })
    }

    fn with_record_of_store<T>(
        &self,
        credential: &[u8],
        digest: Option<&Digest>,
        with: impl FnOnce(Option<&[u8]>, &[u8]) -> T,
    ) -> Option<T> {
        let view = self.store.read().ok()?;
        let formats: Vec<_> = view.formats().ok()?.into_iter().map(|named| named.format).collect();
        // A typo is refused without a look-up, unless an imported secret could look like one.
        let could_be_known = formats.iter().any(|format| format.read(credential) == FormatMatch::Match);
        let key = match digest {
            Some(digest) if could_be_known || view.has_imports().ok()? => view.key_by_digest(digest).ok()?,
            _ => None,
        };
        let mut bytes = Vec::new();
        if let (Some(key), Some(digest)) = (&key, digest)
            && let Some(secret) = key.secrets.iter().find(|secret| secret.digest == *digest)
        {
            encode_record(&key.record(secret), &mut bytes).ok()?;
            return Some(with(Some(&bytes), NO_FORMATS));
        }
        encode_formats(&formats, &mut bytes).ok()?;
        Some(with(None, &bytes))
    }

    /// Counts an allowed call, and starts the grace periods that waited for it.
    fn leave_trace(&self, verdict: &Verdict, digest: &Digest, starts_grace: bool, now: Timestamp) {
        if !verdict.is_allow() || self.read_only {
            return;
        }
        self.usage.record(digest, now);
        if starts_grace {
            self.graces.push(*digest, now);
            if self.records.is_none() {
                // Without background threads it is done here. If it fails it is done at the next use.
                let _ = self.graces.start_all(self);
            }
        }
    }
}

/// Key formats in binary form: none.
const NO_FORMATS: &[u8] = &[1, 0];

/// The digest of a credential that is short enough to be looked at.
fn digest_of(credential: &[u8]) -> Option<Digest> {
    (!credential.is_empty() && credential.len() <= MAX_CREDENTIAL_LEN).then(|| Digest::of(credential))
}

/// How many of these credentials surely fit into one message, with the longest records.
fn batch_len<C: AsRef<[u8]>>(credentials: &[C]) -> usize {
    const OVERHEAD: usize = 512;
    let mut room = MAX_MESSAGE_LEN / 2;
    let fits = |credential: &&C| {
        let needed = credential.as_ref().len().min(MAX_CREDENTIAL_LEN) + OVERHEAD;
        room = room.saturating_sub(needed);
        room > 0
    };
    credentials.iter().take(MAX_BATCH).take_while(fits).count().max(1)
}

/// Why a store was not made.
#[derive(Debug)]
#[non_exhaustive]
pub enum CreateStoreError {
    /// A key format or its name does not fit.
    Format(AddFormatError),
    /// The default key format does not fit.
    DefaultFormat(KeyFormatError),
    /// A setting is out of bounds.
    Settings(SetSettingsError),
    /// The store refused.
    Store(StoreError),
}

impl fmt::Display for CreateStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CreateStoreError::Format(error) => error.fmt(f),
            CreateStoreError::DefaultFormat(error) => error.fmt(f),
            CreateStoreError::Settings(error) => error.fmt(f),
            CreateStoreError::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CreateStoreError {}

impl From<StoreError> for CreateStoreError {
    fn from(error: StoreError) -> CreateStoreError {
        CreateStoreError::Store(error)
    }
}

/// Why a store was not opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The store refused.
    Store(StoreError),
    /// The validator does not run here.
    Sandbox(SandboxError),
    /// The operating system gave no thread.
    Thread(std::io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Store(error) => error.fmt(f),
            OpenError::Sandbox(error) => error.fmt(f),
            OpenError::Thread(error) => {
                write!(f, "the operating system gave no thread ({error}) · raise the limit of threads, or end some")
            }
        }
    }
}

impl std::error::Error for OpenError {}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> OpenError {
        OpenError::Store(error)
    }
}

impl From<SandboxError> for OpenError {
    fn from(error: SandboxError) -> OpenError {
        OpenError::Sandbox(error)
    }
}
