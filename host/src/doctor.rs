//! The doctor: is everything as it must be?

use std::path::{Path, PathBuf};

use keystile_validator::{Code, KeyId, Timestamp};

use crate::audit::{AuditReport, Difference, DifferenceKind};
use crate::bootstrap::default_kek_file;
use crate::issuers::ExternalIssuer;
use crate::keys::is_alive;
use crate::keystile::Keystile;
use crate::sandbox::EMBEDDED;
use crate::sealing::KekSource;
use crate::signing_keys::{SigningKeyState, at_time};
use crate::store::StoreError;
use crate::text::rfc3339;

/// What the doctor found.
#[derive(Clone, Debug)]
pub struct Health {
    /// One finding for each thing that was looked at.
    pub findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What was looked at.
    pub check: &'static str,
    /// What was found, and what to do about it.
    pub message: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it must be.
    Ok,
    /// Works, but should be mended.
    Warning,
    /// Broken.
    Error,
}

impl Severity {
    /// The name in JSON and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Ok => "ok",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

impl Health {
    /// The worst finding.
    pub fn severity(&self) -> Severity {
        self.findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok)
    }

    fn add(&mut self, severity: Severity, check: &'static str, message: impl Into<String>) {
        self.findings.push(Finding { severity, check, message: message.into() });
    }
}

impl Keystile {
    /// Looks at the store, the audit trail, the sandbox, the file itself, and the keys that sign tokens.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be looked at at all.
    pub fn doctor(&self, path: &Path) -> Result<Health, StoreError> {
        let mut health = Health { findings: Vec::new() };
        let facts = self.inner.store().inspect()?;
        let generation = match self.inner.store().read()?.position() {
            Ok(position) => position.generation.0.to_string(),
            Err(error) if is_unreadable(&error) => "unknown".to_owned(),
            Err(error) => return Err(error),
        };
        health.add(
            Severity::Ok,
            "engine",
            format!("{}, schema {}, generation {generation}", facts.engine, facts.schema),
        );
        let size = format!("{} keys, {} secrets, {} bytes on disk", facts.keys, facts.secrets, facts.bytes);
        health.add(Severity::Ok, "size", size);
        match facts.integrity.first() {
            None => health.add(Severity::Ok, "integrity", "every page, index and reference is sound"),
            Some(first) => {
                let more = facts.integrity.len() - 1;
                let message = format!("{first} (and {more} more) · restore the last backup with `keystile restore`");
                health.add(Severity::Error, "integrity", message);
            }
        }
        match facts.settings.first() {
            None => {
                health.add(Severity::Ok, "durability", "write-ahead log, every commit is on disk before it is answered")
            }
            Some(first) => health.add(Severity::Error, "durability", first.clone()),
        }
        check_rows(self, &mut health)?;
        match self.verify_audit(None)? {
            AuditReport::Intact { entries, head } => {
                health.add(Severity::Ok, "audit", format!("{entries} entries, head {head}"));
            }
            AuditReport::Broken { sequence, problem } => {
                let message =
                    format!("entry {sequence}: {problem} · find out who wrote to the store, and compare with a backup");
                health.add(Severity::Error, "audit", message);
            }
            AuditReport::Differs { entries, head, differences, more } => {
                add_differences(&mut health, &differences, more);
                health.add(Severity::Ok, "audit", format!("{entries} entries, head {head}"));
            }
        }
        check_clock(self, &mut health);
        // What cannot be read is told of above.
        for check in [check_erasure, check_imports, check_issuers] {
            readable(check(self, &mut health))?;
        }
        check_sandbox(self, &mut health);
        check_mode(path, &mut health);
        check_leftovers(path, &mut health);
        check_file_system(path, &mut health);
        check_reserve(path, &mut health);
        readable(check_signing_keys(self, &mut health))?;
        readable(check_kek(self, path, &mut health))?;
        Ok(health)
    }
}

/// What something else than Keystile has written: the first ones, each as a finding, and how many there are.
fn add_differences(health: &mut Health, differences: &[Difference], more: u64) {
    for difference in differences.iter().take(LISTED_DIFFERENCES) {
        // What was wrong once may be right by now.
        let is_past = matches!(difference.what, DifferenceKind::FoundChanged(_));
        let severity = if is_past { Severity::Warning } else { Severity::Error };
        let advice = "find out who wrote to the store; revoke the key anew, or restore";
        health.add(severity, "rows", format!("{difference} · {advice}"));
    }
    let more = more.saturating_add(differences.len().saturating_sub(LISTED_DIFFERENCES) as u64);
    if more > 0 {
        let message = format!("{more} more rows differ from the trail · list them with `keystile audit verify`");
        health.add(Severity::Error, "rows", message);
    }
}

/// Differences between store and trail that are findings of their own.
const LISTED_DIFFERENCES: usize = 10;

