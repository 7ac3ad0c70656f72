//! Calls the host on a thread of its own, so that the screen never waits for the store.

use std::fmt::Display;
use std::fs::OpenOptions as FileOptions;
use std::io::Write as _;
use std::mem::discriminant;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use keystile::{
    AuditQuery, ChangeIssuerError, ChangeStateError, ChangeUserStateError, ChangedUser, ExternalIssuer, InForce,
    KekError, KekPlace, Key, KeyId, Keystile, ListAuditError, NewStore, OpenError, OpenOptions, Secret, StoreError,
    UnreadableRow, User,
};

use crate::dialog::MAX_ENTRIES;
use crate::message::{Change, Effect, Message, Page, Query, Unread};
use crate::text::printable;

/// How often the worker asks whether anybody wrote: a change must be seen within 100 ms.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(40);

/// How to open the store.
pub(crate) struct Settings {
    /// Its path.
    pub(crate) db: PathBuf,
    /// Who the audit trail says made the changes.
    pub(crate) actor: String,
    /// Where the key-encryption key is.
    pub(crate) kek: KekPlace,
    /// Whether nothing may be changed.
    pub(crate) read_only: bool,
}

/// Works until nobody asks any more. What takes long has a thread of its own: a list is never kept waiting
/// by a walk over the whole store, or by an issuer that does not answer.
pub(crate) fn work(settings: &Settings, effects: &Receiver<Effect>, messages: &Sender<Message>) {
    thread::scope(|scope| {
        let (long, orders) = mpsc::channel::<(Arc<Keystile>, Effect)>();
        let walker = scope.spawn(move || {
            while let Ok(first) = orders.recv() {
                let (stores, waiting): (Vec<_>, Vec<_>) = std::iter::once(first).chain(orders.try_iter()).unzip();
                // A store that was opened again since is the one to ask.
                let Some(keystile) = stores.last() else { continue };
                for effect in only_the_last_ones(waiting) {
                    // Nobody listens when the program is about to end.
                    let _ = messages.send(call(keystile, &settings.db, effect));
                }
            }
        });
        let mut worker = Worker { settings, messages, long, keystile: None, seen: None, troubled: None, behind: false };
        worker.run(Effect::Open);
        // A panic over there is told here, when the threads are joined.
        while !walker.is_finished() {
            match effects.recv_timeout(FOLLOW_INTERVAL) {
                Ok(effect) => {
                    let waiting = std::iter::once(effect).chain(effects.try_iter()).collect();
                    only_the_last_ones(waiting).into_iter().for_each(|effect| worker.run(effect));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            worker.follow();
        }
    });
}

/// Of the lists, walks and trials of one kind that were asked for meanwhile, only the last one is of use.
fn only_the_last_ones(mut waiting: Vec<Effect>) -> Vec<Effect> {
    let kind = |effect: &Effect| match effect {
        Effect::Load { query, .. } => Some((discriminant(effect), Some(discriminant(query)))),
        Effect::VerifyAudit | Effect::Explain(_) | Effect::Usage(_) => Some((discriminant(effect), None)),
        _ => None,
    };
    let kinds: Vec<_> = waiting.iter().map(kind).collect();
    let mut index = 0;
    waiting.retain(|effect| {
        index += 1;
        kind(effect).is_none_or(|kind| !kinds[index..].contains(&Some(kind)))
    });
    waiting
}

struct Worker<'a> {
    settings: &'a Settings,
    messages: &'a Sender<Message>,
    /// What takes long goes there.
    long: Sender<(Arc<Keystile>, Effect)>,
    keystile: Option<Arc<Keystile>>,
    /// The newest audit entry that was seen: every change writes one.
    seen: Option<u64>,
    /// What went wrong last while following, so that it is told once.
    troubled: Option<String>,
    /// Whether the clock was behind what the store has seen.
    behind: bool,
}

impl Worker<'_> {
    fn send(&self, message: Message) {
        // Nobody listens when the program is about to end.
        let _ = self.messages.send(message);
    }

    fn run(&mut self, effect: Effect) {
        match effect {
            Effect::Open => self.open(),
            Effect::MakeStore => match make(self.settings) {
                Ok(kek) => {
                    self.open();
                    let kek = kek.map(|path| printable(&path.to_string_lossy()));
                    self.send(Message::Made { kek });
                }
                Err(problem) => self.send(Message::NotOpened { missing: !self.settings.db.exists(), problem }),
            },
            Effect::WriteSecret { path, secret } => {
                let result = write_secret(&path, &secret);
                drop(secret);
                self.send(Message::SecretWritten(result.map(|()| path)));
            }
            // These are for the terminal, which another thread has.
            Effect::Copy(_) | Effect::ClearClipboard => {}
            effect => {
                let Some(keystile) = &self.keystile else { return };
                if effect.is_long() {
                    // When the other thread has panicked, this one ends too.
                    let _ = self.long.send((Arc::clone(keystile), effect));
                } else {
                    self.send(call(keystile, &self.settings.db, effect));
                }
            }
        }
    }

    fn open(&mut self) {
        self.keystile = None;
        match open(self.settings) {
            Ok((keystile, only_readable)) => {
                let described = keystile.formats().and_then(|formats| Ok((formats, keystile.settings()?)));
                match described {
                    Ok((formats, settings)) => {
                        self.seen = newest(&keystile).ok();
                        self.keystile = Some(Arc::new(keystile));
                        let max_lifetime = settings.max_lifetime;
                        self.follow();
                        self.send(Message::Opened { formats, max_lifetime, only_readable });
                    }
                    Err(error) => self.send(Message::NotOpened { missing: false, problem: error.to_string() }),
                }
            }
            Err(error) => {
                let missing = matches!(error, OpenError::Store(StoreError::Missing { .. }));
                self.send(Message::NotOpened { missing, problem: error.to_string() });
            }
        }
    }

    /// Tells whether the store has changed.
    fn follow(&mut self) {
        let Some(keystile) = &self.keystile else { return };
        let behind = keystile.time().behind().is_some();
        if self.behind != behind {
            self.behind = behind;
            self.send(Message::Clock { behind });
        }
        let Some(keystile) = &self.keystile else { return };
        match newest(keystile) {
            Ok(newest) => {
                if self.seen != Some(newest) {
                    self.seen = Some(newest);
                    self.send(Message::Changed);
                }
                self.troubled = None;
            }
            Err(error) => {
                let problem = error.to_string();
                if self.troubled.as_ref() != Some(&problem) {
                    self.send(Message::Trouble(problem.clone()));
                    self.troubled = Some(problem);
                }
            }
        }
    }
}

