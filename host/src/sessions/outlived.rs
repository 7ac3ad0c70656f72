//! Whether a session begun with a key has more than the key allows now, and ending those that have.
//!
//! [`outlived`] is the one rule. It is asked whenever a key is written, where it ends the session with its
//! access tokens, and again at every refresh, in case the key was changed by other means (a restore, SQL).

use keystile_validator::{KeyId, Timestamp};

use super::end::end_session;
use crate::ids::SessionId;
use crate::in_force::readable;
use crate::key::{Key, KeyStatus};
use crate::keystile::Inner;
use crate::session::{EndReason, Session};
use crate::store::users::{SessionRow, UserRow};
use crate::store::{StoreError, WriteTransaction};
use crate::tokens::ACCESS_TOKEN_LIFETIME_BOUNDS;
use crate::user::{Email, User};

/// Whether a session has more than the key that began it allows at this time.
///
/// The key must be active, act for the user of the session, belong to the session's environment, grant all of its
/// scopes, and have neither address ranges nor a rate, which tokens cannot be limited to. The secret that began the
/// session must not have ended; of a session that does not say which one that was, nothing is allowed.
pub(crate) fn outlived(key: &Key, user: &User, session: &Session, now: Timestamp) -> bool {
    let acts_for_user =
        key.owner.as_deref().and_then(|owner| owner.parse::<Email>().ok()).as_ref() == Some(&user.email);
    let secret = key.secrets.iter().find(|secret| Some(secret.number) == session.secret);
    let allowed = session.key == Some(key.id)
        && key.status(now) == KeyStatus::Active
        && acts_for_user
        && session.environment.as_ref() == Some(&key.environment)
        && session.scopes.iter().all(|scope| key.scopes.iter().any(|granted| granted.grants(scope)))
        && key.addresses.is_empty()
        && key.rate.is_none()
        && secret.is_some_and(|secret| !secret.has_ended(now));
    !allowed
}

/// Ends the sessions, with their access tokens, that have more than their key allows now that it was changed.
///
/// Beside [`outlived`]: an earlier expiry or a later start of the key ends all of its sessions, and an earlier end of
/// a secret ends those that were begun with it and whose access tokens would outlive it.
pub(crate) fn end_outlived(
    inner: &Inner,
    transaction: &mut dyn WriteTransaction,
    now: Timestamp,
    old: &Key,
    new: &Key,
) -> Result<(), StoreError> {
    let is_shorter = ends(new.expires_at) < ends(old.expires_at) || new.not_before > old.not_before;
    for id in transaction.open_sessions_of_key(new.id, now)? {
        let Some(bare) = transaction.bare_session(id)? else { continue };
        let goes_on = readable(goes_on(&*transaction, id, now, old, new), id, &mut Vec::new())?;
        if is_shorter || goes_on != Some(true) {
            end_session(inner, transaction, now, &bare, EndReason::Key)?;
        }
    }
    Ok(())
}

/// Whether a session goes on after a change of its key. One that cannot be read, or whose user cannot be, does not:
/// no refresh can read it either.
fn goes_on(
    view: &dyn WriteTransaction,
    id: SessionId,
    now: Timestamp,
    old: &Key,
    new: &Key,
) -> Result<Option<bool>, StoreError> {
    let Some(row) = view.session(id)? else { return Ok(None) };
    let Some(UserRow::Live { user, .. }) = view.user(row.session.user)? else { return Ok(None) };
    Ok(Some(!outlived(new, &user, &row.session, now) && !tokens_outlive_secret(old, new, &row)))
}

/// Whether the secret of a session now ends before access tokens that were given out do.
fn tokens_outlive_secret(old: &Key, new: &Key, row: &SessionRow) -> bool {
    secret_end(new, &row.session) < secret_end(old, &row.session).min(tokens_until(row))
}

/// When the secret ends that a session was begun with.
pub(super) fn secret_end(key: &Key, session: &Session) -> Timestamp {
    let secret = key.secrets.iter().find(|secret| Some(secret.number) == session.secret);
    ends(secret.and_then(|secret| secret.retires_at))
}

/// When the access tokens of a session have all expired.
pub(super) fn tokens_until(row: &SessionRow) -> Timestamp {
    let longest = *ACCESS_TOKEN_LIFETIME_BOUNDS.end();
    row.tokens_until.unwrap_or_else(|| row.session.last_used_at.saturating_add(longest))
}

/// What has no end ends last.
fn ends(at: Option<Timestamp>) -> Timestamp {
    at.unwrap_or(Timestamp::MAX)
}

