//! Whatever something else does to a row of a table that is bound, it is reported. The cases are made from the tables
//! themselves: a new table, or a new column of one, is covered, or fails here.

use rusqlite::Connection;

use super::*;
use crate::store::imports::ImportRow;
use crate::store::sqlite::trail::BoundTable;

/// A store with rows in every table that is bound, staged ones among them, all written by Keystile.
fn full() -> Fixture {
    let fixture = filled();
    // An issuer without keys: somebody may give it some.
    write_sql(
        &fixture,
        "INSERT INTO issuers (name, generation, issuer, algorithms, audiences, leeway, scope_claims, enabled, created_at, \
         created_by, updated_at) VALUES ('auth0', 1, 'https://auth0', 'RS256', '[\"me\"]', 0, 'scope', 1, 1, 'tests', 1)",
    );
    let store = fixture.open();
    write(&store, |transaction| {
        let import = ImportRow {
            id: crate::ids::ImportId::from_bytes([4; 16]),
            keys: 1,
            started_at: at(1),
            started_by: "tests".to_owned(),
            leased_until: at(2),
            completed_at: None,
        };
        transaction.insert_import(&import).unwrap();
        assert!(transaction.stage_key(import.id, &key(3)).unwrap());
        append(transaction, "key.imported");
    });
    fixture
}

/// A column of a table.
struct Column {
    name: String,
    /// Another value than it has, as SQL.
    other: String,
    /// Whether no two rows may have the same.
    is_key: bool,
}

fn columns(raw: &Connection, table: &str) -> Vec<Column> {
    let texts = |sql: &str| -> Vec<(String, String)> {
        let mut statement = raw.prepare(sql).unwrap();
        let rows = statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let keys: BTreeSet<String> = texts(
        "SELECT c.name, l.name FROM pragma_index_list(?1) AS l, pragma_index_info(l.name) AS c WHERE l.\"unique\" \
         UNION SELECT name, '' FROM pragma_table_info(?1) WHERE pk > 0",
    )
    .into_iter()
    .map(|(name, _)| name)
    .collect();
    texts("SELECT name, type FROM pragma_table_info(?1)")
        .into_iter()
        .map(|(name, kind)| {
            let other = match &*kind {
                "INTEGER" => format!("coalesce({name}, 0) + 1000"),
                "TEXT" => format!("coalesce({name}, '') || 'x'"),
                "BLOB" => format!("randomblob(coalesce(length({name}), 16))"),
                _ => panic!("a column of the type {kind}"),
            };
            Column { is_key: keys.contains(&name), name, other }
        })
        .collect()
}

/// A store that something else writes to: without triggers and constraints, and with the schema as it was in the end.
struct Attacked<'a> {
    transaction: Transaction<&'a Connection>,
    /// Name, table and definition of each trigger.
    triggers: Vec<[String; 3]>,
    /// The states of all rows before any attack.
    before: Vec<State>,
}

/// Kind and id of a row, and its state.
type State = (RowKind, Vec<u8>, Option<audit::RowState>);

impl<'a> Attacked<'a> {
    fn new(connection: &'a Connection) -> Attacked<'a> {
        connection.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON").unwrap();
        let query = "SELECT name, tbl_name, sql FROM sqlite_schema WHERE type = 'trigger'";
        let mut statement = connection.prepare(query).unwrap();
        let triggers = statement.query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?])).unwrap();
        let triggers = triggers.map(Result::unwrap).collect();
        let transaction = Transaction::begin(connection, Behavior::Write).unwrap();
        Attacked { before: states(&transaction), transaction, triggers }
    }

    /// Has these statements done, and looks at the store, which is as before afterwards.
    fn look_after<T>(
        &self,
        of: &BoundTable,
        statements: &str,
        look: impl FnOnce(&Transaction<&'a Connection>) -> T,
    ) -> T {
        let connection = self.transaction.connection();
        let of_table = || self.triggers.iter().filter(|[_, table, _]| table == of.table);
        let without: String = of_table().map(|[name, ..]| format!("DROP TRIGGER {name};")).collect();
        let with: String = of_table().map(|[.., sql]| format!("{sql};")).collect();
        connection.execute_batch(&format!("SAVEPOINT whole; {without} {statements}; {with}")).unwrap();
        let found = look(&self.transaction);
        connection.execute_batch("ROLLBACK TO whole; RELEASE whole").unwrap();
        found
    }

    /// What is reported: the kinds of differences of rows of this kind. Nothing else is, but for rows of further
    /// tables that belong to no row then.
    fn reported(&self, of: &BoundTable, statements: &str) -> Vec<&'static str> {
        let report = self.look_after(of, statements, |view| audit::verify_view(view, None).unwrap());
        let differences = match report {
            AuditReport::Intact { .. } => return Vec::new(),
            AuditReport::Differs { differences, more: 0, .. } => differences,
            other => panic!("{}: {other:?}", of.table),
        };
        let rows = differences.iter().filter(|it| !matches!(it.what, DifferenceKind::Stray(_)));
        rows.inspect(|it| assert_eq!(it.what.row().map(|row| row.kind), Some(of.kind), "{}: {it:?}", of.table))
            .map(|it| it.what.as_str())
            .collect()
    }

    /// The kinds of rows whose states are others.
    fn changed(&self, of: &BoundTable, statements: &str) -> Vec<RowKind> {
        let after = self.look_after(of, statements, |view| states(view));
        let lost = self.before.iter().filter(|state| !after.contains(state));
        let new = after.iter().filter(|state| !self.before.contains(state));
        lost.chain(new).map(|(kind, ..)| *kind).collect()
    }
}