/// The sequence of the newest audit entry.
fn newest(keystile: &Keystile) -> Result<u64, ListAuditError> {
    let query = AuditQuery { limit: 1, ..AuditQuery::default() };
    Ok(keystile.recent_audit(&query)?.entries.first().map_or(0, |entry| entry.sequence))
}

/// One call into the host, and its answer.
pub(crate) fn call(keystile: &Keystile, db: &Path, effect: Effect) -> Message {
    let keys = keystile.keys();
    match effect {
        Effect::Load { request, start, query } => {
            let section = query.section();
            let page = load(keystile, db, query).map_err(|problem| Unread { section, problem });
            Message::Loaded { request, start, page }
        }
        Effect::Audit(id) => {
            let query = AuditQuery { subject: Some(id.to_string()), limit: MAX_ENTRIES, ..AuditQuery::default() };
            let page = keystile.recent_audit(&query).map_err(|error| error.to_string());
            Message::Audited { id, entries: page.map(|page| page.entries) }
        }
        Effect::Usage(id) => Message::Used { id, usage: keys.usage(id).map_err(|error| error.to_string()) },
        Effect::Create(new) => Message::Created(Box::new(keys.create(*new))),
        Effect::Rotate { id, rotation } => Message::Rotated(Box::new(keys.rotate(id, rotation))),
        Effect::Change(Change::ResetPassword(user)) => {
            let reset = keystile.users().generate_password(user);
            Message::PasswordReset(Box::new(reset.map_err(|error| error.to_string())))
        }
        Effect::Change(Change::RefreshIssuer(name)) => {
            let refreshed = keystile.issuers().refresh(&name).map_err(|error| error.to_string());
            Message::Fetched(refreshed.map(|refreshed| {
                let what = if refreshed.changed { "its keys have changed" } else { "its keys are as before" };
                format!("fetched {}: {what}", printable(&name))
            }))
        }
        Effect::Change(Change::SuspendKeys(ids)) => each("suspended", &ids, |id| keys.suspend(id)),
        Effect::Change(Change::RevokeKeys { ids, reason, note }) => {
            each("revoked", &ids, |id| keys.revoke(id, reason, note.as_deref()))
        }
        Effect::Change(change) => Message::Done { result: apply(keystile, change), changed: Vec::new() },
        Effect::Explain(trial) => {
            let mut request = keystile.request();
            request.all_of = trial.scopes;
            request.environment = trial.environment;
            request.address = trial.address;
            let explained = keystile.explain(&trial.credential.0, &request);
            let explained = Box::new(explained.map_err(|error| error.to_string()));
            Message::Explained { number: trial.number, explained }
        }
        Effect::VerifyAudit => Message::AuditVerified(keystile.verify_audit(None).map_err(|error| error.to_string())),
        Effect::Open | Effect::MakeStore | Effect::WriteSecret { .. } | Effect::Copy(_) | Effect::ClearClipboard => {
            Message::Changed
        }
    }
}

