//! The states of all rows as they are in the store, and whatever belongs to none of them.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use rusqlite::Connection;

use super::{KINDS, RowState};
use crate::audit::DifferenceKind;
use crate::store::sqlite::checked::Checked as _;
use crate::store::sqlite::rows::Column;
use crate::store::sqlite::schema;
use crate::store::{EachRowState, StoreError};

/// Hands out the state of every bound row; without a state, where its nonce is missing.
pub(in crate::store::sqlite) fn row_states(
    connection: &Connection,
    each: &mut EachRowState<'_>,
) -> Result<(), StoreError> {
    for kind in KINDS {
        let Some(forms) = kind.forms(connection)? else { continue };
        let sql = format!(
            "SELECT f.row_id, f.form, n.nonce FROM ({forms}) AS f \
             LEFT JOIN main.row_nonces AS n ON n.kind = {number} AND n.id = f.row_id",
            number = kind.kind.number()
        );
        let mut statement = connection.prepare(&sql).checked()?;
        let mut rows = statement.query([]).checked()?;
        while let Some(row) = rows.next().checked()? {
            let form = Column(1, "the form of a row").text_bytes(row)?;
            let nonce = Column(2, "row_nonces.nonce").optional_bytes(row).ok().flatten();
            let state = nonce.map(|nonce| RowState::of(&nonce, form));
            match row.get_ref(0).checked()? {
                rusqlite::types::ValueRef::Blob(id) => each(kind.kind, id, state)?,
                // Its columns do not let anything else be there.
                _ => return Err(StoreError::InvalidValue { column: "the id of a row" }),
            }
        }
    }
    Ok(())
}

/// Rows of further tables that belong to no row, and definitions that are not ours.
pub(in crate::store::sqlite) fn strays(connection: &Connection) -> Result<Vec<DifferenceKind>, StoreError> {
    let mut strays = Vec::new();
    for (table, sql) in KINDS.iter().flat_map(super::kinds::Kind::strays) {
        if connection.query_row(&sql, [], |row| row.get(0)).checked()? {
            strays.push(DifferenceKind::Stray(table.to_owned()));
        }
    }
    let (ours, found) = (our_definitions()?, definitions(connection)?);
    let names: BTreeSet<&String> = ours.symmetric_difference(&found).map(|definition| &definition.name).collect();
    strays.extend(names.into_iter().map(|name| DifferenceKind::Schema(name.clone())));
    Ok(strays)
}

/// The name of something that is defined in the file and that this version does not define, or not so, or does define
/// and is not there.
pub(in crate::store::sqlite) fn changed_definition(connection: &Connection) -> Result<Option<String>, StoreError> {
    let (ours, found) = (our_definitions()?, definitions(connection)?);
    Ok(ours.symmetric_difference(&found).map(|definition| definition.name.clone()).min())
}

/// The name of a definition that could change what is read or written: a trigger or a view that is not ours, or one of
/// ours that is not as this version defines it. Others may have tables and indexes of their own.
pub(in crate::store::sqlite) fn meddling_definition(connection: &Connection) -> Result<Option<String>, StoreError> {
    let (ours, found) = (our_definitions()?, definitions(connection)?);
    let is_ours = |name: &str| ours.iter().any(|definition| definition.name == name);
    let mut meddling = found.difference(ours).filter(|it| matches!(&*it.kind, "trigger" | "view") || is_ours(&it.name));
    Ok(meddling.next().map(|definition| definition.name.clone()))
}

/// What is defined in a file.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Definition {
    name: String,
    kind: String,
    text: String,
}

/// What this version defines; made once in a process.
fn our_definitions() -> Result<&'static BTreeSet<Definition>, StoreError> {
    static OURS: OnceLock<BTreeSet<Definition>> = OnceLock::new();
    if let Some(ours) = OURS.get() {
        return Ok(ours);
    }
    let expected = Connection::open_in_memory().checked()?;
    schema::define(&expected)?;
    let ours = definitions(&expected)?;
    Ok(OURS.get_or_init(|| ours))
}

/// Everything that is defined in the file.
fn definitions(connection: &Connection) -> Result<BTreeSet<Definition>, StoreError> {
    let sql = "SELECT coalesce(CAST(name AS TEXT), ''), coalesce(CAST(type AS TEXT), ''), concat_ws(' ', tbl_name, sql) \
               FROM main.sqlite_schema";
    let mut statement = connection.prepare(sql).checked()?;
    let rows =
        statement.query_map([], |row| Ok(Definition { name: row.get(0)?, kind: row.get(1)?, text: row.get(2)? }));
    rows.and_then(Iterator::collect).checked()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store that has taken every step has the definitions that it is held against.
    #[test]
    fn what_is_expected_is_what_the_steps_make() {
        let mut migrated = Connection::open_in_memory().unwrap();
        schema::migrate(&mut migrated).unwrap();
        assert_eq!(definitions(&migrated).unwrap(), *our_definitions().unwrap());
        assert_eq!(changed_definition(&migrated).unwrap(), None);
    }
}
