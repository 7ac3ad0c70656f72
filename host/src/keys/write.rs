//! Writing changes of keys: the one place where a key that exists is written.

use keystile_validator::{KeyId, Timestamp};

use crate::in_force::readable;
use crate::key::Key;
use crate::keystile::Inner;
use crate::session::EndReason;
use crate::sessions::{end_each, end_outlived};
use crate::store::containment::KeyContainment;
use crate::store::{StoreError, UnreadableRow, WriteTransaction};

/// Writes a changed key with its audit entry, and ends the sessions that have more than the key allows now.
///
/// Secrets that both have are written when their end has changed; a new secret must be in the store already.
pub(super) fn write_key(
    inner: &Inner,
    transaction: &mut dyn WriteTransaction,
    now: Timestamp,
    old: &Key,
    new: &Key,
    entry: KeyEntry<'_>,
) -> Result<(), StoreError> {
    for secret in &new.secrets {
        let before = old.secrets.iter().find(|before| before.number == secret.number);
        if before.is_some_and(|before| before != secret) {
            transaction.update_secret(new.id, secret)?;
        }
    }
    transaction.update_key(new)?;
    inner.audit(transaction, now, entry.action, Some(new.id.to_string()), entry.detail)?;
    end_outlived(inner, transaction, now, old, new)
}

/// Takes a key away, with its audit entry, and ends the sessions that were begun with it. Says what it is now, and
/// adds the rows that cannot be read: they keep nothing from being in force.
pub(super) fn contain_key(
    inner: &Inner,
    transaction: &mut dyn WriteTransaction,
    now: Timestamp,
    id: KeyId,
    how: KeyContainment<'_>,
    entry: KeyEntry<'_>,
    unreadable: &mut Vec<UnreadableRow>,
) -> Result<Option<Key>, StoreError> {
    // Before it is changed, because its owner says which sessions may be of it.
    let sessions = transaction.open_sessions_of_key(id, now)?;
    transaction.contain_key(id, now, how)?;
    inner.audit(transaction, now, entry.action, Some(id.to_string()), entry.detail)?;
    end_each(inner, transaction, now, &sessions, EndReason::Key, unreadable)?;
    readable(transaction.key(id), id, unreadable)
}

/// What the audit trail says of a change of a key.
#[derive(Clone, Copy)]
pub(super) struct KeyEntry<'a> {
    /// What was done, such as `key.suspended`.
    pub(super) action: &'a str,
    /// What else is worth knowing, as a JSON object.
    pub(super) detail: &'a serde_json::Value,
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// A key that were written elsewhere would leave its sessions as they are. A restore is the exception: it ends
    /// them itself.
    #[test]
    fn keys_are_written_here_only() {
        let mut found = Vec::new();
        look(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        found.sort();
        assert_eq!(found, ["keys/write.rs", "restore/keys.rs", "restore/users.rs"]);
    }

    fn look(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // The store itself, and its tests.
                if !path.ends_with("src/store") {
                    look(&path, found);
                }
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            if text.contains(".update_key(") || text.contains(".update_secret(") || text.contains(".contain_key(") {
                let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
                found.push(path.strip_prefix(root).unwrap().to_string_lossy().into_owned());
            }
        }
    }
}
