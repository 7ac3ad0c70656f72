//! `keystile audit list|verify`.

use serde::Serialize;

use super::args::{AuditListArgs, AuditVerifyArgs};
use super::context::Context;
use super::failure::{Exit, Failure};
use super::json::UnreadableJson;
use super::output::{BAD, GOOD};
use super::people::{NONE, counted};
use super::table::{Column, Table};
use keystile::text::{printable, rfc3339};
use keystile::{AuditEntry, AuditQuery, AuditReport, BoundRow, Difference, DifferenceKind};

/// Lists entries of the trail.
pub(super) fn list(args: &AuditListArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open_for_reading()?.keystile;
    let subject = args.key.map(|id| id.to_string()).or_else(|| args.subject.clone());
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let (entries, unreadable, next) = match args.after {
        Some(after) => {
            let (entries, unreadable) = keystile.readable_audit(subject.as_deref(), after, limit)?;
            (entries, unreadable, None)
        }
        None => {
            let query = AuditQuery { subject, search: args.search.clone(), limit, before: args.before };
            let page = keystile.recent_audit(&query)?;
            (page.entries, page.unreadable, page.next)
        }
    };
    if context.output.is_json() {
        let entries = entries.iter().map(EntryJson::from).collect();
        let rows = UnreadableJson::all(&unreadable);
        context.output.json(&EntriesJson { entries, unreadable: rows, next })?;
        return Ok(context.end_without(&unreadable));
    }
    if entries.is_empty() && unreadable.is_empty() {
        context.output.note("no entries");
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&[
        Column::new("SEQ"),
        Column::new("AT"),
        Column::new("ACTOR").cut_to(8).rank(1),
        Column::new("ACTION"),
        Column::new("SUBJECT").rank(2),
        Column::new("DETAIL").cut_to(10).rank(3),
    ]);
    for entry in &entries {
        table.row(vec![
            entry.sequence.to_string().into(),
            rfc3339(entry.at).into(),
            entry.actor.as_str().into(),
            entry.action.as_str().into(),
            entry.subject.as_deref().unwrap_or(NONE).into(),
            entry.detail.as_str().into(),
        ]);
    }
    context.output.table(&table)?;
    if let Some(next) = next {
        context.output.hint(format_args!("there are more: add --before {next}"));
    }
    Ok(context.end_without(&unreadable))
}

#[derive(Serialize)]
struct EntriesJson<'a> {
    entries: Vec<EntryJson<'a>>,
    /// Rows of the list that cannot be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<UnreadableJson<'a>>,
    /// The `--before` of the next page, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

#[derive(Serialize)]
struct EntryJson<'a> {
    sequence: u64,
    at: String,
    actor: &'a str,
    action: &'a str,
    subject: Option<&'a str>,
    detail: serde_json::Value,
    /// The rows that the entry leaves behind, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rows: Vec<RowJson>,
    previous: String,
    hash: String,
}