/// While the clock is behind what the store has seen, whatever expires in between is refused.
fn check_clock(keystile: &Keystile, health: &mut Health) {
    let time = keystile.time();
    if time.behind().is_none() {
        return;
    }
    let message = format!(
        "the store has seen {}, and the clock says {}: whatever expires before the later time is refused · set the \
         clock when it is wrong; when it is right, run `keystile clock accept`",
        rfc3339(time.newest),
        rfc3339(time.clock)
    );
    health.add(Severity::Error, "clock", message);
}

/// Reads every row as whatever uses it does: each one that cannot be read is a finding, up to a number of them.
fn check_rows(keystile: &Keystile, health: &mut Health) -> Result<(), StoreError> {
    let mut count = 0_usize;
    keystile.inner.store().read()?.check_rows(&mut |row| {
        count = count.saturating_add(1);
        if count <= LISTED_UNREADABLE {
            let advice = "find out who wrote to the store, or what damages its disk; restore a backup";
            health.add(Severity::Error, "rows", format!("{row} · {advice}"));
        }
    })?;
    match count.saturating_sub(LISTED_UNREADABLE) {
        0 if count == 0 => health.add(Severity::Ok, "rows", "every row of every table can be read"),
        0 => {}
        more => health.add(Severity::Error, "rows", format!("{more} more rows cannot be read · restore a backup")),
    }
    Ok(())
}

/// Rows that cannot be read and are findings of their own.
const LISTED_UNREADABLE: usize = 1_000;

/// Goes on where a check has met a row that cannot be read.
fn readable(checked: Result<(), StoreError>) -> Result<(), StoreError> {
    checked.or_else(|error| if is_unreadable(&error) { Ok(()) } else { Err(error) })
}

fn is_unreadable(error: &StoreError) -> bool {
    matches!(error, StoreError::InvalidValue { .. } | StoreError::InvalidRow { .. })
}

/// What was deleted may be in the file for a while: as long as somebody reads an older state.
fn check_erasure(keystile: &Keystile, health: &mut Health) -> Result<(), StoreError> {
    if keystile.is_erased()? {
        health.add(Severity::Ok, "erasure", "what was deleted is out of the file and its journal");
    } else {
        let message = "bytes of what was deleted are still in the file or its journal · it goes when nobody reads an \
                       older state: end processes that hang, free some disk space, and run this again";
        health.add(Severity::Warning, "erasure", message);
    }
    Ok(())
}

/// An import that was killed leaves staged keys, which take up room and are never in force.
fn check_imports(keystile: &Keystile, health: &mut Health) -> Result<(), StoreError> {
    let now = keystile.inner.now();
    for import in keystile.inner.store().read()?.staged_imports()?.iter().filter(|import| !is_alive(import, now)) {
        let message = format!(
            "the import that {} began at {} did not end: its {} keys are staged, not in force · the next import \
             removes them",
            import.started_by,
            rfc3339(import.started_at),
            import.keys
        );
        health.add(Severity::Warning, "imports", message);
    }
    Ok(())
}

