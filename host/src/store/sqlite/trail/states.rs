//! The states of all rows as they are in the store, and whatever belongs to none of them.

use std::collections::BTreeSet;

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
    let mut expected = Connection::open_in_memory().checked()?;
    schema::migrate(&mut expected)?;
    let (ours, found) = (definitions(&expected)?, definitions(connection)?);
    let names: BTreeSet<&String> = ours.symmetric_difference(&found).map(|(name, _)| name).collect();
    strays.extend(names.into_iter().map(|name| DifferenceKind::Schema(name.clone())));
    Ok(strays)
}

/// Name and text of everything that is defined in the file.
fn definitions(connection: &Connection) -> Result<BTreeSet<(String, String)>, StoreError> {
    let sql = "SELECT coalesce(CAST(name AS TEXT), ''), concat_ws(' ', type, tbl_name, sql) FROM main.sqlite_schema";
    let mut statement = connection.prepare(sql).checked()?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.and_then(Iterator::collect).checked()
}
