//! What must not be given as a name or an id: it would be stored, bound by the audit trail for good, and shown.

use keystile_validator::{FormatMatch, KeyFormat};

use crate::store::ReadTransaction;
use crate::text::{is_token, words};

/// What secrets of a store look like: API keys of its formats, refresh tokens, JWTs.
pub(crate) struct SecretForms(Vec<KeyFormat>);

impl SecretForms {
    /// Those of a store. Formats that cannot be read are left out: they must keep nobody from taking away.
    pub(crate) fn of(view: &(impl ReadTransaction + ?Sized)) -> SecretForms {
        let formats = view.formats().unwrap_or_default();
        SecretForms(formats.into_iter().map(|named| named.format).collect())
    }

    /// Whether there is a secret in this text. One with a wrong checksum counts: it may be one with a typo.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        let fits = |word: &str| self.0.iter().any(|format| format.read(word.as_bytes()) != FormatMatch::NoMatch);
        words(text).any(|(_, word)| is_token(word) || fits(word))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::{Debug, Display};

    use keystile_validator::jwt::{Algorithm, ClaimMapping};
    use keystile_validator::{Digest, Environment, Scope};

    use super::*;
    use crate::{
        AddFormatError, AddIssuerError, ChangeStateError, CreateKeyError, CreateUserError, ImportKeysError,
        ImportedKey, IssuerFieldError, IssuerKeys, IssuerUpdate, KeyChange, KeyFieldError, Keystile, NewIssuer, NewKey,
        NewStore, NewUser, RevokeReason, RevokeTokenError, RotateKeyError, Rotation, SetSettingsError, TokensOf,
        UpdateKeyError, UpdateUserError, UserChange, UserFieldError,
    };

    const SET: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    const JWT: &str = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ1In0.AAAA";

    fn issuer(name: &str, iss: &str, audience: &str) -> NewIssuer {
        NewIssuer {
            name: name.into(),
            issuer: iss.into(),
            keys: IssuerKeys::Given(SET.into()),
            algorithms: vec![Algorithm::EdDsa],
            audiences: vec![audience.into()],
            any_audience: false,
            forbidden_claims: Vec::new(),
            wildcard_scopes: false,
            token_type: None,
            leeway: 0,
            claims: ClaimMapping::default(),
            environment: None,
            any_environment: true,
        }
    }

    /// An operation that is given a secret must fail in this way, and say nothing of it.
    macro_rules! refused {
        ($secret:expr, $result:expr, $pattern:pat) => {{
            let error = $result.unwrap_err();
            assert!(matches!(error, $pattern), "{error:?}");
            says_nothing_of($secret, &error);
        }};
    }

    fn says_nothing_of(secret: &str, error: &(impl Display + Debug)) {
        let said = format!("{error} {error:?}");
        assert!(!said.contains(secret) && said.contains(" · "), "{said}");
    }

