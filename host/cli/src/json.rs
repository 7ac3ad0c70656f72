//! JSON forms: what programs read. Times are RFC 3339, or null.

use std::collections::BTreeMap;

use serde::Serialize;

use keystile::text::rfc3339;
use keystile::{Key, NamedFormat, Origin, Principal, PrincipalKind, SecretInfo, Timestamp, UnreadableRow, Verdict};

/// A key, without digests.
#[derive(Serialize)]
pub(super) struct KeyJson<'a> {
    id: String,
    name: &'a str,
    owner: Option<&'a str>,
    format: Option<&'a str>,
    env: &'a str,
    prefix: &'a str,
    state: &'static str,
    rotating: bool,
    scopes: Vec<&'a str>,
    addresses: Vec<String>,
    rate: Option<String>,
    metadata: &'a BTreeMap<String, String>,
    created_at: String,
    created_by: &'a str,
    updated_at: String,
    not_before: Option<String>,
    expires_at: Option<String>,
    suspended_at: Option<String>,
    suspended_for: Option<String>,
    suspended_by_restore: bool,
    revoked_at: Option<String>,
    revoke_reason: Option<&'static str>,
    revoke_note: Option<&'a str>,
    uses: u64,
    last_used_at: Option<String>,
    secrets: Vec<SecretJson<'a>>,
}

#[derive(Serialize)]
struct SecretJson<'a> {
    number: u32,
    prefix: &'a str,
    origin: &'static str,
    created_at: String,
    retires_at: Option<String>,
    pending_grace_seconds: Option<u64>,
    ended_at: Option<String>,
    uses: u64,
    first_used_at: Option<String>,
    last_used_at: Option<String>,
}

impl<'a> KeyJson<'a> {
    /// The key as it is at this time.
    pub(super) fn new(key: &'a Key, now: Timestamp) -> KeyJson<'a> {
        let revocation = key.revocation.as_ref();
        KeyJson {
            id: key.id.to_string(),
            name: &key.name,
            owner: key.owner.as_deref(),
            format: key.format.as_deref(),
            env: key.environment.as_str(),
            prefix: key.display(),
            state: key.status(now).as_str(),
            rotating: key.is_rotating(now),
            scopes: key.scopes.iter().map(|scope| scope.as_str()).collect(),
            addresses: key.addresses.iter().map(ToString::to_string).collect(),
            rate: key.rate.map(|rate| rate.to_string()),
            metadata: &key.metadata,
            created_at: rfc3339(key.created_at),
            created_by: &key.created_by,
            updated_at: rfc3339(key.updated_at),
            not_before: key.not_before.map(rfc3339),
            expires_at: key.expires_at.map(rfc3339),
            suspended_at: key.suspended_at.map(rfc3339),
            suspended_for: key.suspended_for.map(|user| user.to_string()),
            suspended_by_restore: key.suspended_by_restore,
            revoked_at: revocation.map(|revocation| rfc3339(revocation.at)),
            revoke_reason: revocation.map(|revocation| revocation.reason.as_str()),
            revoke_note: revocation.and_then(|revocation| revocation.note.as_deref()),
            uses: key.uses(),
            last_used_at: key.last_used_at().map(rfc3339),
            secrets: key.secrets.iter().map(SecretJson::from).collect(),
        }
    }

    /// Keys as they are at this time.
    pub(super) fn all(keys: &'a [Key], now: Timestamp) -> Vec<KeyJson<'a>> {
        keys.iter().map(|key| KeyJson::new(key, now)).collect()
    }
}

impl<'a> From<&'a SecretInfo> for SecretJson<'a> {
    fn from(secret: &'a SecretInfo) -> SecretJson<'a> {
        SecretJson {
            number: secret.number,
            prefix: &secret.display,
            origin: origin(secret.origin),
            created_at: rfc3339(secret.created_at),
            retires_at: secret.retires_at.map(rfc3339),
            pending_grace_seconds: secret.pending_grace,
            ended_at: secret.ended_at.map(rfc3339),
            uses: secret.uses,
            first_used_at: secret.first_used_at.map(rfc3339),
            last_used_at: secret.last_used_at.map(rfc3339),
        }
    }
}

/// The name of where a secret came from.
pub(super) fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Generated => "generated",
        Origin::Imported => "imported",
    }
}

