//! A clock that is behind, and one that was ahead: what was over stays over.

mod forgetting;
mod restored;

use std::path::Path;

use keystile_validator::{Code, Rate};

use super::*;
use crate::login::tests::{World, at, world};
use crate::{
    AuditReport, Client, CreatedKey, EndReason, Grace, KeyChange, Keystile, NewKey, Refresh, RefreshError, Rotation,
    Secret, SessionStatus,
};

const HOUR: u64 = 3_600;
const YEARS: u64 = 10 * 365 * 86_400;

impl World {
    fn create(&self, new: NewKey) -> CreatedKey {
        self.keystile.keys().create(NewKey { name: "k".into(), ..new }).unwrap()
    }

    fn rotate(&self, key: &CreatedKey, grace: Grace) -> Secret {
        self.keystile.keys().rotate(key.key.id, Rotation { grace, ..Rotation::default() }).unwrap().secret.unwrap()
    }

    fn read_only(&self) -> Keystile {
        let options = Keystile::options().clock(std::sync::Arc::clone(&self.clock)).on_demand(true).read_only(true);
        options.open(&self.path).unwrap()
    }

    /// New handles of every kind, as after a restart of all processes.
    fn handles(&self) -> [(&'static str, Keystile); 3] {
        [("on demand", self.open_at(&self.path)), ("following", self.follow()), ("read-only", self.read_only())]
    }

    /// What every handle that is opened now says of a credential.
    fn code(&self, credential: &Secret) -> Option<Code> {
        let credential = credential.expose_secret();
        let codes = self.handles().map(|(name, keystile)| {
            let code = keystile.verify(credential, &keystile.request()).code();
            assert_eq!(keystile.preview(credential, &keystile.request()).code(), code, "{name}, as a preview");
            assert_eq!(keystile.verify_batch(&[credential, credential], &keystile.request())[1].code(), code, "{name}");
            (name, code)
        });
        assert!(codes.iter().all(|(_, code)| *code == codes[0].1), "{codes:?}");
        codes[0].1
    }

    fn is_intact(&self) -> bool {
        matches!(self.keystile.verify_audit(None).unwrap(), AuditReport::Intact { .. })
    }
}

fn code(keystile: &Keystile, credential: &Secret) -> Option<Code> {
    keystile.verify(credential.expose_secret(), &keystile.request()).code()
}

#[test]
fn a_secret_that_was_ended_stays_refused_with_a_slow_clock() {
    let world = world();
    let key = world.create(NewKey::default());
    let resident = world.follow();
    world.clock.set(at(HOUR));
    let next = world.rotate(&key, Grace::NONE);
    world.clock.set(at(0));
    assert_eq!(world.code(&key.secret), Some(Code::Rotated));
    assert_eq!(code(&world.keystile, &key.secret), Some(Code::Rotated));
    assert_eq!(world.code(&next), None);
    let ended = world.keystile.keys().show(key.key.id).unwrap();
    assert_eq!(ended.secrets[0].ended_at, Some(at(HOUR)));
    assert!(ended.secrets[0].has_ended(at(0)));
    // Also when somebody says that the slow clock is right.
    world.keystile.accept_clock().unwrap();
    assert_eq!((world.code(&key.secret), world.code(&next)), (Some(Code::Rotated), None));
    drop(resident);
    assert!(world.is_intact());
}

/// The first use of the new secret ends the old one, when no grace was asked for.
#[test]
fn a_secret_that_a_first_use_has_ended_stays_refused_with_a_slow_clock() {
    let world = world();
    let key = world.create(NewKey::default());
    let next = world.rotate(&key, Grace::from_first_use(0));
    world.clock.set(at(HOUR));
    assert_eq!(code(&world.keystile, &next), None);
    world.clock.set(at(0));
    assert_eq!(world.code(&key.secret), Some(Code::Rotated));
    world.keystile.accept_clock().unwrap();
    assert_eq!(world.code(&key.secret), Some(Code::Rotated));
}

/// What has expired while somebody wrote, or while somebody was refused for it.
#[test]
fn what_was_over_stays_over() {
    /// Lets the store know how late it is.
    type Notes = fn(&World, &CreatedKey);
    let ways: [(&str, Notes); 4] = [
        ("another change", |world, _| drop(world.create(NewKey::default()))),
        ("the refusal of an expired key", |world, key| {
            let keystile = world.open_at(&world.path);
            assert_eq!(code(&keystile, &key.secret), Some(Code::Expired));
        }),
        ("the refusal of a batch", |world, key| {
            let keystile = world.open_at(&world.path);
            let verdicts = keystile.verify_batch(&[key.secret.expose_secret()], &keystile.request());
            assert_eq!(verdicts[0].code(), Some(Code::Expired));
        }),
        ("a process that is open for a while", |world, _| world.follow().flush().unwrap()),
    ];
    for (way, note) in ways {
        let world = world();
        let expiring = world.create(NewKey { expires_at: Some(at(600)), ..NewKey::default() });
        let rotated = world.create(NewKey::default());
        world.rotate(&rotated, Grace::from_now(600));
        let given = world.login();
        world.clock.set(at(8 * 86_400));
        note(&world, &expiring);
        world.clock.set(at(60));
        assert_eq!(world.code(&expiring.secret), Some(Code::Expired), "{way}");
        assert_eq!(world.code(&rotated.secret), Some(Code::Rotated), "{way}");
        assert_eq!(world.code(&given.access_token), Some(Code::Expired), "{way}");
        let refused = world.keystile.refresh(given.refresh_token.expose_secret(), &Refresh::default());
        assert!(matches!(refused, Err(RefreshError::Ended | RefreshError::Expired)), "{way}: {refused:?}");
        assert!(world.is_intact(), "{way}");
    }
}

/// A process remembers what it has seen, before anything of it is in the store.
#[test]
fn time_never_goes_back_in_a_process() {
    let world = world();
    let key = world.create(NewKey { expires_at: Some(at(600)), ..NewKey::default() });
    for keystile in [world.open_at(&world.path), world.follow(), world.read_only()] {
        world.clock.set(at(0));
        assert_eq!(code(&keystile, &key.secret), None);
        world.clock.set(at(600));
        assert_eq!(code(&keystile, &key.secret), Some(Code::Expired));
        world.clock.set(at(599));
        assert_eq!(code(&keystile, &key.secret), Some(Code::Expired));
        // Whatever time the caller asks for: only a preview is for trying one out.
        let early = keystile_validator::Request::at(at(0));
        assert_eq!(keystile.verify(key.secret.expose_secret(), &early).code(), Some(Code::Expired));
        assert_eq!(keystile.preview(key.secret.expose_secret(), &early).code(), None);
        std::mem::forget(keystile);
    }
}

/// Neither time alone decides: what has not begun by the clock has not begun.
#[test]
fn a_token_of_a_clock_that_was_ahead_is_valid_at_neither_time() {
    let world = world();
    world.clock.set(at(YEARS));
    let ahead = world.login();
    assert_eq!(world.code(&ahead.access_token), None);
    world.clock.set(at(60));
    assert_eq!(world.code(&ahead.access_token), Some(Code::NotYetValid));
    let now = world.login();
    assert_eq!(world.code(&now.access_token), Some(Code::Expired), "until the clock is accepted");
}

#[test]
fn a_clock_that_was_ahead_is_told_and_can_be_accepted() {
    let world = world();
    let lasting = world.create(NewKey::default());
    let expiring = world.create(NewKey { expires_at: Some(at(86_400)), ..NewKey::default() });
    let soon = world.create(NewKey { expires_at: Some(at(30)), ..NewKey::default() });
    let rotated = world.create(NewKey::default());
    world.rotate(&rotated, Grace::from_now(HOUR));
    let unused = world.create(NewKey::default());
    let first = world.rotate(&unused, Grace::from_first_use(HOUR));
    let given = world.login();
    assert_eq!(world.keystile.time().behind(), None);
    world.clock.set(at(YEARS));
    let late = world.create(NewKey::default());
    world.rotate(&late, Grace::from_now(HOUR));
    let first_use = world.create(NewKey::default());
    let next = world.rotate(&first_use, Grace::from_first_use(HOUR));
    assert_eq!((code(&world.keystile, &next), code(&world.keystile, &first)), (None, None));
    let from_ahead = world.login();
    world.clock.set(at(60));
    for (name, keystile) in world.handles() {
        let time = keystile.time();
        assert_eq!((time.clock, time.newest, time.behind()), (at(60), at(YEARS), Some(YEARS - 60)), "{name}");
    }
    let finding = world.keystile.doctor(&world.path).unwrap().findings.into_iter().find(|it| it.check == "clock");
    let finding = finding.unwrap();
    assert!(finding.severity == crate::Severity::Error && finding.message.contains("keystile clock accept"));
    assert_eq!(world.code(&lasting.secret), None, "what does not expire goes on");
    assert_eq!(world.code(&expiring.secret), Some(Code::Expired));

    let resident = world.follow();
    let accepted = world.keystile.accept_clock().unwrap();
    assert_eq!((accepted.from, accepted.to, accepted.keys_valid_again), (at(YEARS), at(60), 1));
    assert_eq!((accepted.sessions_ended, accepted.graces_shortened), (2, 3));
    assert_eq!(world.code(&expiring.secret), None, "allowed again");
    assert_eq!(world.code(&soon.secret), Some(Code::Expired), "over by the clock too");
    assert_eq!(world.code(&rotated.secret), Some(Code::Rotated), "what has ended stays so");
    for session in [given, from_ahead] {
        assert_eq!(world.code(&session.access_token), Some(Code::Revoked), "its tokens as well");
        let refused = world.keystile.refresh(session.refresh_token.expose_secret(), &Refresh::default());
        assert!(matches!(refused, Err(RefreshError::Ended | RefreshError::Expired)), "{refused:?}");
    }
    let retires = |key: &CreatedKey| world.keystile.keys().show(key.key.id).unwrap().secrets[0].retires_at;
    assert_eq!(retires(&late), Some(at(60 + HOUR)), "as long as it was asked for");
    assert_eq!(retires(&first_use), Some(at(60 + HOUR)), "as long as it was asked for");
    assert_eq!(retires(&unused), Some(at(60 + HOUR)), "although its new secret is an old one");
    assert_eq!(world.code(&world.login().access_token), None);
    assert_eq!(world.keystile.time().behind(), None);
    // A process that has the store open takes it over, too.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while code(&resident, &expiring.secret).is_some() || resident.time().behind().is_some() {
        assert!(std::time::Instant::now() < deadline, "the resident process goes on with the later time");
        std::thread::yield_now();
    }
    let entry = world.audited(CLOCK_ACCEPTED).pop().unwrap();
    assert!(entry.contains("\"keys_valid_again\":1"), "{entry}");
    assert!(world.is_intact());
    assert_eq!(world.keystile.accept_clock().unwrap().keys_valid_again, 0, "once more changes nothing");
}