    /// Whatever people write into a store, or name something by: nothing of it is stored, or said again.
    #[test]
    fn a_secret_is_no_name_and_no_id() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keystile.db");
        Keystile::create(&path, NewStore::default()).unwrap();
        let keystile = Keystile::options().on_demand(true).open(&path).unwrap();
        let new = |name: &str| NewKey { name: name.into(), ..NewKey::default() };
        let created = keystile.keys().create(new("k")).unwrap();
        let id = created.key.id;
        let key = created.secret.expose_secret().to_owned();
        let typo = format!("{}{}", &key[..key.len() - 1], if key.ends_with('0') { '1' } else { '0' });
        let user = keystile.users().create(NewUser::new("ada@x.org".parse().unwrap())).unwrap().id;
        keystile.issuers().add(issuer("id", "https://id.example", "me")).unwrap();
        let entries = || keystile.audit(None, 0, 1_000).unwrap().len();
        let before = entries();
        let refresh_token = format!("ksr_{}", "A-_9".repeat(19));
        for secret in [key.as_str(), &typo, &refresh_token, JWT] {
            let tokens = keystile.tokens();
            refused!(secret, tokens.revoke_id(None, secret), RevokeTokenError::Secret);
            refused!(secret, tokens.revoke_id(Some("id"), secret), RevokeTokenError::Secret);
            refused!(secret, tokens.revoke_id(Some(secret), "j"), RevokeTokenError::Issuer);
            refused!(secret, tokens.revoke_all("id", TokensOf::Session(secret)), RevokeTokenError::Secret);
            refused!(secret, tokens.revoke_all("id", TokensOf::Subject(secret)), RevokeTokenError::Secret);

            let text = format!("it was \"{secret}\".");
            let keys = keystile.keys();
            let field = |new: NewKey| match keys.create(new).unwrap_err() {
                CreateKeyError::Field(error @ KeyFieldError::Secret { field }) => {
                    says_nothing_of(secret, &error);
                    field
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(field(new(&text)), "name");
            assert_eq!(field(NewKey { owner: Some(text.clone()), ..new("k") }), "owner");
            let metadata = [("note".to_owned(), text.clone())];
            assert_eq!(field(NewKey { metadata: metadata.clone().into(), ..new("k") }), "metadata");
            if let Ok(scope) = Scope::new(secret) {
                assert_eq!(field(NewKey { scopes: vec![scope], ..new("k") }), "scopes");
            }
            for change in [
                KeyChange { name: Some(text.clone()), ..KeyChange::default() },
                KeyChange { owner: Some(Some(text.clone())), ..KeyChange::default() },
                KeyChange {
                    metadata: metadata.map(|(name, value)| (name, Some(value))).into(),
                    ..KeyChange::default()
                },
            ] {
                let error = keys.update(id, change);
                refused!(secret, error, UpdateKeyError::Field(KeyFieldError::Secret { .. }));
            }
            let imported = ImportedKey::new(Digest::of(b"x"), &text, Environment::new("live").unwrap());
            let error = keys.import([imported]);
            refused!(
                secret,
                error,
                ImportKeysError::Field { index: 0, error: KeyFieldError::Secret { field: "name" } }
            );
            let rotation = Rotation { request_id: Some(secret.to_owned()), ..Rotation::default() };
            refused!(secret, keys.rotate(id, rotation), RotateKeyError::SecretAsRequestId);
            let revoked = keys.revoke(id, RevokeReason::KeyCompromise, Some(&text));
            refused!(secret, revoked, ChangeStateError::SecretInNote);

            let new = NewUser { name: Some(text.clone()), ..NewUser::new("b@x.org".parse().unwrap()) };
            refused!(secret, keystile.users().create(new), CreateUserError::Field(UserFieldError::Secret));
            let change = UserChange { organization: Some(Some(text)), ..UserChange::default() };
            refused!(secret, keystile.users().update(user, change), UpdateUserError::Field(UserFieldError::Secret));
            for new in [issuer(secret, "i", "me"), issuer("i", secret, "me"), issuer("i", "i", secret)] {
                let added = keystile.issuers().add(new);
                refused!(secret, added, AddIssuerError::Field(IssuerFieldError::Secret));
            }
            let audience = Some(crate::AudienceRule::OneOf(vec![secret.to_owned()]));
            keystile.issuers().update("id", IssuerUpdate { audience, ..IssuerUpdate::default() }).unwrap_err();
            let set = keystile.change_settings(|settings| settings.tokens.audience = Some(secret.to_owned()));
            refused!(secret, set, SetSettingsError::Secret);
            let format = KeyFormat::with_defaults("hx").unwrap();
            refused!(secret, keystile.add_format(secret, format), AddFormatError::Name);
        }
        assert_eq!(entries(), before, "nothing was written");
        assert!(keystile.verify(&key, &keystile.request()).is_allow());
    }

    /// What only looks a little like one is a name, and what is in a row from before keeps nobody from changing it.
    #[test]
    fn other_texts_are_names_and_ids() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keystile.db");
        Keystile::create(&path, NewStore::default()).unwrap();
        let keystile = Keystile::options().on_demand(true).open(&path).unwrap();
        keystile.issuers().add(issuer("id", "https://id.example", "me")).unwrap();
        for id in ["0192f8e0a1b27c3d8e4f5a6b7c8d9e0f", "a.b.c", "auth0|5f7c8ec7c33c6c004bbafe82", "ks_live_x", "é…"]
        {
            keystile.tokens().revoke_id(Some("id"), id).unwrap();
            keystile.tokens().revoke_all("id", TokensOf::Subject(id)).unwrap();
        }
        let created = keystile.keys().create(NewKey { name: "k".into(), ..NewKey::default() }).unwrap();
        let raw = rusqlite::Connection::open(&path).unwrap();
        raw.execute("UPDATE keys SET name = ?1", [created.secret.expose_secret()]).unwrap();
        let owner = Some(Some("ada".to_owned()));
        keystile.keys().update(created.key.id, KeyChange { owner, ..KeyChange::default() }).unwrap();
        keystile.keys().revoke(created.key.id, RevokeReason::KeyCompromise, Some("leaked in ks_live_…")).unwrap();
    }
}