/// `{"key": …}`
#[derive(Serialize)]
pub(super) struct OneKey<'a> {
    /// The key.
    pub(super) key: KeyJson<'a>,
}

/// A key format.
#[derive(Serialize)]
pub(super) struct FormatJson<'a> {
    name: &'a str,
    default: bool,
    prefix: &'a str,
    separator: char,
    environments: Vec<&'a str>,
    body: usize,
    checksum: &'static str,
    created_at: String,
}

impl<'a> FormatJson<'a> {
    /// A format; the first one of a store is its default.
    pub(super) fn new(named: &'a NamedFormat, default: bool) -> FormatJson<'a> {
        let format = &named.format;
        FormatJson {
            name: &named.name,
            default,
            prefix: format.prefix(),
            separator: char::from(format.separator().as_byte()),
            environments: format.environments().iter().map(|environment| environment.as_str()).collect(),
            body: format.body_len(),
            checksum: if format.checksum().is_empty() { "none" } else { "crc32" },
            created_at: rfc3339(named.created_at),
        }
    }
}

/// A verdict.
#[derive(Serialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
pub(super) enum VerdictJson<'a> {
    /// The caller may.
    Allow {
        /// Who the caller is.
        principal: PrincipalJson<'a>,
    },
    /// The caller may not.
    Deny {
        /// Why, for programs.
        code: &'static str,
        /// The HTTP status that goes with it.
        status: u16,
        /// What the caller may be told.
        message: &'static str,
        /// Seconds after which to try again.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after: Option<u32>,
    },
}

/// Who a caller is.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum PrincipalJson<'a> {
    /// A key.
    ApiKey {
        key_id: Option<String>,
        owner: Option<&'a str>,
        env: Option<&'a str>,
        scopes: Vec<&'a str>,
        expires_at: Option<String>,
    },
    /// The subject of a token.
    Jwt {
        issuer: Option<&'a str>,
        subject: Option<&'a str>,
        org_id: Option<&'a str>,
        env: Option<&'a str>,
        scopes: Vec<&'a str>,
        roles: Vec<&'a str>,
        client_id: Option<&'a str>,
        session_id: Option<&'a str>,
        token_id: Option<&'a str>,
        issued_at: Option<String>,
        expires_at: Option<String>,
    },
}

impl<'a> From<&'a Verdict> for VerdictJson<'a> {
    fn from(verdict: &'a Verdict) -> VerdictJson<'a> {
        match verdict {
            Verdict::Allow(principal) => VerdictJson::Allow { principal: principal.into() },
            Verdict::Deny(denial) => VerdictJson::Deny {
                code: denial.code.as_str(),
                status: denial.code.status(),
                message: denial.code.message(),
                retry_after: denial.retry_after.map(|seconds| seconds.get()),
            },
        }
    }
}

impl<'a> From<&'a Principal> for PrincipalJson<'a> {
    fn from(principal: &'a Principal) -> PrincipalJson<'a> {
        if principal.kind() == PrincipalKind::ApiKey {
            return PrincipalJson::ApiKey {
                key_id: principal.key_id().map(|id| id.to_string()),
                owner: principal.owner(),
                env: principal.environment(),
                scopes: principal.scopes().collect(),
                expires_at: principal.expires_at().map(rfc3339),
            };
        }
        PrincipalJson::Jwt {
            issuer: principal.issuer(),
            subject: principal.subject(),
            org_id: principal.organization(),
            env: principal.environment(),
            scopes: principal.scopes().collect(),
            roles: principal.roles().collect(),
            client_id: principal.client_id(),
            session_id: principal.session_id(),
            token_id: principal.token_id(),
            issued_at: principal.issued_at().map(rfc3339),
            expires_at: principal.expires_at().map(rfc3339),
        }
    }
}

/// A row that cannot be read.
#[derive(Serialize)]
pub(super) struct UnreadableJson<'a> {
    table: &'static str,
    row: &'a str,
    column: &'static str,
}

impl<'a> UnreadableJson<'a> {
    /// All of these.
    pub(super) fn all(rows: &'a [UnreadableRow]) -> Vec<UnreadableJson<'a>> {
        let json = |row: &'a UnreadableRow| UnreadableJson { table: row.table(), row: &row.row, column: row.column };
        rows.iter().map(json).collect()
    }
}
