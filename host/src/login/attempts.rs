//! Attempts: how many, how fast, and from where.
//!
//! An attempt is counted before its password is hashed, as if it had failed; a success takes it back. So
//! a thousand guesses at once are no more than a few one after the other. The counts are in the store:
//! neither a restart nor another process begins anew.
//!
//! Accounts are counted whether there are any of that name or not, under a keyed hash. A device, which is
//! an account at an address where it was logged in to within the last 30 days, has a count of its own:
//! whoever locks the account from elsewhere does not lock its owner out. Every lock ends by itself.

use std::net::{IpAddr, Ipv6Addr};

use aws_lc_rs::hmac;
use keystile_validator::Timestamp;
use serde_json::json;

use crate::ids::UserId;
use crate::in_force::readable;
use crate::keystile::Inner;
use crate::security_events::{AccountHash, NewSecurityEvent, SecurityEventKind, kept_since};
use crate::store::security_events::CountedEvent;
use crate::store::users::{Bucket, BucketId, BucketKind};
use crate::store::{ReadTransaction, StoreError, WriteTransaction};
use crate::timekeeping::forgettable;

/// Seconds for which a bucket is locked.
pub const LOCK_SECONDS: u64 = 15 * 60;
/// Wrong passwords in a row after which an account, or a device of it, is locked.
pub const LOCK_ACCOUNT_AFTER: u32 = 10;
/// Attempts that fail, over all accounts, after which an address is locked.
pub const LOCK_ADDRESS_AFTER: u32 = 100;

/// How attempts of one kind are slowed down.
struct Policy {
    /// Attempts that fail without any consequence.
    free: u32,
    /// The one that locks.
    lock_after: u32,
    /// Seconds of quiet after which all is forgotten.
    forget: u64,
}

const ACCOUNT: Policy = Policy { free: 4, lock_after: LOCK_ACCOUNT_AFTER, forget: 86_400 };
// Many people can be behind one address.
const ADDRESS: Policy = Policy { free: 30, lock_after: LOCK_ADDRESS_AFTER, forget: 3_600 };
/// The longest pause that is no lock yet.
const LONGEST_PAUSE: u64 = 32;
/// Until when a bucket is blocked that is not.
const NEVER: Timestamp = match Timestamp::from_unix(0) {
    Ok(epoch) => epoch,
    Err(_) => Timestamp::MAX,
};
/// How long a device stays known after a success.
const DEVICE_KNOWN: u64 = 30 * 86_400;

impl Policy {
    const fn of(kind: BucketKind) -> &'static Policy {
        match kind {
            BucketKind::Account | BucketKind::Device => &ACCOUNT,
            BucketKind::Address => &ADDRESS,
        }
    }

    /// Seconds until the next attempt after so many failures: none, then twice as long each time, then the
    /// lock.
    fn pause(&self, failures: u32) -> u64 {
        if failures >= self.lock_after {
            return LOCK_SECONDS;
        }
        match failures.checked_sub(self.free) {
            None | Some(0) => 0,
            Some(over) => 1_u64.checked_shl(over.saturating_sub(1)).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE),
        }
    }

    /// What counts of a bucket at this time.
    fn recall(&self, bucket: Option<Bucket>, now: Timestamp) -> Bucket {
        let Some(mut bucket) = bucket else {
            return Bucket { failures: 0, last_at: now, blocked_until: NEVER, succeeded_at: None };
        };
        if now.seconds_since(bucket.last_at) >= self.forget && now >= bucket.blocked_until {
            bucket.failures = 0;
        }
        // The clock went back: no lock lasts longer than a whole one from now.
        bucket.blocked_until = bucket.blocked_until.min(now.saturating_add(LOCK_SECONDS));
        bucket
    }

    /// The bucket after one more attempt.
    fn count(&self, bucket: Bucket, now: Timestamp) -> Bucket {
        let failures = bucket.failures.saturating_add(1);
        let pause = self.pause(failures);
        let blocked_until = if pause == 0 { bucket.blocked_until } else { now.saturating_add(pause) };
        Bucket { failures, last_at: now.max(bucket.last_at), blocked_until, ..bucket }
    }
}

