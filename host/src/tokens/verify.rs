//! Judging tokens: what the store knows of one, and the validator's verdict on it.

use keystile_validator::jwt::{TokenLookup, UnverifiedJwt};
use keystile_validator::wire::{Item, encode_token_record};
use keystile_validator::{Code, PrincipalKind, Request, Verdict};

use crate::keystile::Inner;
use crate::mirror::{Basis, Look};

impl Inner {
    /// Judges what has the form of a token and is no known key. `look` is the one that showed so.
    pub(crate) fn verify_token(&self, look: Look<'_>, credential: &[u8], request: &Request) -> Verdict {
        // Parsed here to look it up; the validator parses it again, and believes nothing of this.
        let jwt = UnverifiedJwt::parse(credential).ok();
        let verdict = self.judge_token(Some(look), credential, jwt.as_ref(), request);
        match jwt.as_ref().and_then(|jwt| jwt.lookup().issuer) {
            Some(issuer) if verdict.code() == Some(Code::UnknownSigningKey) && self.note_unknown_kid(issuer) => {
                self.judge_token(self.look(), credential, jwt.as_ref(), request)
            }
            _ => verdict,
        }
    }

    /// Judges a token by one moment of the store. When its revocations or the issuers have moved meanwhile, the
    /// verdict may mix two moments and allow what neither does: then it is given anew.
    fn judge_token(
        &self,
        mut look: Option<Look<'_>>,
        credential: &[u8],
        jwt: Option<&UnverifiedJwt<'_>>,
        request: &Request,
    ) -> Verdict {
        let lookup = jwt.map_or_else(TokenLookup::default, UnverifiedJwt::lookup);
        for _ in 0..MAX_LOOKS {
            let Some(now) = look.take().or_else(|| self.look()) else { break };
            let Ok(basis) = now.basis(lookup.issuer, lookup, &self.source()) else { break };
            let Some(basis) = basis else { continue };
            self.announce(basis.moved);
            let verdict = self.judge_by(&basis, credential, lookup, request);
            match self.mirror.stands_at(basis.moment, &self.source()) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(_) => break,
            }
            // Why a token is refused when its key was not looked at: that is no answer.
            let by_key = [Code::UnknownIssuer, Code::UnknownSigningKey, Code::AlgorithmNotAllowed];
            if verdict.code().is_some_and(|code| by_key.contains(&code))
                && jwt.is_some_and(|jwt| basis.closed.has_key_of(jwt))
            {
                break;
            }
            return verdict;
        }
        Verdict::deny(Code::Unavailable)
    }

    fn judge_by(&self, basis: &Basis, credential: &[u8], lookup: TokenLookup<'_>, request: &Request) -> Verdict {
        let mut record = Vec::new();
        if encode_token_record(&basis.record, &mut record).is_err() {
            return Verdict::deny(Code::Unavailable);
        }
        let token = Item { credential, record: Some(&record) };
        only_of(self.sandbox.judge_token(token, request, &basis.formats), lookup)
    }
}

/// How often a token is judged anew because the store has changed meanwhile. Changes are milliseconds apart,
/// and a token takes a tenth of one.
pub(super) const MAX_LOOKS: usize = 16;

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
