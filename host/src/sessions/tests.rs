//! Sessions, on a real store.

use std::collections::BTreeSet;
use std::thread;

use super::*;
use crate::login::tests::{EMAIL, PASSWORD, World, at, password, world};
use crate::{Client, EndReason, Login, LoginSettings, SessionQuery, SessionStatus, Settings};

impl World {
    fn refresh(&self, token: &Secret) -> Result<LoggedIn, RefreshError> {
        self.keystile.refresh(token.expose_secret(), &Refresh::default())
    }

    fn refreshed(&self, token: &Secret) -> Secret {
        self.refresh(token).unwrap().refresh_token
    }

    fn end(&self, id: SessionId) -> Option<EndReason> {
        self.keystile.sessions().show(id).unwrap().end.map(|end| end.reason)
    }

    fn set_window(&self, refresh_window: u64) {
        let logins = LoginSettings { refresh_window, ..LoginSettings::default() };
        self.keystile.set_settings(&Settings { logins, ..Settings::default() }).unwrap();
    }
}

#[test]
fn a_refresh_gives_a_new_token_and_the_session_ends_when_it_was_to() {
    let world = world();
    let first = world.login();
    world.clock.advance(3_600);
    let second = world.refresh(&first.refresh_token).unwrap();
    assert_eq!((second.session_id, second.session_expires_at), (first.session_id, at(7 * 86_400)));
    assert_ne!(second.refresh_token.expose_secret(), first.refresh_token.expose_secret());
    assert_ne!(second.access_token.expose_secret(), first.access_token.expose_secret());
    let session = world.keystile.sessions().show(first.session_id).unwrap();
    assert_eq!((session.last_used_at, session.expires_at), (at(3_600), at(7 * 86_400)));
    // However often it is refreshed: and the last access token does not outlive the session.
    world.clock.set(at(7 * 86_400 - 1));
    let last = world.refresh(&second.refresh_token).unwrap();
    assert_eq!((last.session_expires_at, last.expires_in), (at(7 * 86_400), 1));
    world.clock.set(at(7 * 86_400));
    assert!(matches!(world.refresh(&last.refresh_token), Err(RefreshError::Expired)));
    assert_eq!(world.end(first.session_id), Some(EndReason::Expired));
}

#[test]
fn within_the_window_the_predecessor_gives_the_same_successor() {
    let world = world();
    let first = world.login();
    world.clock.advance(100);
    let second = world.refreshed(&first.refresh_token);
    for seconds in [0, 1, 8] {
        world.clock.set(at(100 + seconds));
        assert_eq!(world.refreshed(&first.refresh_token).expose_secret(), second.expose_secret());
    }
    // From its first use, not from the last.
    world.clock.set(at(109));
    assert_eq!(world.refreshed(&first.refresh_token).expose_secret(), second.expose_secret());
    world.clock.set(at(110));
    assert!(matches!(world.refresh(&first.refresh_token), Err(RefreshError::Reused)));
    assert_eq!(world.end(first.session_id), Some(EndReason::Reuse));
    assert!(matches!(world.refresh(&second), Err(RefreshError::Ended)), "the successor too");
    assert_eq!(world.audited("session.token_reused").len(), 1);
}

#[test]
fn an_older_token_ends_the_session_also_within_the_window() {
    let world = world();
    let first = world.login();
    let second = world.refreshed(&first.refresh_token);
    let third = world.refreshed(&second);
    assert_eq!(world.refreshed(&second).expose_secret(), third.expose_secret());
    assert!(matches!(world.refresh(&first.refresh_token), Err(RefreshError::Reused)));
    assert!(matches!(world.refresh(&third), Err(RefreshError::Ended)));
}

#[test]
fn the_window_is_a_setting_and_can_be_closed() {
    let world = world();
    world.set_window(0);
    let first = world.login();
    let second = world.refreshed(&first.refresh_token);
    assert!(matches!(world.refresh(&first.refresh_token), Err(RefreshError::Reused)));
    assert!(matches!(world.refresh(&second), Err(RefreshError::Ended)));
    world.set_window(60);
    let first = world.login();
    let second = world.refreshed(&first.refresh_token);
    world.clock.advance(59);
    assert_eq!(world.refreshed(&first.refresh_token).expose_secret(), second.expose_secret());
    world.clock.advance(1);
    assert!(matches!(world.refresh(&first.refresh_token), Err(RefreshError::Reused)));
}