/// Who tries what from where.
pub(crate) struct Attempt<'a> {
    /// The account, normalized if it can be; there need not be one.
    pub(crate) account: &'a str,
    /// Where it comes from.
    pub(crate) address: Option<IpAddr>,
}

/// An attempt that was counted.
pub(crate) struct Counted {
    /// The buckets it was counted in.
    buckets: Vec<BucketId>,
    /// The device it would make known.
    device: Option<BucketId>,
    /// What it locks when it fails, after how many failures.
    locks: Vec<(BucketKind, u32)>,
    /// Attempts of this account that failed before.
    pub(crate) failures_before: u32,
    /// The security event that it is when it fails.
    event: CountedEvent,
}

/// An attempt that was refused before anything was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Seconds after which there may be another.
    pub(crate) retry_after: u64,
    /// Whether it came from a device that is known to the account.
    pub(crate) known_device: bool,
}

/// The buckets of an attempt.
struct Buckets {
    account: BucketId,
    address: Option<BucketId>,
    device: Option<BucketId>,
}

impl Buckets {
    fn new(key: &[u8; 32], attempt: &Attempt<'_>) -> Buckets {
        let account = account_bucket(key, attempt.account);
        let network = attempt.address.map(network);
        let device = network.map(|network| BucketId {
            kind: BucketKind::Device,
            subject: name(key, b"device", &[attempt.account.as_bytes(), &network.octets()]),
            account: Some(account.subject),
        });
        let address = network.map(|network| BucketId {
            kind: BucketKind::Address,
            subject: name(key, b"address", &[&network.octets()]),
            account: None,
        });
        Buckets { account, address, device }
    }

    /// The bucket that stands for the account, what is in it, and whether it is that of a known device.
    fn account(&self, view: &dyn ReadTransaction, now: Timestamp) -> Result<(BucketId, Bucket, bool), StoreError> {
        if let Some(device) = self.device
            && let Some(bucket) = view.bucket(&device)?
            && bucket.succeeded_at.is_some_and(|at| now.seconds_since(at) < DEVICE_KNOWN)
        {
            return Ok((device, ACCOUNT.recall(Some(bucket), now), true));
        }
        Ok((self.account, ACCOUNT.recall(view.bucket(&self.account)?, now), false))
    }
}

/// Counts an attempt, or refuses it. Whoever is refused costs one read.
pub(crate) fn count(inner: &Inner, attempt: &Attempt<'_>) -> Result<Result<Counted, Refused>, StoreError> {
    let now = inner.now();
    let view = inner.store().read()?;
    if let Some(key) = view.bucket_key()?
        && let buckets = Buckets::new(&key, attempt)
        && let Err(refused) = look(&*view, &buckets, now)?
        && too_long(&*view, &buckets, now)?.is_empty()
    {
        return Ok(Err(refused));
    }
    drop(view);
    let mut transaction = inner.store().write()?;
    let now = inner.now();
    // What is forgotten goes by the time that is noted.
    inner.note_time(&mut *transaction, now)?;
    let counted = count_in(&mut *transaction, attempt, now)?;
    // Also when it is refused: a lock that was cut to its longest stays cut.
    transaction.commit()?;
    Ok(counted)
}

/// What is in the buckets, when there may be another attempt.
type Found = Vec<(BucketId, Bucket)>;

fn look(view: &dyn ReadTransaction, buckets: &Buckets, now: Timestamp) -> Result<Result<Found, Refused>, StoreError> {
    let (id, bucket, known_device) = buckets.account(view, now)?;
    let mut found = vec![(id, bucket)];
    if let Some(address) = buckets.address {
        found.push((address, ADDRESS.recall(view.bucket(&address)?, now)));
    }
    let wait = found.iter().map(|(_, bucket)| bucket.blocked_until.seconds_since(now)).max().unwrap_or(0);
    Ok(if wait == 0 { Ok(found) } else { Err(Refused { retry_after: wait, known_device }) })
}

