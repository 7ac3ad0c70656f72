//! `keystile keys import`: digests of another system, one JSON object a line.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;

use super::args::ImportArgs;
use super::context::Context;
use super::failure::{Exit, Failure, PAIR};
use super::json::KeyJson;
use super::lines::Lines;
use super::people::counted;
use super::usage::redacted;
use super::values::parse_rate;
use keystile::bounds::{MAX_IMPORT, MAX_PAGE};
use keystile::text::parse_rfc3339;
use keystile::{
    AddressRange, DigestEncoding, Environment, ImportKeysError, Imported, ImportedKey, KeyQuery, Keystile, Scope,
    SortColumn, Timestamp,
};

/// Imports all keys of a file, or none.
pub(super) fn import(args: &ImportArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    // The store first: it is the wrong one more often than the file is.
    let keystile = context.open()?;
    let imported = if args.file == Path::new("-") {
        import_from(&keystile, context.stdin, "standard input")?
    } else {
        let name = args.file.display().to_string();
        let mut file = File::open(&args.file).map_err(|error| unreadable(&name, &error))?;
        import_from(&keystile, &mut file, &name)?
    };
    if context.output.is_json() {
        write_json(&keystile, imported, context)?;
    } else {
        context.output.line(format_args!("imported {}", counted(imported.keys, "key", "keys")))?;
        let hint = context.command(&format!("keys list --import {}", imported.id));
        context.output.hint(format_args!("see them with `{hint}`; their secrets work from now on"));
    }
    Ok(Exit::Done)
}

