//! Writing changes of keys: the one place where a key that exists is written.

use keystile_validator::Timestamp;

use crate::key::Key;
use crate::keystile::Inner;
use crate::sessions::end_outlived;
use crate::store::{StoreError, WriteTransaction};

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
        assert_eq!(found, ["keys/write.rs", "restore.rs", "restore/users.rs"]);
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
            if text.contains(".update_key(") || text.contains(".update_secret(") {
                let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
                found.push(path.strip_prefix(root).unwrap().to_string_lossy().into_owned());
            }
        }
    }
}
