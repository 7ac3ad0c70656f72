//! A credential of each kind wherever one of another kind is expected: a matrix, in which only what is
//! listed is let in.

use std::sync::Arc;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{EncodingKey, Header};
use keystile::{
    Algorithm, ClaimMapping, Client, IssuerKeys, KeyEncryptionKey, Keystile, LoggedIn, Login, LoginError, ManualClock,
    NewIssuer, NewKey, NewStore, NewUser, Password, Refresh, Timestamp, TokenType,
};
use serde_json::{Value, json};

const EMAIL: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery staple";
const NOW: u64 = 1_800_000_000;
const IDENTITY_PROVIDER: &str = "https://id.example";

/// What is let in, and where. All else is refused.
const LET_IN: &[(&str, &str)] = &[
    ("API key", "verify"),
    ("access token", "verify"),
    ("access token of an identity provider", "verify"),
    ("access token", "tokens revoke"),
    ("access token of an identity provider", "tokens revoke"),
    // It is signed by a known issuer, so whoever has it may end it.
    ("ID token of an identity provider", "tokens revoke"),
    ("refresh token", "refresh"),
    ("refresh token", "log out"),
    ("password", "log in"),
    ("e-mail address", "log in as"),
];

/// A place where a credential of some kind is expected, and whether it takes this one.
type Place = (&'static str, fn(&Keystile, &str) -> bool);

/// Those that end something come last.
const PLACES: &[Place] = &[
    ("verify", |keystile, text| keystile.verify(text, &keystile.request()).is_allow()),
    ("verify many", |keystile, text| {
        let verdicts = keystile.verify_batch(&["", text], &keystile.request());
        assert!(!verdicts[0].is_allow());
        verdicts[1].is_allow()
    }),
    ("log in", |keystile, text| log_in(keystile, EMAIL, text)),
    ("log in as", |keystile, text| log_in(keystile, text, PASSWORD)),
    ("refresh", |keystile, text| keystile.refresh(text, &Refresh::default()).is_ok()),
    ("tokens revoke", |keystile, text| keystile.tokens().revoke(text).is_ok()),
    ("log out", |keystile, text| keystile.logout(text).is_ok()),
];

#[test]
fn each_kind_is_let_in_where_it_is_expected_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(Timestamp::from_unix(NOW).unwrap()));
    let kek = folder.path().join("kek");
    KeyEncryptionKey::generate().unwrap().write_new(&kek).unwrap();
    let options = || Keystile::options().clock(Arc::clone(&clock)).on_demand(true).key_encryption_key_file(&kek);
    let open = |name: &str| {
        let path = folder.path().join(name);
        options().create(&path, NewStore::default()).unwrap();
        options().open(path).unwrap()
    };
    let keystile = open("keystile.db");
    let identity_provider = IdentityProvider::new();
    keystile.issuers().add(identity_provider.as_issuer()).unwrap();
    let LoggedIn { access_token, refresh_token, session_id, .. } = first_login(&keystile);
    let key = keystile.keys().create(NewKey { name: "k".into(), ..NewKey::default() }).unwrap();
    let elsewhere = open("elsewhere.db");
    let LoggedIn { access_token: foreign_access, refresh_token: foreign_refresh, .. } = first_login(&elsewhere);
    let foreign_key = elsewhere.keys().create(NewKey { name: "k".into(), ..NewKey::default() }).unwrap();
    let user = keystile.users().find(&EMAIL.parse().unwrap()).unwrap();
    let token_id = payload(access_token.expose_secret())["jti"].as_str().unwrap().to_owned();

    let presented: Vec<(&str, String)> = vec![
        ("API key", key.secret.expose_secret().into()),
        ("access token", access_token.expose_secret().into()),
        ("refresh token", refresh_token.expose_secret().into()),
        ("access token of an identity provider", identity_provider.sign("at+jwt", 1)),
        ("ID token of an identity provider", identity_provider.sign("JWT", 2)),
        ("logout token of an identity provider", identity_provider.sign("logout+jwt", 3)),
        ("proof of possession of an identity provider", identity_provider.sign("dpop+jwt", 4)),
        ("key set", keystile.signing_keys().jwks().unwrap()),
        ("password", PASSWORD.into()),
        ("e-mail address", EMAIL.into()),
        ("user id", user.id.to_string()),
        ("session id", session_id.to_string()),
        ("key id", key.key.id.to_string()),
        ("token id", token_id),
        ("digest of the API key", keystile::Digest::of(key.secret.expose_secret().as_bytes()).to_hex()),
        ("API key of another store", foreign_key.secret.expose_secret().into()),
        ("access token of another store", foreign_access.expose_secret().into()),
        ("refresh token of another store", foreign_refresh.expose_secret().into()),
        ("nothing", String::new()),
    ];
    println!("{:<48}{}", "", PLACES.iter().map(|(place, _)| format!("{place:<15}")).collect::<String>());
    let mut taken = vec![Vec::new(); presented.len()];
    for (place, takes) in PLACES {
        // Batches judge as single checks do.
        let expected_place = if *place == "verify many" { "verify" } else { place };
        for ((kind, text), row) in presented.iter().zip(&mut taken) {
            let is_taken = takes(&keystile, text);
            assert_eq!(is_taken, LET_IN.contains(&(kind, expected_place)), "{kind} for {place}");
            row.push(is_taken);
        }
    }
    for ((kind, _), row) in presented.iter().zip(&taken) {
        let cells: String = row.iter().map(|taken| format!("{:<15}", if *taken { "allow" } else { "·" })).collect();
        println!("{kind:<48}{cells}");
    }
}

