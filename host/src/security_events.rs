//! Security events: failed logins, locks, and refresh tokens that were used again.
//!
//! They are kept apart from the audit trail: attackers make them, so their number is bounded, the oldest go, and none
//! is chained. Events that tell the same within an hour are one row with a count, and each kind has room of its own,
//! so that a flood of one pushes no other out. They name users by their id; an account that does not exist is known
//! by a keyed hash of its name only.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use keystile_validator::Timestamp;

use crate::ids::{SessionId, UserId};
use crate::key::{UnknownName, names};
use crate::keystile::Keystile;
use crate::query::{DEFAULT_PAGE, MAX_PAGE};
use crate::store::{StoreError, UnreadableRow};

/// Most rows of one kind of security event that are kept; the oldest go.
pub const MAX_EVENTS_OF_A_KIND: u64 = 2_500;
/// Days for which security events are kept, with their addresses.
pub const SECURITY_EVENT_DAYS: u64 = 90;

/// Events of one kind, about the same, from the same address, that began in the same hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityEvent {
    /// Its id: a later event has a larger one.
    pub id: u64,
    /// What happened.
    pub kind: SecurityEventKind,
    /// The user it happened to.
    pub user: Option<UserId>,
    /// The account that was named, when there is no such user.
    pub account: Option<AccountHash>,
    /// The session it happened to.
    pub session: Option<SessionId>,
    /// Where it came from, when the front end said so; of IPv6 the first address of the /64.
    pub address: Option<IpAddr>,
    /// When it first happened.
    pub first_at: Timestamp,
    /// When it last happened.
    pub last_at: Timestamp,
    /// How often it happened.
    pub count: u64,
}

names! {
    /// What kind of security event.
    SecurityEventKind {
        /// A wrong password of a user who there is, or a user who is suspended.
        LoginFailed = "login_failed",
        /// A login to an account that does not exist.
        UnknownAccount = "unknown_account",
        /// An account, a device of it, or an address was locked after too many of them.
        LoginLocked = "login_locked",
        /// A refresh token was used again, so its session was ended.
        TokenReused = "token_reused",
    }
}

/// A keyed hash of the name of an account that does not exist: the same name has the same hash in one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AccountHash(pub [u8; 32]);

impl fmt::Display for AccountHash {
    /// The first 8 bytes in hexadecimal: enough to tell accounts apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A security event that happens now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewSecurityEvent {
    pub(crate) kind: SecurityEventKind,
    pub(crate) user: Option<UserId>,
    pub(crate) account: Option<AccountHash>,
    pub(crate) session: Option<SessionId>,
    pub(crate) address: Option<IpAddr>,
}

impl NewSecurityEvent {
    /// The event as the first of a row, which has no id yet.
    pub(crate) fn at(&self, now: Timestamp) -> SecurityEvent {
        let NewSecurityEvent { kind, user, account, session, address } = self.clone();
        SecurityEvent { id: 0, kind, user, account, session, address, first_at: now, last_at: now, count: 1 }
    }
}

/// Which security events to list, newest first. The default lists all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityEventQuery {
    /// Only events of this kind.
    pub kind: Option<SecurityEventKind>,
    /// Only events of this user.
    pub user: Option<UserId>,
    /// Most events to return: 1 to [`MAX_PAGE`](crate::bounds::MAX_PAGE).
    pub limit: usize,
    /// Where the page before ended: only events with a smaller id.
    pub before: Option<u64>,
}

impl Default for SecurityEventQuery {
    fn default() -> SecurityEventQuery {
        SecurityEventQuery { kind: None, user: None, limit: DEFAULT_PAGE, before: None }
    }
}

/// A page of security events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityEventPage {
    /// Events that cannot be read.
    pub unreadable: Vec<UnreadableRow>,
    /// The events, newest first.
    pub events: Vec<SecurityEvent>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<u64>,
}

impl Keystile {
    /// A page of security events, newest first.
    ///
    /// # Errors
    /// [`ListSecurityEventsError`] when the query breaks a bound, or the store refuses.
    pub fn security_events(&self, query: &SecurityEventQuery) -> Result<SecurityEventPage, ListSecurityEventsError> {
        if query.limit == 0 || query.limit > MAX_PAGE {
            return Err(ListSecurityEventsError::Limit { given: query.limit });
        }
        Ok(self.inner.store().read()?.security_events(query, kept_since(self.inner.now()))?)
    }
}

