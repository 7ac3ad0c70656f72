//! The turnstile: a store, the validator in its sandbox, and what keeps them together.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keystile_validator::{Request, RequestError, Timestamp, Verdict};

use crate::audit::{self, AuditEntry, AuditPage, AuditQuery, AuditReport, Checkpoint, ListAuditError};
use crate::bell::Bell;
use crate::clock::Clock;
use crate::fork::Opener;
use crate::issuers::{IssuerState, Issuers};
use crate::keys::Keys;
use crate::limits::RateWindows;
use crate::mirror::{BETWEEN_STEPS, Look, Mirror, Moved, Source};
use crate::options::{CreateStoreError, NewStore, OpenError, OpenOptions};
use crate::password::Hasher;
use crate::query::{MAX_PAGE, MAX_SEARCH_LEN};
use crate::sandbox::{Sandbox, SandboxCounters};
use crate::sealing::Sealing;
use crate::seen_graces::SeenGraces;
use crate::signing_keys::SigningKeys;
use crate::store::{Erasure, Store, StoreError, UnreadableRow, Urgency, WriteTransaction};
use crate::timekeeping::Timekeeper;
use crate::tokens::Tokens;
use crate::usage::UsageBuffer;
use crate::verify::{Counting, batch_len};
use crate::workers::{GraceQueue, Workers};

/// A turnstile over one store. Clones share everything; it can be used from many threads at once.
///
/// When the last clone is dropped, the background threads end and what was counted is written.
///
/// It belongs to the process that opened it. In a child by `fork` every verdict is `unavailable`, every other
/// operation fails with [`StoreError::Forked`], and the child cannot open the same store: SQLite keeps, for the
/// whole process, what locks it holds, and the child does not hold them. A server that forks workers opens the
/// store in each worker, and not before.
#[derive(Clone)]
pub struct Keystile {
    pub(crate) inner: Arc<Inner>,
    pub(crate) _workers: Arc<Workers>,
}