/// A user with a password, logged in.
fn first_login(keystile: &Keystile) -> LoggedIn {
    let password = || Password::new(PASSWORD.into()).unwrap();
    let user = NewUser { password: Some(password()), ..NewUser::new(EMAIL.parse().unwrap()) };
    keystile.users().create(user).unwrap();
    keystile.login(&Login { email: EMAIL, password: &password(), client: Client::default() }).unwrap()
}

fn log_in(keystile: &Keystile, email: &str, password: &str) -> bool {
    let Ok(password) = Password::new(password.to_owned()) else { return false };
    // A lock would hide what the password alone is answered.
    let user = keystile.users().find(&EMAIL.parse().unwrap()).unwrap();
    keystile.users().unlock(user.id).ok();
    match keystile.login(&Login { email, password: &password, client: Client::default() }) {
        Ok(_) => true,
        Err(LoginError::InvalidCredentials) => false,
        Err(error) => panic!("{error}"),
    }
}

fn payload(token: &str) -> Value {
    use base64::Engine as _;
    let segment = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(segment).unwrap()).unwrap()
}

/// An issuer that signs tokens of several kinds with one key.
struct IdentityProvider(EncodingKey);

impl IdentityProvider {
    fn new() -> IdentityProvider {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        IdentityProvider(EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref()))
    }

    fn sign(&self, token_type: &str, number: u32) -> String {
        let header = Header { typ: Some(token_type.into()), ..Header::new(jsonwebtoken::Algorithm::ES256) };
        let claims = json!({
            "iss": IDENTITY_PROVIDER, "sub": "user_1", "aud": "console", "client_id": "console",
            "iat": NOW, "exp": NOW + 600, "jti": number.to_string(),
        });
        jsonwebtoken::encode(&header, &claims, &self.0).unwrap()
    }

    fn as_issuer(&self) -> NewIssuer {
        let jwk = Jwk::from_encoding_key(&self.0, jsonwebtoken::Algorithm::ES256).unwrap();
        NewIssuer {
            name: "id".into(),
            issuer: IDENTITY_PROVIDER.into(),
            keys: IssuerKeys::Given(json!({ "keys": [jwk] }).to_string()),
            algorithms: vec![Algorithm::Es256],
            audiences: vec!["console".into()],
            token_type: Some(TokenType::AccessToken),
            leeway: 0,
            claims: ClaimMapping::default(),
            environment: None,
            any_environment: false,
        }
    }
}
