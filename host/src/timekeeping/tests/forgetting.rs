//! What is forgotten, and by which time: never by one that has not come.

use super::*;
use crate::NewToken;
use crate::login::tests::EMAIL;

const DAY: u64 = 86_400;

impl World {
    /// A token that an operator issues, and its id.
    fn token(&self) -> (String, Secret) {
        let token = NewToken { user: self.user.id.to_string(), scopes: Vec::new(), environment: None, ttl: None };
        let issued = self.keystile.tokens().issue(token).unwrap();
        (issued.token_id, issued.token)
    }

    /// Has revocations swept, as any revocation does.
    fn revoke_another(&self) {
        self.keystile.tokens().revoke_id(None, "of-another-token").unwrap();
    }
}

#[test]
fn a_refusal_by_a_later_time_forgets_nothing_and_moves_no_time() {
    let world = world();
    world.clock.set(at(3 * DAY));
    let [expired, used] = [world.login(), world.login()];
    world.keystile.refresh(used.refresh_token.expose_secret(), &Refresh::default()).unwrap();
    world.clock.set(at(60));
    world.keystile.accept_clock().unwrap();
    let begun = world.login();
    let (_, token) = world.token();
    world.keystile.users().suspend(world.user.id).unwrap();
    for refused in [&expired, &used, &expired] {
        world.clock.advance(1);
        let error = world.keystile.refresh(refused.refresh_token.expose_secret(), &Refresh::default()).unwrap_err();
        assert!(matches!(error, RefreshError::Expired | RefreshError::Ended | RefreshError::Reused), "{error:?}");
        for token in [&token, &begun.access_token] {
            assert_eq!(world.code(token), Some(Code::Revoked));
        }
    }
    assert_eq!(world.keystile.time().behind(), None);
}

/// Its session goes on by the clock, and was refreshed while that was ahead.
#[test]
fn a_reused_refresh_token_from_the_future_moves_no_time() {
    let world = world();
    let begun = world.login();
    world.clock.set(at(3 * DAY));
    world.keystile.refresh(begun.refresh_token.expose_secret(), &Refresh::default()).unwrap();
    world.clock.set(at(60));
    world.keystile.accept_clock().unwrap();
    world.clock.advance(60);
    let refused = world.keystile.refresh(begun.refresh_token.expose_secret(), &Refresh::default());
    assert!(matches!(refused, Err(RefreshError::Reused)), "{refused:?}");
    assert_eq!(world.keystile.time().behind(), None);
    assert_eq!(world.code(&world.login().access_token), None);
}

#[test]
fn a_token_that_was_revoked_while_the_clock_was_behind_stays_revoked() {
    let world = world();
    let following = world.follow();
    world.clock.set(at(10 * DAY));
    world.revoke_another();
    world.clock.set(at(13 * DAY));
    let (id, token) = world.token();
    assert_eq!(world.code(&token), None);
    world.clock.set(at(10 * DAY));
    world.keystile.tokens().revoke_id(None, &id).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while code(&following, &token) != Some(Code::Revoked) {
        assert!(std::time::Instant::now() < deadline);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    world.clock.set(at(13 * DAY + 60));
    following.flush().unwrap();
    assert_eq!(code(&following, &token), Some(Code::Revoked));
    world.revoke_another();
    assert_eq!(world.code(&token), Some(Code::Revoked));
}

#[test]
fn a_token_of_a_clock_that_was_ahead_stays_revoked_until_it_expires() {
    let world = world();
    world.clock.set(at(30 * DAY));
    let (id, token) = world.token();
    world.clock.set(at(0));
    world.keystile.accept_clock().unwrap();
    world.keystile.tokens().revoke_id(None, &id).unwrap();
    for day in 1..=30 {
        world.clock.set(at(day * DAY));
        world.revoke_another();
    }
    assert_eq!(world.code(&token), Some(Code::Revoked));
}

/// A grace from the first use that began while the clock was ahead, and the tokens of whoever has the old secret.
#[test]
fn a_grace_from_the_first_use_counts_anew_when_the_clock_is_accepted() {
    let world = world();
    let key = world.create(NewKey { owner: Some(EMAIL.into()), ..NewKey::default() });
    let new = world.rotate(&key, Grace::from_first_use(HOUR));
    world.clock.set(at(30 * DAY));
    assert_eq!(code(&world.keystile, &new), None);
    world.keystile.flush().unwrap();
    world.clock.set(at(60));
    let accepted = world.keystile.accept_clock().unwrap();
    assert_eq!(accepted.graces_shortened, 1);
    world.clock.set(at(60 + HOUR - 1));
    assert_eq!(world.code(&key.secret), None);
    world.clock.set(at(60 + HOUR));
    assert_eq!(world.code(&key.secret), Some(Code::Rotated));
}

#[test]
fn no_token_outlives_a_grace_that_is_shortened_when_the_clock_is_accepted() {
    let world = world();
    let key = world.create(NewKey { owner: Some(EMAIL.into()), ..NewKey::default() });
    world.clock.set(at(DAY));
    world.rotate(&key, Grace::from_now(100));
    world.clock.set(at(0));
    let begun = world.keystile.login_with_key(key.secret.expose_secret(), Client::default()).unwrap();
    let accepted = world.keystile.accept_clock().unwrap();
    assert_eq!((accepted.graces_shortened, accepted.sessions_ended), (1, 1));
    assert_eq!(world.code(&begun.access_token), Some(Code::Revoked));
    assert_eq!(world.code(&key.secret), None);
}
