//! From rows to data and back. A value that cannot be read is an error that names its column.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::str::FromStr;

use keystile_validator::{Checksum, Environment, KeyFormat, KeyId, KeyState, Rate, Separator, Timestamp};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::checked::Checked as _;
use crate::audit::{AuditEntry, AuditHash, BoundRows};
use crate::ids::UserId;
use crate::key::{Key, NamedFormat, Origin, Revocation, SecretInfo};
use crate::store::StoreError;

/// A column of a result: where it is there, and what it is called in an error.
#[derive(Clone, Copy)]
pub(super) struct Column(pub(super) usize, pub(super) &'static str);

impl Column {
    pub(super) fn invalid(self) -> StoreError {
        StoreError::InvalidValue { column: self.1 }
    }

    fn value<'a>(self, row: &'a Row<'_>) -> Result<ValueRef<'a>, StoreError> {
        row.get_ref(self.0).checked()
    }

    pub(super) fn text<'a>(self, row: &'a Row<'_>) -> Result<&'a str, StoreError> {
        self.value(row)?.as_str().map_err(|_| self.invalid())
    }

    /// A text before anybody has looked whether it is UTF-8.
    pub(super) fn text_bytes<'a>(self, row: &'a Row<'_>) -> Result<&'a [u8], StoreError> {
        match self.value(row)? {
            ValueRef::Text(text) => Ok(text),
            _ => Err(self.invalid()),
        }
    }

    pub(super) fn optional_text<'a>(self, row: &'a Row<'_>) -> Result<Option<&'a str>, StoreError> {
        self.value(row)?.as_str_or_null().map_err(|_| self.invalid())
    }

    pub(super) fn optional_integer(self, row: &Row<'_>) -> Result<Option<i64>, StoreError> {
        self.value(row)?.as_i64_or_null().map_err(|_| self.invalid())
    }

    pub(super) fn integer(self, row: &Row<'_>) -> Result<i64, StoreError> {
        self.optional_integer(row)?.ok_or_else(|| self.invalid())
    }

    /// A number of any unsigned type.
    pub(super) fn number<T: TryFrom<i64>>(self, row: &Row<'_>) -> Result<T, StoreError> {
        self.optional_number(row)?.ok_or_else(|| self.invalid())
    }

    pub(super) fn optional_number<T: TryFrom<i64>>(self, row: &Row<'_>) -> Result<Option<T>, StoreError> {
        let number = self.optional_integer(row)?.map(T::try_from).transpose();
        number.map_err(|_| self.invalid())
    }

    pub(super) fn flag(self, row: &Row<'_>) -> Result<bool, StoreError> {
        Ok(self.integer(row)? != 0)
    }

    pub(super) fn time(self, row: &Row<'_>) -> Result<Timestamp, StoreError> {
        self.optional_time(row)?.ok_or_else(|| self.invalid())
    }

    pub(super) fn optional_time(self, row: &Row<'_>) -> Result<Option<Timestamp>, StoreError> {
        let time = self.optional_number(row)?.map(Timestamp::from_unix).transpose();
        time.map_err(|_| self.invalid())
    }

    pub(super) fn bytes<const N: usize>(self, row: &Row<'_>) -> Result<[u8; N], StoreError> {
        let bytes = self.value(row)?.as_blob().ok().and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| self.invalid())
    }

    /// Bytes of any length.
    pub(super) fn blob(self, row: &Row<'_>) -> Result<Vec<u8>, StoreError> {
        self.optional_blob(row)?.ok_or_else(|| self.invalid())
    }

    pub(super) fn optional_blob(self, row: &Row<'_>) -> Result<Option<Vec<u8>>, StoreError> {
        let bytes = self.value(row)?.as_blob_or_null().map_err(|_| self.invalid())?;
        Ok(bytes.map(<[u8]>::to_vec))
    }

    pub(super) fn optional_bytes<const N: usize>(self, row: &Row<'_>) -> Result<Option<[u8; N]>, StoreError> {
        match self.value(row)? {
            ValueRef::Null => Ok(None),
            _ => self.bytes(row).map(Some),
        }
    }

    pub(super) fn parsed<T: FromStr>(self, row: &Row<'_>) -> Result<T, StoreError> {
        self.text(row)?.parse().map_err(|_| self.invalid())
    }

    /// Values that are separated by spaces.
    pub(super) fn words<T: FromStr>(self, row: &Row<'_>) -> Result<Vec<T>, StoreError> {
        words(self.text(row)?).ok_or_else(|| self.invalid())
    }

    pub(super) fn state(self, row: &Row<'_>) -> Result<KeyState, StoreError> {
        match self.text_bytes(row)? {
            b"active" => Ok(KeyState::Active),
            b"suspended" => Ok(KeyState::Suspended),
            b"revoked" => Ok(KeyState::Revoked),
            _ => Err(self.invalid()),
        }
    }
}

