//! How a store is made and opened.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keystile_validator::bounds::MAX_FORMATS;
use keystile_validator::{KeyFormat, KeyFormatError, Timestamp};
use serde_json::json;

use crate::audit;
use crate::clock::{Clock, SystemClock};
use crate::fork::Opener;
use crate::formats::{AddFormatError, is_format_name};
use crate::key::{NamedFormat, Settings};
use crate::keystile::{Inner, Keystile};
use crate::mirror::{CHANGES_AT_ONCE, Mirror, RECORDS_A_STEP};
use crate::sandbox::{Sandbox, SandboxError, SandboxOptions};
use crate::sealing::{KekError, KeyEncryptionKey, Sealing};
use crate::settings::SetSettingsError;
use crate::store::{Mode, SqliteStore, Store, StoreError};
use crate::timekeeping::{Timekeeper, readable_clock};
use crate::workers::{ERASE_PATIENCE, FLUSH_INTERVAL, Workers};

/// What a new store starts with.
#[derive(Clone, Debug, Default)]
pub struct NewStore {
    /// Its key formats with their names, the default one first; none: one with the prefix `ks`.
    pub formats: Vec<(String, KeyFormat)>,
    /// Its settings.
    pub settings: Settings,
}

/// How to open a store.
pub struct OpenOptions {
    actor: String,
    pub(crate) clock: Box<dyn Clock>,
    read_only: bool,
    on_demand: bool,
    is_sparing: bool,
    records_a_step: usize,
    changes_at_once: usize,
    in_background: bool,
    flush_interval: Duration,
    sandbox: SandboxChoice,
    pub(crate) kek: KekChoice,
}

/// Which key-encryption key a store is opened or made with.
#[derive(Default)]
pub(crate) enum KekChoice {
    #[default]
    None,
    Given(KeyEncryptionKey),
    File(PathBuf),
}

impl KekChoice {
    fn load(self) -> Result<Sealing, KekError> {
        match self {
            KekChoice::None => Ok(Sealing::none()),
            KekChoice::Given(key) => Ok(Sealing::given(key)),
            KekChoice::File(path) => Sealing::file(&path),
        }
    }
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
            is_sparing: false,
            records_a_step: RECORDS_A_STEP,
            changes_at_once: CHANGES_AT_ONCE,
            in_background: true,
            flush_interval: FLUSH_INTERVAL,
            sandbox: SandboxChoice::Embedded(SandboxOptions::default()),
            kek: KekChoice::None,
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
    /// programs that verify a few credentials and end. There is one background thread then, which writes uses.
    pub fn on_demand(mut self, on_demand: bool) -> OpenOptions {
        self.on_demand = on_demand;
        self
    }

    /// On a full disk, opening fails instead of taking of the room that is kept for a revoke: for whoever only looks,
    /// and can open the store for reading then.
    #[cfg(feature = "cli")]
    pub(crate) fn sparing(mut self) -> OpenOptions {
        self.is_sparing = true;
        self
    }

    /// Without background threads: the mirror moves when a test says so, with steps of this size.
    #[cfg(test)]
    pub(crate) fn in_steps(mut self, records_a_step: usize) -> OpenOptions {
        (self.in_background, self.records_a_step) = (false, records_a_step);
        self
    }

