//! Logins, on a real store.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use keystile_validator::{Code, Scope, Timestamp};

use super::attempts::{LOCK_ACCOUNT_AFTER, LOCK_ADDRESS_AFTER, LOCK_SECONDS};
use super::*;
use crate::{
    AuditQuery, ChangePasswordError, CreatedKey, EndReason, KeyEncryptionKey, Keystile, ManualClock, NewKey, NewStore,
    NewUser, PasswordChange, RevokeReason, SessionQuery, SessionStatus, User, UserChange,
};

pub(crate) const EMAIL: &str = "ada@example.com";
pub(crate) const PASSWORD: &str = "correct horse battery staple";
pub(crate) const START: u64 = 1_700_000_000;

/// A store with a user, and a clock that stands still.
pub(crate) struct World {
    pub(crate) keystile: Keystile,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) user: User,
    pub(crate) path: PathBuf,
    _folder: tempfile::TempDir,
}

pub(crate) fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keystile.db");
    let clock = Arc::new(ManualClock::at(at(0)));
    let kek = path.with_file_name("kek");
    KeyEncryptionKey::generate().unwrap().write_new(&kek).unwrap();
    let options = || {
        let options = Keystile::options().clock(Arc::clone(&clock)).on_demand(true).actor("tests");
        options.key_encryption_key_file(&kek)
    };
    options().create(&path, NewStore::default()).unwrap();
    let keystile = options().open(&path).unwrap();
    let new = NewUser { password: Some(password(PASSWORD)), ..NewUser::new(EMAIL.parse().unwrap()) };
    let user = keystile.users().create(new).unwrap();
    World { keystile, clock, user, path, _folder: folder }
}

pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix(START + seconds).unwrap()
}

pub(crate) fn password(text: &str) -> Password {
    Password::new(text.to_owned()).unwrap()
}

fn from(address: &str) -> Client {
    Client { address: Some(address.parse::<IpAddr>().unwrap()), ..Client::default() }
}

impl World {
    pub(crate) fn clock_now(&self) -> Timestamp {
        crate::Clock::now(&*self.clock)
    }

    pub(crate) fn login(&self) -> LoggedIn {
        self.try_login(EMAIL, PASSWORD, Client::default()).unwrap()
    }

    fn try_login(&self, email: &str, with: &str, client: Client) -> Result<LoggedIn, LoginError> {
        self.keystile.login(&Login { email, password: &password(with), client })
    }

    /// What became of a login, in a word.
    fn outcome(&self, email: &str, with: &str, client: Client) -> String {
        match self.try_login(email, with, client) {
            Ok(_) => "ok".to_owned(),
            Err(LoginError::InvalidCredentials) => "invalid".to_owned(),
            Err(LoginError::TooManyAttempts { retry_after, .. }) => format!("wait {retry_after}"),
            Err(error) => panic!("{error}"),
        }
    }

    fn reopen(&self) -> Keystile {
        self.open_at(&self.path)
    }

    /// Another store in the same folder, under the same key-encryption key.
    pub(crate) fn open_at(&self, path: &std::path::Path) -> Keystile {
        let kek = self.path.with_file_name("kek");
        let options = Keystile::options().clock(Arc::clone(&self.clock)).on_demand(true);
        options.key_encryption_key_file(kek).open(path).unwrap()
    }

    /// A store that seals nothing, or of which nothing sealed is used.
    pub(crate) fn open_without_key(&self, path: &std::path::Path) -> Keystile {
        Keystile::options().clock(Arc::clone(&self.clock)).on_demand(true).open(path).unwrap()
    }

    /// The same store, by a handle that holds it in memory and follows it.
    pub(crate) fn follow(&self) -> Keystile {
        let kek = self.path.with_file_name("kek");
        let options = Keystile::options().clock(Arc::clone(&self.clock)).key_encryption_key_file(kek);
        options.open(&self.path).unwrap()
    }

    pub(crate) fn audited(&self, action: &str) -> Vec<String> {
        let entries = self.keystile.audit(None, 0, 10_000).unwrap();
        entries.into_iter().filter(|entry| entry.action == action).map(|entry| entry.detail).collect()
    }
}

