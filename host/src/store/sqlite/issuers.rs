//! External issuers and their keys, read and written.

use std::ops::Deref;

use keystile_validator::jwt::{ClaimMapping, FORBIDDEN_CLAIMS, ScopeClaim, TokenType};
use rusqlite::{Connection, Row, params};

use super::checked::Checked as _;
use super::reader::{all, first};
use super::records::in_row;
use super::rows::{Column, join_words, to_seconds};
use super::transaction::Transaction;
use super::unreadable::{name_of, page};
use super::writer::touch;
use crate::audit::RowKind;
use crate::issuers::{ExternalIssuer, KeySource};
use crate::key::MAX_NAME_LEN;
use crate::store::{Generation, IssuersMark, KeySetRow, LeaseId, ReadIssuers, StoreError, UnreadableRow, WriteIssuers};
use crate::text::is_line;

impl<C: Deref<Target = Connection>> ReadIssuers for Transaction<C> {
    fn issuers(&self) -> Result<Vec<ExternalIssuer>, StoreError> {
        issuers_where(self.connection(), "true")
    }

    fn enabled_issuers(&self) -> Result<Vec<ExternalIssuer>, StoreError> {
        issuers_where(self.connection(), "enabled <> 0")
    }

    fn readable_issuers(&self) -> Result<(Vec<ExternalIssuer>, Vec<UnreadableRow>), StoreError> {
        let query = format!("SELECT {COLUMNS} FROM issuers ORDER BY name");
        let name = name_of(RowKind::Issuer, 0);
        let all = page(self.connection(), &query, [], usize::MAX, name, |_| None::<()>, read_issuer)?;
        Ok((all.items, all.unreadable))
    }

    fn issuer(&self, name: &str) -> Result<Option<ExternalIssuer>, StoreError> {
        first(self.connection(), &format!("SELECT {COLUMNS} FROM issuers WHERE name = ?1"), [name], read_issuer)
    }

    fn issuers_mark(&self) -> Result<IssuersMark, StoreError> {
        // A generation that the store has not reached is none that a Keystile has written, and must not hide others.
        let query = "SELECT count(*), coalesce(max(generation) FILTER \
                     (WHERE generation BETWEEN 0 AND (SELECT p.generation FROM position AS p)), 0) FROM issuers";
        let mark = first(self.connection(), query, [], |row| {
            let count = Column(0, "issuers.name").number(row)?;
            Ok(IssuersMark { count, newest: Generation(Column(1, "issuers.generation").number(row)?) })
        })?;
        mark.ok_or(StoreError::InvalidValue { column: "issuers.generation" })
    }

    fn key_set(&self, name: &str) -> Result<Option<KeySetRow>, StoreError> {
        key_set(self.connection(), name)
    }
}

impl<C: Deref<Target = Connection>> WriteIssuers for Transaction<C> {
    fn insert_issuer(&mut self, issuer: &ExternalIssuer, keys: &KeySetRow) -> Result<bool, StoreError> {
        self.step(|connection, generation| insert(connection, generation, issuer, keys))
    }

    fn update_issuer(&mut self, issuer: &ExternalIssuer) -> Result<bool, StoreError> {
        self.step(|connection, generation| {
            let generation = touch(connection, generation)?;
            Ok(write(connection, UPDATE, generation, issuer)? > 0)
        })
    }

    fn remove_issuer(&mut self, name: &str) -> Result<bool, StoreError> {
        self.step(|connection, generation| {
            touch(connection, generation)?;
            Ok(connection.execute("DELETE FROM issuers WHERE name = ?1", [name]).checked()? > 0)
        })
    }

    fn set_key_set(&mut self, name: &str, keys: &KeySetRow) -> Result<(), StoreError> {
        self.step(|connection, generation| {
            if key_set(connection, name)?.is_some_and(|old| old.jwks != keys.jwks) {
                let generation = touch(connection, generation)?;
                let sql = "UPDATE issuers SET generation = ?2 WHERE name = ?1";
                connection.execute(sql, params![name, generation]).checked()?;
            }
            write_key_set(connection, name, keys)
        })
    }
}

/// The columns that [`read_issuer`] reads.
pub(super) const COLUMNS: &str = "name, issuer, jwks_url, algorithms, audiences, token_type, leeway, scope_claims, \
     organization_claim, roles_claim, environment, enabled, created_at, created_by, updated_at, \
     environment_claim, any_environment, any_audience, forbidden_claims, wildcard_scopes";