fn states(view: &dyn ReadTransaction) -> Vec<State> {
    let mut states = Vec::new();
    let each = &mut |kind, id: &[u8], state| {
        states.push((kind, id.to_vec(), state));
        Ok(())
    };
    view.row_states(each).unwrap();
    states
}

#[test]
fn every_row_that_something_else_changes_removes_or_adds_is_reported() {
    let fixture = full();
    let raw = fixture.raw();
    let attacked = Attacked::new(&raw);
    let mut cases = 0;
    for of in KINDS.iter().flat_map(|kind| kind.tables()) {
        let table = of.table;
        let columns = columns(&raw, table);
        let keys: Vec<&Column> = columns.iter().filter(|it| it.is_key).collect();
        let rows: u32 = raw.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        assert!(rows > 0, "the store of this test needs a row in {table}");
        assert!(of.unbound.iter().all(|name| columns.iter().any(|it| it.name == *name)), "{table}: {:?}", of.unbound);
        let same: Vec<_> = keys.iter().map(|key| format!("c.{0} IS {table}.{0}", key.name)).collect();
        let it = format!("EXISTS (SELECT 1 FROM chosen AS c WHERE {})", same.join(" AND "));
        for row in 0..rows {
            let choose = format!("CREATE TEMP TABLE chosen AS SELECT * FROM {table} LIMIT 1 OFFSET {row}");
            let reported = |statement: &str| attacked.reported(&of, &format!("{choose}; {statement}"));
            for Column { name, other, .. } in &columns {
                let change = format!("{choose}; UPDATE {table} SET {name} = {other} WHERE {it}");
                let found = attacked.changed(&of, &change);
                let is_unbound = of.unbound.contains(&&**name);
                assert_eq!(found.is_empty(), is_unbound, "{table}.{name} of row {row} was changed: {found:?}");
                assert!(found.iter().all(|kind| *kind == of.kind), "{table}.{name}: {found:?}");
            }
            let (removed, added) = if of.refers.is_some() { ("changed", "changed") } else { ("removed", "added") };
            let found = reported(&format!("DELETE FROM {table} WHERE {it}"));
            assert_eq!(found, [removed], "row {row} of {table} was removed");
            // A copy that differs in whatever no two rows may share; of a further table, one of the same owner where
            // that can be.
            let (mine, owners) = of.refers.map_or(("", String::new()), |(mine, owners, column)| {
                let other = format!("SELECT {column} FROM {owners} WHERE {column} NOT IN (SELECT {mine} FROM {table})");
                (mine, format!("{mine} = ({other})"))
            });
            let others = keys.iter().filter(|key| key.name != mine);
            let mut set: Vec<_> = others.map(|key| format!("{} = {}", key.name, key.other)).collect();
            if set.is_empty() {
                set.push(owners);
            }
            let found =
                reported(&format!("UPDATE chosen SET {}; INSERT INTO {table} SELECT * FROM chosen", set.join(", ")));
            assert_eq!(found, [added], "a copy of row {row} of {table} was added");
            cases += columns.len() + 2;
        }
    }
    assert!(cases > 200, "{cases}");
}