fn load(keystile: &Keystile, db: &Path, query: Query) -> Result<Page, String> {
    fn told(error: impl Display) -> String {
        error.to_string()
    }
    Ok(match query {
        Query::Keys(query) => Page::Keys(keystile.keys().list(&query).map_err(told)?),
        Query::Counts => Page::Counts(keystile.keys().counts().map_err(told)?),
        Query::Users(query) => Page::Users(keystile.users().list(&query).map_err(told)?),
        Query::Sessions(query) => Page::Sessions(keystile.sessions().list(&query).map_err(told)?),
        Query::SigningKeys => Page::SigningKeys(keystile.signing_keys().list().map_err(told)?),
        Query::Issuers => Page::Issuers(keystile.issuers().list().map_err(told)?),
        Query::Audit(query) => Page::Audit(keystile.recent_audit(&query).map_err(told)?),
        Query::Health => Page::Health(keystile.doctor(db).map_err(told)?.findings),
        Query::SecurityEvents(query) => Page::SecurityEvents(keystile.security_events(&query).map_err(told)?),
    })
}

/// Makes a change; what was done, for people.
fn apply(keystile: &Keystile, change: Change) -> Result<String, String> {
    fn of_user(done: &str, changed: Result<User, ChangeUserStateError>) -> Result<String, String> {
        let user = changed.map_err(|error| error.to_string())?;
        Ok(format!("{done} {}", printable(user.email.as_str())))
    }
    fn of_issuer(done: &str, changed: Result<ExternalIssuer, ChangeIssuerError>) -> Result<String, String> {
        let issuer = changed.map_err(|error| error.to_string())?;
        Ok(format!("{done} {}", printable(&issuer.name)))
    }
    let (keys, users, sessions, issuers) = (keystile.keys(), keystile.users(), keystile.sessions(), keystile.issuers());
    match change {
        Change::ResumeKey(id) => of_key("resumed", keys.resume(id)),
        Change::SuspendUser(id) => {
            let InForce { value, unreadable, .. } = users.suspend(id).map_err(|error| error.to_string())?;
            let name = value.user.map_or_else(|| id.to_string(), |user| printable(user.email.as_str()));
            Ok(with_keys("suspended", &name, value.keys_suspended.len()) + &damaged(&unreadable))
        }
        Change::ResumeUser(id) => {
            let ChangedUser { user, keys_resumed, .. } = users.resume(id).map_err(|error| error.to_string())?;
            Ok(with_keys("resumed", &printable(user.email.as_str()), keys_resumed.len()))
        }
        Change::UnlockUser(id) => of_user("unlocked", users.unlock(id)),
        // These answer with more than a text, and `call` makes them.
        Change::ResetPassword(_) | Change::SuspendKeys(_) | Change::RevokeKeys { .. } | Change::RefreshIssuer(_) => {
            Err("nothing was changed · report this".to_owned())
        }
        Change::EndSessions(user) => {
            let InForce { value, unreadable, .. } = sessions.end_all(user).map_err(|error| error.to_string())?;
            let sessions = if value == 1 { "session" } else { "sessions" };
            Ok(format!("ended {value} {sessions}{}", damaged(&unreadable)))
        }
        Change::EndSession(id) => {
            let ended = sessions.end(id).map_err(|error| error.to_string())?;
            Ok(format!("ended {id}{}", damaged(&ended.unreadable)))
        }
        Change::RotateSigningKey(rotation) => {
            let rotated = keystile.signing_keys().rotate(rotation).map_err(|error| error.to_string())?;
            let InForce { value: key, unreadable, .. } = rotated;
            let damaged = damaged(&unreadable);
            Ok(format!("made the signing key {} ({}){damaged}", printable(&key.kid), key.algorithm))
        }
        Change::EnableIssuer(name) => of_issuer("enabled", issuers.enable(&name)),
        Change::DisableIssuer(name) => {
            let disabled = issuers.disable(&name).map_err(|error| error.to_string())?;
            Ok(format!("disabled {}{}", printable(&name), damaged(&disabled.unreadable)))
        }
    }
}

/// What was done to a user, and to the keys that act for it.
fn with_keys(done: &str, user: &str, keys: usize) -> String {
    match keys {
        0 => format!("{done} {user}"),
        1 => format!("{done} {user}, and 1 key that acts for it"),
        keys => format!("{done} {user}, and {keys} keys that act for it"),
    }
}

/// What else is to be said of a change that is in force, though rows could not be read.
fn damaged(unreadable: &[UnreadableRow]) -> String {
    match unreadable {
        [] => String::new(),
        [row] => {
            format!(" · in force, but the row {} is damaged: look at the health of the store", printable(&row.row))
        }
        rows => format!(" · in force, but {} rows are damaged: look at the health of the store", rows.len()),
    }
}