/// The time before which events are no longer kept.
pub(crate) fn kept_since(now: Timestamp) -> Timestamp {
    now.saturating_sub(SECURITY_EVENT_DAYS * 86_400)
}

/// Why security events were not listed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ListSecurityEventsError {
    /// The page is empty or too large.
    Limit {
        /// The number that was given.
        given: usize,
    },
    /// The store refused.
    Store(StoreError),
}

impl fmt::Display for ListSecurityEventsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListSecurityEventsError::Limit { given } => {
                write!(f, "a page of {given} events cannot be listed · ask for 1 to {MAX_PAGE}")
            }
            ListSecurityEventsError::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ListSecurityEventsError {}

impl From<StoreError> for ListSecurityEventsError {
    fn from(error: StoreError) -> ListSecurityEventsError {
        ListSecurityEventsError::Store(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, SystemClock};
    use crate::login::tests::{EMAIL, PASSWORD, World, at, password, world};
    use crate::store::StoreError;
    use crate::{Client, Code, Login, NewToken, Refresh, RefreshError};

    impl World {
        fn events(&self) -> Vec<SecurityEvent> {
            self.keystile.security_events(&SecurityEventQuery::default()).unwrap().events
        }

        fn try_from(&self, email: &str, with: &str, address: &str) -> bool {
            let client = Client { address: Some(address.parse().unwrap()), ..Client::default() };
            self.keystile.login(&Login { email, password: &password(with), client }).is_ok()
        }
    }

    fn told(event: &SecurityEvent) -> (&'static str, u64, Option<String>) {
        (event.kind.as_str(), event.count, event.address.map(|address| address.to_string()))
    }

    #[test]
    fn failed_logins_are_counted_and_successes_leave_nothing() {
        let world = world();
        assert!(world.try_from(EMAIL, PASSWORD, "192.0.2.1"));
        assert_eq!(world.events(), []);
        for _ in 0..3 {
            assert!(!world.try_from(EMAIL, "wrong password", "192.0.2.1"));
            world.clock.advance(1);
        }
        // A success afterwards takes nothing back but itself.
        assert!(world.try_from(EMAIL, PASSWORD, "192.0.2.1"));
        assert!(!world.try_from("nobody@example.com", PASSWORD, "2001:db8::7"));
        assert!(!world.try_from("nobody@example.com", PASSWORD, "2001:db8::8"));
        let events = world.events();
        let address = |text: &str| Some(text.to_owned());
        assert_eq!(
            events.iter().map(told).collect::<Vec<_>>(),
            [("unknown_account", 2, address("2001:db8::")), ("login_failed", 3, address("192.0.2.1"))]
        );
        assert_eq!((events[0].user, events[1].user), (None, Some(world.user.id)));
        assert!(events[0].account.is_some() && events[1].account.is_none());
        assert_eq!((events[1].first_at, events[1].last_at), (at(0), at(2)));
        let shown = format!("{events:?}");
        assert!(!shown.contains("example.com") && !shown.contains("password"), "{shown}");
        // The next hour is another row.
        world.clock.advance(3_600);
        assert!(!world.try_from(EMAIL, "wrong password", "192.0.2.1"));
        assert_eq!(world.events().iter().map(told).next(), Some(("login_failed", 1, address("192.0.2.1"))));
        let of_ada = SecurityEventQuery { user: Some(world.user.id), limit: 1, ..SecurityEventQuery::default() };
        let page = world.keystile.security_events(&of_ada).unwrap();
        assert_eq!((page.events.len(), page.next), (1, Some(page.events[0].id)));
        let rest = world.keystile.security_events(&SecurityEventQuery { before: page.next, ..of_ada }).unwrap();
        assert_eq!((rest.events[0].count, rest.next), (3, None));
        for limit in [0, MAX_PAGE + 1] {
            let refused =
                world.keystile.security_events(&SecurityEventQuery { limit, ..SecurityEventQuery::default() });
            assert!(matches!(refused, Err(ListSecurityEventsError::Limit { .. })));
        }
    }

    #[test]
    fn locks_and_used_refresh_tokens_are_security_events() {
        let world = world();
        let first = world.login();
        let refresh = |token: &crate::Secret| {
            let refresh = Refresh { address: Some("192.0.2.9".parse().unwrap()), ..Refresh::default() };
            world.keystile.refresh(token.expose_secret(), &refresh)
        };
        let second = refresh(&first.refresh_token).unwrap();
        refresh(&second.refresh_token).unwrap();
        assert!(matches!(refresh(&first.refresh_token), Err(RefreshError::Reused)));
        let reused = world.events().remove(0);
        assert_eq!(told(&reused), ("token_reused", 1, Some("192.0.2.9".to_owned())));
        assert_eq!((reused.user, reused.session), (Some(world.user.id), Some(first.session_id)));
        for _ in 0..crate::bounds::LOCK_ACCOUNT_AFTER {
            world.try_from(EMAIL, "wrong password", "192.0.2.1");
            world.clock.advance(60);
        }
        let locked = SecurityEventQuery { kind: Some(SecurityEventKind::LoginLocked), ..SecurityEventQuery::default() };
        let locked = world.keystile.security_events(&locked).unwrap().events;
        assert_eq!(
            locked.iter().map(|event| (event.user, event.count)).collect::<Vec<_>>(),
            [(Some(world.user.id), 1)]
        );
    }

    /// Somebody who tries one made-up account after the other pushes out other made-up accounts only.
    #[test]
    fn a_flood_is_bounded_and_pushes_no_other_kind_out() {
        let world = world();
        assert!(!world.try_from(EMAIL, "wrong password", "192.0.2.1"));
        let account = |number: u64| {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&number.to_le_bytes());
            NewSecurityEvent {
                kind: SecurityEventKind::UnknownAccount,
                user: None,
                account: Some(AccountHash(hash)),
                session: None,
                address: None,
            }
        };
        let counted = world.keystile.inner.change(|transaction, now| {
            (0..MAX_EVENTS_OF_A_KIND + 10)
                .try_for_each(|n| transaction.count_security_event(&account(n), now).map(drop))
        });
        counted.map_err(|error: StoreError| error).unwrap();
        let of = |kind| {
            let (mut count, mut query) =
                (0, SecurityEventQuery { kind: Some(kind), limit: MAX_PAGE, ..SecurityEventQuery::default() });
            loop {
                let page = world.keystile.security_events(&query).unwrap();
                count += page.events.len() as u64;
                match page.next {
                    Some(next) => query.before = Some(next),
                    None => return count,
                }
            }
        };
        assert_eq!(of(SecurityEventKind::UnknownAccount), MAX_EVENTS_OF_A_KIND);
        assert_eq!(of(SecurityEventKind::LoginFailed), 1);
    }