const INSERT: &str = "INSERT INTO issuers (name, issuer, jwks_url, algorithms, audiences, token_type, leeway, \
     scope_claims, organization_claim, roles_claim, environment, enabled, created_at, created_by, updated_at, \
     environment_claim, any_environment, any_audience, forbidden_claims, wildcard_scopes, generation) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)";

const UPDATE: &str = "UPDATE issuers SET issuer = ?2, jwks_url = ?3, algorithms = ?4, audiences = ?5, token_type = ?6, \
     leeway = ?7, scope_claims = ?8, organization_claim = ?9, roles_claim = ?10, environment = ?11, enabled = ?12, \
     created_at = ?13, created_by = ?14, updated_at = ?15, environment_claim = ?16, any_environment = ?17, \
     any_audience = ?18, forbidden_claims = ?19, wildcard_scopes = ?20, generation = ?21 WHERE name = ?1";

pub(super) fn read_issuer(row: &Row<'_>) -> Result<ExternalIssuer, StoreError> {
    let (audiences, forbidden) = (Column(4, "issuers.audiences"), Column(18, "issuers.forbidden_claims"));
    Ok(ExternalIssuer {
        name: Column(0, "issuers.name").text(row)?.to_owned(),
        issuer: Column(1, "issuers.issuer").text(row)?.to_owned(),
        source: match Column(2, "issuers.jwks_url").optional_text(row)? {
            None => KeySource::Given,
            Some(_) => KeySource::Url(Column(2, "issuers.jwks_url").parsed(row)?),
        },
        algorithms: Column(3, "issuers.algorithms").words(row)?,
        audiences: serde_json::from_str(audiences.text(row)?).map_err(|_| audiences.invalid())?,
        any_audience: Column(17, "issuers.any_audience").flag(row)?,
        forbidden_claims: match forbidden.optional_text(row)? {
            None => FORBIDDEN_CLAIMS.iter().copied().map(str::to_owned).collect(),
            Some(list) => serde_json::from_str(list).map_err(|_| forbidden.invalid())?,
        },
        wildcard_scopes: Column(19, "issuers.wildcard_scopes").flag(row)?,
        token_type: match Column(5, "issuers.token_type").optional_text(row)? {
            None => None,
            Some(name) => Some(TokenType::from_name(name).ok_or_else(|| Column(5, "issuers.token_type").invalid())?),
        },
        leeway: Column(6, "issuers.leeway").number(row)?,
        claims: ClaimMapping {
            scopes: read_scope_claims(row)?,
            organization: Column(8, "issuers.organization_claim").optional_text(row)?.map(str::to_owned),
            roles: Column(9, "issuers.roles_claim").optional_text(row)?.map(str::to_owned),
            environment: Column(15, "issuers.environment_claim").optional_text(row)?.map(str::to_owned),
        },
        environment: match Column(10, "issuers.environment").optional_text(row)? {
            None => None,
            Some(_) => Some(Column(10, "issuers.environment").parsed(row)?),
        },
        any_environment: Column(16, "issuers.any_environment").flag(row)?,
        enabled: Column(11, "issuers.enabled").flag(row)?,
        created_at: Column(12, "issuers.created_at").time(row)?,
        created_by: Column(13, "issuers.created_by").text(row)?.to_owned(),
        updated_at: Column(14, "issuers.updated_at").time(row)?,
    })
}

fn issuers_where(connection: &Connection, condition: &str) -> Result<Vec<ExternalIssuer>, StoreError> {
    all(connection, &format!("SELECT {COLUMNS} FROM issuers WHERE {condition} ORDER BY name"), [], |row| {
        read_issuer(row).map_err(|error| {
            // A name that cannot be read, or shown, is not said.
            let name = Column(0, "issuers.name").text(row).ok().filter(|name| is_line(name, MAX_NAME_LEN));
            in_row(error, || name.unwrap_or("without a name").to_owned())
        })
    })
}

fn read_scope_claims(row: &Row<'_>) -> Result<Vec<ScopeClaim>, StoreError> {
    let column = Column(7, "issuers.scope_claims");
    let names = column.text(row)?.split(' ').filter(|name| !name.is_empty());
    names.map(|name| ScopeClaim::from_name(name).ok_or_else(|| column.invalid())).collect()
}

fn key_set(connection: &Connection, name: &str) -> Result<Option<KeySetRow>, StoreError> {
    first(connection, &format!("SELECT {KEY_SET_COLUMNS} FROM jwks_cache WHERE name = ?1"), [name], read_key_set)
}