/// The end of what a session begun with this key stands on: the key, and the secret of it; `None`: it has none.
pub(super) fn end_of_standing(
    transaction: &dyn WriteTransaction,
    key: KeyId,
    secret: Option<u32>,
) -> Result<Option<Timestamp>, StoreError> {
    let Some(key) = transaction.key(key)? else { return Ok(None) };
    let secret = key.secrets.iter().find(|known| Some(known.number) == secret);
    Ok([key.expires_at, secret.and_then(|secret| secret.retires_at)].into_iter().flatten().min())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use keystile_validator::{Code, Rate, Scope};

    use super::*;
    use crate::login::tests::{EMAIL, World, at, world};
    use crate::sessions::LoggedIn;
    use crate::{
        Client, CreatedKey, Grace, KeyChange, Keystile, NewKey, NewUser, Refresh, RefreshError, RevokeReason, Rotation,
        Secret, UserChange,
    };

    fn scopes(names: &[&str]) -> Vec<Scope> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    /// A key of the user, and a session that was begun with it.
    fn session(world: &World) -> (CreatedKey, LoggedIn) {
        let new = NewKey {
            name: "k".into(),
            owner: Some(EMAIL.into()),
            scopes: scopes(&["a:*", "b:read"]),
            expires_at: Some(at(5 * 86_400)),
            ..NewKey::default()
        };
        let key = world.keystile.keys().create(new).unwrap();
        let begun = world.keystile.login_with_key(key.secret.expose_secret(), Client::default()).unwrap();
        (key, begun)
    }

    fn code(keystile: &Keystile, token: &Secret) -> Option<Code> {
        keystile.preview(token.expose_secret(), &keystile.request()).code()
    }

    fn refresh(keystile: &Keystile, begun: &LoggedIn) -> Result<LoggedIn, RefreshError> {
        keystile.refresh(begun.refresh_token.expose_secret(), &Refresh::default())
    }

    type Change = fn(&Keystile, &CreatedKey);

    fn update(keystile: &Keystile, key: &CreatedKey, change: KeyChange) {
        keystile.keys().update(key.key.id, change).unwrap();
    }

    fn rotate(keystile: &Keystile, key: &CreatedKey, grace: Grace) -> Secret {
        keystile.keys().rotate(key.key.id, Rotation { grace, ..Rotation::default() }).unwrap().secret.unwrap()
    }

    /// Every way to take something away from a key.
    const CONTAINMENTS: &[(&str, Change)] = &[
        ("suspended", |keystile, key| drop(keystile.keys().suspend(key.key.id).unwrap())),
        ("revoked", |keystile, key| {
            keystile.keys().revoke(key.key.id, RevokeReason::KeyCompromise, None).unwrap();
        }),
        ("rotated without grace", |keystile, key| drop(rotate(keystile, key, Grace::NONE))),
        // The access token is valid for longer than that.
        ("rotated with a short grace", |keystile, key| drop(rotate(keystile, key, Grace::from_now(60)))),
        ("rotated, and the new secret was used", |keystile, key| {
            let secret = rotate(keystile, key, Grace::from_first_use(0));
            assert!(keystile.verify(secret.expose_secret(), &keystile.request()).is_allow());
        }),
        ("a scope less", |keystile, key| {
            update(keystile, key, KeyChange { scopes: Some(scopes(&["a:*"])), ..KeyChange::default() });
        }),
        ("a narrower scope", |keystile, key| {
            let narrow = Some(scopes(&["a:read", "a:write", "b:*"]));
            update(keystile, key, KeyChange { scopes: narrow, ..KeyChange::default() });
        }),
        ("another owner", |keystile, key| {
            update(keystile, key, KeyChange { owner: Some(Some("bob@x.org".into())), ..KeyChange::default() });
        }),
        ("no owner", |keystile, key| update(keystile, key, KeyChange { owner: Some(None), ..KeyChange::default() })),
        ("address ranges", |keystile, key| {
            let addresses = Some(vec!["10.0.0.0/8".parse().unwrap()]);
            update(keystile, key, KeyChange { addresses, ..KeyChange::default() });
        }),
        ("a rate", |keystile, key| {
            let rate = Some(Some(Rate::new(1_000, 60).unwrap()));
            update(keystile, key, KeyChange { rate, ..KeyChange::default() });
        }),
        ("an earlier expiry", |keystile, key| {
            let expires_at = Some(Some(at(4 * 86_400)));
            update(keystile, key, KeyChange { expires_at, ..KeyChange::default() });
        }),
        ("a later start", |keystile, key| {
            update(keystile, key, KeyChange { not_before: Some(Some(at(60))), ..KeyChange::default() });
        }),
        ("another address of the user", |keystile, _| {
            let user = keystile.users().find(&EMAIL.parse().unwrap()).unwrap().id;
            let email = |text: &str| UserChange { email: Some(text.parse().unwrap()), ..UserChange::default() };
            keystile.users().update(user, email("ada@lovelace.org")).unwrap();
            keystile.users().update(user, email(EMAIL)).unwrap();
        }),
    ];

    #[test]
    fn whatever_is_taken_from_a_key_ends_its_sessions_everywhere() {
        let world = world();
        let other = world.open_at(&world.path);
        let following = world.follow();
        for (way, contain) in CONTAINMENTS {
            let (key, begun) = session(&world);
            let token = &begun.access_token;
            assert_eq!((code(&world.keystile, token), code(&other, token)), (None, None), "{way}");
            wait_for(&following, token, None, way);
            contain(&world.keystile, &key);
            assert_eq!(code(&world.keystile, token), Some(Code::Revoked), "{way}");
            assert_eq!(code(&other, token), Some(Code::Revoked), "{way}: another handle that looks up");
            wait_for(&following, token, Some(Code::Revoked), way);
            for keystile in [&world.keystile, &other, &following] {
                let refused = refresh(keystile, &begun);
                assert!(matches!(refused, Err(RefreshError::Ended)), "{way}: {refused:?}");
            }
            let end = world.keystile.sessions().show(begun.session_id).unwrap().end.unwrap();
            assert_eq!(end.reason, EndReason::Key, "{way}");
        }
        assert_eq!(world.audited("session.ended").len(), CONTAINMENTS.len());
    }

    /// Somebody with SQL writes into a row that what it is about was taken away. That alone takes nothing away of the
    /// tokens that were given out; so nobody is told that it has been done already.
    #[test]
    fn what_says_that_it_was_taken_away_is_taken_away_all_the_same() {
        let world = world();
        let following = world.follow();
        let user = world.user.id;
        let revoke = |keystile: &Keystile, key: &CreatedKey| {
            keystile.keys().revoke(key.key.id, RevokeReason::KeyCompromise, None).map(drop).map_err(drop)
        };
        let suspend =
            |keystile: &Keystile, key: &CreatedKey| keystile.keys().suspend(key.key.id).map(drop).map_err(drop);
        type Containment<'a> = &'a dyn Fn(&Keystile, &CreatedKey) -> Result<(), ()>;
        let end_all = |keystile: &Keystile, _: &CreatedKey| {
            let ended = keystile.sessions().end_all(user).map_err(drop)?;
            assert_eq!(ended.value, 1);
            Ok(())
        };
        let suspend_user = |keystile: &Keystile, _: &CreatedKey| keystile.users().suspend(user).map(drop).map_err(drop);
        let ended = "UPDATE sessions SET ended_at = created_at, end_reason = 'logout' WHERE ended_at IS NULL";
        let cases: &[(&str, &str, Containment<'_>, bool)] = &[
            ("ended, and its key is revoked", ended, &revoke, false),
            ("ended, and its key is suspended", ended, &suspend, false),
            ("ended, and all of its user are ended", ended, &end_all, true),
            (
                "a revoked key",
                "UPDATE keys SET state = 'revoked', revoked_at = created_at, revoke_reason = 'superseded'",
                &revoke,
                false,
            ),
            ("a suspended key", "UPDATE keys SET state = 'suspended', suspended_at = created_at", &suspend, false),
            ("a suspended user", "UPDATE users SET suspended_at = created_at", &suspend_user, false),
        ];
        for (way, sql, contain, again) in cases {
            let (key, begun) = session(&world);
            assert_eq!(code(&world.keystile, &begun.access_token), None, "{way}");
            rusqlite::Connection::open(&world.path).unwrap().execute_batch(sql).unwrap();
            contain(&world.keystile, &key).unwrap();
            assert_eq!(code(&world.keystile, &begun.access_token), Some(Code::Revoked), "{way}");
            wait_for(&following, &begun.access_token, Some(Code::Revoked), way);
            // The second time nothing is left.
            if !again {
                contain(&world.keystile, &key).unwrap_err();
            }
        }
        assert_eq!(world.keystile.sessions().end_all(user).unwrap().value, 0);
        // Its sessions are there, so it was not deleted.
        world.keystile.users().resume(user).unwrap();
        let (_, begun) = session(&world);
        let sql = "UPDATE users SET email = NULL, password = NULL, password_set_at = NULL, deleted_at = created_at";
        rusqlite::Connection::open(&world.path).unwrap().execute_batch(sql).unwrap();
        world.keystile.users().delete(user).unwrap();
        wait_for(&following, &begun.access_token, Some(Code::Revoked), "a deleted user");
        assert!(world.keystile.users().delete(user).is_err());
    }

    /// A handle that follows the store judges by a change of another one a moment later.
    fn wait_for(keystile: &Keystile, token: &Secret, expected: Option<Code>, way: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while code(keystile, token) != expected {
            assert!(Instant::now() < deadline, "{way}: {:?} instead of {expected:?}", code(keystile, token));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn what_takes_nothing_away_ends_nothing() {
        let world = world();
        let keystile = &world.keystile;
        let widenings: &[(&str, Change)] = &[
            ("another name", |keystile, key| {
                update(keystile, key, KeyChange { name: Some("other".into()), ..KeyChange::default() });
            }),
            ("the same owner", |keystile, key| {
                update(
                    keystile,
                    key,
                    KeyChange { owner: Some(Some("ADA@Example.com".into())), ..KeyChange::default() },
                );
            }),
            ("more scopes", |keystile, key| {
                let wide = Some(scopes(&["c:*", "b:*", "a:*"]));
                update(keystile, key, KeyChange { scopes: wide, ..KeyChange::default() });
            }),
            ("a later expiry", |keystile, key| {
                update(keystile, key, KeyChange { expires_at: Some(Some(at(6 * 86_400))), ..KeyChange::default() });
            }),
            ("no expiry", |keystile, key| {
                update(keystile, key, KeyChange { expires_at: Some(None), ..KeyChange::default() });
            }),
            ("rotated with a long grace", |keystile, key| drop(rotate(keystile, key, Grace::default()))),
            ("rotated, and the new secret is unused", |keystile, key| {
                drop(rotate(keystile, key, Grace::from_first_use(0)));
            }),
        ];
        for (way, widen) in widenings {
            let (key, begun) = session(&world);
            widen(keystile, &key);
            assert_eq!(code(keystile, &begun.access_token), None, "{way}");
            let next = refresh(keystile, &begun).unwrap();
            assert_eq!(code(keystile, &next.access_token), None, "{way}");
        }
        assert_eq!(world.audited("session.ended").len(), 0);
    }

    /// Nor does a later one: what it stands on is the secret that was presented.
    #[test]
    fn a_session_ends_with_its_secret_and_no_token_outlives_that() {
        let world = world();
        let keystile = &world.keystile;
        let (key, old) = session(&world);
        let secret = rotate(keystile, &key, Grace::from_now(86_400));
        let new = keystile.login_with_key(secret.expose_secret(), Client::default()).unwrap();
        world.clock.set(at(86_400 - 60));
        let [last, fresh] = [&old, &new].map(|begun| refresh(keystile, begun).unwrap());
        assert_eq!(last.expires_in, 60);
        assert!(fresh.expires_in > 60);
        world.clock.set(at(86_400));
        assert_eq!(code(keystile, &last.access_token), Some(Code::Expired));
        assert!(matches!(refresh(keystile, &last), Err(RefreshError::Ended)));
        assert_eq!(code(keystile, &fresh.access_token), None);
        refresh(keystile, &fresh).unwrap();
    }

    /// A restore, or somebody with SQL: whatever has changed a key, the next refresh looks again.
    #[test]
    fn a_refresh_is_refused_when_the_key_was_changed_by_other_means() {
        let world = world();
        for sql in [
            "UPDATE keys SET state = 'suspended'",
            "UPDATE keys SET environment = 'test'",
            "UPDATE keys SET scopes = 'a:* b:write'",
            "UPDATE keys SET scopes = ''",
            "UPDATE keys SET owner = NULL",
            "UPDATE keys SET owner = 'bob@x.org'",
            "UPDATE keys SET addresses = '10.0.0.0/8'",
            "UPDATE keys SET rate_limit = 1, rate_window = 60",
            "UPDATE keys SET expires_at = created_at",
            "UPDATE keys SET not_before = created_at + 60",
            "UPDATE secrets SET retires_at = created_at",
            // Sessions of an earlier schema, and of a key that is not there.
            "UPDATE sessions SET environment = NULL",
            "UPDATE sessions SET secret_number = NULL",
            "UPDATE sessions SET key_id = zeroblob(16)",
        ] {
            let (_, begun) = session(&world);
            rusqlite::Connection::open(&world.path).unwrap().execute_batch(sql).unwrap();
            let refused = refresh(&world.keystile, &begun);
            assert!(matches!(refused, Err(RefreshError::Ended)), "{sql}: {refused:?}");
            assert_eq!(code(&world.keystile, &begun.access_token), Some(Code::Revoked), "{sql}");
        }
    }

    #[test]
    fn a_session_belongs_to_the_user_that_its_key_acts_for() {
        let world = world();
        let (_, begun) = session(&world);
        let bob = world.keystile.users().create(NewUser::new("bob@x.org".parse().unwrap())).unwrap();
        let sql = "UPDATE sessions SET user_pk = (SELECT pk FROM users WHERE email = 'bob@x.org')";
        rusqlite::Connection::open(&world.path).unwrap().execute_batch(sql).unwrap();
        assert_eq!(world.keystile.sessions().show(begun.session_id).unwrap().user, bob.id);
        assert!(matches!(refresh(&world.keystile, &begun), Err(RefreshError::Ended)));
    }
}