fn count_in(
    transaction: &mut dyn WriteTransaction,
    attempt: &Attempt<'_>,
    now: Timestamp,
) -> Result<Result<Counted, Refused>, StoreError> {
    let key = key_of(transaction)?;
    let buckets = Buckets::new(&key, attempt);
    let found = match look(&*transaction, &buckets, now)? {
        Ok(found) => found,
        Err(refused) => {
            // Cut in the store, or it would be cut anew at every attempt, and never end.
            for (id, bucket) in too_long(&*transaction, &buckets, now)? {
                transaction.set_bucket(&id, &bucket)?;
            }
            return Ok(Err(refused));
        }
    };
    if let Some(by) = forgettable(&*transaction)? {
        transaction.forget_buckets(by.saturating_sub(DEVICE_KNOWN), by.saturating_sub(ACCOUNT.forget))?;
        transaction.forget_security_events(kept_since(by))?;
    }
    // As if it had failed, as in the buckets; a success takes it back.
    let event = failed_login(&*transaction, attempt, &buckets)?;
    let event = transaction.count_security_event(&event, now)?;
    let mut counted =
        Counted { buckets: Vec::new(), device: buckets.device, locks: Vec::new(), failures_before: 0, event };
    for (id, bucket) in found {
        let policy = Policy::of(id.kind);
        let bucket = policy.count(bucket, now);
        transaction.set_bucket(&id, &bucket)?;
        if bucket.failures >= policy.lock_after {
            counted.locks.push((id.kind, bucket.failures));
        }
        if id.kind != BucketKind::Address {
            counted.failures_before = bucket.failures.saturating_sub(1);
        }
        counted.buckets.push(id);
    }
    Ok(Ok(counted))
}

/// The locks that are longer than any can be, because they were made before the clock went back, as they are
/// when they are cut.
fn too_long(view: &dyn ReadTransaction, buckets: &Buckets, now: Timestamp) -> Result<Found, StoreError> {
    let mut found = Found::new();
    for id in [Some(buckets.account), buckets.address, buckets.device].into_iter().flatten() {
        if let Some(stored) = view.bucket(&id)? {
            let cut = Policy::of(id.kind).recall(Some(stored), now);
            if cut.blocked_until < stored.blocked_until {
                found.push((id, cut));
            }
        }
    }
    Ok(found)
}

/// Tells the audit trail of the locks that an attempt has brought, now that it has failed.
pub(crate) fn fail(inner: &Inner, attempt: &Attempt<'_>, counted: &Counted) -> Result<(), StoreError> {
    if counted.locks.is_empty() {
        return Ok(());
    }
    inner.change(|transaction, now| {
        counted
            .locks
            .iter()
            .try_for_each(|(kind, failures)| tell_lock(inner, transaction, attempt, *kind, *failures, now))
    })
}

/// The audit trail learns of locks, with the id of an account that there is, and with nothing of one that
/// there is not.
fn tell_lock(
    inner: &Inner,
    transaction: &mut dyn WriteTransaction,
    attempt: &Attempt<'_>,
    kind: BucketKind,
    failures: u32,
    now: Timestamp,
) -> Result<(), StoreError> {
    let user = match (kind, attempt.account.parse()) {
        (BucketKind::Account | BucketKind::Device, Ok(email)) => transaction.user_by_email(&email)?,
        _ => None,
    };
    let id = user.map(|row| row.id());
    let account = match (kind, id) {
        (BucketKind::Account | BucketKind::Device, None) => {
            Some(AccountHash(account_bucket(&key_of(transaction)?, attempt.account).subject))
        }
        _ => None,
    };
    let event = NewSecurityEvent {
        kind: SecurityEventKind::LoginLocked,
        user: id,
        account,
        session: None,
        address: attempt.address.map(counted_address),
    };
    transaction.count_security_event(&event, now)?;
    let subject = id.map(|id| id.to_string());
    let what = match (kind, &subject) {
        (BucketKind::Account, Some(_)) => "account",
        (BucketKind::Device, Some(_)) => "device",
        (BucketKind::Account | BucketKind::Device, None) => "unknown account",
        (BucketKind::Address, _) => "address",
    };
    // Where it was tried from is in the security event, which can be forgotten.
    let detail = json!({ "what": what, "attempts": failures, "seconds": LOCK_SECONDS });
    inner.audit(transaction, now, "login.locked", subject, &detail)
}

