//! Which rows the audit trail binds, and their canonical forms in SQL. See `docs/trail.md`.

use rusqlite::Connection;
use rusqlite::types::ToSqlOutput;

use crate::audit::RowKind;
use crate::store::StoreError;
use crate::store::sqlite::checked::Checked as _;

/// A kind of rows that the trail binds. A new kind is a line in [`KINDS`].
pub(in crate::store::sqlite) struct Kind {
    pub(in crate::store::sqlite) kind: RowKind,
    pub(in crate::store::sqlite) table: &'static str,
    /// What a row is known by: one column, or several.
    id: Id,
    /// Columns that are not bound.
    unbound: &'static [&'static str],
    /// Tables with further rows of the same owner.
    parts: &'static [Part],
}

enum Id {
    /// A column of bytes.
    Bytes(&'static str),
    /// Columns whose texts are joined by line feeds.
    Texts(&'static [&'static str]),
}

/// A table with rows that belong to a row of another one.
struct Part {
    table: &'static str,
    /// The columns by which a part names its owner, and the owner's.
    refers: (&'static str, &'static str),
    /// The rest of the primary key.
    order: &'static str,
    unbound: &'static [&'static str],
}

const SECRETS: Part = Part { table: "secrets", refers: ("key_pk", "pk"), order: "number", unbound: &[] };
const ROTATIONS: Part = Part { table: "rotations", refers: ("key_pk", "pk"), order: "request_id", unbound: &[] };
/// Of the cache only the keys themselves are bound: the rest says how the last fetch went.
const KEY_SETS: Part = Part {
    table: "jwks_cache",
    refers: ("name", "name"),
    order: "name",
    unbound: &["attempted_at", "etag", "failures", "fetched_at", "lease", "max_age", "problem"],
};

/// All kinds. `generation` says when a row was last written, for whoever follows; it grows with every write. Of an
/// import it says more, and is bound: without one its keys are not in force.
pub(in crate::store::sqlite) const KINDS: &[Kind] = &[
    kind(RowKind::Key, "keys", Id::Bytes("id"), &["generation"], &[SECRETS, ROTATIONS]),
    kind(RowKind::User, "users", Id::Bytes("id"), &[], &[]),
    kind(RowKind::Session, "sessions", Id::Bytes("id"), &[], &[]),
    kind(RowKind::Issuer, "issuers", Id::Texts(&["name"]), &["generation"], &[KEY_SETS]),
    kind(RowKind::Format, "formats", Id::Texts(&["name"]), &[], &[]),
    kind(RowKind::Setting, "settings", Id::Texts(&["name"]), &[], &[]),
    kind(RowKind::SigningKey, "signing_keys", Id::Texts(&["kid"]), &["generation"], &[]),
    kind(RowKind::Revocation, "revocations", Id::Texts(&["kind", "issuer", "value"]), &["generation"], &[]),
    kind(RowKind::Sealing, "sealing", Id::Texts(&["one"]), &[], &[]),
    kind(RowKind::Import, "imports", Id::Bytes("id"), &[], &[]),
    kind(
        RowKind::Store,
        "position",
        Id::Texts(&["one"]),
        &["clock_accepted", "clock_at", "epoch", "generation", "has_imports", "newest_at", "steady_since"],
        &[],
    ),
];

/// Tables that the trail does not bind, and why.
#[cfg(test)]
pub(in crate::store::sqlite) const UNBOUND_TABLES: &[(&str, &str)] = &[
    ("audit", "the trail itself"),
    ("row_nonces", "what the states of rows are made with"),
    ("usage", "counts uses"),
    ("usage_days", "counts uses"),
    ("attempts", "counts attempts to log in"),
    ("attempts_key", "names the counts of attempts"),
    ("erasure", "counts what is to be got out of the file"),
    ("security_events", "kept apart from the trail, for a while"),
];

const fn kind(
    kind: RowKind,
    table: &'static str,
    id: Id,
    unbound: &'static [&'static str],
    parts: &'static [Part],
) -> Kind {
    Kind { kind, table, id, unbound, parts }
}