#[derive(Serialize)]
struct RowJson {
    kind: &'static str,
    id: String,
    /// The entry that named the row before.
    previous: u64,
    #[serde(skip_serializing_if = "is_false")]
    found_changed: bool,
    /// None: the row is gone.
    state: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl From<BoundRow> for RowJson {
    fn from(bound: BoundRow) -> RowJson {
        RowJson {
            kind: bound.row.kind.as_str(),
            id: bound.row.text(),
            previous: bound.previous,
            found_changed: bound.found_changed,
            state: bound.state.map(|state| state.to_string()),
        }
    }
}

impl<'a> From<&'a AuditEntry> for EntryJson<'a> {
    fn from(entry: &'a AuditEntry) -> EntryJson<'a> {
        EntryJson {
            sequence: entry.sequence,
            at: rfc3339(entry.at),
            actor: &entry.actor,
            action: &entry.action,
            subject: entry.subject.as_deref(),
            // Somebody may have written there what is no JSON: then it is a text.
            detail: serde_json::from_str(&entry.detail).unwrap_or_else(|_| entry.detail.as_str().into()),
            rows: entry.rows.iter().flatten().map(RowJson::from).collect(),
            previous: entry.previous.to_string(),
            hash: entry.hash.to_string(),
        }
    }
}

/// Walks the whole trail, and compares every row with its newest entry.
pub(super) fn verify(args: &AuditVerifyArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open_for_reading()?.keystile;
    let report = keystile.verify_audit(args.checkpoint)?;
    let json = context.output.is_json();
    match report {
        AuditReport::Intact { entries, head } => {
            let checkpoint = format!("{entries}:{head}");
            if json {
                context.output.json(&IntactJson { intact: true, entries, head: head.to_string(), checkpoint })?;
            } else {
                let counted = counted(entries, "entry", "entries");
                context.output.line(format_args!("{GOOD}intact{GOOD:#}  {counted}, head {checkpoint}"))?;
                let hint = context.command(&format!("audit verify --checkpoint {checkpoint}"));
                context.output.hint(format_args!("note the head somewhere else, and check it later with `{hint}`"));
            }
            Ok(Exit::Done)
        }
        AuditReport::Broken { sequence, problem } => {
            if json {
                context.output.json(&BrokenJson { intact: false, sequence, problem: problem.to_string() })?;
            } else {
                context.output.line(format_args!("{BAD}broken{BAD:#}  entry {sequence}: {problem}"))?;
                context.output.hint("find out who wrote to the store, and compare it with a backup");
            }
            Ok(Exit::Denied)
        }
        AuditReport::Differs { entries, head, differences, more } => {
            if json {
                let differences = differences.iter().map(DifferenceJson::from).collect();
                let checkpoint = format!("{entries}:{head}");
                let differs =
                    DiffersJson { intact: false, entries, head: head.to_string(), checkpoint, differences, more };
                context.output.json(&differs)?;
                return Ok(Exit::Denied);
            }
            let count = counted(more.saturating_add(differences.len() as u64), "difference", "differences");
            context.output.line(format_args!("{BAD}differs{BAD:#}  {count} between the store and its trail"))?;
            for difference in &differences {
                context.output.line(format_args!("  {}", printable(&difference.to_string())))?;
            }
            if more > 0 {
                context.output.line(format_args!("  and {more} more"))?;
            }
            context.output.hint("find out who wrote to the store; revoke the key anew, or restore a backup");
            if differences.iter().any(|difference| matches!(difference.what, DifferenceKind::FoundChanged(_))) {
                let hint = context.command(&format!("audit verify --checkpoint {entries}:{head}"));
                context
                    .output
                    .hint(format_args!("what was changed before an entry is told until you have seen it: `{hint}`"));
            }
            Ok(Exit::Denied)
        }
        // What this version does not know is not called intact.
        _ => Ok(Exit::Denied),
    }
}

#[derive(Serialize)]
struct DiffersJson {
    intact: bool,
    entries: u64,
    head: String,
    checkpoint: String,
    differences: Vec<DifferenceJson>,
    /// Differences beyond those that are listed.
    #[serde(skip_serializing_if = "is_zero")]
    more: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[derive(Serialize)]
struct DifferenceJson {
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// The entry that it differs from, or that found it.
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<u64>,
    message: String,
}

impl From<&Difference> for DifferenceJson {
    fn from(difference: &Difference) -> DifferenceJson {
        let row = difference.what.row();
        DifferenceJson {
            what: difference.what.as_str(),
            kind: row.map(|row| row.kind.as_str()),
            id: row.map(|row| row.text()),
            entry: difference.entry.as_ref().map(|entry| entry.sequence),
            message: difference.to_string(),
        }
    }
}

#[derive(Serialize)]
struct IntactJson {
    intact: bool,
    entries: u64,
    head: String,
    checkpoint: String,
}

#[derive(Serialize)]
struct BrokenJson {
    intact: bool,
    sequence: u64,
    problem: String,
}
