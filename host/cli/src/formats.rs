//! `keystile formats list|add`.

use serde::Serialize;

use super::args::FormatsAddArgs;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::json::FormatJson;
use super::people::joined;
use super::table::{Column, Table};
use keystile::text::printable;
use keystile::{Environment, KeyFormat};

/// Lists the formats.
pub(super) fn list(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let formats = context.open_for_reading()?.keystile.formats()?;
    if context.output.is_json() {
        let formats = formats.iter().enumerate().map(|(index, named)| FormatJson::new(named, index == 0)).collect();
        context.output.json(&FormatsJson { formats })?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&[
        Column::new("NAME").cut_to(8),
        Column::new("SECRETS"),
        Column::new("ENVIRONMENTS").cut_to(12),
        Column::new("BODY").rank(2),
        Column::new("CHECKSUM").rank(1),
        Column::new("DEFAULT"),
    ]);
    for (index, named) in formats.iter().enumerate() {
        table.row(vec![
            named.name.as_str().into(),
            looks_like(&named.format).into(),
            joined(named.format.environments()).into(),
            named.format.body_len().to_string().into(),
            if named.format.checksum().is_empty() { "none" } else { "crc32" }.into(),
            if index == 0 { "yes" } else { "" }.into(),
        ]);
    }
    context.output.table(&table)?;
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct FormatsJson<'a> {
    formats: Vec<FormatJson<'a>>,
}

/// Adds a format.
pub(super) fn add(args: FormatsAddArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let environments = if args.env.is_empty() { default_environments() } else { args.env };
    let format = KeyFormat::new(args.prefix, args.separator, environments, args.body, args.checksum)?;
    let named = context.open()?.add_format(&args.name, format)?;
    if context.output.is_json() {
        context.output.json(&FormatAddedJson { format: FormatJson::new(&named, false) })?;
    } else {
        let name = printable(&named.name);
        context.output.line(format_args!("added {name}: {}", looks_like(&named.format)))?;
        let hint =
            context.command(&format!("keys create --format {} --name NAME", super::context::quoted(&named.name)));
        context.output.hint(format_args!("make a key with `{hint}`"));
    }
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct FormatAddedJson<'a> {
    format: FormatJson<'a>,
}

/// What its secrets look like, in its first environment: `hx_live_…`.
pub(super) fn looks_like(format: &KeyFormat) -> String {
    let environment = format.environments().first().map_or("", Environment::as_str);
    format!("{}_{environment}{}…", format.prefix(), char::from(format.separator().as_byte()))
}

fn default_environments() -> Vec<Environment> {
    ["live", "test"].into_iter().filter_map(|name| Environment::new(name).ok()).collect()
}
