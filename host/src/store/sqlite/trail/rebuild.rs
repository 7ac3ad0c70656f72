//! Binding all rows of some kinds at once: what a step of the schema does that writes them in bulk.

use std::collections::HashSet;

use rusqlite::Connection;

use super::{KINDS, Nonce, Trail, new_nonce};
use crate::audit::{BoundRow, BoundRows, MAX_ROWS, NewEntry, RowId, RowKind, RowState};
use crate::store::StoreError;
use crate::store::sqlite::checked::Checked as _;
use crate::store::sqlite::reader::all;
use crate::store::sqlite::rows::Column;

/// The rows of these kinds that are not as their newest entry has left them.
pub(in crate::store::sqlite) fn differing(
    connection: &Connection,
    kinds: &[RowKind],
) -> Result<HashSet<RowId>, StoreError> {
    let mut differing = HashSet::new();
    each_form(connection, kinds, &mut |row, form| {
        let is_as_left = match Nonce::of(connection, &row)? {
            Some(known) => known.is_of(connection, &row, form)?,
            None => false,
        };
        if !is_as_left {
            differing.insert(row);
        }
        Ok(())
    })?;
    Ok(differing)
}

/// Binds all rows of these kinds as they are, [`MAX_ROWS`] to an entry. Those in `differing` are marked.
pub(in crate::store::sqlite) fn bind_all(
    connection: &Connection,
    trail: &mut Trail,
    kinds: &[RowKind],
    differing: &HashSet<RowId>,
    new: &NewEntry<'_>,
) -> Result<(), StoreError> {
    let mut rows = BoundRows::default();
    let mut count = 0;
    each_form(connection, kinds, &mut |row, form| {
        let sequence = trail.next(connection)?;
        let previous = Nonce::of(connection, &row)?.map_or(0, |known| known.sequence);
        let nonce = new_nonce()?;
        Nonce::set(connection, &row, &nonce, sequence)?;
        let state = Some(RowState::of(&nonce, form));
        let found_changed = differing.contains(&row);
        if !rows.push(&BoundRow { row, found_changed, previous, state }) {
            return Err(StoreError::InvalidValue { column: "the id of a row" });
        }
        count += 1;
        if count == MAX_ROWS {
            count = 0;
            trail.put(connection, new, std::mem::take(&mut rows))?;
        }
        Ok(())
    })?;
    if rows.is_empty() { Ok(()) } else { trail.put(connection, new, rows) }
}

/// Says of the rows of these kinds that are gone that they are.
pub(in crate::store::sqlite) fn forget_gone(
    connection: &Connection,
    trail: &mut Trail,
    kinds: &[RowKind],
    new: &NewEntry<'_>,
) -> Result<(), StoreError> {
    for kind in KINDS.iter().filter(|kind| kinds.contains(&kind.kind)) {
        let forms = kind.forms(connection)?.unwrap_or_else(|| "SELECT NULL AS row_id WHERE false".to_owned());
        let sql = format!(
            "SELECT id, sequence FROM main.row_nonces WHERE kind = {} AND id NOT IN (SELECT row_id FROM ({forms}))",
            kind.kind.number()
        );
        let gone = all(connection, &sql, [], |row| {
            let row_id = RowId { kind: kind.kind, id: Column(0, "row_nonces.id").blob(row)? };
            Ok((row_id, Column(1, "row_nonces.sequence").number(row)?))
        })?;
        for chunk in gone.chunks(MAX_ROWS) {
            let mut rows = BoundRows::default();
            for (row, previous) in chunk {
                Nonce::forget(connection, row)?;
                let bound = BoundRow { row: row.clone(), found_changed: false, previous: *previous, state: None };
                if !rows.push(&bound) {
                    return Err(StoreError::InvalidValue { column: "the id of a row" });
                }
            }
            trail.put(connection, new, rows)?;
        }
    }
    Ok(())
}

/// What takes the id and the canonical form of a row.
type EachForm<'a> = dyn FnMut(RowId, &[u8]) -> Result<(), StoreError> + 'a;

fn each_form(connection: &Connection, kinds: &[RowKind], each: &mut EachForm<'_>) -> Result<(), StoreError> {
    for kind in KINDS.iter().filter(|kind| kinds.contains(&kind.kind)) {
        let Some(forms) = kind.forms(connection)? else { continue };
        let mut statement = connection.prepare(&forms).checked()?;
        let mut rows = statement.query([]).checked()?;
        while let Some(row) = rows.next().checked()? {
            let id = Column(0, "the id of a row").blob(row)?;
            each(RowId { kind: kind.kind, id }, Column(1, "the form of a row").text_bytes(row)?)?;
        }
    }
    Ok(())
}
