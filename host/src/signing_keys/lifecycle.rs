//! Where signing keys stand at a point in time: published, active, retiring, gone.
//!
//! Nothing runs by itself when a time has come. Whoever reads sees the keys as they must be now;
//! whoever writes a token first writes that down.

use keystile_validator::Timestamp;
use serde_json::json;

use super::SigningKeyState;
use crate::keystile::Inner;
use crate::store::containment::UnreadableSigningKey;
use crate::store::{SigningKeyRow, StoreError, UnreadableRow, WriteTransaction};
use crate::text::rfc3339;

/// Seconds after the expiry of its last token that a key is kept: the most leeway that a verifier of
/// ours can give.
pub(crate) const KEPT_AFTER_EXPIRY: u64 = 60;

impl SigningKeyRow {
    /// From when on nothing that it has signed is accepted; `None`: it still signs, or will.
    pub(crate) fn kept_until(&self) -> Option<Timestamp> {
        let retired_at = self.retired_at?;
        Some(self.last_expiry.map_or(retired_at, |at| retired_at.max(at.saturating_add(KEPT_AFTER_EXPIRY))))
    }

    /// Whether tokens that it has signed can be valid, or will be.
    pub(crate) fn is_in_use(&self) -> bool {
        self.state != SigningKeyState::Gone
    }

    fn retire(&mut self, at: Timestamp) {
        self.state = SigningKeyState::Retiring;
        self.retired_at = Some(at);
        if self.algorithm.has_public_key() {
            // It never signs again. Only HMAC needs the same secret to verify.
            self.sealed_key = None;
        }
    }

    fn activate(&mut self, at: Timestamp) {
        self.state = SigningKeyState::Active;
        self.signs_from = at;
        self.activated_at = Some(at);
    }

    fn remove(&mut self, at: Timestamp) {
        self.state = SigningKeyState::Gone;
        self.retired_at = self.retired_at.or(Some(at));
        self.sealed_key = None;
    }
}

/// The keys as they must be at this time.
pub(crate) fn at_time(mut keys: Vec<SigningKeyRow>, now: Timestamp) -> Vec<SigningKeyRow> {
    let next = keys.iter().find(|key| key.state == SigningKeyState::Published && key.signs_from <= now);
    if let Some(from) = next.map(|next| next.signs_from) {
        // Nothing was signed since then: whoever signs comes through here first.
        promote(&mut keys, from);
    }
    for key in &mut keys {
        if key.state == SigningKeyState::Retiring && key.kept_until().is_some_and(|until| until <= now) {
            key.remove(now);
        }
    }
    keys
}

/// Lets the published key sign, from this time on, and retires the one that has signed until now.
pub(super) fn promote(keys: &mut [SigningKeyRow], at: Timestamp) {
    for key in keys {
        match key.state {
            SigningKeyState::Active => key.retire(at),
            SigningKeyState::Published => key.activate(at),
            SigningKeyState::Retiring | SigningKeyState::Gone => {}
        }
    }
}

/// Retires the key that has signed until now, and gives up the one that was to come.
pub(super) fn clear_the_way(keys: &mut [SigningKeyRow], at: Timestamp) {
    for key in keys {
        match key.state {
            SigningKeyState::Active => key.retire(at),
            SigningKeyState::Published => key.remove(at),
            SigningKeyState::Retiring | SigningKeyState::Gone => {}
        }
    }
}

/// Gives up all keys but the one that signs, whatever tokens of them are still alive.
pub(super) fn give_up_all_but_active(keys: &mut [SigningKeyRow], at: Timestamp) {
    for key in keys {
        if matches!(key.state, SigningKeyState::Published | SigningKeyState::Retiring) {
            key.remove(at);
        }
    }
}

impl Inner {
    /// The signing keys as they must be now, written down as such.
    pub(super) fn keys_of_now(
        &self,
        transaction: &mut dyn WriteTransaction,
        now: Timestamp,
    ) -> Result<Vec<SigningKeyRow>, StoreError> {
        let (keys, unreadable) = self.readable_keys_of_now(transaction, now)?;
        match unreadable.into_iter().next() {
            None => Ok(keys),
            Some(UnreadableSigningKey { row: UnreadableRow { row, column }, .. }) => {
                Err(StoreError::InvalidRow { column, row })
            }
        }
    }

    /// Those that can be read, and those that cannot and are not gone.
    pub(super) fn readable_keys_of_now(
        &self,
        transaction: &mut dyn WriteTransaction,
        now: Timestamp,
    ) -> Result<(Vec<SigningKeyRow>, Vec<UnreadableSigningKey>), StoreError> {
        let (before, unreadable) = transaction.readable_signing_keys()?;
        let after = at_time(before.clone(), now);
        self.write_keys(transaction, now, &before, &after)?;
        Ok((after, unreadable))
    }