/// What a [`Keystile`] is made of.
pub(crate) struct Inner {
    /// The process that has opened the store, the only one that may use it.
    pub(crate) opener: Opener,
    pub(crate) store: Box<dyn Store>,
    pub(crate) mirror: Mirror,
    pub(crate) sandbox: Sandbox,
    pub(crate) usage: UsageBuffer,
    pub(crate) graces: GraceQueue,
    /// What takes its place in a process that only reads.
    pub(crate) seen_graces: SeenGraces,
    /// Wakes the thread that writes behind.
    pub(crate) writer_bell: Bell,
    /// Wakes the thread that has the keys of issuers prepared.
    pub(crate) prepare_bell: Bell,
    pub(crate) windows: RateWindows,
    pub(crate) issuers: IssuerState,
    pub(crate) hasher: Hasher,
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) time: Timekeeper,
    pub(crate) sealing: Sealing,
    pub(crate) actor: String,
    pub(crate) read_only: bool,
    /// How long a change waits for readers that keep what it has deleted in the journal.
    pub(crate) erase_patience: Duration,
    /// Whether the thread that writes behind is to try again soon.
    pub(crate) erasure_waits: AtomicBool,
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

    /// Opens a store and loads its mirror, which from then on follows the store, whoever writes it.
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

    /// Judges a credential, an API key or a token, as the caller presented it. An allow counts as a use of
    /// the key, takes a place in its rate window, and starts a grace period that waits for it.
    ///
    /// It takes microseconds. It can wait while all instances of the sandbox are in use, and for two seconds at most when
    /// the process was stopped or starved, so that nobody has looked at the store in the last 250 ms.
    ///
    /// Whatever goes wrong on the way is a deny with [`Code::Unavailable`](crate::Code::Unavailable), and so is a
    /// request that breaks a bound: [`Keystile::try_verify`] tells the two apart.
    pub fn verify(&self, credential: impl AsRef<[u8]>, request: &Request) -> Verdict {
        self.inner.verify(credential.as_ref(), request, Counting::Counted)
    }

    /// [`Keystile::verify`] for requests that the program has not made alone: a request that breaks a bound is an
    /// error of the caller, and nothing is judged.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("keystile.db");
    /// # keystile::Keystile::create(&path, keystile::NewStore::default())?;
    /// use keystile::{Code, Keystile, RequestError, Scope};
    /// let keystile = Keystile::open(&path)?;
    /// let mut request = keystile.request();
    /// assert_eq!(keystile.try_verify("hello", &request)?.code(), Some(Code::Malformed));
    /// request.all_of = vec![Scope::new("read")?; 33];
    /// assert_eq!(keystile.try_verify("hello", &request), Err(RequestError::Scopes { given: 33 }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`RequestError`] names the bound.
    pub fn try_verify(&self, credential: impl AsRef<[u8]>, request: &Request) -> Result<Verdict, RequestError> {
        request.validate()?;
        Ok(self.verify(credential, request))
    }

    /// Judges a credential and leaves no trace: nothing is counted, no grace starts, and a rate
    /// window that is full is not looked at. For trying things out, and for judging at another time.
    pub fn preview(&self, credential: impl AsRef<[u8]>, request: &Request) -> Verdict {
        self.inner.verify(credential.as_ref(), request, Counting::Untraced)
    }

    /// [`Keystile::preview`] with the caller's mistakes told apart, as [`Keystile::try_verify`] does.
    ///
    /// # Errors
    /// [`RequestError`] names the bound.
    pub fn try_preview(&self, credential: impl AsRef<[u8]>, request: &Request) -> Result<Verdict, RequestError> {
        request.validate()?;
        Ok(self.preview(credential, request))
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

    /// Whether verdicts can be given: catches up with the store, and says why not when that fails. For probes of
    /// readiness, and for whoever wants to know why verdicts are `unavailable`.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("keystile.db");
    /// # keystile::Keystile::create(&path, keystile::NewStore::default())?;
    /// let keystile = keystile::Keystile::open(&path)?;
    /// assert!(keystile.ready().is_ok());
    /// std::fs::rename(&path, folder.path().join("elsewhere.db"))?;
    /// assert!(matches!(keystile.ready(), Err(keystile::StoreError::Replaced { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`StoreError`]: why every verdict is `unavailable`.
    pub fn ready(&self) -> Result<(), StoreError> {
        self.inner.follow()?;
        match self.inner.mirror.is_on_demand() {
            true => self.inner.store.read()?.position().map(drop),
            false if self.inner.mirror.is_healthy() => Ok(()),
            false => Err(StoreError::NotFollowed),
        }
    }

    /// [`Keystile::verify_batch`] with the caller's mistakes told apart, as [`Keystile::try_verify`] does.
    ///
    /// # Errors
    /// [`RequestError`] names the bound.
    pub fn try_verify_batch<C: AsRef<[u8]>>(
        &self,
        credentials: &[C],
        request: &Request,
    ) -> Result<Vec<Verdict>, RequestError> {
        request.validate()?;
        Ok(self.verify_batch(credentials, request))
    }

    /// The key operations.
    pub fn keys(&self) -> Keys<'_> {
        Keys::new(&self.inner)
    }

    /// The operations on tokens.
    pub fn tokens(&self) -> Tokens<'_> {
        Tokens::new(&self.inner)
    }

    /// The operations on the keys that sign tokens.
    pub fn signing_keys(&self) -> SigningKeys<'_> {
        SigningKeys::new(&self.inner)
    }

    /// The operations on external issuers.
    pub fn issuers(&self) -> Issuers<'_> {
        Issuers::new(&self.inner)
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

    /// The same entries as [`audit`](Keystile::audit), and apart from them those that cannot be read.
    ///
    /// # Errors
    /// [`StoreError`] when the store refuses.
    pub fn readable_audit(
        &self,
        subject: Option<&str>,
        after: u64,
        limit: usize,
    ) -> Result<(Vec<AuditEntry>, Vec<UnreadableRow>), StoreError> {
        self.inner.store.read()?.readable_audit(subject, after, limit)
    }

    /// A page of audit entries, newest first.
    ///
    /// # Errors
    /// [`ListAuditError`] when the query breaks a bound, or the store refuses.
    pub fn recent_audit(&self, query: &AuditQuery) -> Result<AuditPage, ListAuditError> {
        if query.limit == 0 || query.limit > MAX_PAGE {
            return Err(ListAuditError::Limit { given: query.limit });
        }
        if query.search.as_ref().is_some_and(|search| search.len() > MAX_SEARCH_LEN) {
            return Err(ListAuditError::Search);
        }
        Ok(self.inner.store.read()?.recent_audit(query)?)
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

    /// Gets what was deleted out of the file of the store and its journal, as whatever deletes does by itself: users
    /// with their sessions, replaced passwords, signing keys that are gone, discarded imports. It waits at most this
    /// long for whoever reads an older state. Says whether nothing is left.
    ///
    /// What is left over stays noted in the store: the background threads try again, and so does whoever opens the
    /// store next.
    ///
    /// # Errors
    /// [`StoreError`] when the store refuses, or the disk has no room for a second copy of a store that is to be
    /// written anew.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("keystile.db");
    /// use std::time::Duration;
    /// use keystile::{Keystile, NewStore, NewUser};
    /// Keystile::create(&path, NewStore::default())?;
    /// let keystile = Keystile::open(&path)?;
    /// let user = keystile.users().create(NewUser::new("ada@example.com".parse()?))?;
    /// keystile.users().delete(user.id)?;
    /// assert!(keystile.erase_deleted(Duration::from_secs(10))?);
    /// drop(keystile);
    /// assert!(!std::fs::read(&path)?.windows(15).any(|window| window == b"ada@example.com"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn erase_deleted(&self, patience: Duration) -> Result<bool, StoreError> {
        Ok(self.inner.store.erase(patience)? == Erasure::Done)
    }

    /// Whether everything that was deleted is out of the file and its journal; see
    /// [`erase_deleted`](Keystile::erase_deleted).
    ///
    /// # Errors
    /// [`StoreError`] when the store refuses.
    pub fn is_erased(&self) -> Result<bool, StoreError> {
        Ok(self.inner.store.erasure()? == Erasure::Done)
    }

    /// What the sandbox counted.
    pub fn sandbox_counters(&self) -> SandboxCounters {
        self.inner.sandbox.counters()
    }

    /// How many secrets are held in memory; 0 when records are looked up on demand.
    pub fn secrets_in_memory(&self) -> u64 {
        self.inner.mirror.secrets()
    }
}