#[test]
fn a_login_gives_tokens_and_a_session() {
    let world = world();
    let client = Client {
        id: Some("web".to_owned()),
        description: Some(" Firefox\u{1b}[31m 140\n".to_owned()),
        address: Some("::ffff:192.0.2.7".parse().unwrap()),
        scopes: vec![Scope::new("read").unwrap()],
        environment: Some("test_dev".parse().unwrap()),
    };
    let given = world.try_login(" ADA@Example.com ", PASSWORD, client).unwrap();
    assert_eq!(given.user_id, world.user.id);
    assert!(given.refresh_token.expose_secret().starts_with("ksr_") && given.expires_in > 0);
    assert_eq!(given.session_expires_at, at(7 * 86_400));
    let session = world.keystile.sessions().show(given.session_id).unwrap();
    assert_eq!((session.client_id.as_deref(), session.client.as_deref()), (Some("web"), Some("Firefox[31m 140")));
    assert_eq!(session.environment.as_ref().map(|environment| environment.as_str()), Some("test_dev"));
    assert_eq!(session.address, Some("192.0.2.7".parse().unwrap()));
    assert_eq!(session.status(at(0)), SessionStatus::Active);
    assert_eq!(world.keystile.users().show(world.user.id).unwrap().last_login_at, Some(at(0)));
    let shown = format!("{given:?} {session:?}");
    assert!(!shown.contains("ksr_") && !shown.contains(given.access_token.expose_secret()), "{shown}");
}

/// Not measured by a clock: what takes the time is the hash, and each of them is one.
#[test]
fn whatever_is_wrong_costs_the_same_and_answers_the_same() {
    let world = world();
    let bare = world.keystile.users().create(NewUser::new("bare@example.com".parse().unwrap())).unwrap();
    let new = NewUser { password: Some(password(PASSWORD)), ..NewUser::new("off@example.com".parse().unwrap()) };
    let off = world.keystile.users().create(new).unwrap();
    world.keystile.users().suspend(off.id).unwrap();
    let gone = world.keystile.users().create(NewUser::new("gone@example.com".parse().unwrap())).unwrap();
    world.keystile.users().delete(gone.id).unwrap();
    let mut messages = Vec::new();
    for (email, with) in [
        (EMAIL, "wrong password"),
        (EMAIL, ""),
        ("nobody@example.com", PASSWORD),
        ("gone@example.com", PASSWORD),
        ("not an address", PASSWORD),
        ("", PASSWORD),
        (bare.email.as_str(), PASSWORD),
        (off.email.as_str(), PASSWORD),
        (off.email.as_str(), "wrong password"),
    ] {
        let before = world.keystile.passwords_hashed();
        let refused = world.try_login(email, with, from("192.0.2.1")).unwrap_err();
        assert!(matches!(refused, LoginError::InvalidCredentials), "{email}: {refused}");
        assert_eq!(world.keystile.passwords_hashed() - before, 1, "{email}");
        messages.push(refused.to_string());
    }
    messages.dedup();
    assert_eq!(messages.len(), 1);
    let before = world.keystile.passwords_hashed();
    world.login();
    assert_eq!(world.keystile.passwords_hashed() - before, 1, "nor does a right one cost more");
}

#[test]
fn wrong_passwords_slow_down_then_lock_and_the_lock_ends() {
    let world = world();
    let wrong = || world.outcome(EMAIL, "wrong password", Client::default());
    for _ in 0..5 {
        assert_eq!(wrong(), "invalid");
    }
    for pause in [1, 2, 4, 8, 16] {
        assert_eq!(wrong(), format!("wait {pause}"));
        let hashed = world.keystile.passwords_hashed();
        assert_eq!(world.outcome(EMAIL, PASSWORD, Client::default()), format!("wait {pause}"), "the right one too");
        assert_eq!(world.keystile.passwords_hashed(), hashed, "and nothing was hashed");
        world.clock.advance(pause);
        assert_eq!(wrong(), "invalid");
    }
    assert_eq!(wrong(), format!("wait {LOCK_SECONDS}"));
    let users = world.keystile.users();
    assert_eq!(users.locked_until(world.user.id).unwrap(), Some(at(31 + LOCK_SECONDS)));
    world.clock.advance(LOCK_SECONDS - 1);
    assert_eq!(world.outcome(EMAIL, PASSWORD, Client::default()), "wait 1");
    world.clock.advance(1);
    assert_eq!(users.locked_until(world.user.id).unwrap(), None);
    assert_eq!(world.outcome(EMAIL, PASSWORD, Client::default()), "ok");
    // A success has taken all of it back.
    for _ in 0..5 {
        assert_eq!(wrong(), "invalid");
    }
    let told = world.audited("login.locked");
    assert_eq!(told.len(), 1);
    assert!(told[0].contains(&format!("\"attempts\":{LOCK_ACCOUNT_AFTER}")), "{told:?}");
}