/// Whatever was revoked while the clock was ahead, or forgotten by it, is refused when an earlier time is accepted.
#[test]
fn nothing_that_was_revoked_comes_back_with_an_accepted_clock() {
    let world = world();
    let resident = world.follow();
    world.keystile.change_settings(|settings| settings.tokens.access_token_lifetime = 86_400).unwrap();
    let [first, second, third] = [world.login(), world.login(), world.login()];
    world.keystile.tokens().revoke(first.access_token.expose_secret()).unwrap();
    world.keystile.sessions().end(third.session_id).unwrap();
    assert_eq!(world.code(&second.access_token), None);
    world.clock.set(at(YEARS));
    // Revocations that have expired long ago are swept when another one is made, and so are those in memory.
    let revoked = world.keystile.tokens().revoke(second.access_token.expose_secret()).unwrap();
    assert_eq!(revoked.was, crate::WasToken::Live, "the clock may be wrong");
    resident.flush().unwrap();
    world.clock.set(at(60));
    world.keystile.accept_clock().unwrap();
    for token in [first, second, third].map(|given| given.access_token) {
        assert_eq!(world.code(&token), Some(Code::Revoked));
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while code(&resident, &token) != Some(Code::Revoked) {
            assert_ne!(code(&resident, &token), None);
            assert!(std::time::Instant::now() < deadline);
            std::thread::yield_now();
        }
    }
}