impl Kind {
    /// A query with the columns `row_id`, `form` and those that [`condition`](Kind::condition) names; `None`
    /// when this version of the schema has no such table.
    pub(in crate::store::sqlite) fn forms(&self, connection: &Connection) -> Result<Option<String>, StoreError> {
        let columns = columns(connection, self.table, self.unbound)?;
        if columns.is_empty() {
            return Ok(None);
        }
        let mut form = format!("'{}' || char(10){}", self.kind.as_str(), concatenated(&columns, "r"));
        for part in self.parts {
            let columns = self::columns(connection, part.table, part.unbound)?;
            if columns.is_empty() {
                continue;
            }
            let (mine, owners) = part.refers;
            form += &format!(
                " || coalesce((SELECT group_concat('{table}' || char(10){columns}, '' ORDER BY p.{order}) \
                 FROM {table} AS p WHERE p.{mine} = r.{owners}), '')",
                table = part.table,
                columns = concatenated(&columns, "p"),
                order = part.order,
            );
        }
        let found_by: String = self.found_by().iter().map(|column| format!(", r.{column} AS {column}")).collect();
        let id = self.id_of("r");
        Ok(Some(format!("SELECT {id} AS row_id, {form} AS form{found_by} FROM main.{table} AS r", table = self.table)))
    }

    /// All tables that the rows of this kind lie in.
    #[cfg(test)]
    pub(in crate::store::sqlite) fn tables(&self) -> Vec<BoundTable> {
        let own = BoundTable { kind: self.kind, table: self.table, unbound: self.unbound, refers: None };
        let parts = self.parts.iter().map(|part| {
            let (mine, owners) = part.refers;
            let refers = Some((mine, self.table, owners));
            BoundTable { kind: self.kind, table: part.table, unbound: part.unbound, refers }
        });
        [own].into_iter().chain(parts).collect()
    }

    /// Finds a row in [`forms`](Kind::forms) by its id, with the values of [`parameters`](Kind::parameters).
    pub(super) fn condition(&self) -> String {
        let equals = |(at, column): (usize, &&str)| format!("{column} = ?{}", at.saturating_add(1));
        match &self.id {
            Id::Bytes(column) => equals((0, column)),
            Id::Texts(columns) => columns.iter().enumerate().map(equals).collect::<Vec<_>>().join(" AND "),
        }
    }

    pub(super) fn parameters<'a>(&self, id: &'a [u8]) -> Vec<ToSqlOutput<'a>> {
        use rusqlite::types::ValueRef::{Blob, Text};
        match &self.id {
            Id::Bytes(_) => vec![ToSqlOutput::Borrowed(Blob(id))],
            Id::Texts(columns) => {
                id.splitn(columns.len(), |byte| *byte == b'\n').map(|text| ToSqlOutput::Borrowed(Text(text))).collect()
            }
        }
    }

    /// Temporary triggers that note a row in `touched_rows` before it is changed: only in the memory of this
    /// connection, and for as long as it is open. `view` is a view of [`forms`](Kind::forms).
    pub(super) fn triggers(&self, connection: &Connection, view: &str) -> Result<String, StoreError> {
        let number = self.kind.number();
        let (table, new_id) = (self.table, self.id_of("NEW"));
        // A row that is new has no form before.
        let added = format!(
            "INSERT INTO touched_rows (kind, id) SELECT {number}, {new_id} WHERE {};",
            unnoted(number, &new_id)
        );
        let note = |owner: &str| {
            format!(
                "INSERT INTO touched_rows (kind, id, before) SELECT {number}, row_id, form FROM {view} \
                 WHERE {owner} AND {};",
                unnoted(number, "row_id")
            )
        };
        let itself: Vec<_> = self.found_by().iter().map(|column| format!("{column} = OLD.{column}")).collect();
        let itself = note(&itself.join(" AND "));
        let changes = changes(&columns(connection, table, self.unbound)?);
        let moved = format!("{} IS NOT {new_id}", self.id_of("OLD"));
        let mut sql = format!(
            "{}{}{}{}",
            trigger(table, "added", "AFTER INSERT", "true", &added),
            trigger(table, "moved", "AFTER UPDATE", &moved, &added),
            trigger(table, "changed", "BEFORE UPDATE", &changes, &itself),
            trigger(table, "removed", "BEFORE DELETE", "true", &itself),
        );
        for part in self.parts {
            let columns = columns(connection, part.table, part.unbound)?;
            if columns.is_empty() {
                continue;
            }
            let (mine, owners) = part.refers;
            let (old, new) = (note(&format!("{owners} = OLD.{mine}")), note(&format!("{owners} = NEW.{mine}")));
            let changes = self::changes(&columns);
            sql += &trigger(part.table, "added", "BEFORE INSERT", "true", &new);
            sql += &trigger(part.table, "changed", "BEFORE UPDATE", &changes, &format!("{old}{new}"));
            sql += &trigger(part.table, "removed", "BEFORE DELETE", "true", &old);
        }
        Ok(sql)
    }

    /// A query for the number of rows of each further table that belong to no row, with the table's name.
    pub(in crate::store::sqlite) fn strays(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.parts.iter().map(|part| {
            let (mine, owners) = part.refers;
            let sql = format!(
                "SELECT EXISTS (SELECT 1 FROM {part} WHERE {mine} NOT IN (SELECT {owners} FROM {table}))",
                part = part.table,
                table = self.table
            );
            (part.table, sql)
        })
    }

    /// The columns of the table that its rows and their parts are found by.
    fn found_by(&self) -> Vec<&'static str> {
        let mut columns = match &self.id {
            Id::Bytes(column) => vec![*column],
            Id::Texts(columns) => columns.to_vec(),
        };
        for part in self.parts {
            if !columns.contains(&part.refers.1) {
                columns.push(part.refers.1);
            }
        }
        columns
    }

    fn id_of(&self, row: &str) -> String {
        match &self.id {
            Id::Bytes(column) => format!("{row}.{column}"),
            Id::Texts(columns) => {
                let texts: Vec<_> = columns.iter().map(|column| format!("{row}.{column}")).collect();
                format!("CAST({} AS BLOB)", texts.join(" || char(10) || "))
            }
        }
    }
}