/// The columns that [`read_key_set`] reads.
pub(super) const KEY_SET_COLUMNS: &str = "jwks, fetched_at, max_age, etag, attempted_at, failures, problem, lease";

pub(super) fn read_key_set(row: &Row<'_>) -> Result<KeySetRow, StoreError> {
    Ok(KeySetRow {
        jwks: Column(0, "jwks_cache.jwks").optional_text(row)?.map(str::to_owned),
        fetched_at: Column(1, "jwks_cache.fetched_at").optional_time(row)?,
        max_age: Column(2, "jwks_cache.max_age").number(row)?,
        etag: Column(3, "jwks_cache.etag").optional_text(row)?.map(str::to_owned),
        attempted_at: Column(4, "jwks_cache.attempted_at").optional_time(row)?,
        failures: Column(5, "jwks_cache.failures").number(row)?,
        problem: match Column(6, "jwks_cache.problem").optional_text(row)? {
            None => None,
            Some(_) => Some(Column(6, "jwks_cache.problem").parsed(row)?),
        },
        lease: Column(7, "jwks_cache.lease").optional_bytes(row)?.map(LeaseId),
    })
}

/// Nobody else can write, so a look before tells whether the insert will meet a conflict.
fn insert(
    connection: &Connection,
    generation: &mut Option<Generation>,
    issuer: &ExternalIssuer,
    keys: &KeySetRow,
) -> Result<bool, StoreError> {
    let query = "SELECT 1 FROM issuers WHERE name = ?1 OR issuer = ?2";
    if first(connection, query, [&issuer.name, &issuer.issuer], |_| Ok(()))?.is_some() {
        return Ok(false);
    }
    let generation = touch(connection, generation)?;
    write(connection, INSERT, generation, issuer)?;
    write_key_set(connection, &issuer.name, keys)?;
    Ok(true)
}

/// Runs a statement whose parameters are all fields of an issuer, in the order of the table.
fn write(connection: &Connection, sql: &str, generation: i64, issuer: &ExternalIssuer) -> Result<usize, StoreError> {
    let audiences = serde_json::to_string(&issuer.audiences)
        .map_err(|_| StoreError::InvalidValue { column: "issuers.audiences" })?;
    let forbidden_claims = serde_json::to_string(&issuer.forbidden_claims)
        .map_err(|_| StoreError::InvalidValue { column: "issuers.forbidden_claims" })?;
    let url = match &issuer.source {
        KeySource::Url(url) => Some(url.as_str()),
        KeySource::Given => None,
    };
    let scopes: Vec<_> = issuer.claims.scopes.iter().map(|claim| claim.as_str()).collect();
    let mut statement = connection.prepare_cached(sql).checked()?;
    statement
        .execute(params![
            issuer.name,
            issuer.issuer,
            url,
            join_words(&issuer.algorithms),
            audiences,
            issuer.token_type.map(TokenType::as_str),
            issuer.leeway,
            scopes.join(" "),
            issuer.claims.organization,
            issuer.claims.roles,
            issuer.environment.as_ref().map(|environment| environment.as_str()),
            issuer.enabled,
            to_seconds(issuer.created_at),
            issuer.created_by,
            to_seconds(issuer.updated_at),
            issuer.claims.environment,
            issuer.any_environment,
            issuer.any_audience,
            forbidden_claims,
            issuer.wildcard_scopes,
            generation,
        ])
        .checked()
}

/// Makes all leases void: no fetch that has begun before is kept.
pub(super) fn end_leases(connection: &Connection) -> Result<(), StoreError> {
    connection.execute("UPDATE jwks_cache SET lease = NULL WHERE lease IS NOT NULL", []).checked()?;
    Ok(())
}

fn write_key_set(connection: &Connection, name: &str, keys: &KeySetRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO jwks_cache (name, jwks, fetched_at, max_age, etag, attempted_at, failures, problem, lease) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (name) DO UPDATE SET \
               jwks = excluded.jwks, fetched_at = excluded.fetched_at, max_age = excluded.max_age, \
               etag = excluded.etag, attempted_at = excluded.attempted_at, failures = excluded.failures, \
               problem = excluded.problem, lease = excluded.lease";
    let values = params![
        name,
        keys.jwks,
        keys.fetched_at.map(to_seconds),
        keys.max_age,
        keys.etag,
        keys.attempted_at.map(to_seconds),
        keys.failures,
        keys.problem.map(|problem| problem.code()),
        keys.lease.map(|lease| lease.0),
    ];
    connection.prepare_cached(sql).and_then(|mut insert| insert.execute(values)).checked()?;
    Ok(())
}
