//! Judging tokens: what the store knows of one, and the validator's verdict on it.

use keystile_validator::jwt::{TokenLookup, TokenRecord, UnverifiedJwt};
use keystile_validator::wire::{Item, encode_token_record};
use keystile_validator::{Code, PrincipalKind, Request, Verdict};

use crate::keystile::Inner;

impl Inner {
    /// Judges what has the form of a token and is no known key.
    pub(crate) fn verify_token(&self, credential: &[u8], request: &Request) -> Verdict {
        // Parsed here to look it up; the validator parses it again, and believes nothing of this.
        let jwt = UnverifiedJwt::parse(credential).ok();
        let lookup = jwt.as_ref().map_or_else(TokenLookup::default, UnverifiedJwt::lookup);
        let verdict = self.judge_token(credential, lookup, request);
        // Why a token is refused when its key was not looked at: that is no answer.
        let by_key =
            matches!(verdict.code(), Some(Code::UnknownIssuer | Code::UnknownSigningKey | Code::AlgorithmNotAllowed));
        if by_key && jwt.as_ref().is_some_and(|jwt| self.has_closed_key_of(jwt)) {
            return Verdict::deny(Code::Unavailable);
        }
        match lookup.issuer {
            Some(issuer) if verdict.code() == Some(Code::UnknownSigningKey) && self.note_unknown_kid(issuer) => {
                self.judge_token(credential, lookup, request)
            }
            _ => verdict,
        }
    }

    fn judge_token(&self, credential: &[u8], lookup: TokenLookup<'_>, request: &Request) -> Verdict {
        let unavailable = Verdict::deny(Code::Unavailable);
        if !self.knows_issuers() {
            return unavailable;
        }
        let record = match lookup.issuer {
            Some(issuer) => self.token_record(issuer, lookup),
            None => Ok(TokenRecord::default()),
        };
        let (Ok(record), Some(formats)) = (record, self.known_formats()) else { return unavailable };
        let mut record_bytes = Vec::new();
        if encode_token_record(&record, &mut record_bytes).is_err() {
            return unavailable;
        }
        let token = Item { credential, record: Some(&record_bytes) };
        only_of(self.sandbox.judge_token(token, request, &formats), lookup)
    }
}

/// An allow counts only for the token that was handed in: the sandbox is not believed either.
fn only_of(verdict: Verdict, lookup: TokenLookup<'_>) -> Verdict {
    let Verdict::Allow(principal) = &verdict else { return verdict };
    // A claim that is there and empty is no name of anybody.
    let same = |said: Option<&str>, found: Option<&str>| said.filter(|said| !said.is_empty()) == found;
    let is_of_token = principal.kind() == PrincipalKind::Jwt
        && principal.issuer().is_some()
        && same(lookup.issuer, principal.issuer())
        && same(lookup.subject, principal.subject())
        && same(lookup.token_id, principal.token_id())
        && same(lookup.session_id, principal.session_id());
    if is_of_token { verdict } else { Verdict::deny(Code::Unavailable) }
}