    /// Another bound of what may change while the mirror stays in force.
    #[cfg(test)]
    pub(crate) fn changes_at_once(mut self, changes: usize) -> OpenOptions {
        self.changes_at_once = changes;
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

    /// The key under which the store seals its signing keys. Without one, whatever needs them fails;
    /// all else works.
    pub fn key_encryption_key(mut self, key: KeyEncryptionKey) -> OpenOptions {
        self.kek = KekChoice::Given(key);
        self
    }

    /// The key under which the store seals its signing keys, in a file. That the file is missing is told
    /// when the key is needed.
    pub fn key_encryption_key_file(mut self, path: impl Into<PathBuf>) -> OpenOptions {
        self.kek = KekChoice::File(path.into());
        self
    }

    /// Makes a new store; see [`Keystile::create`].
    ///
    /// # Errors
    /// [`CreateStoreError`]; nothing is left behind then.
    pub fn create(mut self, path: impl AsRef<Path>, new: NewStore) -> Result<(), CreateStoreError> {
        let prepared = PreparedStore::new(new, self.clock.now())?;
        let sealing = std::mem::take(&mut self.kek).load()?;
        self.create_prepared(path.as_ref(), prepared, &sealing)
    }

    /// Makes a store, sealed from the start when there is a key, so that a wrong one is refused before anything
    /// was sealed.
    pub(crate) fn create_prepared(
        &self,
        path: &Path,
        prepared: PreparedStore,
        sealing: &Sealing,
    ) -> Result<(), CreateStoreError> {
        let PreparedStore { formats, settings, now } = prepared;
        let names: Vec<_> = formats.iter().map(|named| &named.name).collect();
        let detail = json!({ "formats": names, "max_lifetime_seconds": settings.max_lifetime });
        SqliteStore::create_with(path, &settings, &formats, now, |transaction| {
            if sealing.is_given() {
                sealing.begin(transaction)?;
            }
            audit::append(transaction, now, &self.actor, "store.created", None, &detail)?;
            Ok::<(), CreateStoreError>(())
        })
    }

    /// Opens a store; see [`Keystile::open`].
    ///
    /// # Errors
    /// [`OpenError`] when the store or the sandbox cannot be opened.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Keystile, OpenError> {
        let mode = match (self.read_only, self.is_sparing) {
            (true, _) => Mode::ReadOnly,
            (false, true) => Mode::Sparing,
            (false, false) => Mode::ReadWrite,
        };
        let sealing = self.kek.load()?;
        let store: Box<dyn Store> = Box::new(SqliteStore::open(path.as_ref(), mode)?);
        let time = Timekeeper::default();
        {
            let view = store.read()?;
            sealing.check(&*view)?;
            if let Some(clock) = readable_clock(&*view)? {
                time.follow(clock);
            }
        }
        let sandbox = match self.sandbox {
            SandboxChoice::Embedded(options) => Sandbox::new(options)?,
            SandboxChoice::Given(sandbox) => *sandbox,
        };
        let inner = Arc::new(Inner {
            opener: Opener::here(),
            store,
            mirror: Mirror::new(self.on_demand, self.records_a_step, self.changes_at_once),
            sandbox,
            usage: crate::usage::UsageBuffer::new(),
            graces: crate::workers::GraceQueue::default(),
            seen_graces: crate::seen_graces::SeenGraces::default(),
            writer_bell: crate::bell::Bell::default(),
            prepare_bell: crate::bell::Bell::default(),
            windows: crate::limits::RateWindows::new(),
            issuers: crate::issuers::IssuerState::default(),
            hasher: crate::password::Hasher::default(),
            clock: self.clock,
            time,
            sealing,
            actor: self.actor,
            read_only: self.read_only,
            // Where a thread tries again, the caller need not wait.
            erase_patience: if self.on_demand { ERASE_PATIENCE } else { Duration::ZERO },
            erasure_waits: std::sync::atomic::AtomicBool::new(false),
        });
        // From here on the clock counts too.
        inner.now();
        inner.follow()?;
        let workers = match self.in_background {
            true => Workers::start(&inner, self.flush_interval).map_err(OpenError::Thread)?,
            false => Workers::none(&inner),
        };
        Ok(Keystile { inner, _workers: Arc::new(workers) })
    }
}

/// What a new store starts with, known to fit.
pub(crate) struct PreparedStore {
    formats: Vec<NamedFormat>,
    settings: Settings,
    now: Timestamp,
}

impl PreparedStore {
    pub(crate) fn new(new: NewStore, now: Timestamp) -> Result<PreparedStore, CreateStoreError> {
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
        if formats.len() > MAX_FORMATS {
            return Err(CreateStoreError::Format(AddFormatError::TooMany));
        }
        if formats.is_empty() {
            let format = KeyFormat::with_defaults(DEFAULT_PREFIX).map_err(CreateStoreError::DefaultFormat)?;
            formats.push(NamedFormat { name: DEFAULT_PREFIX.to_owned(), format, created_at: now });
        }
        Ok(PreparedStore { formats, settings: new.settings, now })
    }
}

/// The prefix of the format that a store gets when none was chosen.
const DEFAULT_PREFIX: &str = "ks";

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
    /// The key-encryption key cannot be used.
    Kek(KekError),
    /// The store refused.
    Store(StoreError),
}

impl fmt::Display for CreateStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CreateStoreError::Format(error) => error.fmt(f),
            CreateStoreError::DefaultFormat(error) => error.fmt(f),
            CreateStoreError::Settings(error) => error.fmt(f),
            CreateStoreError::Kek(error) => error.fmt(f),
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

impl From<KekError> for CreateStoreError {
    fn from(error: KekError) -> CreateStoreError {
        match error {
            KekError::Store(error) => CreateStoreError::Store(error),
            error => CreateStoreError::Kek(error),
        }
    }
}

/// Why a store was not opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The store refused.
    Store(StoreError),
    /// The key-encryption key cannot be read, or is not that of this store.
    Kek(KekError),
    /// The validator does not run here.
    Sandbox(SandboxError),
    /// The operating system gave no thread.
    Thread(std::io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Store(error) => error.fmt(f),
            OpenError::Kek(error) => error.fmt(f),
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

impl From<KekError> for OpenError {
    fn from(error: KekError) -> OpenError {
        match error {
            KekError::Store(error) => OpenError::Store(error),
            error => OpenError::Kek(error),
        }
    }
}

impl From<SandboxError> for OpenError {
    fn from(error: SandboxError) -> OpenError {
        OpenError::Sandbox(error)
    }
}
