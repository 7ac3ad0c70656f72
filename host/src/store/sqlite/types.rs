//! Values of another type than their column has.
//!
//! SQLite looks at the types of a whole row when any column of it is written. So one value of a wrong type, which
//! only damage brings into a file, would keep its row from being changed at all, and a key from being revoked.

use rusqlite::Connection;

use super::checked::Checked as _;
use super::transaction::{Behavior, Transaction};
use super::{SqliteStore, check_files, check_schema};
use crate::store::{StoreError, WriteTransaction as _};

impl SqliteStore {
    /// Gives every value of a wrong type the type of its column, with the same bytes where that can be. The trail names
    /// the rows, as changed by something else before.
    pub(super) fn give_columns_their_types(&self) -> Result<(), StoreError> {
        let writer = self.writer.as_ref().ok_or(StoreError::ReadOnly)?;
        check_files(&self.claim)?;
        let turn = writer.turn();
        // What has the right type then need not be a value that a Keystile writes: what reads it says so.
        turn.execute_batch("PRAGMA ignore_check_constraints = ON").checked()?;
        let given = Transaction::begin(&*turn, Behavior::Write).and_then(|transaction| {
            let mut transaction = transaction.guarded_by(&self.claim);
            check_schema(transaction.connection(), &self.claim)?;
            transaction.step(|connection, _| mend(connection))?;
            Box::new(transaction).commit().map(drop)
        });
        turn.execute_batch("PRAGMA ignore_check_constraints = OFF").checked()?;
        given
    }
}

fn mend(connection: &Connection) -> Result<(), StoreError> {
    let query = "SELECT t.name, c.name, c.type FROM sqlite_schema AS t JOIN pragma_table_info(t.name) AS c \
                 WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY t.name, c.cid";
    let mut statement = connection.prepare(query).checked()?;
    let columns: Vec<(String, String, String)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .and_then(Iterator::collect)
        .checked()?;
    for columns in columns.chunk_by(|(table, ..), (next, ..)| table == next) {
        let Some((table, ..)) = columns.first() else { continue };
        let wrong =
            |(_, name, kind): &(String, String, String)| format!("typeof({name}) NOT IN ('null', lower('{kind}'))");
        // Only those: triggers keep others from being written at all.
        let mut to_set = Vec::new();
        for column in columns {
            let query = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE {})", wrong(column));
            if connection.query_row(&query, [], |row| row.get(0)).checked()? {
                to_set.push(column);
            }
        }
        if to_set.is_empty() {
            continue;
        }
        let sets: Vec<_> = to_set.iter().map(|(_, name, kind)| format!("{name} = CAST({name} AS {kind})")).collect();
        let rows: Vec<_> = to_set.into_iter().map(wrong).collect();
        let sql = format!("UPDATE {table} SET {} WHERE {}", sets.join(", "), rows.join(" OR "));
        // Prepared anew: whether conditions are looked at is decided then. A table whose triggers refuse it, as those
        // of the trail do, stays as it is: nothing that takes away writes there.
        let _ = connection.prepare(&sql).and_then(|mut update| update.execute([]));
    }
    Ok(())
}
