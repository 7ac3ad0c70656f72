//! Judging: from a credential to a verdict, through the mirror and the sandbox.

use keystile_validator::bounds::{MAX_BATCH, MAX_CREDENTIAL_LEN, MAX_MESSAGE_LEN};
use keystile_validator::jwt::looks_like_jws;
use keystile_validator::wire::{Item, Message, NO_FORMATS, RecordHints, decode_verdict, record_hints};
use keystile_validator::{Code, Digest, Request, Timestamp, Verdict};

use crate::keystile::Inner;
use crate::limits::Reservation;

/// Whether a verdict leaves a trace.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counting {
    Counted,
    Untraced,
}

impl Inner {
    /// Judges one credential. When the clock is behind the newest time that is known of the store, both times must
    /// allow it: what was over stays over.
    pub(crate) fn verify(&self, credential: &[u8], request: &Request, counting: Counting) -> Verdict {
        let Some(newest) = self.newest_time() else { return Verdict::deny(Code::Unavailable) };
        if request.now < newest && (counting == Counting::Counted || self.is_about_now(request.now)) {
            let later = Request { now: newest, ..request.clone() };
            let verdict = self.judge(credential, &later, Counting::Untraced);
            if !verdict.is_allow() {
                return verdict;
            }
        }
        let verdict = self.judge(credential, request, counting);
        if counting == Counting::Counted {
            self.see_end(&verdict);
        }
        verdict
    }

    /// Judges one credential at the time of the request.
    fn judge(&self, credential: &[u8], request: &Request, counting: Counting) -> Verdict {
        let credential = bounded(credential);
        let digest = digest_of(credential);
        if looks_like_jws(credential) {
            let Some(look) = self.look() else { return Verdict::deny(Code::Unavailable) };
            match look.with_record(credential, digest.as_ref(), |record, _| record.is_none()) {
                Some(true) => return self.verify_token(look, credential, request),
                Some(false) => {}
                None => return Verdict::deny(Code::Unavailable),
            }
        }
        let mut hints: Option<RecordHints> = None;
        let mut reservation: Option<Reservation> = None;
        let result = self.sandbox.check_held(
            // Only now: while the check waited for an instance, a revoke may have been acknowledged.
            || self.look(),
            |look, buffer| {
                look.with_record(credential, digest.as_ref(), |record, formats| {
                    if let Some(record) = record {
                        hints = Some(record_hints(record).ok()?);
                    }
                    let mut counted_request = None;
                    if let (Some(RecordHints { key_id, rate: Some(rate), .. }), Counting::Counted) = (hints, counting) {
                        let taken = reservation.insert(self.windows.reserve(key_id, rate, request.now));
                        counted_request = Some(Request { usage: Some(taken.usage), ..request.clone() });
                    }
                    let request = counted_request.as_ref().unwrap_or(request);
                    Message { request, formats, items: &[Item { credential, record }] }.write_to(buffer).ok()
                })?
            },
            |answer| match decode_verdict(answer) {
                Ok((verdict, [])) => Some(verdict),
                _ => None,
            },
        );
        // The sandbox has counted the failure and told its hook; the caller gets a deny.
        let verdict = result.ok().flatten().unwrap_or(Verdict::deny(Code::Unavailable));
        let verdict = self.unless_grace_is_over(only_of(verdict, hints), digest.as_ref(), request.now);
        if let (false, Some(reservation)) = (verdict.is_allow(), &reservation) {
            self.windows.release(reservation);
        }
        if let (Some(digest), Counting::Counted) = (digest, counting) {
            self.leave_trace(&verdict, &digest, hints, request.now);
        }
        verdict
    }