    /// Gives up keys that cannot be read: whatever they have signed is refused from now on.
    pub(super) fn give_up(
        &self,
        transaction: &mut dyn WriteTransaction,
        now: Timestamp,
        keys: Vec<UnreadableSigningKey>,
    ) -> Result<Vec<UnreadableRow>, StoreError> {
        let mut given_up = Vec::new();
        for UnreadableSigningKey { ordinal, kid, row } in keys {
            transaction.give_up_signing_key(ordinal, now)?;
            let detail = json!({ "unreadable": row.column, "at": rfc3339(now) });
            self.audit(transaction, now, "signing_key.removed", kid, &detail)?;
            given_up.push(row);
        }
        Ok(given_up)
    }

    /// Writes down how the keys have moved on, with an audit entry for each.
    pub(super) fn write_keys(
        &self,
        transaction: &mut dyn WriteTransaction,
        now: Timestamp,
        before: &[SigningKeyRow],
        after: &[SigningKeyRow],
    ) -> Result<(), StoreError> {
        // At no moment are two of them active.
        let order = [SigningKeyState::Gone, SigningKeyState::Retiring, SigningKeyState::Active];
        for state in order {
            for (old, new) in before.iter().zip(after) {
                if old == new || new.state != state {
                    continue;
                }
                transaction.update_signing_key(new)?;
                let (action, at) = match state {
                    SigningKeyState::Active => ("signing_key.promoted", new.activated_at),
                    SigningKeyState::Retiring => ("signing_key.retired", new.retired_at),
                    SigningKeyState::Gone | SigningKeyState::Published => ("signing_key.removed", Some(now)),
                };
                let detail = json!({ "alg": new.algorithm.as_str(), "at": at.map(rfc3339) });
                self.audit(transaction, now, action, Some(new.kid.clone()), &detail)?;
            }
        }
        Ok(())
    }

    /// Adds a key that was just made.
    pub(super) fn add_key(
        &self,
        transaction: &mut dyn WriteTransaction,
        now: Timestamp,
        key: &SigningKeyRow,
    ) -> Result<(), StoreError> {
        transaction.insert_signing_key(key)?;
        let detail = json!({
            "alg": key.algorithm.as_str(),
            "state": key.state.as_str(),
            "signs_from": rfc3339(key.signs_from),
        });
        self.audit(transaction, now, "signing_key.created", Some(key.kid.clone()), &detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing_keys::SigningAlgorithm;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix(1_700_000_000 + seconds).unwrap()
    }

    fn key(kid: &str, algorithm: SigningAlgorithm, state: SigningKeyState) -> SigningKeyRow {
        SigningKeyRow {
            kid: kid.to_owned(),
            algorithm,
            state,
            public_key: algorithm.has_public_key().then(|| "{}".to_owned()),
            sealed_key: Some(vec![1]),
            created_at: at(0),
            signs_from: at(0),
            activated_at: Some(at(0)),
            retired_at: None,
            last_expiry: None,
        }
    }

    fn states(keys: &[SigningKeyRow]) -> Vec<&'static str> {
        keys.iter().map(|key| key.state.as_str()).collect()
    }

    #[test]
    fn keys_move_on_with_time() {
        let old = SigningKeyRow {
            last_expiry: Some(at(1_800)),
            ..key("a", SigningAlgorithm::EdDsa, SigningKeyState::Active)
        };
        let new = SigningKeyRow {
            signs_from: at(1_200),
            activated_at: None,
            ..key("b", SigningAlgorithm::EdDsa, SigningKeyState::Published)
        };
        let keys = vec![old, new];
        for (seconds, expected) in [
            (0, ["active", "published"]),
            (1_199, ["active", "published"]),
            (1_200, ["retiring", "active"]),
            (1_859, ["retiring", "active"]),
            (1_860, ["gone", "active"]),
            (1_000_000, ["gone", "active"]),
        ] {
            assert_eq!(states(&at_time(keys.clone(), at(seconds))), expected, "after {seconds} s");
        }
        let later = at_time(keys, at(5_000));
        assert_eq!((later[0].retired_at, later[1].activated_at), (Some(at(1_200)), Some(at(1_200))));
    }

    /// A clock that jumps back changes nothing that was written down.
    #[test]
    fn nothing_moves_backwards() {
        let keys = vec![
            SigningKeyRow { retired_at: Some(at(10)), ..key("a", SigningAlgorithm::EdDsa, SigningKeyState::Gone) },
            SigningKeyRow { signs_from: at(10), ..key("b", SigningAlgorithm::EdDsa, SigningKeyState::Active) },
        ];
        assert_eq!(at_time(keys.clone(), at(0)), keys);
    }

    #[test]
    fn a_retired_key_loses_its_private_part_unless_it_verifies_with_it() {
        for (algorithm, kept) in [(SigningAlgorithm::Es256, false), (SigningAlgorithm::Hs256, true)] {
            let mut keys = vec![
                SigningKeyRow { last_expiry: Some(at(100)), ..key("a", algorithm, SigningKeyState::Active) },
                key("b", algorithm, SigningKeyState::Published),
            ];
            promote(&mut keys, at(1));
            assert_eq!(keys[0].sealed_key.is_some(), kept, "{algorithm}");
            let keys = at_time(keys, at(160));
            assert_eq!((states(&keys), keys[0].sealed_key.is_some()), (vec!["gone", "active"], false));
        }
    }
}
