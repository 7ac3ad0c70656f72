//! The binary form of a verdict.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::num::NonZeroU32;

use super::LayoutError;
use super::bytes::{Reader, Sink, Texts, flags};
use super::record::{RecordView, to_principal};
use crate::check::Judgement;
use crate::environment::is_environment;
use crate::id::KeyId;
use crate::jwt::VerifiedJwt;
use crate::record::is_owner;
use crate::scope::is_scope;
use crate::verdict::{Code, Denial, Principal, PrincipalTexts, TokenFacts, Verdict};

const DENY: u8 = 0;
const ALLOW: u8 = 1;
const DENY_LEN: u16 = 8;
const API_KEY: u8 = 1;
const JWT: u8 = 2;
const EXPIRES_AT: u8 = 1;
const ISSUED_AT: u8 = 2;
const WILDCARD_SCOPES: u8 = 4;
const TOKEN_FLAGS: u8 = EXPIRES_AT | ISSUED_AT | WILDCARD_SCOPES;
/// What an allow of a key has before its texts.
const KEY_LEN: usize = 40;
/// What an allow of a token has before its texts.
const TOKEN_LEN: usize = 48;

/// Writes the verdict of a judgement.
pub(super) fn put_verdict(judgement: &Judgement<'_>, out: &mut impl Sink) -> Result<(), LayoutError> {
    match judgement {
        Judgement::Deny(denial) => put_denial(*denial, out),
        Judgement::Key(record) => put_key(record, out),
        Judgement::Token(token) => match TokenForm::of(token) {
            Some(form) => form.put(out),
            // No verdict is so long: nothing can be said of this one, but of the others.
            None => put_denial(Denial { code: Code::Unavailable, retry_after: None }, out),
        },
    }
}

fn put_denial(denial: Denial, out: &mut impl Sink) -> Result<(), LayoutError> {
    out.put_u16(DENY_LEN)?;
    out.put(&[DENY, denial.code.number()])?;
    out.put_u32(denial.retry_after.map_or(0, NonZeroU32::get))
}

fn put_key(record: &RecordView<'_>, out: &mut impl Sink) -> Result<(), LayoutError> {
    let len = KEY_LEN
        .saturating_add(record.environment.len())
        .saturating_add(record.owner.len())
        .saturating_add(record.scopes.raw().len());
    let [len_low, len_high] = u16::try_from(len).map_err(|_| LayoutError)?.to_le_bytes();
    let flags = if record.expires_at.is_some() { EXPIRES_AT } else { 0 };
    let short = |len: usize| u8::try_from(len).map_err(|_| LayoutError);
    let (environment_len, owner_len) = (short(record.environment.len())?, short(record.owner.len())?);
    // Whole rows instead of field by field: this is the hot path.
    out.put(&[len_low, len_high, ALLOW, 0, 0, 0, 0, 0])?;
    out.put(&[API_KEY, flags, environment_len, owner_len, record.scope_count, 0, 0, 0])?;
    out.put(record.key_id.as_bytes())?;
    out.put_u64(record.expires_at.map_or(0, |time| time.unix()))?;
    out.put(record.environment)?;
    out.put(record.owner.as_bytes())?;
    out.put(record.scopes.raw())
}

/// Whether an allow of this token is short enough for a verdict.
pub(crate) fn fits_verdict(token: &VerifiedJwt) -> bool {
    TokenForm::of(token).is_some()
}

/// An allow of a token, measured.
struct TokenForm<'a> {
    token: &'a VerifiedJwt,
    texts: PrincipalTexts<'a>,
    len: u16,
    scope_count: u16,
    role_count: u16,
}

impl<'a> TokenForm<'a> {
    /// `None`: it is too long for a verdict.
    fn of(token: &'a VerifiedJwt) -> Option<TokenForm<'a>> {
        let texts = PrincipalTexts::of_token(token);
        let mut len = TOKEN_LEN.saturating_add(texts.environment.len());
        for text in token_texts(&texts) {
            len = len.saturating_add(text.len());
        }
        let (mut scope_count, mut role_count) = (0_u16, 0_u16);
        for scope in token.claims().scopes() {
            scope_count = scope_count.checked_add(1)?;
            len = len.saturating_add(scope.len()).saturating_add(1);
        }
        for role in token.claims().roles() {
            role_count = role_count.checked_add(1)?;
            len = len.saturating_add(role.len()).saturating_add(2);
        }
        Some(TokenForm { token, texts, len: u16::try_from(len).ok()?, scope_count, role_count })
    }

    fn put(&self, out: &mut impl Sink) -> Result<(), LayoutError> {
        let claims = self.token.claims();
        let flags = flags([
            (true, EXPIRES_AT),
            (claims.issued_at().is_some(), ISSUED_AT),
            (self.token.has_wildcard_scopes(), WILDCARD_SCOPES),
        ]);
        out.put_u16(self.len)?;
        out.put(&[ALLOW, 0, 0, 0, 0, 0, JWT, flags])?;
        out.put_len(self.texts.environment.len())?;
        out.put_u8(0)?;
        out.put_u16(self.scope_count)?;
        out.put_u16(self.role_count)?;
        out.put_u64(claims.expires_at().unix())?;
        out.put_u64(claims.issued_at().map_or(0, |time| time.unix()))?;
        for text in token_texts(&self.texts) {
            out.put_u16(u16::try_from(text.len()).map_err(|_| LayoutError)?)?;
        }
        out.put_u32(0)?;
        out.put(self.texts.environment.as_bytes())?;
        for text in token_texts(&self.texts) {
            out.put(text.as_bytes())?;
        }
        claims.scopes().try_for_each(|scope| out.put_text(scope))?;
        for role in claims.roles() {
            out.put_u16(u16::try_from(role.len()).map_err(|_| LayoutError)?)?;
            out.put(role.as_bytes())?;
        }
        Ok(())
    }
}

/// The texts of a token in the order of the form.
const fn token_texts<'a>(texts: &PrincipalTexts<'a>) -> [&'a str; 6] {
    [texts.issuer, texts.subject, texts.organization, texts.token_id, texts.session_id, texts.client_id]
}