    #[test]
    fn events_are_kept_for_a_while_and_through_a_restore() {
        let world = world();
        // A restore asks the clock of the system.
        let start = SystemClock.now();
        world.clock.set(start);
        let backup = world.path.with_file_name("backup.db");
        world.keystile.backup(&backup).unwrap();
        assert!(!world.try_from(EMAIL, "wrong password", "192.0.2.1"));
        let before = world.events();
        Keystile::restore(&backup, &world.path, "tests").unwrap();
        assert_eq!(world.events(), before);
        // In two steps: after a jump of more than a day nothing is forgotten.
        world.clock.set(start.saturating_add(SECURITY_EVENT_DAYS * 86_400 - 3_600));
        world.login();
        assert_eq!(world.events(), before);
        world.clock.advance(86_400);
        assert_eq!(world.events(), [], "not listed any more");
        world.login();
        let view = world.keystile.inner.store().read().unwrap();
        let mut left = 0;
        view.each_security_event(&mut |_| {
            left += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(left, 0, "nor kept, after the next login");
    }

    #[test]
    fn a_reset_ends_every_token_so_far_and_none_from_then_on() {
        let world = world();
        let issue = || {
            let new = NewToken { user: EMAIL.into(), ..NewToken::default() };
            world.keystile.tokens().issue(new).unwrap().token
        };
        let code =
            |token: &crate::Secret| world.keystile.verify(token.expose_secret(), &world.keystile.request()).code();
        let early = issue();
        world.clock.advance(60);
        assert_eq!(code(&early), None);
        world.keystile.users().reset_password(world.user.id, &password("another good password")).unwrap();
        assert_eq!(code(&early), Some(Code::Revoked));
        // Also in the same second.
        let next = issue();
        assert_eq!(code(&next), None);
        world.keystile.users().reset_password(world.user.id, &password(PASSWORD)).unwrap();
        assert_eq!(code(&next), Some(Code::Revoked));
        world.clock.advance(1);
        assert_eq!(code(&issue()), None);
        world.keystile.users().delete(world.user.id).unwrap();
        assert_eq!(code(&next), Some(Code::Revoked));
    }
}