/// Reads values that are separated by single spaces; the empty text has none.
pub(super) fn words<T: FromStr>(text: &str) -> Option<Vec<T>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    text.split(' ').map(|word| word.parse().ok()).collect()
}

/// Writes values separated by single spaces.
pub(super) fn join_words<T: std::fmt::Display>(values: &[T]) -> String {
    let mut text = String::new();
    for value in values {
        if !text.is_empty() {
            text.push(' ');
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "{value}");
    }
    text
}

/// The name of a state in the store.
pub(super) fn state_name(state: KeyState) -> &'static str {
    match state {
        KeyState::Active => "active",
        KeyState::Suspended => "suspended",
        KeyState::Revoked => "revoked",
    }
}

/// The name of an origin in the store.
pub(super) fn origin_name(origin: Origin) -> &'static str {
    match origin {
        Origin::Generated => "generated",
        Origin::Imported => "imported",
    }
}

/// A number as the engine has it. Nothing that is counted gets near the bound.
pub(super) fn to_integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A time as the engine has it.
pub(super) fn to_seconds(time: Timestamp) -> i64 {
    to_integer(time.unix())
}

/// The columns that [`read_key`] reads, of a table `keys` that goes by the name of `k`.
pub(super) const KEY_COLUMNS: &str = "k.pk, k.id, k.state, k.environment, k.owner, k.scopes, k.addresses, \
     k.rate_limit, k.rate_window, k.not_before, k.expires_at, k.name, k.format, k.metadata, k.created_at, \
     k.created_by, k.updated_at, k.suspended_at, k.revoked_at, k.revoke_reason, k.revoke_note, \
     k.suspended_for, k.suspended_by_restore";

/// How many [`KEY_COLUMNS`] are.
pub(super) const KEY_COLUMN_COUNT: usize = 23;

/// Reads a key, without its secrets yet, and its primary key.
pub(super) fn read_key(row: &Row<'_>) -> Result<(i64, Key), StoreError> {
    let metadata = Column(13, "keys.metadata");
    let metadata: BTreeMap<String, String> =
        serde_json::from_str(metadata.text(row)?).map_err(|_| metadata.invalid())?;
    let key = Key {
        id: KeyId::from_bytes(Column(1, "keys.id").bytes(row)?),
        state: Column(2, "keys.state").state(row)?,
        environment: Column(3, "keys.environment").parsed(row)?,
        owner: Column(4, "keys.owner").optional_text(row)?.map(str::to_owned),
        scopes: Column(5, "keys.scopes").words(row)?,
        addresses: Column(6, "keys.addresses").words(row)?,
        rate: read_rate(row, 7)?,
        not_before: Column(9, "keys.not_before").optional_time(row)?,
        expires_at: Column(10, "keys.expires_at").optional_time(row)?,
        name: Column(11, "keys.name").text(row)?.to_owned(),
        format: Column(12, "keys.format").optional_text(row)?.map(str::to_owned),
        metadata,
        created_at: Column(14, "keys.created_at").time(row)?,
        created_by: Column(15, "keys.created_by").text(row)?.to_owned(),
        updated_at: Column(16, "keys.updated_at").time(row)?,
        suspended_at: Column(17, "keys.suspended_at").optional_time(row)?,
        suspended_for: Column(21, "keys.suspended_for").optional_bytes(row)?.map(UserId::from_bytes),
        suspended_by_restore: Column(22, "keys.suspended_by_restore").flag(row)?,
        revocation: match Column(18, "keys.revoked_at").optional_time(row)? {
            None => None,
            Some(at) => Some(Revocation {
                at,
                reason: Column(19, "keys.revoke_reason").parsed(row)?,
                note: Column(20, "keys.revoke_note").optional_text(row)?.map(str::to_owned),
            }),
        },
        secrets: Vec::new(),
    };
    Ok((Column(0, "keys.pk").integer(row)?, key))
}