/// Takes an attempt back that was a success: the count of the account, or of the device, begins anew, and
/// the device is known from now on.
pub(crate) fn succeed(
    transaction: &mut dyn WriteTransaction,
    counted: &Counted,
    now: Timestamp,
) -> Result<(), StoreError> {
    transaction.take_back_security_event(counted.event)?;
    for id in &counted.buckets {
        let Some(mut bucket) = transaction.bucket(id)? else { continue };
        match id.kind {
            BucketKind::Account | BucketKind::Device => bucket.failures = 0,
            // Of an address only this attempt is taken back: others may have guessed from there.
            BucketKind::Address => bucket.failures = bucket.failures.saturating_sub(1),
        }
        if Policy::of(id.kind).pause(bucket.failures) == 0 {
            bucket.blocked_until = NEVER;
        }
        transaction.set_bucket(id, &bucket)?;
    }
    if let Some(device) = &counted.device {
        let known = Bucket { failures: 0, last_at: now, blocked_until: NEVER, succeeded_at: Some(now) };
        transaction.set_bucket(device, &known)?;
    }
    Ok(())
}

/// The security event that an attempt is when it fails.
fn failed_login(
    view: &dyn ReadTransaction,
    attempt: &Attempt<'_>,
    buckets: &Buckets,
) -> Result<NewSecurityEvent, StoreError> {
    let user = match attempt.account.parse() {
        Ok(email) => view.user_by_email(&email)?.map(|row| row.id()),
        Err(_) => None,
    };
    let (kind, account) = match user {
        Some(_) => (SecurityEventKind::LoginFailed, None),
        None => (SecurityEventKind::UnknownAccount, Some(AccountHash(buckets.account.subject))),
    };
    Ok(NewSecurityEvent { kind, user, account, session: None, address: attempt.address.map(counted_address) })
}

/// Until when nobody may try to log in to this account, but from its known devices.
pub(crate) fn locked_until(
    view: &dyn ReadTransaction,
    account: &str,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let Some(key) = view.bucket_key()? else { return Ok(None) };
    let bucket = ACCOUNT.recall(view.bucket(&account_bucket(&key, account))?, now);
    Ok((bucket.failures >= ACCOUNT.lock_after && bucket.blocked_until > now).then_some(bucket.blocked_until))
}

/// Forgets what was counted of an account; says whether it was locked.
pub(crate) fn unlock(
    transaction: &mut dyn WriteTransaction,
    account: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let was_locked = locked_until(&*transaction, account, now)?.is_some();
    if let Some(key) = transaction.bucket_key()? {
        transaction.empty_buckets(&account_bucket(&key, account))?;
    }
    Ok(was_locked)
}

/// Forgets all about an account that is a user's no longer: its attempts, its devices, its security events.
///
/// Where the account or the name of its bucket cannot be read, counts stay, and go by their age.
pub(crate) fn forget(
    transaction: &mut dyn WriteTransaction,
    user: UserId,
    account: Option<&str>,
) -> Result<(), StoreError> {
    let key = readable(transaction.bucket_key(), "of attempts", &mut Vec::new())?;
    let bucket = key.zip(account).map(|(key, account)| account_bucket(&key, account));
    transaction.forget_security_events_of(user, bucket.map(|bucket| AccountHash(bucket.subject)))?;
    bucket.map_or(Ok(()), |bucket| transaction.delete_buckets_of(&bucket))
}