/// What was done to a key, for people.
fn of_key(done: &str, changed: Result<Key, ChangeStateError>) -> Result<String, String> {
    let key = changed.map_err(|error| error.to_string())?;
    Ok(format!("{done} {} ({})", printable(&key.name), printable(key.display())))
}

/// One change to many keys, each for itself: what is refused does not keep the others from being changed.
fn each(
    done: &str,
    ids: &[KeyId],
    change: impl Fn(KeyId) -> Result<InForce<Option<Key>>, ChangeStateError>,
) -> Message {
    if let [id] = ids {
        let result = match change(*id) {
            Ok(InForce { value: Some(key), unreadable, .. }) => {
                of_key(done, Ok(key)).map(|done| done + &damaged(&unreadable))
            }
            Ok(InForce { value: None, unreadable, .. }) => Ok(format!("{done} {id}{}", damaged(&unreadable))),
            Err(error) => Err(error.to_string()),
        };
        let changed = if result.is_ok() { vec![*id] } else { Vec::new() };
        return Message::Done { result, changed };
    }
    let (mut changed, mut refused, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
    for id in ids {
        match change(*id) {
            Ok(contained) => {
                changed.push(*id);
                unreadable.extend(contained.unreadable);
            }
            Err(error) => refused.push((*id, error)),
        }
    }
    let count = |count: usize| format!("{count} {}", if count == 1 { "key" } else { "keys" });
    let result = match refused.first() {
        None => Ok(format!("{done} {}{}", count(changed.len()), damaged(&unreadable))),
        Some((id, error)) => {
            let (did, not) = (count(changed.len()), refused.len());
            Err(format!("{done} {did}, but not {not}, such as {id}: {error}"))
        }
    };
    Message::Done { result, changed }
}

/// Opens the store; one that this user can only read, for reading. Whether that was so.
fn open(settings: &Settings) -> Result<(Keystile, bool), OpenError> {
    match options(settings)?.read_only(settings.read_only).open(&settings.db) {
        Err(OpenError::Store(StoreError::ReadOnly | StoreError::Unreadable { .. })) if !settings.read_only => {
            Ok((options(settings)?.read_only(true).open(&settings.db)?, true))
        }
        opened => Ok((opened?, false)),
    }
}

fn options(settings: &Settings) -> Result<OpenOptions, KekError> {
    // Lists and changes need no records in memory.
    let options = Keystile::options().actor(settings.actor.as_str()).on_demand(true);
    options.key_encryption_key_at(&settings.kek)
}

/// Makes a store, and the key that seals its signing keys when there is none, as `keystile init` does.
/// The file of that key, when it was made.
fn make(settings: &Settings) -> Result<Option<PathBuf>, String> {
    let options = options(settings).map_err(|error| error.to_string())?;
    let made = options.bootstrap(&settings.db, NewStore::default()).map_err(|error| error.to_string())?;
    Ok(made.kek_file)
}

/// Writes a secret to a new file that only its owner can read.
fn write_secret(path: &Path, secret: &Secret) -> Result<(), String> {
    let shown = printable(&path.to_string_lossy());
    let mut options = FileOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            format!("{shown} already exists · nothing is overwritten: give another path")
        }
        _ => format!("{shown} cannot be made: {error} · give another path"),
    })?;
    let written = file.write_all(secret.expose_secret().as_bytes()).and_then(|()| file.sync_all());
    written.map_err(|error| {
        // Half a secret is of no use to anybody.
        let _ = std::fs::remove_file(path);
        format!("{shown} cannot be written: {error} · free some space, or give another path")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_written_once_and_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.secret");
        let secret = Secret::from("ks_live_abc".to_owned());
        write_secret(&path, &secret).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "ks_live_abc");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let problem = write_secret(&path, &secret).unwrap_err();
        assert!(problem.contains("already exists ·") && !problem.contains("ks_live"), "{problem}");
        assert!(write_secret(&folder.path().join("no/such"), &secret).unwrap_err().contains(" · "));
    }

    #[test]
    fn a_first_start_makes_a_key_only_where_a_store_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let settings = |db: PathBuf, kek: &str| Settings {
            kek: KekPlace::new(Some(folder.path().join(kek)), None, &db),
            db,
            actor: "tui:test".to_owned(),
            read_only: false,
        };
        let first = settings(folder.path().join("first.db"), "first.kek");
        assert_eq!(make(&first).unwrap(), Some(folder.path().join("first.kek")));
        open(&first).unwrap();
        // Somebody else was faster: their store stays, and so does the key that seals it.
        assert!(make(&first).unwrap_err().contains(" · "));
        open(&first).unwrap();
        make(&settings(folder.path().join("no/such.db"), "alone.kek")).unwrap_err();
        assert!(!folder.path().join("alone.kek").exists());
    }
}
