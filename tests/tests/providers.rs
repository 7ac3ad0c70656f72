//! An embedder's process in which `jsonwebtoken` has no cryptography that it could use: as where another dependency
//! turns on its feature `rust_crypto`, beside the one that this crate has on, and nobody has installed a provider.

use jsonwebtoken::crypto::{CryptoProvider, KeyUtils};
use keystile::{
    Client, Keystile, Login, NewStore, NewToken, NewUser, Password, Refresh, Settings, SigningAlgorithm,
    SigningKeyRotation,
};

use crate::own_process::in_own_process;

/// What `jsonwebtoken` takes when it cannot choose.
static NOBODY_CHOSE: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| panic!("no provider was chosen"),
    verifier_factory: |_, _| panic!("no provider was chosen"),
    key_utils: KeyUtils::new_unimplemented(),
};

#[test]
fn logins_and_tokens_need_no_provider_of_the_process() {
    if let Some(status) = in_own_process("providers::logins_and_tokens_need_no_provider_of_the_process") {
        assert!(status.success(), "{status}");
        return;
    }
    NOBODY_CHOSE.install_default().unwrap();
    let key = jsonwebtoken::EncodingKey::from_secret(b"secret");
    let encoded = || jsonwebtoken::encode(&jsonwebtoken::Header::default(), &(), &key);
    assert!(std::panic::catch_unwind(encoded).is_err(), "whoever asks it panics");
    for algorithm in SigningAlgorithm::ALL.iter().copied() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keystile.db");
        let options = || Keystile::options().key_encryption_key_file(folder.path().join("kek"));
        let mut settings = Settings::default();
        settings.tokens.signing_algorithm = algorithm;
        options().bootstrap(&path, NewStore { settings, ..NewStore::default() }).unwrap();
        let keystile = options().open(&path).unwrap();
        let password = || Password::new("correct horse battery staple".to_owned()).unwrap();
        let email = "ada@example.com";
        keystile
            .users()
            .create(NewUser { password: Some(password()), ..NewUser::new(email.parse().unwrap()) })
            .unwrap();
        let first = keystile.login(&Login { email, password: &password(), client: Client::default() }).unwrap();
        let next = keystile.refresh(first.refresh_token.expose_secret(), &Refresh::default()).unwrap();
        let new = NewToken { user: email.to_owned(), scopes: Vec::new(), environment: None, ttl: None };
        let issued = keystile.tokens().issue(new).unwrap();
        for token in [&first.access_token, &next.access_token, &issued.token] {
            let verdict = keystile.verify(token.expose_secret(), &keystile.request());
            assert!(verdict.is_allow(), "{algorithm}: {verdict:?}");
        }
        keystile.signing_keys().rotate(SigningKeyRotation { at_once: true, ..Default::default() }).unwrap();
        keystile.signing_keys().list().unwrap();
    }
}