impl fmt::Debug for Keystile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keystile").field("actor", &self.inner.actor).finish_non_exhaustive()
    }
}

impl Inner {
    pub(crate) fn store(&self) -> &dyn Store {
        &*self.store
    }

    pub(crate) fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    pub(crate) fn actor(&self) -> &str {
        &self.actor
    }

    /// Makes a change in one transaction. When it returns, the change is on disk, and this process
    /// judges by it. Whoever adds keys calls [`Inner::load_new_keys`] afterwards.
    pub(crate) fn change<T, E: From<StoreError>>(
        &self,
        change: impl FnOnce(&mut dyn WriteTransaction, Timestamp) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut transaction = self.store.write()?;
        let now = self.now();
        self.note_time(&mut *transaction, now)?;
        let result = change(&mut *transaction, now)?;
        let urgency = transaction.erases()?;
        transaction.commit()?;
        // The change is done. If it cannot be read back, the mirror is not healthy, and everything is denied
        // until it has caught up.
        let _ = self.follow();
        if urgency.is_some_and(|urgency| urgency >= Urgency::Soon) {
            self.erase_soon();
        }
        Ok(result)
    }

    /// [`Inner::change`] for what can only take away, such as a revoke: when no space is left on the disk, it takes
    /// the room that is kept for this. `change` is called again then.
    pub(crate) fn contain<T, E: From<StoreError>>(
        &self,
        change: impl Fn(&mut dyn WriteTransaction, Timestamp) -> Result<T, E>,
    ) -> Result<T, E> {
        match self.change(&change) {
            Err(_) if self.store.spend_reserve() => {
                let result = self.change(&change);
                self.store.fill_reserve();
                result
            }
            result => result,
        }
    }

    /// Gets what was just deleted out of the file: now if nobody is in the way, else as soon as nobody is.
    fn erase_soon(&self) {
        // The change is done, and noted. What fails here is done later.
        let waits = !matches!(self.store.erase(self.erase_patience), Ok(Erasure::Done));
        if waits {
            self.erasure_waits.store(true, Ordering::Relaxed);
            self.writer_bell.ring();
        }
    }

    /// What the mirror follows, as of now.
    pub(crate) fn source(&self) -> Source<'_> {
        let now = self.now();
        Source { store: &*self.store, sandbox: &self.sandbox, sealing: &self.sealing, time: &self.time, now }
    }

    /// Begins a verdict; `None`: it is `unavailable`.
    pub(crate) fn look(&self) -> Option<Look<'_>> {
        // First of all: in a child of a fork every lock may be held for ever.
        if !self.opener.is_here() {
            return None;
        }
        self.mirror.look(&self.source())
    }

    /// Catches up with the store, where anything is held in memory. New keys come in bounded steps: one call
    /// brings one step of them.
    pub(crate) fn follow(&self) -> Result<Moved, StoreError> {
        self.opener.check()?;
        let moved = self.mirror.follow(&self.source())?;
        self.announce(moved);
        Ok(moved)
    }

    /// Brings all keys that are new to the mirror, step by step: for whoever has added some, and expects to use
    /// them at once.
    pub(crate) fn load_new_keys(&self) {
        while self.mirror.has_more() && self.follow().is_ok() {
            // Leaves the mirror to whoever waits to move it after a change of its own.
            std::thread::sleep(BETWEEN_STEPS);
        }
    }

    /// Wakes the threads that have work after a move of the mirror.
    pub(crate) fn announce(&self, moved: Moved) {
        if moved.documents_changed {
            self.prepare_bell.ring();
        }
        if moved.external_changed {
            self.issuers.refresher.wake();
        }
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
        self.opener.check()?;
        self.windows.sweep(self.now());
        if let Some(now) = self.time.forgettable() {
            self.mirror.sweep(now);
        }
        if self.read_only {
            return Ok(());
        }
        if !self.mirror.is_on_demand() {
            self.store.fill_reserve();
        }
        // One that fails keeps the others from nothing.
        let graces = self.graces.start_all(self);
        let noted = self.note_time_if_due();
        // What this process or another one could not get out of the file.
        let _ = self.store.erase(Duration::ZERO);
        self.usage.flush(&*self.store).and(graces).and(noted)
    }
}