/// With a clock behind, windows neither stand still nor open by themselves.
#[test]
fn rates_hold_while_the_clock_is_behind() {
    let world = world();
    let key = world.create(NewKey { rate: Some(Rate::new(2, 60).unwrap()), ..NewKey::default() });
    world.clock.set(at(HOUR));
    world.create(NewKey::default());
    world.clock.set(at(0));
    let keystile = world.open_at(&world.path);
    let codes = || [code(&keystile, &key.secret), code(&keystile, &key.secret), code(&keystile, &key.secret)];
    assert_eq!(codes(), [None, None, Some(Code::RateLimited)]);
    world.clock.set(at(60));
    assert_eq!(codes(), [None, None, Some(Code::RateLimited)]);
}

#[test]
fn a_grace_that_is_begun_with_a_slow_clock_can_only_be_short() {
    let world = world();
    let key = world.create(NewKey::default());
    world.clock.set(at(HOUR));
    world.create(NewKey::default());
    world.clock.set(at(0));
    world.rotate(&key, Grace::from_now(HOUR / 2));
    assert_eq!(world.code(&key.secret), Some(Code::Rotated));
    let change = KeyChange { expires_at: Some(Some(at(60))), ..KeyChange::default() };
    world.keystile.keys().update(key.key.id, change).unwrap();
    assert_eq!(
        world.keystile.keys().show(key.key.id).unwrap().status(world.keystile.time().newest),
        KeyStatus::Expired
    );
}