/// Reads one verdict off the front of an answer, and gives back what follows it.
///
/// The bytes come from a guest: nothing in them is taken on trust.
///
/// # Errors
/// [`LayoutError`] when the bytes are not a verdict. The caller must treat the credential as denied.
pub fn decode_verdict(answer: &[u8]) -> Result<(Verdict, &[u8]), LayoutError> {
    let len = usize::from(Reader::new(answer).u16()?);
    let (verdict, rest) = answer.split_at_checked(len).ok_or(LayoutError)?;
    let mut reader = Reader::new(verdict);
    reader.u16()?;
    let [kind, code] = *reader.array()?;
    let retry_after = NonZeroU32::new(reader.u32()?);
    let verdict = match kind {
        DENY => Verdict::Deny(Denial { code: Code::from_number(code).ok_or(LayoutError)?, retry_after }),
        ALLOW if code == 0 && retry_after.is_none() => Verdict::Allow(match reader.u8()? {
            API_KEY => read_key(&mut reader)?,
            JWT => read_token(&mut reader)?,
            _ => return Err(LayoutError),
        }),
        _ => return Err(LayoutError),
    };
    reader.end()?;
    Ok((verdict, rest))
}

fn read_key(reader: &mut Reader<'_>) -> Result<Principal, LayoutError> {
    let [flags, environment_len, owner_len, scope_count] = *reader.array()?;
    let reserved = reader.array::<3>()?;
    if flags & !EXPIRES_AT != 0 || *reserved != [0; 3] {
        return Err(LayoutError);
    }
    let key_id = KeyId::from_bytes(*reader.array()?);
    let time = reader.time()?;
    if flags & EXPIRES_AT == 0 && time.unix() != 0 {
        return Err(LayoutError);
    }
    let environment = reader.take(usize::from(environment_len))?;
    let owner = reader.text(usize::from(owner_len))?;
    if !is_environment(environment) || !(owner.is_empty() || is_owner(owner)) {
        return Err(LayoutError);
    }
    let scopes = Texts::read(reader, usize::from(scope_count), is_scope)?;
    to_principal(key_id, environment, owner, scopes, (flags & EXPIRES_AT != 0).then_some(time)).ok_or(LayoutError)
}

fn read_token(reader: &mut Reader<'_>) -> Result<Principal, LayoutError> {
    let [flags, environment_len, reserved] = *reader.array()?;
    let (scope_count, role_count) = (reader.u16()?, reader.u16()?);
    let (expires_at, issued_at) = (reader.time()?, reader.time()?);
    if flags & !TOKEN_FLAGS != 0 || flags & EXPIRES_AT == 0 || reserved != 0 {
        return Err(LayoutError);
    }
    if flags & ISSUED_AT == 0 && issued_at.unix() != 0 {
        return Err(LayoutError);
    }
    let mut lens = [0_u16; 6];
    for len in &mut lens {
        *len = reader.u16()?;
    }
    if reader.u32()? != 0 {
        return Err(LayoutError);
    }
    let environment = reader.text(usize::from(environment_len))?;
    if !(environment.is_empty() || is_environment(environment.as_bytes())) {
        return Err(LayoutError);
    }
    let mut part = lens.into_iter().map(|len| reader.text(usize::from(len)));
    let mut next = || part.next().unwrap_or(Err(LayoutError));
    let texts = PrincipalTexts {
        environment,
        owner: "",
        issuer: next()?,
        subject: next()?,
        organization: next()?,
        token_id: next()?,
        session_id: next()?,
        client_id: next()?,
    };
    let scopes = Texts::read(reader, usize::from(scope_count), is_scope)?;
    let scopes = scopes.iter().filter_map(|scope| core::str::from_utf8(scope).ok());
    let mut roles: Vec<Box<str>> = Vec::new();
    for _ in 0..role_count {
        let len = reader.u16()?;
        roles.push(reader.text(usize::from(len))?.into());
    }
    let facts = TokenFacts {
        issued_at: (flags & ISSUED_AT != 0).then_some(issued_at),
        expires_at,
        wildcard_scopes: flags & WILDCARD_SCOPES != 0,
    };
    Principal::of_claims(&texts, scopes, roles.into_boxed_slice(), facts).ok_or(LayoutError)
}