/// A table that is bound, for tests.
#[cfg(test)]
pub(in crate::store::sqlite) struct BoundTable {
    pub(in crate::store::sqlite) kind: RowKind,
    pub(in crate::store::sqlite) table: &'static str,
    pub(in crate::store::sqlite) unbound: &'static [&'static str],
    /// Of a further table: the column by which it names its owner, and the owner's table and column.
    pub(in crate::store::sqlite) refers: Option<(&'static str, &'static str, &'static str)>,
}

fn unnoted(number: u8, id: &str) -> String {
    format!("NOT EXISTS (SELECT 1 FROM touched_rows AS t WHERE t.kind = {number} AND t.id = {id})")
}

fn trigger(table: &str, name: &str, when: &str, condition: &str, body: &str) -> String {
    format!("CREATE TEMP TRIGGER {table}_{name} {when} ON main.{table} WHEN {condition} BEGIN {body} END;\n")
}

/// Whether an update changes anything that is bound.
fn changes(columns: &[BoundColumn]) -> String {
    let changes: Vec<_> = columns.iter().map(|column| format!("OLD.{0} IS NOT NEW.{0}", column.name)).collect();
    changes.join(" OR ")
}

/// A column that is bound.
struct BoundColumn {
    name: String,
    /// The value, as SQL, that leaves the column out of the canonical form.
    left_out: String,
}

/// The bound columns of a table, in the order of their names; none: there is no such table.
fn columns(connection: &Connection, table: &str, unbound: &[&str]) -> Result<Vec<BoundColumn>, StoreError> {
    let mut columns = Vec::new();
    let mut statement = connection.prepare(&format!("PRAGMA main.table_info({table})")).checked()?;
    let mut rows = statement.query([]).checked()?;
    while let Some(row) = rows.next().checked()? {
        let name: String = row.get("name").checked()?;
        let is_required: bool = row.get("notnull").checked()?;
        let default: Option<String> = row.get("dflt_value").checked()?;
        // Both go into SQL: names and values that our own schema could not have are refused.
        if !is_plain(&name) {
            return Err(StoreError::InvalidValue { column: "the names of columns" });
        }
        if unbound.contains(&name.as_str()) {
            continue;
        }
        let left_out = default.filter(|value| is_required && is_literal(value)).unwrap_or_else(|| "NULL".to_owned());
        columns.push(BoundColumn { name, left_out });
    }
    columns.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(columns)
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// A whole number, or a text of plain letters in quotes.
fn is_literal(value: &str) -> bool {
    let text = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\''));
    text.is_some_and(is_plain) || value.bytes().all(|byte| byte.is_ascii_digit())
}

/// A line for each column that is not left out, as SQL that goes on from a text.
fn concatenated(columns: &[BoundColumn], row: &str) -> String {
    let line = |BoundColumn { name, left_out }: &BoundColumn| {
        format!(
            " || CASE WHEN {row}.{name} IS {left_out} THEN '' \
             ELSE '{name}=' || typeof({row}.{name}) || ':' || hex({row}.{name}) || char(10) END"
        )
    };
    columns.iter().map(line).collect()
}