/// Without keys no token of an issuer is let in; with old ones, none that was signed with a new one.
fn check_issuers(keystile: &Keystile, health: &mut Health) -> Result<(), StoreError> {
    let now = keystile.request().now;
    let issuers = keystile.issuers().list()?.issuers;
    let enabled: Vec<_> = issuers.iter().filter(|info| info.issuer.enabled).collect();
    let mut sound = true;
    // Settings that cannot be read are told of above.
    let own = keystile.tokens().issuer().ok();
    let is_own = |issuer: &&ExternalIssuer| own.as_ref().is_some_and(|own| issuer.goes_by(&own.issuer));
    for issuer in issuers.iter().map(|info| &info.issuer).filter(is_own) {
        let message = format!(
            "the external issuer {} goes by the `iss` of this store: their tokens cannot be told apart · give the store \
             another one with `keystile settings set --issuer`, or remove that issuer",
            issuer.name
        );
        health.add(Severity::Error, "issuers", message);
        sound = false;
    }
    for issuer in enabled.iter().map(|info| &info.issuer).filter(|issuer| !issuer.says_audience()) {
        let message = format!(
            "every token of {name} is refused: its settings do not say whom they are for · run `keystile issuers update \
             {name} --audience …`, or --any-audience",
            name = issuer.name
        );
        health.add(Severity::Error, "issuers", message);
        sound = false;
    }
    for issuer in
        enabled.iter().map(|info| &info.issuer).filter(|issuer| issuer.any_audience && !issuer.takes_any_token())
    {
        let message = format!(
            "tokens of {name} for other services are let in: any audience will do · run `keystile issuers update {name} \
             --audience …` when its tokens have one",
            name = issuer.name
        );
        health.add(Severity::Warning, "issuers", message);
        sound = false;
    }
    for issuer in enabled.iter().map(|info| &info.issuer).filter(|issuer| issuer.takes_any_token()) {
        // An ID token for another client looks like an access token, unless it has an `at_hash`.
        let message = format!(
            "ID tokens of {name}, and its tokens for others, are let in: neither audience nor type is asked for · \
             run `keystile issuers update {name}` with --audience or --typ",
            name = issuer.name
        );
        health.add(Severity::Warning, "issuers", message);
        sound = false;
    }
    for issuer in enabled.iter().map(|info| &info.issuer).filter(|issuer| !issuer.says_environment()) {
        let message = format!(
            "tokens of {name} belong to no environment, and are refused where one is asked for · run `keystile \
             issuers update {name}` with --env, --env-claim or --any-env",
            name = issuer.name
        );
        health.add(Severity::Warning, "issuers", message);
        sound = false;
    }
    for info in &enabled {
        let (name, keys) = (&info.issuer.name, &info.key_set);
        let why = keys.problem.map_or_else(|| "not fetched".to_owned(), |problem| problem.code());
        let advice = format!("see why with `keystile issuers refresh {name}`");
        let age = keys.fetched_at.map(|at| now.seconds_since(at));
        match age {
            None => {
                let message = format!("the keys of {name} are not there ({why}) · {advice}");
                health.add(Severity::Error, "issuers", message);
            }
            Some(_) if keys.keys.is_empty() => {
                let message = format!("no key of {name} fits its algorithms · {advice}");
                health.add(Severity::Error, "issuers", message);
            }
            Some(age) if info.issuer.is_fetched() && age > u64::from(keys.max_age).saturating_add(STALE_SECONDS) => {
                let message = format!("the keys of {name} are {} hours old ({why}) · {advice}", age / 3_600);
                health.add(Severity::Warning, "issuers", message);
            }
            Some(_) => continue,
        }
        sound = false;
    }
    if sound && !issuers.is_empty() {
        let message = format!("{} of {} enabled, each with keys", enabled.len(), issuers.len());
        health.add(Severity::Ok, "issuers", message);
    }
    Ok(())
}

/// How long past their age keys of an issuer raise no concern: it may be down for a while, and nobody
/// fetches where no service runs.
const STALE_SECONDS: u64 = 86_400;

/// The validator must say of something that is no key that it is none.
fn check_sandbox(keystile: &Keystile, health: &mut Health) {
    let probe = format!("not a key {}", KeyId::from_bytes([0; 16]));
    let verdict = keystile.preview(&probe, &crate::Request::at(Timestamp::MAX));
    match verdict.code() {
        Some(Code::Malformed) => {
            let digest = keystile_validator::Digest::from_bytes(EMBEDDED.sha256).to_hex();
            let message = format!("the validator answers, {} bytes of wasm, SHA-256 {digest}", EMBEDDED.size);
            health.add(Severity::Ok, "sandbox", message);
            let counters = keystile.inner.sandbox().counters();
            let limits = keystile.inner.sandbox().limits();
            health.add(Severity::Ok, "limits", format!("{limits}; {} failures since the start", counters.failures()));
        }
        _ => {
            let counters = keystile.inner.sandbox().counters();
            let message =
                format!("the validator does not answer ({} failures) · reinstall Keystile", counters.failures());
            health.add(Severity::Error, "sandbox", message);
        }
    }
}

/// Tokens need a key that signs, and one that has signed must go when its last token is dead.
fn check_signing_keys(keystile: &Keystile, health: &mut Health) -> Result<(), StoreError> {
    let inner = &keystile.inner;
    let view = inner.store().read()?;
    let written = view.signing_keys()?;
    let keys = at_time(written.clone(), inner.now());
    let due = written.iter().zip(&keys).filter(|(old, new)| new.state == SigningKeyState::Gone && old != new).count();
    let damaged = keys
        .iter()
        .find(|key| key.sealed_key.is_some() && inner.sealing.is_given() && inner.open_key(&*view, key).is_err());
    if let Some(damaged) = damaged {
        let message = format!(
            "the key {} does not open · run `keystile signing-keys rotate --now`, and find out who wrote to the store",
            damaged.kid
        );
        health.add(Severity::Error, SIGNING_KEYS, message);
    } else if keys.is_empty() {
        health.add(Severity::Ok, SIGNING_KEYS, "none yet: the first token makes one");
    } else if keys.iter().all(|key| key.state != SigningKeyState::Active) {
        let message = "none signs · make one with `keystile signing-keys rotate`";
        health.add(Severity::Warning, SIGNING_KEYS, message);
    } else if due > 0 {
        let message = format!("{due} retired and due to go · the next token or rotation removes them");
        health.add(Severity::Warning, SIGNING_KEYS, message);
    } else {
        let in_use = keys.iter().filter(|key| key.is_in_use()).count();
        health.add(Severity::Ok, SIGNING_KEYS, format!("{in_use} in use, one signs"));
    }
    Ok(())
}