    /// Judges as many credentials as fit into one message, or into a few.
    pub(crate) fn verify_batch<C: AsRef<[u8]>>(
        &self,
        credentials: &[C],
        request: &Request,
        verdicts: &mut Vec<Verdict>,
    ) {
        // Rates are counted one call after the other.
        let one_by_one = |verdicts: &mut Vec<Verdict>| {
            verdicts.extend(credentials.iter().map(|one| self.verify(one.as_ref(), request, Counting::Counted)));
        };
        // So are tokens, whose records are looked up by what they say of themselves, and all where there are two
        // times to judge at.
        if self.newest_time().is_none_or(|newest| request.now < newest) {
            return one_by_one(verdicts);
        }
        if credentials.iter().any(|credential| looks_like_jws(bounded(credential.as_ref()))) {
            return one_by_one(verdicts);
        }
        let Some(look) = self.look() else {
            return verdicts.extend(credentials.iter().map(|_| Verdict::deny(Code::Unavailable)));
        };
        let Ok(moment) = look.moment() else { return one_by_one(verdicts) };
        let mut found = Vec::with_capacity(credentials.len());
        let mut known_formats: Vec<u8> = Vec::new();
        for credential in credentials {
            let credential = bounded(credential.as_ref());
            let digest = digest_of(credential);
            let lent = look.with_record(credential, digest.as_ref(), |record, formats| {
                if !formats.is_empty() {
                    formats.clone_into(&mut known_formats);
                }
                let hints = record.and_then(|record| record_hints(record).ok());
                (record.map(<[u8]>::to_vec), hints)
            });
            match lent {
                Some((record, hints)) if hints.is_none_or(|hints| hints.rate.is_none()) => {
                    found.push((digest, record, hints));
                }
                _ => return one_by_one(verdicts),
            }
        }
        let items: Vec<_> = credentials
            .iter()
            .zip(&found)
            .map(|(credential, (_, record, _))| Item {
                credential: bounded(credential.as_ref()),
                record: record.as_deref(),
            })
            .collect();
        // What is too long for one message, or whose answer could be, is judged in halves.
        let needed: usize =
            items.iter().map(|item| ITEM + 2 * item.record.map_or(0, <[u8]>::len) + item.credential.len()).sum();
        if needed > ROOM && items.len() > 1 {
            let (first, second) = credentials.split_at(credentials.len() / 2);
            self.verify_batch(first, request, verdicts);
            return self.verify_batch(second, request, verdicts);
        }
        let formats = if known_formats.is_empty() { NO_FORMATS } else { &known_formats };
        let answered = self.sandbox.check(
            |buffer| Message { request, formats, items: &items }.write_to(buffer).ok(),
            |mut answer| {
                let mut answered = Vec::with_capacity(items.len());
                while !answer.is_empty() {
                    let (verdict, rest) = decode_verdict(answer).ok()?;
                    answered.push(verdict);
                    answer = rest;
                }
                Some(answered).filter(|answered| answered.len() == items.len())
            },
        );
        // One credential that fails the sandbox must not deny the others.
        let Ok(answered) = answered else { return one_by_one(verdicts) };
        // The batch may have waited for an instance, and a revoke may have been acknowledged meanwhile.
        if answered.iter().any(Verdict::is_allow) && !matches!(self.mirror.stands_at(moment, &self.source()), Ok(true))
        {
            return one_by_one(verdicts);
        }
        for (verdict, (digest, _, hints)) in answered.into_iter().zip(&found) {
            let verdict = self.unless_grace_is_over(only_of(verdict, *hints), digest.as_ref(), request.now);
            if let Some(digest) = digest {
                self.leave_trace(&verdict, digest, *hints, request.now);
            }
            self.see_end(&verdict);
            verdicts.push(verdict);
        }
    }

    /// Notes that a verdict has refused something because its time is over.
    fn see_end(&self, verdict: &Verdict) {
        if matches!(verdict.code(), Some(Code::Expired | Code::Rotated)) {
            self.time.saw_end();
        }
    }

    /// Counts an allowed call, and starts the grace periods that waited for it.
    fn leave_trace(&self, verdict: &Verdict, digest: &Digest, hints: Option<RecordHints>, now: Timestamp) {
        if !verdict.is_allow() {
            return;
        }
        if self.read_only {
            if hints.is_some_and(|hints| hints.starts_grace) {
                // If the store cannot be read, it begins at the next use.
                let _ = self.see_grace(digest, now);
            }
            return;
        }
        if self.usage.record(digest, now) {
            self.writer_bell.ring();
        }
        if hints.is_some_and(|hints| hints.starts_grace) {
            self.graces.push(*digest, now);
            self.writer_bell.ring();
            if self.mirror.is_on_demand() {
                // Without background threads it is done here. If it fails it is done at the next use.
                let _ = self.graces.start_all(self);
            }
        }
    }
}

/// An allow counts only for the key whose record was handed in: the sandbox is not believed either.
fn only_of(verdict: Verdict, hints: Option<RecordHints>) -> Verdict {
    match (&verdict, hints) {
        (Verdict::Allow(principal), Some(hints)) if principal.key_id() == Some(hints.key_id) => verdict,
        (Verdict::Allow(_), _) => Verdict::deny(Code::Unavailable),
        (Verdict::Deny(_), _) => verdict,
    }
}

/// Room that a message leaves for items beside request and formats, and its answer for verdicts.
const ROOM: usize = MAX_MESSAGE_LEN / 2;
/// What an item takes beside its credential and record, in the message and in the answer.
const ITEM: usize = 64;

/// As much of a credential as shows that it is too long: nothing looks at the rest of it.
pub(crate) fn bounded(credential: &[u8]) -> &[u8] {
    credential.get(..=MAX_CREDENTIAL_LEN).unwrap_or(credential)
}

/// The digest of a credential that is short enough to be looked at.
pub(crate) fn digest_of(credential: &[u8]) -> Option<Digest> {
    (!credential.is_empty() && credential.len() <= MAX_CREDENTIAL_LEN).then(|| Digest::of(credential))
}

/// How many of these credentials are looked up at once.
pub(crate) fn batch_len<C: AsRef<[u8]>>(credentials: &[C]) -> usize {
    let mut room = ROOM;
    let fits = |credential: &&C| {
        room = room.saturating_sub(credential.as_ref().len().min(MAX_CREDENTIAL_LEN) + ITEM);
        room > 0
    };
    credentials.iter().take(MAX_BATCH).take_while(fits).count().max(1)
}