/// Real threads, through two turnstiles on one store, as two processes would be.
#[test]
fn fifty_refreshes_of_one_token_at_once_give_one_successor() {
    let world = world();
    let first = world.login();
    let other = world.open_at(&world.path);
    let token = first.refresh_token.expose_secret();
    let barrier = std::sync::Barrier::new(50);
    let given: Vec<LoggedIn> = thread::scope(|scope| {
        let refresh = |number: usize| {
            let (keystile, barrier) = (if number.is_multiple_of(2) { &world.keystile } else { &other }, &barrier);
            scope.spawn(move || {
                barrier.wait();
                keystile.refresh(token, &Refresh::default()).unwrap()
            })
        };
        let threads: Vec<_> = (0..50).map(refresh).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let successors: BTreeSet<_> = given.iter().map(|given| given.refresh_token.expose_secret()).collect();
    assert_eq!(successors.len(), 1);
    let access: BTreeSet<_> = given.iter().map(|given| given.access_token.expose_secret()).collect();
    assert_eq!(access.len(), 50, "each has an access token of its own");
    let row = world.keystile.inner.store().read().unwrap().session(first.session_id).unwrap().unwrap();
    assert_eq!((row.counter, row.session.end), (2, None));
    world.refresh(&given[0].refresh_token).unwrap();
}

#[test]
fn a_clock_that_goes_back_extends_no_window() {
    let world = world();
    let first = world.login();
    world.clock.set(at(100));
    let second = world.refreshed(&first.refresh_token);
    // Somebody does something when the window is over, and then the clock is set back into it.
    world.clock.set(at(120));
    let bystander = world.login();
    world.clock.set(at(105));
    assert!(matches!(world.refresh(&first.refresh_token), Err(RefreshError::Reused)));
    assert!(matches!(world.refresh(&second), Err(RefreshError::Ended)));
    assert_eq!(world.audited("clock.went_back").len(), 1);
    // From then on the windows are as always.
    let next = world.refreshed(&bystander.refresh_token);
    world.clock.advance(9);
    assert_eq!(world.refreshed(&bystander.refresh_token).expose_secret(), next.expose_secret());
    // And to before the window began.
    world.clock.set(at(50));
    assert!(matches!(world.refresh(&bystander.refresh_token), Err(RefreshError::Reused)));
}

#[test]
fn a_clock_that_goes_back_revives_no_session() {
    let world = world();
    let [expired, unseen, ended] = [world.login(), world.login(), world.login()];
    world.keystile.sessions().end(ended.session_id).unwrap();
    world.clock.set(at(7 * 86_400));
    assert!(matches!(world.refresh(&expired.refresh_token), Err(RefreshError::Expired)));
    world.clock.set(at(60));
    assert!(matches!(world.refresh(&expired.refresh_token), Err(RefreshError::Expired | RefreshError::Ended)));
    assert!(matches!(world.refresh(&unseen.refresh_token), Err(RefreshError::Expired | RefreshError::Ended)));
    assert!(matches!(world.refresh(&ended.refresh_token), Err(RefreshError::Ended)));
    let query = SessionQuery { ended: true, ..SessionQuery::default() };
    let states: Vec<_> =
        world.keystile.sessions().list(&query).unwrap().sessions.iter().map(|session| session.status(at(60))).collect();
    assert_eq!(states, [SessionStatus::Ended, SessionStatus::Expired, SessionStatus::Expired]);
}

#[test]
fn sessions_are_listed_and_ended() {
    let world = world();
    let all: Vec<LoggedIn> = (0..5).map(|_| world.login()).collect();
    let sessions = world.keystile.sessions();
    let listed = |query: &SessionQuery| {
        let page = sessions.list(query).unwrap();
        (page.sessions.iter().map(|session| session.id).collect::<Vec<_>>(), page.next)
    };
    let ids: Vec<SessionId> = all.iter().rev().map(|given| given.session_id).collect();
    assert_eq!(listed(&SessionQuery::default()), (ids.clone(), None));
    let (page, next) = listed(&SessionQuery { limit: 2, ..SessionQuery::default() });
    assert_eq!((page.as_slice(), next), (&ids[..2], Some(ids[1])));
    let (rest, end) = listed(&SessionQuery { after: next, user: Some(world.user.id), ..SessionQuery::default() });
    assert_eq!((rest.as_slice(), end), (&ids[2..], None));
    for limit in [0, 1_001] {
        let refused = sessions.list(&SessionQuery { limit, ..SessionQuery::default() });
        assert!(matches!(refused, Err(ListSessionsError::Limit { .. })));
    }
    assert_eq!(world.keystile.logout(all[0].refresh_token.expose_secret()).unwrap(), all[0].session_id);
    assert_eq!(world.keystile.logout(all[0].refresh_token.expose_secret()).unwrap(), all[0].session_id, "again");
    assert_eq!(world.end(all[0].session_id), Some(EndReason::Logout));
    let ended = sessions.end(all[1].session_id).unwrap().value.unwrap();
    assert_eq!(ended.end.unwrap().reason, EndReason::Operator);
    assert_eq!(sessions.end_others(world.user.id, all[2].session_id).unwrap().value, 2);
    assert_eq!(listed(&SessionQuery::default()).0, [all[2].session_id]);
    assert_eq!(sessions.end_all(world.user.id).unwrap().value, 1);
    assert_eq!(sessions.end_all(world.user.id).unwrap().value, 0);
    assert_eq!(listed(&SessionQuery { ended: true, ..SessionQuery::default() }).0, ids);
    for given in &all {
        assert!(matches!(world.refresh(&given.refresh_token), Err(RefreshError::Ended)));
    }
    assert_eq!(world.audited("session.ended").len(), 5, "each once");
    let nobody = UserId::from_bytes([1; 16]);
    assert!(matches!(sessions.end_all(nobody), Err(EndSessionError::UserNotFound { .. })));
    let nothing = SessionId::from_bytes([1; 16]);
    assert!(matches!(sessions.end(nothing), Err(EndSessionError::NotFound { .. })));
}

#[test]
fn a_session_that_is_bound_to_a_client_is_refused_to_others() {
    let world = world();
    let client = Client { id: Some("web".to_owned()), ..Client::default() };
    let given = world.keystile.login(&Login { email: EMAIL, password: &password(PASSWORD), client }).unwrap();
    let token = given.refresh_token.expose_secret();
    for client_id in [None, Some("cli"), Some("")] {
        let refused = world.keystile.refresh(token, &Refresh { client_id, ..Refresh::default() });
        assert!(matches!(refused, Err(RefreshError::OtherClient)), "{client_id:?}");
    }
    world.keystile.refresh(token, &Refresh { client_id: Some("web"), ..Refresh::default() }).unwrap();
    // One that is bound to none is given to whoever has its token.
    world
        .keystile
        .refresh(world.login().refresh_token.expose_secret(), &Refresh { client_id: Some("web"), ..Refresh::default() })
        .unwrap();
}

/// The id of a session is public: with it alone nobody can end it.
#[test]
fn a_forged_token_does_nothing() {
    let world = world();
    let given = world.login();
    let key = super::refresh_key::RefreshKey(zeroize::Zeroizing::new([0; 32]));
    for counter in [0, 1, 2, u64::MAX] {
        let forged = token::make(given.session_id, counter, &key);
        assert!(matches!(world.refresh(&forged), Err(RefreshError::Invalid)));
        assert!(matches!(world.keystile.logout(forged.expose_secret()), Err(LogoutError::Invalid)));
    }
    assert_eq!(world.end(given.session_id), None);
    world.refresh(&given.refresh_token).unwrap();
}

/// Nor is one that is made with anything that the store or a backup holds.
#[test]
fn whoever_has_a_backup_but_not_its_key_cannot_refresh() {
    let world = world();
    let [given, other] = [world.login(), world.login()];
    let backup = world.path.with_file_name("backup.db");
    world.keystile.backup(&backup).unwrap();
    let bytes = std::fs::read(&backup).unwrap();
    let view = world.keystile.inner.store().read().unwrap();
    for session in [&given, &other] {
        let row = view.session(session.session_id).unwrap().unwrap();
        let Ok(Some(key)) = world.keystile.inner.refresh_key(&*view, &row) else { panic!() };
        let made = token::make(session.session_id, 1, &key);
        assert_eq!(made.expose_secret(), session.refresh_token.expose_secret(), "the real way");
        assert!(!bytes.windows(32).any(|window| window == key.0.as_slice()), "the key lies in the backup");
        assert!(!bytes.windows(16).any(|window| window == &key.0[..16]), "half of the key lies in the backup");
    }
    drop(view);
    // All of what the row of the session holds, at every place of it, as the key of the MAC.
    let stolen = rusqlite::Connection::open(&backup).unwrap();
    let sql = "SELECT refresh_key FROM sessions WHERE id = ?1";
    let sealed: Vec<u8> = stolen.query_row(sql, [given.session_id.as_bytes()], |row| row.get(0)).unwrap();
    for window in sealed.windows(32) {
        let key = super::refresh_key::RefreshKey(zeroize::Zeroizing::new(window.try_into().unwrap()));
        for counter in 0..3 {
            let forged = token::make(given.session_id, counter, &key);
            assert!(matches!(world.refresh(&forged), Err(RefreshError::Invalid)));
        }
    }
    // By the program itself, on the backup, without the key-encryption key or with another one.
    let clock = std::sync::Arc::clone(&world.clock);
    let without = crate::Keystile::options().clock(clock.clone()).on_demand(true).open(&backup).unwrap();
    let token = given.refresh_token.expose_secret();
    let refused = without.refresh(token, &Refresh::default());
    assert!(matches!(refused, Err(RefreshError::Kek(crate::KekError::NotGiven))), "{refused:?}");
    assert!(matches!(without.logout(token), Err(LogoutError::Kek(crate::KekError::NotGiven))));
    let another = crate::KeyEncryptionKey::generate().unwrap();
    let refused = crate::Keystile::options().clock(clock).key_encryption_key(another).open(&backup);
    assert!(matches!(refused, Err(crate::OpenError::Kek(crate::KekError::Wrong))), "{refused:?}");
    assert_eq!(world.end(given.session_id), None);
    world.refresh(&given.refresh_token).unwrap();
}

/// The backup of a store is restored where another key-encryption key is: that is told when it is opened.
#[test]
fn a_backup_that_is_restored_under_another_key_is_refused_with_a_reason() {
    let world = world();
    // A restore asks the clock of the system.
    world.clock.set(crate::Clock::now(&crate::SystemClock));
    let given = world.login();
    let backup = world.path.with_file_name("backup.db");
    world.keystile.backup(&backup).unwrap();
    let elsewhere = world.path.with_file_name("elsewhere.db");
    crate::Keystile::restore(&backup, &elsewhere, "tests").unwrap();
    let another = crate::KeyEncryptionKey::generate().unwrap();
    let refused = crate::Keystile::options().key_encryption_key(another).open(&elsewhere).unwrap_err();
    assert!(refused.to_string().contains("not the key-encryption key of this store · give the one"), "{refused}");
    // Over the store that it was made of, whatever was sealed since is that of the store.
    let since = world.login();
    crate::Keystile::restore(&backup, &world.path, "tests").unwrap();
    for session in [given, since] {
        world.refresh(&session.refresh_token).unwrap();
    }
}

/// What was sealed for another session does not open here.
#[test]
fn a_key_that_was_moved_to_another_session_does_not_open() {
    let world = world();
    let [given, other] = [world.login(), world.login()];
    let sql = "UPDATE sessions SET refresh_key = (SELECT refresh_key FROM sessions WHERE id = ?1) WHERE id = ?2";
    let ids = [other.session_id, given.session_id];
    let raw = rusqlite::Connection::open(&world.path).unwrap();
    assert_eq!(raw.execute(sql, ids.each_ref().map(|id| id.as_bytes())).unwrap(), 1);
    let refused = world.refresh(&given.refresh_token).unwrap_err();
    assert!(refused.to_string().contains(&given.session_id.to_string()), "{refused}");
    world.refresh(&other.refresh_token).unwrap();
}

#[test]
fn sessions_are_forgotten_a_month_after_their_expiry() {
    let world = world();
    let old = world.login();
    // Less than a day before: after a jump nothing is forgotten for a day.
    world.clock.set(at((7 + 29) * 86_400));
    world.login();
    world.clock.set(at((7 + 30) * 86_400 - 1));
    world.login();
    assert!(matches!(world.refresh(&old.refresh_token), Err(RefreshError::Expired)));
    world.clock.advance(1);
    world.login();
    assert!(matches!(world.refresh(&old.refresh_token), Err(RefreshError::Invalid)));
}

#[test]
fn messages_say_what_happened_and_what_to_do() {
    let messages = [
        RefreshError::Invalid.to_string(),
        RefreshError::Expired.to_string(),
        RefreshError::Ended.to_string(),
        RefreshError::Reused.to_string(),
        RefreshError::OtherClient.to_string(),
        LogoutError::Invalid.to_string(),
        EndSessionError::NotFound { id: SessionId::from_bytes([1; 16]) }.to_string(),
        EndSessionError::UserNotFound { id: UserId::from_bytes([1; 16]) }.to_string(),
        ListSessionsError::Limit { given: 0 }.to_string(),
    ];
    assert!(messages.iter().all(|message| message.split(" · ").count() == 2), "{messages:#?}");
}