#[test]
fn a_session_begun_with_a_key_ends_with_it_whatever_the_clock_says() {
    let world = world();
    let owner = Some(crate::login::tests::EMAIL.to_owned());
    let key = world.create(NewKey { owner, expires_at: Some(at(HOUR)), ..NewKey::default() });
    let begun = world.keystile.login_with_key(key.secret.expose_secret(), Client::default()).unwrap();
    world.clock.set(at(HOUR));
    world.create(NewKey::default());
    world.clock.set(at(60));
    let refused = world.keystile.login_with_key(key.secret.expose_secret(), Client::default());
    assert!(refused.is_err());
    let refused = world.keystile.refresh(begun.refresh_token.expose_secret(), &Refresh::default());
    assert!(matches!(refused, Err(RefreshError::Ended)), "{refused:?}");
    let session = world.keystile.sessions().show(begun.session_id).unwrap();
    assert_eq!(session.end.unwrap().reason, EndReason::Key);
    assert_ne!(session.status(at(60)), SessionStatus::Active);
}

/// Everything that may be ended in one write, and one more.
#[test]
fn a_write_ends_a_bounded_number_of_secrets() {
    let world = world();
    let key = world.create(NewKey::default());
    let secrets = SECRETS_ENDED_AT_ONCE as u32 + 2;
    world
        .keystile
        .inner
        .change(|transaction, _| {
            for number in 2..=secrets + 1 {
                let old = key.key.secrets[0].clone();
                let digest = keystile_validator::Digest::of(&number.to_le_bytes());
                let retires_at = (number <= secrets).then(|| at(60));
                transaction.insert_secret(key.key.id, &crate::SecretInfo { number, digest, retires_at, ..old })?;
            }
            Ok::<(), StoreError>(())
        })
        .unwrap();
    world.clock.set(at(60));
    let ended = || {
        let key = world.keystile.keys().show(key.key.id).unwrap();
        key.secrets.iter().filter(|secret| secret.ended_at.is_some()).count()
    };
    world.create(NewKey::default());
    assert_eq!(ended(), SECRETS_ENDED_AT_ONCE);
    world.create(NewKey::default());
    assert_eq!(ended(), SECRETS_ENDED_AT_ONCE + 1, "all but the first and the last");
    assert!(world.is_intact());
}

/// The store is behind by what its file says, and not by what somebody has written into it.
#[test]
fn a_newest_time_that_something_else_has_lowered_is_reported() {
    let world = world();
    world.clock.set(at(HOUR));
    world.create(NewKey::default());
    assert!(world.is_intact());
    sql(&world.path, "UPDATE position SET newest_at = newest_at - 1");
    let AuditReport::Differs { differences, .. } = world.keystile.verify_audit(None).unwrap() else { panic!() };
    assert_eq!(differences[0].what, crate::DifferenceKind::Clock);
    assert!(differences[0].to_string().contains("key.created"), "{}", differences[0]);
}

fn sql(path: &Path, sql: &str) {
    rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn a_clock_within_the_tolerance_is_not_behind() {
    let time = |seconds| StoreTime { clock: at(0), newest: at(seconds) };
    assert_eq!(time(0).behind(), None);
    assert_eq!(time(CLOCK_TOLERANCE).behind(), None);
    assert_eq!(time(CLOCK_TOLERANCE + 1).behind(), Some(CLOCK_TOLERANCE + 1));
}

#[test]
fn an_older_view_brings_no_older_time() {
    let time = Timekeeper::default();
    let row = |newest, accepted| ClockRow { newest: at(newest), clock: at(newest), steady_since: at(0), accepted };
    time.follow(row(100, 0));
    time.saw(at(120));
    assert_eq!(time.latest(), at(120));
    time.follow(row(110, 0));
    assert_eq!(time.latest(), at(120));
    time.follow(row(50, 1));
    assert_eq!(time.latest(), at(50), "accepted");
    time.follow(row(130, 0));
    assert_eq!(time.latest(), at(50), "a view from before that");
    // Noted when something has ended, or when it was long ago.
    assert_eq!(time.due(true), None);
    time.saw(at(60));
    assert_eq!(time.due(true), None);
    time.saw_end();
    assert_eq!(time.due(false), Some(at(60)));
    time.saw(at(50 + NOTE_INTERVAL));
    assert_eq!((time.due(false), time.due(true)), (None, Some(at(50 + NOTE_INTERVAL))));
}
