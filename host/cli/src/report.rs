//! `keystile keys report`: keys that an operator should look at.

use std::collections::BTreeMap;

use serde::Serialize;

use super::context::Context;
use super::failure::{Exit, Failure};
use super::json::KeyJson;
use super::output::TITLE;
use super::people::{NONE, relative_or, state_style};
use super::table::{Cell, Column, Table};
use keystile::text::relative;
use keystile::{Key, KeyReport, ReportSection, Timestamp};

/// Shows the report.
pub(super) fn report(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open_for_reading()?.keystile;
    let report = keystile.keys().report()?;
    let now = keystile.request().now;
    if context.output.is_json() {
        context.output.json(&json(&report, now))?;
        return Ok(context.end_without(&report.unreadable));
    }
    for section in &report.sections {
        let title = section.concern.title();
        context.output.line(format_args!("{TITLE}{title}: {}{TITLE:#}", section.count))?;
        if !section.keys.is_empty() {
            context.output.table(&table(&section.keys, now))?;
            let more = section.count.saturating_sub(u64::try_from(section.keys.len()).unwrap_or(u64::MAX));
            if more > 0 {
                context.output.line(format_args!("and {more} more"))?;
            }
        }
        context.output.line("")?;
    }
    let hint = context.command("keys rotate ID");
    context.output.hint(format_args!("renew a secret with `{hint}`; suspend what nobody uses before you revoke it"));
    Ok(context.end_without(&report.unreadable))
}

fn table(keys: &[Key], now: Timestamp) -> Table {
    let mut table = Table::new(&[
        Column::new("STATE"),
        Column::new("NAME").cut_to(8),
        Column::new("OWNER").cut_to(8).rank(1),
        Column::new("SECRET MADE").rank(4),
        Column::new("EXPIRES").rank(2),
        Column::new("LAST USED").rank(3),
        Column::new("ID"),
    ]);
    for key in keys {
        let status = key.status(now);
        let made = key.active_secret().map_or_else(|| NONE.to_owned(), |secret| relative(now, secret.created_at));
        table.row(vec![
            Cell::styled(status.as_str(), state_style(status)),
            key.name.as_str().into(),
            key.owner.as_deref().unwrap_or(NONE).into(),
            made.into(),
            relative_or(now, key.expires_at, "never").into(),
            relative_or(now, key.last_used_at(), "never").into(),
            key.id.to_string().into(),
        ]);
    }
    table
}

#[derive(Serialize)]
struct SectionJson<'a> {
    count: u64,
    keys: Vec<KeyJson<'a>>,
}

/// The sections by the names of their concerns.
fn json<'a>(report: &'a KeyReport, now: Timestamp) -> BTreeMap<&'static str, SectionJson<'a>> {
    let of = |section: &'a ReportSection| {
        let keys = KeyJson::all(&section.keys, now);
        (section.concern.as_str(), SectionJson { count: section.count, keys })
    };
    report.sections.iter().map(of).collect()
}