/// Whoever tries finds no difference between an account that there is and one that there is not.
#[test]
fn unknown_accounts_are_counted_as_known_ones_are() {
    let script = |email: &str| {
        let world = world();
        let mut outcomes = Vec::new();
        for step in 0..40 {
            outcomes.push(world.outcome(email, "wrong password", from("192.0.2.1")));
            world.clock.advance(step % 7);
        }
        (outcomes, world.keystile.passwords_hashed())
    };
    let known = script(EMAIL);
    assert_eq!(known, script("nobody@example.com"));
    assert_eq!(known, script("not an address"));
    assert!(known.0.iter().any(|outcome| outcome.starts_with("wait")), "{known:?}");
}

#[test]
fn an_operator_unlocks() {
    let world = world();
    for _ in 0..LOCK_ACCOUNT_AFTER {
        world.clock.advance(40);
        assert_eq!(world.outcome(EMAIL, "wrong password", Client::default()), "invalid");
    }
    assert!(world.outcome(EMAIL, PASSWORD, Client::default()).starts_with("wait"));
    world.keystile.users().unlock(world.user.id).unwrap();
    assert_eq!(world.outcome(EMAIL, PASSWORD, Client::default()), "ok");
    assert_eq!(world.audited("user.unlocked"), [r#"{"was_locked":true}"#]);
}

/// The store is the truth: another turnstile on it counts on.
#[test]
fn neither_a_restart_nor_another_process_forgets_a_lock() {
    let world = world();
    let other = world.reopen();
    for turn in 0..LOCK_ACCOUNT_AFTER {
        world.clock.advance(40);
        let here = if turn % 2 == 0 { &world.keystile } else { &other };
        let login = Login { email: EMAIL, password: &password("wrong password"), client: Client::default() };
        assert!(matches!(here.login(&login), Err(LoginError::InvalidCredentials)));
    }
    let login = Login { email: EMAIL, password: &password(PASSWORD), client: Client::default() };
    for keystile in [&world.keystile, &other, &world.reopen()] {
        let refused = keystile.login(&login).unwrap_err();
        assert!(matches!(refused, LoginError::TooManyAttempts { retry_after: LOCK_SECONDS, .. }), "{refused:?}");
    }
}

#[test]
fn a_stranger_locks_no_known_device_out() {
    let world = world();
    assert_eq!(world.outcome(EMAIL, PASSWORD, from("192.0.2.1")), "ok");
    for _ in 0..LOCK_ACCOUNT_AFTER {
        world.clock.advance(40);
        assert_eq!(world.outcome(EMAIL, "wrong password", from("198.51.100.9")), "invalid");
    }
    assert_eq!(world.outcome(EMAIL, PASSWORD, from("198.51.100.9")), format!("wait {LOCK_SECONDS}"));
    assert_eq!(world.outcome(EMAIL, PASSWORD, Client::default()), format!("wait {LOCK_SECONDS}"));
    assert_eq!(world.outcome(EMAIL, PASSWORD, from("192.0.2.1")), "ok", "the known device");
    assert!(world.keystile.users().locked_until(world.user.id).unwrap().is_some(), "and nobody else");
    // The device has a limit of its own, and is told that it is known.
    for _ in 0..LOCK_ACCOUNT_AFTER {
        world.clock.advance(40);
        assert_eq!(world.outcome(EMAIL, "wrong password", from("192.0.2.1")), "invalid");
    }
    let refused = world.try_login(EMAIL, PASSWORD, from("192.0.2.1")).unwrap_err();
    assert!(matches!(refused, LoginError::TooManyAttempts { known_device: true, .. }), "{refused:?}");
    // An unlock is for the devices too.
    world.keystile.users().unlock(world.user.id).unwrap();
    assert_eq!(world.outcome(EMAIL, PASSWORD, from("192.0.2.1")), "ok");
    // A device that nobody has used for a month is none.
    world.clock.advance(31 * 86_400);
    for _ in 0..5 {
        assert_eq!(world.outcome(EMAIL, "wrong password", from("198.51.100.9")), "invalid");
    }
    assert_eq!(world.outcome(EMAIL, PASSWORD, from("192.0.2.1")), "wait 1");
}

#[test]
fn one_address_that_tries_many_accounts_is_locked() {
    let world = world();
    let mut tried = 0;
    while tried < LOCK_ADDRESS_AFTER {
        world.clock.advance(40);
        assert_eq!(world.outcome(&format!("a{tried}@example.com"), "x", from("2001:db8::1")), "invalid");
        tried += 1;
    }
    // The whole network of one customer.
    let refused = world.outcome(EMAIL, PASSWORD, from("2001:db8::ffff"));
    assert_eq!(refused, format!("wait {LOCK_SECONDS}"));
    assert_eq!(world.outcome(EMAIL, PASSWORD, from("2001:db8:0:1::1")), "ok", "from elsewhere");
    let told = world.audited("login.locked");
    assert!(told.len() == 1 && told[0].contains("\"what\":\"address\""), "{told:?}");
}

#[test]
fn right_passwords_do_not_lock_their_address() {
    let world = world();
    for _ in 0..(LOCK_ADDRESS_AFTER + 5) {
        assert_eq!(world.outcome(EMAIL, PASSWORD, from("192.0.2.1")), "ok");
    }
}

#[test]
fn a_clock_that_goes_back_locks_nobody_for_good() {
    let world = world();
    world.clock.set(at(10 * 365 * 86_400));
    for _ in 0..LOCK_ACCOUNT_AFTER {
        world.clock.advance(40);
        assert_eq!(world.outcome(EMAIL, "wrong password", Client::default()), "invalid");
    }
    world.clock.set(at(0));
    assert_eq!(world.outcome(EMAIL, PASSWORD, Client::default()), format!("wait {LOCK_SECONDS}"));
    // One attempt after the other, and yet the lock ends.
    for left in [800, 500, 200, 1] {
        world.clock.set(at(LOCK_SECONDS - left));
        assert_eq!(world.outcome(EMAIL, PASSWORD, Client::default()), format!("wait {left}"));
    }
    world.clock.set(at(LOCK_SECONDS));
    assert_eq!(world.outcome(EMAIL, PASSWORD, Client::default()), "ok");
}

/// Real threads, and a process of its own, so that what it takes of memory is what this takes. The clock
/// stands still: however long it takes, no pause ends meanwhile.
#[test]
fn a_thousand_wrong_passwords_at_once_are_a_handful_of_hashes() {
    const ALONE: &str = "KEYSTILE_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let name = "login::tests::a_thousand_wrong_passwords_at_once_are_a_handful_of_hashes";
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        let output = command.args([name, "--exact", "--nocapture"]).env(ALONE, "1").output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.contains("1 passed"), "{told}");
        return;
    }
    let world = world();
    let before = world.keystile.passwords_hashed();
    let [invalid, waiting, busy] = [(); 3].map(|()| AtomicU64::new(0));
    thread::scope(|scope| {
        for number in 0..1_000_u32 {
            let (world, invalid, waiting, busy) = (&world, &invalid, &waiting, &busy);
            let guess = move || {
                let client = from(&format!("10.0.{}.{}", number / 250, number % 250));
                let count = match world.try_login(EMAIL, &format!("guess {number}"), client) {
                    Err(LoginError::InvalidCredentials) => invalid,
                    Err(LoginError::TooManyAttempts { .. }) => waiting,
                    Err(LoginError::Busy) => busy,
                    other => panic!("{other:?}"),
                };
                count.fetch_add(1, Ordering::Relaxed);
            };
            thread::Builder::new().stack_size(256 * 1024).spawn_scoped(scope, guess).unwrap();
        }
    });
    let [invalid, waiting, busy] = [invalid, waiting, busy].map(AtomicU64::into_inner);
    assert_eq!(invalid + waiting + busy, 1_000);
    // Four are free, and the fifth brings the first pause.
    assert_eq!((invalid, world.keystile.passwords_hashed() - before), (5, 5), "{waiting} waiting, {busy} busy");
    // As many different accounts as there are places, and more: their hashes wait for each other.
    let answered = AtomicU64::new(0);
    thread::scope(|scope| {
        for number in 0..100_u32 {
            let (world, answered) = (&world, &answered);
            let guess = move || {
                let refused = world.try_login(&format!("a{number}@example.com"), "guess", Client::default());
                assert!(matches!(refused, Err(LoginError::InvalidCredentials | LoginError::Busy)), "{refused:?}");
                answered
                    .fetch_add(u64::from(matches!(refused, Err(LoginError::InvalidCredentials))), Ordering::Relaxed);
            };
            thread::Builder::new().stack_size(256 * 1024).spawn_scoped(scope, guess).unwrap();
        }
    });
    assert_eq!(world.keystile.passwords_hashed() - before - 5, answered.into_inner(), "who is busy hashes nothing");
    #[cfg(target_os = "linux")]
    {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(peak < 300_000, "{peak} kB");
    }
}

