//! The health of a store.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::checked::Checked as _;
use super::connection::Purpose;
use super::file::beside;
use super::schema;
use crate::store::{Inspection, StoreError};

pub(super) fn inspect(connection: &Connection, path: &Path, purpose: Purpose) -> Result<Inspection, StoreError> {
    let mut integrity = problems(connection)?;
    let mut count =
        |table| match connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).checked() {
            Ok(count) => Ok(i64::cast_unsigned(count)),
            Err(StoreError::Corrupt) => {
                integrity.push(format!("the rows of {table} cannot be counted"));
                Ok(0)
            }
            Err(error) => Err(error),
        };
    let (keys, secrets) = (count("keys")?, count("secrets")?);
    let files = ["", "-wal"].map(|suffix| fs::metadata(beside(path, suffix)));
    Ok(Inspection {
        engine: format!("SQLite {}", rusqlite::version()),
        schema: schema::version(connection)?,
        integrity,
        settings: deviations(connection, purpose)?,
        bytes: files.iter().flatten().map(fs::Metadata::len).sum(),
        keys,
        secrets,
    })
}

/// What a check of the whole file finds; empty: nothing. No value is in the texts.
pub(super) fn problems(connection: &Connection) -> Result<Vec<String>, StoreError> {
    match check_all(connection) {
        // Too damaged to be checked to the end.
        Err(StoreError::Corrupt) => Ok(vec!["the file is damaged".to_owned()]),
        checked => checked,
    }
}

fn check_all(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let mut problems = Vec::new();
    let mut check = connection.prepare("PRAGMA integrity_check").checked()?;
    let mut rows = check.query([]).checked()?;
    while let Some(row) = rows.next().checked()? {
        let problem: String = row.get(0).checked()?;
        if problem != "ok" {
            problems.push(problem);
        }
    }
    let mut check = connection.prepare("PRAGMA foreign_key_check").checked()?;
    let mut rows = check.query([]).checked()?;
    while let Some(row) = rows.next().checked()? {
        let (table, parent): (String, String) = (row.get(0).checked()?, row.get(2).checked()?);
        problems.push(format!("a row of {table} belongs to a row of {parent} that is not there"));
        if problems.len() >= MOST_PROBLEMS {
            break;
        }
    }
    Ok(problems)
}

/// A damaged file can have one for every row. The engine's own check ends at the same number.
const MOST_PROBLEMS: usize = 100;

/// Settings that are not as they must be.
fn deviations(connection: &Connection, purpose: Purpose) -> Result<Vec<String>, StoreError> {
    let mut deviations = Vec::new();
    // Read as it is, a file has no journal, whatever it says of itself.
    let is_asked = |pragma| purpose != Purpose::AsItIs || pragma != "journal_mode";
    for (pragma, needed) in [
        ("journal_mode", "wal"),
        ("synchronous", "2"),
        ("foreign_keys", "1"),
        ("trusted_schema", "0"),
        ("cell_size_check", "1"),
        ("secure_delete", "1"),
        ("recursive_triggers", "1"),
        ("encoding", "UTF-8"),
    ]
    .into_iter()
    .filter(|(pragma, _)| is_asked(*pragma))
    {
        let value = connection.pragma_query_value(None, pragma, |row| row.get::<_, rusqlite::types::Value>(0));
        let value = match value.checked()? {
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            _ => String::new(),
        };
        if value != needed {
            deviations.push(format!("{pragma} is {value}, and must be {needed}"));
        }
    }
    if !connection.db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE).checked()? {
        deviations.push("the engine is not in its defensive mode".to_owned());
    }
    Ok(deviations)
}
