//! Hashing, few at once: each hash takes 19 MiB and a processor.
//!
//! Whoever wants to hash first takes a [`Place`], of which there is a fixed number; when all are taken,
//! the answer is [`Busy`], at once. With a place one waits for a turn. So neither memory nor waiting
//! grows with the number of callers.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::phc::{Cost, Memory, SALT_LEN, StoredHash};
use super::{Password, PasswordError};

/// Hashes computed at the same time.
const AT_ONCE: usize = 2;
/// Callers with a place: those that hash, and those that wait. The last one waits for about a second
/// and a half.
const PLACES: usize = 64;

/// Hashes passwords, and counts how often.
#[derive(Default)]
pub(crate) struct Hasher {
    places: AtomicUsize,
    running: Mutex<Running>,
    freed: Condvar,
    hashes: AtomicU64,
}

#[derive(Default)]
struct Running {
    hashing: usize,
    /// What nobody hashes in at the moment. Kept, for as long as the program runs: memory of this size that
    /// many threads take and give back is spread over the heaps of all of them.
    spare: Vec<Memory>,
}

/// Too many want to hash: nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Busy;

/// A place among those who may hash, until it is dropped.
pub(crate) struct Place<'a>(&'a Hasher);

/// What a password was found to be.
pub(crate) enum Checked {
    /// Not that of the account.
    Wrong,
    /// That of the account.
    Right {
        /// The same password hashed anew, when the stored hash is of an older cost.
        upgraded: Option<String>,
    },
}

impl Hasher {
    /// Takes a place.
    pub(crate) fn enter(&self) -> Result<Place<'_>, Busy> {
        let taken = self.places.fetch_update(Ordering::AcqRel, Ordering::Acquire, |places| {
            (places < PLACES).then_some(places.saturating_add(1))
        });
        taken.map(|_| Place(self)).map_err(|_| Busy)
    }

    /// How often this has hashed.
    pub(crate) fn hashes(&self) -> u64 {
        self.hashes.load(Ordering::Relaxed)
    }
}

impl Place<'_> {
    /// The stored form of a new password.
    pub(crate) fn hash(&self, password: &Password) -> Result<String, HashError> {
        let mut salt = [0; SALT_LEN];
        getrandom::fill(&mut salt).map_err(|_| HashError::Generator)?;
        let mut turn = self.turn();
        let stored =
            StoredHash::new(password.expose_password(), salt, &mut turn.memory).map_err(|_| HashError::Memory)?;
        Ok(stored.to_string())
    }

    /// Holds a password against a stored hash; without one, hashes all the same, so that an account that
    /// does not exist takes as long as one that does.
    pub(crate) fn check(&self, password: &Password, stored: Option<&str>) -> Result<Checked, HashError> {
        // A hash that cannot be read is one that nothing matches.
        let stored = stored.and_then(|stored| stored.parse::<StoredHash>().ok());
        let mut turn = self.turn();
        let right = match &stored {
            Some(stored) => stored.matches(password.expose_password(), &mut turn.memory),
            None => StoredHash::new(password.expose_password(), [0; SALT_LEN], &mut turn.memory).map(|_| false),
        };
        drop(turn);
        if !right.map_err(|_| HashError::Memory)? {
            return Ok(Checked::Wrong);
        }
        let upgrade = stored.is_some_and(|stored| stored.cost != Cost::CURRENT);
        Ok(Checked::Right { upgraded: upgrade.then(|| self.hash(password)).transpose()? })
    }

    fn turn(&self) -> Turn<'_> {
        let hasher = self.0;
        let mut running = lock(&hasher.running);
        while running.hashing >= AT_ONCE {
            running = hasher.freed.wait(running).unwrap_or_else(PoisonError::into_inner);
        }
        running.hashing = running.hashing.saturating_add(1);
        hasher.hashes.fetch_add(1, Ordering::Relaxed);
        Turn { hasher, memory: running.spare.pop().unwrap_or_default() }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.places.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The time of one hash.
struct Turn<'a> {
    hasher: &'a Hasher,
    memory: Memory,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        let mut running = lock(&self.hasher.running);
        running.hashing = running.hashing.saturating_sub(1);
        // A hash of a larger cost than ours is rare: its memory is not kept.
        if memory.len() <= Cost::CURRENT.blocks() {
            running.spare.push(memory);
        }
        drop(running);
        self.hasher.freed.notify_one();
    }
}

fn lock(running: &Mutex<Running>) -> MutexGuard<'_, Running> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a password was not hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HashError {
    /// The operating system gave no random bytes.
    Generator,
    /// There is no memory to hash in.
    Memory,
}

impl From<HashError> for PasswordError {
    fn from(error: HashError) -> PasswordError {
        match error {
            HashError::Generator => PasswordError::Generator,
            HashError::Memory => PasswordError::Memory,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::new(text.to_owned()).unwrap()
    }

    #[test]
    fn whatever_is_checked_costs_one_hash() {
        let hasher = Hasher::default();
        let place = hasher.enter().unwrap();
        let stored = place.hash(&password("correct horse")).unwrap();
        assert_eq!(hasher.hashes(), 1);
        let wrong = |password: &Password, stored| matches!(place.check(password, stored), Ok(Checked::Wrong));
        assert!(wrong(&password("wrong horse"), Some(&stored)));
        assert!(wrong(&password("correct horse"), None));
        assert!(wrong(&password("correct horse"), Some("damaged")));
        assert!(matches!(
            place.check(&password("correct horse"), Some(&stored)),
            Ok(Checked::Right { upgraded: None })
        ));
        assert_eq!(hasher.hashes(), 5);
    }

    #[test]
    fn a_hash_of_an_older_cost_is_made_anew() {
        let hasher = Hasher::default();
        let place = hasher.enter().unwrap();
        // `correct horse` with a memory of 64 KiB and one pass.
        let old = super::super::phc::with_cost("correct horse", 64, 1);
        let Ok(Checked::Right { upgraded: Some(new) }) = place.check(&password("correct horse"), Some(&old)) else {
            panic!("it was not upgraded");
        };
        assert!(new.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(matches!(place.check(&password("correct horse"), Some(&new)), Ok(Checked::Right { upgraded: None })));
        assert!(matches!(place.check(&password("other"), Some(&old)), Ok(Checked::Wrong)));
    }

    #[test]
    fn two_hash_at_once_and_a_fixed_number_wait() {
        let hasher = Hasher::default();
        let places: Vec<_> = (0..PLACES).map(|_| hasher.enter().unwrap()).collect();
        assert_eq!(hasher.enter().err(), Some(Busy));
        let most = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for place in &places {
                let (hasher, most) = (&hasher, &most);
                scope.spawn(move || {
                    let _turn = place.turn();
                    most.fetch_max(lock(&hasher.running).hashing, Ordering::Relaxed);
                    std::thread::yield_now();
                });
            }
        });
        assert_eq!(most.into_inner(), AT_ONCE);
        drop(places);
        assert!(hasher.enter().is_ok() && lock(&hasher.running).hashing == 0);
        assert!(lock(&hasher.running).spare.len() <= AT_ONCE);
    }
}