#[test]
fn a_hash_of_an_older_cost_is_made_anew_at_a_login() {
    let world = world();
    let stored = || {
        let view = world.keystile.inner.store().read().unwrap();
        live_user_in(&*view, world.user.id).unwrap().unwrap().1.unwrap().0
    };
    let old = crate::password::older_hash(PASSWORD);
    let mut transaction = world.keystile.inner.store().write().unwrap();
    transaction.set_password(world.user.id, Some(&PasswordHash(old.clone())), at(0)).unwrap();
    transaction.commit().unwrap();
    assert_eq!(world.outcome(EMAIL, "wrong password", Client::default()), "invalid");
    assert_eq!(stored(), old);
    world.login();
    assert!(stored().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    world.login();
}

#[test]
fn a_password_is_changed_only_with_the_old_one() {
    let world = world();
    let [kept, other] = [world.login(), world.login()];
    let change = |old: &str, new: &str| {
        let change =
            PasswordChange { old: password(old), new: password(new), keep: Some(kept.session_id), address: None };
        world.keystile.users().change_password(world.user.id, change)
    };
    let new = "another horse, another battery";
    assert!(matches!(change("wrong password", new), Err(ChangePasswordError::WrongPassword)));
    let hashed = world.keystile.passwords_hashed();
    assert!(matches!(change(PASSWORD, "short"), Err(ChangePasswordError::Password(_))));
    assert!(matches!(change(PASSWORD, "Password1"), Err(ChangePasswordError::Password(_))));
    assert_eq!(world.keystile.passwords_hashed(), hashed);
    world.clock.advance(3);
    assert_eq!(change(PASSWORD, new).unwrap().password_set_at, Some(at(3)));
    let end = |id| world.keystile.sessions().show(id).unwrap().end.map(|end| end.reason);
    assert_eq!((end(kept.session_id), end(other.session_id)), (None, Some(EndReason::Password)));
    assert_eq!(world.outcome(EMAIL, PASSWORD, Client::default()), "invalid");
    assert_eq!(world.outcome(EMAIL, new, Client::default()), "ok");
    assert_eq!(world.audited("user.password_changed"), [r#"{"sessions_ended":1}"#]);
    // Another door to the same house: guesses here count as guesses there do.
    for _ in 0..5 {
        assert!(matches!(change("wrong password", PASSWORD), Err(ChangePasswordError::WrongPassword)));
    }
    assert!(matches!(change(new, PASSWORD), Err(ChangePasswordError::TooManyAttempts { retry_after: 1 })));
    assert_eq!(world.outcome(EMAIL, new, Client::default()), "wait 1");
}

#[test]
fn a_key_that_acts_for_a_user_begins_a_session_of_that_user() {
    let world = world();
    let keystile = &world.keystile;
    let key = |owner: Option<&str>| {
        let scopes = vec![Scope::new("read").unwrap()];
        let new = NewKey { name: "k".into(), owner: owner.map(str::to_owned), scopes, ..NewKey::default() };
        keystile.keys().create(new).unwrap()
    };
    let good = key(Some("Ada@Example.com"));
    let client = Client { scopes: vec![Scope::new("admin").unwrap()], ..Client::default() };
    let given = keystile.login_with_key(good.secret.expose_secret(), client).unwrap();
    let session = keystile.sessions().show(given.session_id).unwrap();
    assert_eq!((session.user, session.key), (world.user.id, Some(good.key.id)));
    assert_eq!(session.scopes, [Scope::new("read").unwrap()], "those of the key, whatever was asked for");
    for bad in [key(None), key(Some("org_acme")), key(Some("nobody@example.com"))] {
        let refused = keystile.login_with_key(bad.secret.expose_secret(), Client::default());
        assert!(matches!(refused, Err(LoginError::InvalidCredentials)), "{refused:?}");
    }
    let next = keystile.refresh(given.refresh_token.expose_secret(), &Refresh::default()).unwrap();
    let code = |token: &crate::Secret| keystile.verify(token.expose_secret(), &keystile.request()).code();
    // What a session stands on, it falls with, and its access tokens at once.
    let paused = key(Some(EMAIL));
    let begun = keystile.login_with_key(paused.secret.expose_secret(), Client::default()).unwrap();
    assert_eq!((code(&begun.access_token), code(&next.access_token)), (None, None));
    keystile.keys().suspend(paused.key.id).unwrap();
    assert_eq!((code(&begun.access_token), code(&next.access_token)), (Some(Code::Revoked), None));
    keystile.keys().revoke(good.key.id, RevokeReason::Unspecified, None).unwrap();
    assert_eq!(code(&next.access_token), Some(Code::Revoked));
    // Nor does a token outlive the key.
    let end = world.clock_now().saturating_add(60);
    let short = NewKey { name: "short".into(), owner: Some(EMAIL.into()), expires_at: Some(end), ..NewKey::default() };
    let short = keystile.keys().create(short).unwrap();
    assert_eq!(keystile.login_with_key(short.secret.expose_secret(), Client::default()).unwrap().expires_in, 60);
    // What a key is limited to, no token could be.
    for limited in [
        NewKey { addresses: vec!["10.0.0.0/8".parse().unwrap()], ..NewKey::default() },
        NewKey { rate: Some(keystile_validator::Rate::new(10, 60).unwrap()), ..NewKey::default() },
    ] {
        let limited = NewKey { name: "limited".into(), owner: Some(EMAIL.into()), ..limited };
        let limited = keystile.keys().create(limited).unwrap();
        assert!(matches!(
            keystile.login_with_key(limited.secret.expose_secret(), Client::default()),
            Err(LoginError::LimitedKey)
        ));
    }
    assert!(matches!(
        keystile.login_with_key(good.secret.expose_secret(), Client::default()),
        Err(LoginError::InvalidCredentials)
    ));
    let refused = keystile.refresh(next.refresh_token.expose_secret(), &Refresh::default());
    assert!(matches!(refused, Err(RefreshError::Ended)), "{refused:?}");
    let end = keystile.sessions().show(given.session_id).unwrap().end.unwrap();
    assert_eq!(end.reason, EndReason::Key);
    let other = key(Some(EMAIL));
    keystile.users().suspend(world.user.id).unwrap();
    assert!(matches!(
        keystile.login_with_key(other.secret.expose_secret(), Client::default()),
        Err(LoginError::InvalidCredentials)
    ));
}

/// An address may have another user tomorrow, and a key that acts for it must not go over to that one.
#[test]
fn a_key_does_not_log_in_to_the_next_user_of_an_address() {
    let world = world();
    let keystile = &world.keystile;
    let key = |owner: &str| {
        let new = NewKey { name: "k".into(), owner: Some(owner.to_owned()), ..NewKey::default() };
        keystile.keys().create(new).unwrap()
    };
    let make = |email: &str| keystile.users().create(NewUser::new(email.parse().unwrap())).unwrap();
    let rename = |id, email: &str| {
        let change = UserChange { email: Some(email.parse().unwrap()), ..UserChange::default() };
        keystile.users().update(id, change).unwrap()
    };
    let status = |key: &CreatedKey| keystile.keys().show(key.key.id).unwrap().status(world.clock_now());
    let [of_ada, shouted, of_bob, of_nobody] = ["ada@example.com", "ADA@Example.com", "bob@x.org", "Ada"].map(key);
    let revoked = key(EMAIL);
    keystile.keys().revoke(revoked.key.id, RevokeReason::Unspecified, None).unwrap();
    let begun = keystile.login_with_key(of_ada.secret.expose_secret(), Client::default()).unwrap();
    // What is no new address changes nothing.
    assert_eq!(rename(world.user.id, EMAIL).keys_suspended, []);
    assert_eq!(rename(world.user.id, "ada@lovelace.org").keys_suspended, [of_ada.key.id, shouted.key.id]);
    make(EMAIL);
    let bob = make("bob@x.org");
    assert!(keystile.login_with_key(of_bob.secret.expose_secret(), Client::default()).is_ok());
    let deleted = keystile.users().delete(bob.id).unwrap().value;
    assert_eq!((deleted.user.unwrap().id, deleted.keys_suspended), (bob.id, vec![of_bob.key.id]));
    make("bob@x.org");
    for key in [&of_ada, &shouted, &of_bob] {
        assert_eq!(status(key), KeyStatus::Suspended);
        let refused = keystile.login_with_key(key.secret.expose_secret(), Client::default());
        assert!(matches!(refused, Err(LoginError::InvalidCredentials)), "{refused:?}");
        let newest = AuditQuery { subject: Some(key.key.id.to_string()), limit: 1, ..AuditQuery::default() };
        assert_eq!(keystile.recent_audit(&newest).unwrap().entries[0].action, "key.suspended");
    }
    assert_eq!((status(&of_nobody), status(&revoked)), (KeyStatus::Active, KeyStatus::Revoked));
    let end = keystile.sessions().show(begun.session_id).unwrap().end.unwrap();
    assert_eq!(end.reason, EndReason::Key, "the session that was begun with it, too");
}

/// Live and test stand in for each other nowhere: a key's environment goes with its session and every token.
#[test]
fn a_session_and_its_tokens_belong_to_one_environment() {
    let world = world();
    let keystile = &world.keystile;
    let environment = |name: &str| -> Option<keystile_validator::Environment> { Some(name.parse().unwrap()) };
    let codes = |token: &crate::Secret| {
        [None, environment("live"), environment("test")].map(|environment| {
            let request = keystile_validator::Request { environment, ..keystile.request() };
            keystile.verify(token.expose_secret(), &request).code()
        })
    };
    let wrong = Some(Code::WrongEnvironment);
    let new =
        NewKey { name: "k".into(), owner: Some(EMAIL.into()), environment: environment("test"), ..NewKey::default() };
    let key = keystile.keys().create(new).unwrap();
    let login =
        |environment| keystile.login_with_key(key.secret.expose_secret(), Client { environment, ..Client::default() });
    let refused = login(environment("live"));
    assert!(matches!(refused, Err(LoginError::WrongEnvironment)), "{refused:?}");
    for asked in [None, environment("test")] {
        let given = login(asked).unwrap();
        assert_eq!(codes(&given.access_token), [None, wrong, None]);
        let next = keystile.refresh(given.refresh_token.expose_secret(), &Refresh::default()).unwrap();
        assert_eq!(codes(&next.access_token), [None, wrong, None]);
        assert_eq!(keystile.sessions().show(given.session_id).unwrap().environment, environment("test"));
    }
    // By password it is the one that was asked for at login, if any.
    for (asked, expected) in [
        (None, [None, wrong, wrong]),
        (environment("live"), [None, None, wrong]),
        (environment("test"), [None, wrong, None]),
    ] {
        let given = world.try_login(EMAIL, PASSWORD, Client { environment: asked, ..Client::default() }).unwrap();
        assert_eq!(codes(&given.access_token), expected);
        let next = keystile.refresh(given.refresh_token.expose_secret(), &Refresh::default()).unwrap();
        assert_eq!(codes(&next.access_token), expected);
    }
    // So it is with a token that an operator has made.
    for (environment, expected) in [(None, [None, wrong, wrong]), (environment("live"), [None, None, wrong])] {
        let new = crate::NewToken { user: EMAIL.into(), environment, ..crate::NewToken::default() };
        assert_eq!(codes(&keystile.tokens().issue(new).unwrap().token), expected);
    }
}

#[test]
fn what_a_client_says_has_bounds() {
    let world = world();
    let client = |client: Client| world.try_login(EMAIL, PASSWORD, client);
    for id in ["", "a b", "é", &"x".repeat(MAX_CLIENT_ID_LEN + 1)] {
        let refused = client(Client { id: Some(id.to_owned()), ..Client::default() });
        assert!(matches!(refused, Err(LoginError::ClientId)), "{id}");
    }
    assert!(client(Client { id: Some("x".repeat(MAX_CLIENT_ID_LEN)), ..Client::default() }).is_ok());
    let scopes = vec![Scope::new("read").unwrap(); MAX_SESSION_SCOPES + 1];
    assert!(matches!(client(Client { scopes, ..Client::default() }), Err(LoginError::Scopes { .. })));
    let description = Some("é".repeat(10_000));
    let long = client(Client { description, ..Client::default() }).unwrap();
    let kept = world.keystile.sessions().show(long.session_id).unwrap().client.unwrap();
    assert_eq!(kept.len(), MAX_CLIENT_LEN);
    let empty = client(Client { description: Some("\u{7}\n".to_owned()), ..Client::default() }).unwrap();
    assert_eq!(world.keystile.sessions().show(empty.session_id).unwrap().client, None);
}

#[test]
fn a_user_has_so_many_sessions_and_no_more() {
    let world = world();
    let first = world.login();
    for _ in 0..crate::bounds::MAX_SESSIONS {
        world.clock.advance(1);
        world.login();
    }
    let end = world.keystile.sessions().show(first.session_id).unwrap().end.unwrap();
    assert_eq!(end.reason, EndReason::TooMany);
    let page = world.keystile.sessions().list(&SessionQuery { limit: 1_000, ..SessionQuery::default() }).unwrap();
    assert_eq!(page.sessions.len(), crate::bounds::MAX_SESSIONS);
}

/// Every kind of secret that passes through here, looked for in all that is kept of what was done.
#[test]
fn the_audit_trail_holds_no_secret_and_no_unknown_account() {
    let world = world();
    let given = world.login();
    let next = world.keystile.refresh(given.refresh_token.expose_secret(), &Refresh::default()).unwrap();
    for _ in 0..LOCK_ACCOUNT_AFTER {
        world.clock.advance(40);
        world.outcome("someone-else@example.com", "their password", from("192.0.2.1"));
        world.outcome(EMAIL, "not my password", from("192.0.2.2"));
    }
    let (_, drawn) = world.keystile.users().generate_password(world.user.id).unwrap();
    world.keystile.logout(next.refresh_token.expose_secret()).unwrap();
    let trail: String = world
        .keystile
        .audit(None, 0, 10_000)
        .unwrap()
        .iter()
        .map(|entry| format!("{} {:?} {}\n", entry.action, entry.subject, entry.detail))
        .collect();
    for secret in [
        PASSWORD,
        "their password",
        "not my password",
        "someone-else",
        "ksr_",
        "argon2",
        drawn.expose_secret(),
        given.refresh_token.expose_secret(),
        given.access_token.expose_secret(),
        next.access_token.expose_secret(),
    ] {
        assert!(!trail.contains(secret), "{secret} is in the trail:\n{trail}");
    }
    let locked = world.audited("login.locked");
    assert!(locked.len() == 2 && locked[0].contains("unknown account"), "{locked:?}");
    assert!(trail.contains("session.ended") && trail.contains("user.password_reset"));
}

/// A refresh token is no credential of a call, and no other credential is a refresh token.
#[test]
fn no_token_is_taken_for_another() {
    let world = world();
    let keystile = &world.keystile;
    let given = world.login();
    let key = keystile.keys().create(NewKey { name: "k".into(), ..NewKey::default() }).unwrap();
    let refresh = given.refresh_token.expose_secret();
    let code = keystile.verify(refresh, &keystile.request()).code();
    assert!(matches!(code, Some(Code::Malformed | Code::UnknownKey)), "{code:?}");
    for other in [key.secret.expose_secret(), given.access_token.expose_secret(), "", "ksr_", PASSWORD] {
        assert!(matches!(keystile.refresh(other, &Refresh::default()), Err(RefreshError::Invalid)));
        assert!(matches!(keystile.logout(other), Err(LogoutError::Invalid)));
    }
    assert_eq!(world.outcome(EMAIL, &refresh[..79], Client::default()), "invalid");
}

#[test]
fn messages_say_what_happened_and_what_to_do() {
    let errors = [
        LoginError::InvalidCredentials,
        LoginError::TooManyAttempts { retry_after: 1, known_device: false },
        LoginError::Busy,
        LoginError::ClientId,
        LoginError::Scopes { given: 65 },
        LoginError::LimitedKey,
        LoginError::Password(crate::PasswordError::Memory),
        LoginError::Password(crate::PasswordError::Common),
    ];
    let messages = errors.map(|error| error.to_string());
    assert!(messages.iter().all(|message| message.split(" · ").count() == 2), "{messages:#?}");
}