/// Writes `{"imported": …, "import": …, "keys": […]}`, the keys by pages: there can be a million.
fn write_json(keystile: &Keystile, imported: Imported, context: &mut Context<'_>) -> Result<(), Failure> {
    let now = keystile.request().now;
    let head = format!("{{\"imported\":{},\"import\":\"{}\",\"keys\":[", imported.keys, imported.id);
    context.output.raw(head.as_bytes())?;
    let mut query = KeyQuery {
        import: Some(imported.id),
        sort: SortColumn::Id,
        descending: false,
        limit: MAX_PAGE,
        ..KeyQuery::default()
    };
    let mut is_first = true;
    loop {
        let page = keystile.keys().list(&query)?;
        for key in &page.keys {
            let mut text = if is_first { Vec::new() } else { b",".to_vec() };
            is_first = false;
            serde_json::to_writer(&mut text, &KeyJson::new(key, now)).map_err(std::io::Error::from)?;
            context.output.raw(&text)?;
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    context.output.raw(b"]}\n")
}

/// Stages the keys line by line, and puts them into force at the end.
fn import_from(keystile: &Keystile, source: &mut dyn Read, name: &str) -> Result<Imported, Failure> {
    let mut import = keystile.keys().begin_import();
    // The number of the line that each key is on: the library counts keys, people count lines.
    let mut numbers = Vec::new();
    read(source, name, |key, number| {
        numbers.push(number);
        import.add(key).map_err(|error| with_line(error, &numbers))
    })?;
    if numbers.is_empty() {
        let message =
            format!("{name} holds no keys{PAIR}give one JSON object a line, see `keystile keys import --help`");
        return Err(Failure::usage(message));
    }
    import.complete().map_err(|error| with_line(error, &numbers))
}

/// Hands out each key with the number of its line.
fn read(
    source: &mut dyn Read,
    name: &str,
    mut each: impl FnMut(ImportedKey, u64) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut source = Lines::new(source, LONGEST_LINE);
    while let Some(line) = source.next().map_err(|error| unreadable(name, &error))? {
        let number = line.number;
        if line.too_long {
            return Err(on_line(number, format!("it is longer than {LONGEST_LINE} bytes{PAIR}give one key a line")));
        }
        if line.bytes.trim_ascii().is_empty() {
            continue;
        }
        each(parse(line.bytes).map_err(|error| on_line(number, error))?, number)?;
    }
    Ok(())
}

fn parse(line: &[u8]) -> Result<ImportedKey, String> {
    if !line.trim_ascii_start().starts_with(b"{") {
        // An array would do for serde: its elements are then the members in their order.
        return Err(format!("not a JSON object{PAIR}give one such as {{\"digest\": \"…\", \"name\": \"…\"}}"));
    }
    let line: ImportLine = serde_json::from_slice(line).map_err(|error| {
        // The text of a JSON error repeats what it found, and a secret may stand in the wrong place.
        let text = redacted(&error.to_string());
        let text =
            text.rsplit_once(" at line 1 column ").map_or(text.clone(), |(what, at)| format!("{what} (column {at})"));
        format!("{text}{PAIR}see `keystile keys import --help` for the members of a key")
    })?;
    let encoding: DigestEncoding = match line.encoding {
        Some(name) => name.parse().map_err(|error| of_member("encoding", error))?,
        None => DigestEncoding::Hex,
    };
    Ok(ImportedKey {
        digest: encoding.decode(&line.digest).map_err(|error| of_member("digest", error))?,
        name: line.name,
        display: line.prefix,
        owner: line.owner,
        environment: match line.env {
            Some(env) => Environment::new(env).map_err(|error| of_member("env", error))?,
            None => Environment::new("live").map_err(|error| of_member("env", error))?,
        },
        scopes: line
            .scopes
            .unwrap_or_default()
            .into_iter()
            .map(Scope::new)
            .collect::<Result<_, _>>()
            .map_err(|error| of_member("scopes", error))?,
        addresses: line
            .addresses
            .unwrap_or_default()
            .iter()
            .map(|range| range.parse())
            .collect::<Result<Vec<AddressRange>, _>>()
            .map_err(|error| of_member("addresses", error))?,
        rate: line.rate.map(|rate| parse_rate(&rate)).transpose().map_err(|error| of_member("rate", error))?,
        metadata: line.metadata.unwrap_or_default(),
        not_before: time("not_before", line.not_before)?,
        expires_at: time("expires_at", line.expires_at)?,
    })
}

/// The same names as in the JSON form of a key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImportLine {
    digest: String,
    encoding: Option<String>,
    name: String,
    prefix: Option<String>,
    owner: Option<String>,
    env: Option<String>,
    scopes: Option<Vec<String>>,
    addresses: Option<Vec<String>>,
    rate: Option<String>,
    metadata: Option<BTreeMap<String, String>>,
    not_before: Option<String>,
    expires_at: Option<String>,
}

fn time(member: &str, text: Option<String>) -> Result<Option<Timestamp>, String> {
    let read = |text: String| {
        parse_rfc3339(&text)
            .ok_or_else(|| format!("{member}: not an RFC 3339 time{PAIR}give one such as 2030-01-31T00:00:00Z"))
    };
    text.map(read).transpose()
}

fn of_member(member: &str, error: impl std::fmt::Display) -> String {
    format!("{member}: {error}")
}

fn on_line(number: u64, message: String) -> Failure {
    with_nothing_imported(Failure::new(Exit::Usage, "invalid_import", format!("line {number}: {message}")))
}

/// The library counts keys; people count lines.
fn with_line(error: ImportKeysError, lines: &[u64]) -> Failure {
    let line = |index: usize| lines.get(index).copied().unwrap_or_default();
    match error {
        ImportKeysError::Field { index, error } => on_line(line(index), error.to_string()),
        ImportKeysError::DuplicateDigest { index } => with_nothing_imported(Failure::new(
            Exit::Conflict,
            "duplicate_digest",
            format!(
                "line {}: its digest is already in the store, or twice in the import{PAIR}remove the line",
                line(index)
            ),
        )),
        ImportKeysError::Count { given } if given > MAX_IMPORT => {
            let message = format!("there are too many keys{PAIR}import at most {MAX_IMPORT} at once");
            on_line(line(given.saturating_sub(1)), message)
        }
        other => other.into(),
    }
}

fn with_nothing_imported(failure: Failure) -> Failure {
    let hint = failure.hint.map_or_else(|| NOTHING.to_owned(), |hint| format!("{hint} ({NOTHING})"));
    Failure { hint: Some(hint), ..failure }
}

const NOTHING: &str = "nothing was imported";

fn unreadable(name: &str, error: &std::io::Error) -> Failure {
    let exit = if error.kind() == std::io::ErrorKind::NotFound { Exit::Conflict } else { Exit::CannotSay };
    Failure::new(
        exit,
        "unreadable_import",
        format!("{name} cannot be read: {error}{PAIR}check the path; nothing was imported"),
    )
}

/// Longest line, in bytes: a key with every bound at its limit fits.
const LONGEST_LINE: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn lines_of(text: &str) -> Result<Vec<(ImportedKey, u64)>, Failure> {
        let mut read_so_far = Vec::new();
        read(&mut text.as_bytes(), "x", |key, number| {
            read_so_far.push((key, number));
            Ok(())
        })?;
        Ok(read_so_far)
    }

    fn failure(text: &str) -> Failure {
        match lines_of(text) {
            Err(failure) => failure,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lines_are_read_and_empty_ones_skipped() {
        let text = format!(
            "\n{{\"digest\":\"{DIGEST}\",\"name\":\"a\"}}\r\n  \n{{\"digest\":\"ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0\",\"encoding\":\"base64url\",\"name\":\"b\",\"owner\":null,\"scopes\":[\"read\"],\"rate\":\"600/1m\",\"expires_at\":\"2030-01-31T00:00:00Z\"}}"
        );
        let keys = lines_of(&text).unwrap();
        assert_eq!((keys[0].1, keys[1].1, keys.len()), (2, 4, 2));
        let (first, second) = (&keys[0].0, &keys[1].0);
        assert_eq!(first.digest, second.digest);
        assert_eq!(first.environment.as_str(), "live");
        assert_eq!(second.rate.unwrap().to_string(), "600/60s");
    }

    #[test]
    fn errors_name_the_line_and_the_member() {
        for (line, expected) in [
            ("{", "line 2: EOF while parsing"),
            ("[]", "line 2: not a JSON object"),
            ("{\"digest\":\"DIGEST\",\"name\":\"b\",\"secret\":\"x\"}", "line 2: unknown field `secret`"),
            ("{\"digest\":\"DIGEST\"}", "line 2: missing field `name`"),
            ("{\"digest\":\"00\",\"name\":\"b\"}", "line 2: digest: not a"),
            ("{\"digest\":\"DIGEST\",\"encoding\":\"hexa\",\"name\":\"b\"}", "line 2: encoding: unknown name"),
            ("{\"digest\":\"DIGEST\",\"name\":\"b\",\"env\":\"Live\"}", "line 2: env: not an environment"),
            ("{\"digest\":\"DIGEST\",\"name\":\"b\",\"scopes\":[\"a b\"]}", "line 2: scopes: not a scope"),
            ("{\"digest\":\"DIGEST\",\"name\":\"b\",\"addresses\":[\"x\"]}", "line 2: addresses: not an address range"),
            ("{\"digest\":\"DIGEST\",\"name\":\"b\",\"expires_at\":\"x\"}", "line 2: expires_at: not an RFC 3339 time"),
            ("{\"digest\":\"DIGEST\",\"name\":\"b\",\"rate\":\"x\"}", "line 2: rate: not a rate"),
            ("{\"digest\":\"DIGEST\",\"name\":\"b\",\"name\":\"c\"}", "line 2: duplicate field `name`"),
        ] {
            let failure =
                failure(&format!("{{\"digest\":\"{DIGEST}\",\"name\":\"a\"}}\n{line}\n").replace("DIGEST", DIGEST));
            assert!(failure.message.starts_with(expected), "{failure:?}");
            assert!(failure.hint.as_ref().is_some_and(|hint| hint.contains(NOTHING)), "{failure:?}");
            assert_eq!(failure.exit, Exit::Usage);
        }
        assert!(failure(&"x".repeat(LONGEST_LINE + 1)).message.contains("longer than"));
    }

    #[test]
    fn a_secret_in_the_wrong_place_is_not_repeated() {
        let secret = "hx_live_0123456789abcdefghijABCDEFGHIJ012345";
        for line in [
            format!("{{\"digest\":\"{secret}\",\"name\":\"a\"}}"),
            format!("{{\"digest\":\"{DIGEST}\",\"name\":\"a\",\"scopes\":\"{secret}\"}}"),
            format!("{{\"digest\":\"{DIGEST}\",\"name\":\"a\",\"{secret}\":1}}"),
            format!("\"{secret}\""),
        ] {
            let failure = failure(&line);
            assert!(!format!("{failure:?}").contains("0123456789abc"), "{failure:?}");
        }
    }
}