/// Reads a rate out of two columns, the first of which is this one.
pub(super) fn read_rate(row: &Row<'_>, first: usize) -> Result<Option<Rate>, StoreError> {
    let limit = Column(first, "keys.rate_limit");
    let Some(calls) = limit.optional_number(row)? else { return Ok(None) };
    let window = Column(first.saturating_add(1), "keys.rate_window").number(row)?;
    Rate::new(calls, window).map(Some).map_err(|_| limit.invalid())
}

/// The columns that [`read_secret`] reads, of [`SECRET_TABLES`].
pub(super) const SECRET_COLUMNS: &str = "s.number, s.digest, s.display, s.origin, s.created_at, s.retires_at, \
     s.pending_grace, coalesce(u.uses, 0), u.first_used_at, u.last_used_at, s.ended_at";

/// Secrets with their uses.
pub(super) const SECRET_TABLES: &str =
    "secrets AS s LEFT JOIN usage AS u ON u.key_pk = s.key_pk AND u.number = s.number";

/// Reads the secrets of a key, oldest first.
pub(super) fn read_secrets(connection: &Connection, pk: i64) -> Result<Vec<SecretInfo>, StoreError> {
    let query = format!("SELECT {SECRET_COLUMNS} FROM {SECRET_TABLES} WHERE s.key_pk = ?1 ORDER BY s.number");
    super::reader::all(connection, &query, [pk], read_secret)
}

pub(super) fn read_secret(row: &Row<'_>) -> Result<SecretInfo, StoreError> {
    let origin = Column(3, "secrets.origin");
    Ok(SecretInfo {
        number: Column(0, "secrets.number").number(row)?,
        digest: keystile_validator::Digest::from_bytes(Column(1, "secrets.digest").bytes(row)?),
        display: Column(2, "secrets.display").text(row)?.to_owned(),
        origin: match origin.text(row)? {
            "generated" => Origin::Generated,
            "imported" => Origin::Imported,
            _ => return Err(origin.invalid()),
        },
        created_at: Column(4, "secrets.created_at").time(row)?,
        retires_at: Column(5, "secrets.retires_at").optional_time(row)?,
        pending_grace: Column(6, "secrets.pending_grace").optional_number(row)?,
        ended_at: Column(10, "secrets.ended_at").optional_time(row)?,
        uses: Column(7, "usage.uses").number(row)?,
        first_used_at: Column(8, "usage.first_used_at").optional_time(row)?,
        last_used_at: Column(9, "usage.last_used_at").optional_time(row)?,
    })
}

/// The columns that [`read_format`] reads.
pub(super) const FORMAT_COLUMNS: &str = "name, prefix, separator, environments, body_len, checksum, created_at";

/// Reads a format.
pub(super) fn read_format(row: &Row<'_>) -> Result<NamedFormat, StoreError> {
    let separator = Column(2, "formats.separator");
    let separator = match separator.text(row)? {
        "_" => Separator::Underscore,
        "." => Separator::Dot,
        _ => return Err(separator.invalid()),
    };
    let environments: Vec<Environment> = Column(3, "formats.environments").words(row)?;
    let checksum = Column(5, "formats.checksum");
    let checksum = match checksum.text(row)? {
        "none" => Checksum::None,
        "crc32" => Checksum::Crc32,
        _ => return Err(checksum.invalid()),
    };
    let prefix = Column(1, "formats.prefix");
    let body_len = Column(4, "formats.body_len").number(row)?;
    let format = KeyFormat::new(prefix.text(row)?, separator, environments, body_len, checksum);
    Ok(NamedFormat {
        name: Column(0, "formats.name").text(row)?.to_owned(),
        format: format.map_err(|_| prefix.invalid())?,
        created_at: Column(6, "formats.created_at").time(row)?,
    })
}

/// Reads all columns of an audit entry, in the order of the table.
pub(super) fn read_audit(row: &Row<'_>) -> Result<AuditEntry, StoreError> {
    Ok(AuditEntry {
        sequence: Column(0, "audit.sequence").number(row)?,
        at: Column(1, "audit.at").time(row)?,
        actor: Column(2, "audit.actor").text(row)?.to_owned(),
        action: Column(3, "audit.action").text(row)?.to_owned(),
        subject: Column(4, "audit.subject").optional_text(row)?.map(str::to_owned),
        detail: Column(5, "audit.detail").text(row)?.to_owned(),
        rows: BoundRows::from_bytes(Column(6, "audit.rows").optional_blob(row)?.unwrap_or_default()),
        previous: AuditHash(Column(7, "audit.previous").bytes(row)?),
        hash: AuditHash(Column(8, "audit.hash").bytes(row)?),
    })
}