/// The key-encryption key must be there, and not where whoever takes the store takes it too.
fn check_kek(keystile: &Keystile, path: &Path, health: &mut Health) -> Result<(), StoreError> {
    let sealing = &keystile.inner.sealing;
    name_leftovers_of_keks(path, sealing.source(), health);
    let is_needed = keystile.inner.store().read()?.signing_keys()?.iter().any(|key| key.sealed_key.is_some());
    if let Err(error) = sealing.key() {
        if is_needed {
            health.add(Severity::Error, KEK, error.to_string());
        } else {
            health.add(Severity::Ok, KEK, "none given, and nothing is sealed");
        }
        return Ok(());
    }
    let KekSource::File(kek) = sealing.source() else {
        health.add(Severity::Ok, KEK, "it is the one of this store");
        return Ok(());
    };
    if is_open_to_others(kek) {
        health.add(Severity::Warning, KEK, "others can read the key-encryption key · run: chmod 600 on it");
    } else if folder_of(kek).is_some_and(|folder| Some(folder) == folder_of(path)) {
        let message = "it lies beside the store, so whoever copies the folder has both · keep it elsewhere, and name it \
                       with --kek";
        health.add(Severity::Warning, KEK, message);
    } else {
        health.add(Severity::Ok, KEK, "it is the one of this store, and lies elsewhere");
    }
    Ok(())
}

/// What first starts that were killed have left beside the key-encryption key, and beside the place where it was made:
/// moving the key does not move them.
fn name_leftovers_of_keks(store: &Path, source: &KekSource, health: &mut Health) {
    let mut leftovers = crate::store::leftovers_of(&default_kek_file(store));
    if let KekSource::File(kek) = source {
        leftovers.extend(crate::store::leftovers_of(kek));
    }
    leftovers.sort();
    leftovers.dedup();
    for leftover in leftovers {
        let message = format!(
            "{} was left by a first start that did not end, and may be a copy of the key · when none runs, remove it",
            leftover.display()
        );
        health.add(Severity::Warning, KEK, message);
    }
}

/// What a backup, a restore or a new store leaves behind that was killed. It is named and not removed: it may
/// be one that is being written now.
fn check_leftovers(path: &Path, health: &mut Health) {
    let leftovers = crate::store::leftovers_of(path);
    let Some(first) = leftovers.first() else { return };
    let more = match leftovers.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let message = format!(
        "{}{more} was left by a backup or restore that did not end, and is a copy of the store · when none runs, \
         remove it",
        first.display()
    );
    health.add(Severity::Warning, "file", message);
}

/// Without it a revoke may fail on a full disk.
fn check_reserve(path: &Path, health: &mut Health) {
    let kept = crate::store::reserve_of(path);
    if kept < crate::store::RESERVE {
        let message = format!(
            "{kept} of {} bytes are kept for revoking on a full disk · free some space, and open the store for writing",
            crate::store::RESERVE
        );
        health.add(Severity::Warning, "disk", message);
    }
}

/// Processes on a network file system may each see another store.
fn check_file_system(path: &Path, health: &mut Health) {
    match crate::store::network_file_system_of(path) {
        Ok(None) => {}
        Ok(Some(kind)) => {
            let message = format!(
                "the store lies in a network file system ({kind}), where a revoke may stay unknown to other processes · \
                 stop them, and move the store to a local disk"
            );
            health.add(Severity::Error, "file", message);
        }
        Err(error) => health.add(Severity::Warning, "file", error.to_string()),
    }
}

fn folder_of(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok()?.parent().map(Path::to_owned)
}

#[cfg(unix)]
fn is_open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_: &Path) -> bool {
    false
}

/// The name of the check of signing keys.
const SIGNING_KEYS: &str = "signing";
/// The name of the check of the key-encryption key.
const KEK: &str = "kek";

/// Digests and names are nobody else's business.
#[cfg(unix)]
fn check_mode(path: &Path, health: &mut Health) {
    use std::os::unix::fs::PermissionsExt as _;
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.permissions().mode() & 0o077 == 0 => {
            health.add(Severity::Ok, "file", "readable by its owner only");
        }
        Ok(_) => health.add(Severity::Warning, "file", "others can read the store · run: chmod 600 on it"),
        Err(error) => health.add(Severity::Error, "file", format!("{error} · check the path")),
    }
}

#[cfg(not(unix))]
fn check_mode(_: &Path, health: &mut Health) {
    health.add(
        Severity::Warning,
        "file",
        "access rights are not checked on this system · let only its user read the store",
    );
}

#[cfg(test)]
mod containment;
#[cfg(test)]
mod tests;