fn account_bucket(key: &[u8; 32], account: &str) -> BucketId {
    BucketId { kind: BucketKind::Account, subject: name(key, b"account", &[account.as_bytes()]), account: None }
}

/// The name of a bucket: HMAC-SHA-256, each part with its length.
fn name(key: &[u8; 32], kind: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in std::iter::once(&kind).chain(parts) {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part);
    }
    let mut name = [0; 32];
    name.copy_from_slice(context.sign().as_ref());
    name
}

/// What counts as one address: an IPv4 address, or the /64 that one customer has of IPv6.
fn network(address: IpAddr) -> Ipv6Addr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64),
    }
}

/// The address that stands for all that count as one.
pub(crate) fn counted_address(address: IpAddr) -> IpAddr {
    IpAddr::V6(network(address)).to_canonical()
}

/// The key of the store that buckets are named with; drawn when it is first needed.
fn key_of(transaction: &mut dyn WriteTransaction) -> Result<[u8; 32], StoreError> {
    if let Some(key) = transaction.bucket_key()? {
        return Ok(key);
    }
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|_| StoreError::NoRandomBytes)?;
    transaction.set_bucket_key(&key)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix(1_700_000_000 + seconds).unwrap()
    }

    #[test]
    fn pauses_double_and_end_in_a_lock() {
        let pauses: Vec<u64> = (0..=11).map(|failures| ACCOUNT.pause(failures)).collect();
        assert_eq!(pauses, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, LOCK_SECONDS, LOCK_SECONDS]);
        assert_eq!(ADDRESS.pause(30), 0);
        assert_eq!(ADDRESS.pause(31), 1);
        assert!((36..100).all(|failures| ADDRESS.pause(failures) == LONGEST_PAUSE));
        assert_eq!(ADDRESS.pause(100), LOCK_SECONDS);
        assert_eq!(ACCOUNT.pause(u32::MAX), LOCK_SECONDS);
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let mut bucket = ACCOUNT.recall(None, at(0));
        for _ in 0..10 {
            bucket = ACCOUNT.count(bucket, at(0));
        }
        assert_eq!((bucket.failures, bucket.blocked_until), (10, at(LOCK_SECONDS)));
        assert_eq!(ACCOUNT.recall(Some(bucket), at(86_399)).failures, 10);
        assert_eq!(ACCOUNT.recall(Some(bucket), at(86_400)).failures, 0);
    }

    #[test]
    fn a_clock_that_goes_back_makes_no_lock_longer() {
        let bucket = Bucket { failures: 10, last_at: at(10_000), blocked_until: at(10_900), succeeded_at: None };
        let recalled = ACCOUNT.recall(Some(bucket), at(0));
        assert_eq!((recalled.failures, recalled.blocked_until), (10, at(LOCK_SECONDS)));
    }

    #[test]
    fn one_customer_is_one_address() {
        let network = |text: &str| network(text.parse().unwrap());
        assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:0:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
    }

    #[test]
    fn names_of_buckets_depend_on_the_key_and_on_every_part() {
        let bucket = |key: u8, account, address: Option<&str>| {
            let address = address.map(|address| address.parse().unwrap());
            Buckets::new(&[key; 32], &Attempt { account, address })
        };
        let one = bucket(1, "a@b", Some("192.0.2.1"));
        let others = [
            bucket(2, "a@b", Some("192.0.2.1")).account,
            bucket(1, "a@c", None).account,
            one.address.unwrap(),
            one.device.unwrap(),
            bucket(1, "a@b", Some("192.0.2.2")).device.unwrap(),
            bucket(1, "a@c", Some("192.0.2.1")).device.unwrap(),
        ];
        assert_eq!(bucket(1, "a@b", None).account, one.account);
        assert!(others.iter().all(|other| other.subject != one.account.subject));
    }
}
