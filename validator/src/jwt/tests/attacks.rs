//! Attack tokens over all rules, each with one right answer. All of them differ in one thing from a
//! token that is accepted.

use std::collections::BTreeSet;
use std::format;
use std::prelude::rust_2024::*;

use jsonwebtoken::EncodingKey;
use serde_json::json;

use super::keys;
use super::support::*;
use crate::Code;
use crate::jwt::*;

pub(super) struct Attack {
    pub(super) name: String,
    pub(super) code: Code,
    pub(super) token: Vec<u8>,
}

/// The issuers that the attacks are made on; each differs in one thing from [`ISSUER`].
pub(super) const RS256_ONLY: &str = "https://rs256.example";
pub(super) const BOTH: &str = "https://both.example";
pub(super) const PINNED: &str = "https://pinned.example";
pub(super) const ACCESS_ONLY: &str = "https://access.example";
pub(super) const DUPLICATE: &str = "https://duplicate.example";
pub(super) const UNUSABLE: &str = "https://unusable.example";
pub(super) const OTHER: &str = "https://other.example";
pub(super) const NAMELESS: &str = "https://nameless.example";
pub(super) const MIXED: &str = "https://mixed.example";
pub(super) const MAPPED: &str = "https://mapped.example";
pub(super) const FETCHED: &str = "https://fetched.example";

pub(super) fn target() -> Issuers {
    let rsa = || jwk(Algorithm::Rs256);
    let mut hmac = settings(HMAC_ISSUER, HMAC);
    hmac.secrets = true;
    let mut both = settings(BOTH, &[Algorithm::Rs256, Algorithm::Hs256]);
    both.secrets = true;
    let mut mixed = settings(MIXED, &[Algorithm::Rs256, Algorithm::Hs256]);
    mixed.secrets = true;
    let mut access = settings(ACCESS_ONLY, ASYMMETRIC);
    access.token_type = Some(TokenType::AccessToken);
    let mut mapped = settings(MAPPED, ASYMMETRIC);
    mapped.claims = ClaimMapping {
        scopes: Vec::from([ScopeClaim::Scp, ScopeClaim::Permissions]),
        organization: Some("/o/id".into()),
        roles: Some("roles".into()),
        environment: None,
    };
    let unusable = [
        jwk_with(Algorithm::Rs256, json!({"kid": "enc", "use": "enc"})),
        jwk_with(Algorithm::Rs256, json!({"kid": "sign-only", "key_ops": ["sign"]})),
        jwk_with(Algorithm::Rs256, json!({"kid": "oaep", "alg": "RSA-OAEP"})),
        jwk_with(Algorithm::Es256, json!({"kid": "es512", "alg": "ES512"})),
        jwk_with(Algorithm::Es256, json!({"kid": "wrong-curve", "crv": "P-384"})),
        jwk_with(Algorithm::Rs256, json!({"kid": "small", "e": "Aw"})),
    ];
    issuers_of([
        (settings(ISSUER, ASYMMETRIC), public_jwks()),
        (hmac, hmac_jwks()),
        (settings(RS256_ONLY, &[Algorithm::Rs256]), jwks(&[rsa()])),
        (both, jwks(&[rsa()])),
        (
            settings(PINNED, &[Algorithm::Rs256, Algorithm::Ps256]),
            jwks(&[jwk_with(Algorithm::Rs256, json!({"alg": "RS256"}))]),
        ),
        (access, public_jwks()),
        (settings(DUPLICATE, ASYMMETRIC), jwks(&[rsa(), named(keys::OTHER_RSA_JWK, "rsa")])),
        (settings(UNUSABLE, ASYMMETRIC), jwks(&unusable)),
        (settings(OTHER, ASYMMETRIC), jwks(&[named(keys::OTHER_RSA_JWK, "rsa")])),
        (
            settings(NAMELESS, ASYMMETRIC),
            jwks(&[
                jwk_with(Algorithm::Es256, json!({"kid": null})),
                parse(&format!("{{{}}}", keys::OTHER_P256_JWK)),
                jwk_with(Algorithm::EdDsa, json!({"kid": null})),
            ]),
        ),
        (mixed, jwks(&[rsa(), jwk(Algorithm::Hs256)])),
        (mapped, public_jwks()),
        (settings(FETCHED, &[Algorithm::Hs256, Algorithm::Rs256]), hmac_jwks()),
    ])
}

#[derive(Default)]
struct List(Vec<Attack>);

impl List {
    fn add(&mut self, code: Code, name: impl Into<String>, token: impl AsRef<[u8]>) {
        self.0.push(Attack { name: name.into(), code, token: token.as_ref().to_vec() });
    }
}

/// A good token of another issuer than [`ISSUER`].
fn of(issuer: &str, algorithm: Algorithm) -> String {
    let mut claims = claims(algorithm);
    change(&mut claims, json!({"iss": issuer}));
    sign(algorithm, &header(algorithm), &claims)
}

/// A token of another issuer with these changes to its header.
fn of_with_header(issuer: &str, algorithm: Algorithm, members: serde_json::Value) -> String {
    let (mut header, mut claims) = (header(algorithm), claims(algorithm));
    change(&mut header, members);
    change(&mut claims, json!({"iss": issuer}));
    sign(algorithm, &header, &claims)
}

pub(super) fn attacks() -> Vec<Attack> {
    let mut list = List::default();
    form(&mut list);
    json_texts(&mut list);
    headers(&mut list);
    key_choice(&mut list);
    signatures(&mut list);
    times(&mut list);
    claim_types(&mut list);
    kinds(&mut list);
    list.0
}

fn form(list: &mut List) {
    let good = token(Algorithm::EdDsa);
    let [header, payload, signature] = <[&str; 3]>::try_from(good.split('.').collect::<Vec<_>>()).unwrap();
    let sign_parts =
        |header: &str, payload: &str| sign_segments(Algorithm::EdDsa, &private_key(Algorithm::EdDsa), header, payload);
    let mut malformed = |name: &str, token: String| list.add(Code::Malformed, format!("form: {name}"), token);
    malformed("nothing but dots", "..".into());
    malformed("one segment", header.into());
    malformed("two segments", format!("{header}.{payload}"));
    malformed("four segments", format!("{good}.{signature}"));
    malformed("five segments, as a JWE", format!("{header}.{signature}.{signature}.{payload}.{signature}"));
    malformed("six segments", format!("{good}.a.b.c"));
    malformed("a dot in front", format!(".{good}"));
    malformed("a dot behind", format!("{good}."));
    malformed("no header", format!(".{payload}.{signature}"));
    malformed("no payload, as if detached", format!("{header}..{signature}"));
    malformed("padding of the signature", format!("{good}=="));
    malformed("padding of the header, signed", sign_parts(&format!("{header}=="), payload));
    malformed("padding of the payload, signed", sign_parts(header, &format!("{payload}=")));
    malformed("a space in front", format!(" {good}"));
    malformed("a line feed behind", format!("{good}\n"));
    malformed("a line feed within, signed", sign_parts(header, &format!("{}\n{}", &payload[..4], &payload[4..])));
    malformed("a space within, signed", sign_parts(&format!("{} {}", &header[..4], &header[4..]), payload));
    malformed("a NUL behind", format!("{good}\0"));
    malformed("Bearer in front", format!("Bearer {good}"));
    malformed("JSON serialization, flattened", {
        json!({"protected": header, "payload": payload, "signature": signature}).to_string()
    });
    malformed("JSON serialization, general", {
        json!({"payload": payload, "signatures": [{"protected": header, "signature": signature}]}).to_string()
    });
    malformed("a segment of an impossible length", format!("{good}AAA"));
    malformed("a character of another alphabet", format!("{}+", &good[..good.len() - 1]));
    malformed("a slash in the header, signed", sign_parts(&format!("{header}/"), payload));
    malformed("full stop of another script", good.replacen('.', "．", 1));
    let longer = b64(claims(Algorithm::EdDsa).to_string().replace("usr_1", "usr_12").as_bytes());
    assert_eq!((header.len() % 4, longer.len() % 4), (2, 2), "four bits are left over");
    let next = |segment: &str| {
        let (rest, last) = segment.split_at(segment.len() - 1);
        format!("{rest}{}", char::from(last.as_bytes()[0] + 1))
    };
    malformed("bits left over in the signature", format!("{header}.{payload}.{}", next(signature)));
    malformed("bits left over in the header, signed", sign_parts(&next(header), payload));
    malformed("bits left over in the payload, signed", sign_parts(header, &next(&longer)));
    malformed("longer than the issuer allows, signed", token_with(json!({"pad": "x".repeat(DEFAULT_TOKEN_LEN)})));
    malformed("longer than is looked at", format!("{header}.{}.{signature}", "A".repeat(MAX_TOKEN_LEN)));
    list.add(Code::Malformed, "form: bytes that are no UTF-8", [good.as_bytes(), &[0xff]].concat());
    list.add(Code::Malformed, "form: many dots", ".".repeat(60_000));
}

/// Makes something else of a good JSON text.
type Spoil = Box<dyn Fn(&str) -> Vec<u8>>;

fn json_texts(list: &mut List) {
    let algorithm = Algorithm::EdDsa;
    let (good_header, good_claims) = (header(algorithm).to_string(), claims(algorithm).to_string());
    let open = |text: &str, more: &str| format!("{},{more}}}", text.strip_suffix('}').unwrap());
    let mut texts: Vec<(&str, Spoil)> = Vec::new();
    texts.push(("a byte order mark", Box::new(|text| format!("\u{feff}{text}").into_bytes())));
    texts.push(("text behind", Box::new(|text| format!("{text}x").into_bytes())));
    texts.push(("a second object", Box::new(|text| format!("{text}{text}").into_bytes())));
    texts.push(("a NUL behind", Box::new(|text| format!("{text}\0").into_bytes())));
    texts.push(("an array around", Box::new(|text| format!("[{text}]").into_bytes())));
    texts.push(("a string around", Box::new(|text| json!(text).to_string().into_bytes())));
    texts.push(("null", Box::new(|_| b"null".to_vec())));
    texts.push(("an unfinished object", Box::new(|text| text[..text.len() - 1].into())));
    texts.push(("a comma at the end", Box::new(|text| format!("{},}}", &text[..text.len() - 1]).into_bytes())));
    texts.push(("a comment", Box::new(|text| format!("/**/{text}").into_bytes())));
    texts.push(("single quotes", Box::new(|text| text.replace('"', "'").into_bytes())));
    texts.push(("a member twice", Box::new(move |text| open(text, r#""x":1,"x":1"#).into_bytes())));
    texts.push(("a member twice, once escaped", Box::new(move |text| open(text, r#""x":1,"\u0078":1"#).into_bytes())));
    texts.push((
        "a member twice, deep inside",
        Box::new(move |text| open(text, r#""x":[{"y":{},"y":{}}]"#).into_bytes()),
    ));
    texts.push((
        "a member twice among many",
        Box::new(move |text| {
            let many: String = (0..40).map(|at| format!(r#""m{}":0,"#, at % 39)).collect();
            open(text, many.strip_suffix(',').unwrap()).into_bytes()
        }),
    ));
    texts.push((
        "nested too deeply",
        Box::new(move |text| {
            let deep = format!(r#""x":{}{}"#, "[".repeat(MAX_JSON_DEPTH), "]".repeat(MAX_JSON_DEPTH));
            open(text, &deep).into_bytes()
        }),
    ));
    texts.push(("a lone surrogate", Box::new(move |text| open(text, r#""x":"\ud800""#).into_bytes())));
    texts.push(("a lone surrogate in a name", Box::new(move |text| open(text, r#""\udc00":1"#).into_bytes())));
    texts.push(("a control character", Box::new(move |text| open(text, "\"x\":\"\t\"").into_bytes())));
    texts.push(("a number with a leading zero", Box::new(move |text| open(text, r#""x":01"#).into_bytes())));
    texts.push(("a hexadecimal number", Box::new(move |text| open(text, r#""x":0x1"#).into_bytes())));
    texts.push(("NaN", Box::new(move |text| open(text, r#""x":NaN"#).into_bytes())));
    texts.push((
        "bytes that are no UTF-8, in a member nobody reads",
        Box::new(move |text| {
            let mut bytes = open(text, r#""x":"?""#).into_bytes();
            let at = bytes.iter().rposition(|byte| *byte == b'?').unwrap();
            bytes[at] = 0xff;
            bytes
        }),
    ));
    for (name, make) in &texts {
        list.add(
            Code::Malformed,
            format!("header: {name}"),
            sign_segments(algorithm, &private_key(algorithm), &b64(&make(&good_header)), &b64(good_claims.as_bytes())),
        );
        list.add(
            Code::Malformed,
            format!("claims: {name}"),
            sign_segments(algorithm, &private_key(algorithm), &b64(good_header.as_bytes()), &b64(&make(&good_claims))),
        );
    }
    // The second member wins with one reader, the first with another.
    list.add(
        Code::Malformed,
        "claims: exp twice",
        sign_text(algorithm, &good_header, open(&good_claims, r#""exp":9999999999"#).as_bytes()),
    );
    list.add(
        Code::Malformed,
        "header: alg twice",
        sign_text(algorithm, &open(&good_header, r#""alg":"none""#), good_claims.as_bytes()),
    );
}

fn headers(list: &mut List) {
    let mut add = |code, name: &str, members| list.add(code, format!("header: {name}"), token_with_header(members));
    add(Code::Malformed, "no alg", json!({"alg": null}));
    for (name, value) in [("a number", json!(1)), ("an array", json!(["EdDSA"])), ("an object", json!({"EdDSA": 1}))] {
        add(Code::Malformed, &format!("alg is {name}"), json!({"alg": value}));
    }
    for name in ["none", "None", "NONE", "nOnE", "", "EdDSA ", "eddsa", "ES256K", "ES512", "HS256", "RS1", "A128KW"] {
        add(Code::AlgorithmNotAllowed, &format!("alg is `{name}`"), json!({"alg": name}));
    }
    let crit = [
        ("a list", json!(["exp"])),
        ("b64", json!(["b64"])),
        ("empty", json!([])),
        ("an object", json!({})),
        ("false", json!(false)),
        ("a string", json!("exp")),
    ];
    for (name, value) in crit {
        add(Code::Malformed, &format!("crit is {name}"), json!({"crit": value, "b64": null}));
    }
    add(Code::Malformed, "b64 is false", json!({"b64": false, "crit": ["b64"]}));
    add(Code::Malformed, "b64 is true", json!({"b64": true}));
    add(Code::Malformed, "zip", json!({"zip": "DEF"}));
    add(Code::Malformed, "enc", json!({"enc": "A128GCM"}));
    add(Code::Malformed, "cty", json!({"cty": "JWT"}));
    for (name, value) in [("a number", json!(1)), ("an array", json!(["ed25519"])), ("an object", json!({}))] {
        add(Code::Malformed, &format!("kid is {name}"), json!({"kid": value}));
    }
    add(Code::Malformed, "kid too long", json!({"kid": "k".repeat(MAX_KEY_ID_LEN + 1)}));
    for name in ["../../etc/passwd", "' OR 1=1 --", "/dev/null", "ed25519\0", "ED25519", "", "http://127.0.0.1/"] {
        add(Code::UnknownSigningKey, &format!("kid is `{}`", name.escape_debug()), json!({"kid": name}));
    }
    for (name, value) in [("a number", json!(1)), ("an array", json!(["JWT"])), ("an object", json!({}))] {
        add(Code::Malformed, &format!("typ is {name}"), json!({"typ": value}));
    }
    for name in ["logout+jwt", "dpop+jwt", "secevent+jwt", "application/logout+jwt", "JWE", "JWT ", "", "application/"]
    {
        add(Code::Malformed, &format!("typ is `{name}`"), json!({"typ": name}));
    }
    add(Code::Malformed, "jwk is a string", json!({"jwk": "key"}));
    add(Code::Malformed, "jwk has no kty", json!({"jwk": {"crv": "Ed25519"}}));
    add(Code::Malformed, "jwk is a secret", json!({"jwk": {"kty": "oct", "k": "AAAA"}}));
    add(
        Code::Malformed,
        "jwk is a private key",
        json!({"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AA", "d": "AA"}}),
    );
    add(Code::Malformed, "jku is a number", json!({"jku": 1}));
    add(Code::Malformed, "jku is no address", json!({"jku": "not an address"}));
    add(Code::Malformed, "x5u is an array", json!({"x5u": ["https://id.example/"]}));
    add(Code::Malformed, "x5c is a string", json!({"x5c": "MII="}));
    add(Code::Malformed, "x5c is empty", json!({"x5c": []}));
    add(Code::Malformed, "x5c is no base64", json!({"x5c": ["-_-_"]}));
}

fn key_choice(list: &mut List) {
    let rs256 = Algorithm::Rs256;
    let mut add = |code, name: &str, token: String| list.add(code, format!("key: {name}"), token);
    add(Code::UnknownIssuer, "an issuer nobody knows", token_with(json!({"iss": "https://evil.example"})));
    add(Code::UnknownIssuer, "the issuer with a slash behind", token_with(json!({"iss": "https://id.example/"})));
    add(Code::UnknownIssuer, "a part of the issuer", token_with(json!({"iss": "https://id"})));
    add(Code::UnknownIssuer, "the issuer in capitals", token_with(json!({"iss": "HTTPS://ID.EXAMPLE"})));
    add(Code::InvalidClaim, "no issuer", token_with(json!({"iss": null})));
    add(Code::InvalidClaim, "an array of issuers", token_with(json!({"iss": [ISSUER]})));
    add(Code::InvalidClaim, "an array of issuers, an evil one first", token_with(json!({"iss": ["evil", ISSUER]})));
    add(Code::BadSignature, "the key of another issuer, of the same kid", of(OTHER, rs256));
    add(Code::UnknownSigningKey, "two keys of the same kid", of(DUPLICATE, rs256));
    add(Code::UnknownSigningKey, "two keys of no kid that fit", {
        of_with_header(NAMELESS, Algorithm::Es256, json!({"kid": null}))
    });
    add(Code::UnknownSigningKey, "a kid where the key has none", of(NAMELESS, Algorithm::EdDsa));
    for (kid, algorithm) in [
        ("enc", rs256),
        ("sign-only", rs256),
        ("oaep", rs256),
        ("es512", Algorithm::Es256),
        ("wrong-curve", Algorithm::Es256),
        ("small", rs256),
    ] {
        let token = of_with_header(UNUSABLE, algorithm, json!({"kid": kid}));
        add(Code::UnknownSigningKey, &format!("one that cannot be used, {kid}"), token);
    }
    add(Code::AlgorithmNotAllowed, "an algorithm off the list", of(RS256_ONLY, Algorithm::Rs512));
    add(Code::AlgorithmNotAllowed, "PSS where PKCS1 is on the list", of(RS256_ONLY, Algorithm::Ps256));
    add(Code::AlgorithmNotAllowed, "another algorithm than the JWK's", of(PINNED, Algorithm::Ps256));
    add(Code::AlgorithmNotAllowed, "a key of another type", {
        of_with_header(ISSUER, Algorithm::Es256, json!({"kid": "ed25519"}))
    });
    add(Code::AlgorithmNotAllowed, "a key of another curve", {
        of_with_header(ISSUER, Algorithm::Es256, json!({"kid": "p384"}))
    });
    let rsa = parse(&format!("{{{}}}", keys::RSA_JWK));
    let modulus = super::super::base64url::decode(rsa["n"].as_str().unwrap().as_bytes()).unwrap();
    let texts: [(&str, &[u8]); 4] = [
        ("PEM", keys::RSA_PUBLIC_PEM.as_bytes()),
        ("PEM, trimmed", keys::RSA_PUBLIC_PEM.trim_end().as_bytes()),
        ("JWK", keys::RSA_JWK.as_bytes()),
        ("modulus", &modulus),
    ];
    for (name, text) in texts {
        let mac = |issuer: &str| {
            let mut claims = claims(rs256);
            change(&mut claims, json!({"iss": issuer}));
            let header = json!({"alg": "HS256", "kid": "rsa"}).to_string();
            let key = EncodingKey::from_secret(text);
            sign_segments(Algorithm::Hs256, &key, &b64(header.as_bytes()), &b64(claims.to_string().as_bytes()))
        };
        let code = Code::AlgorithmNotAllowed;
        add(code, &format!("the public key as a secret, {name}"), mac(RS256_ONLY));
        add(code, &format!("the public key as a secret, {name}, both allowed"), mac(BOTH));
    }
    let of_hmac = |issuer: &str| {
        let mut claims = claims(Algorithm::Hs256);
        change(&mut claims, json!({"iss": issuer}));
        sign(Algorithm::Hs256, &header(Algorithm::Hs256), &claims)
    };
    add(Code::UnknownSigningKey, "a secret of a set that was fetched", of_hmac(FETCHED));
    add(Code::UnknownSigningKey, "a secret beside public keys", of_hmac(MIXED));
    let embedded = |members: serde_json::Value| {
        let mut header = json!({"alg": "RS256", "kid": "rsa"});
        change(&mut header, members);
        let key = EncodingKey::from_rsa_pem(keys::OTHER_RSA_PEM.as_bytes()).unwrap();
        let payload = b64(claims(rs256).to_string().as_bytes());
        sign_segments(rs256, &key, &b64(header.to_string().as_bytes()), &payload)
    };
    let other = parse(&format!("{{{}}}", keys::OTHER_RSA_JWK));
    add(Code::BadSignature, "the key that the token brings", embedded(json!({"jwk": other})));
    add(Code::UnknownSigningKey, "the key that the token brings, named", {
        embedded(json!({"jwk": named(keys::OTHER_RSA_JWK, "mine"), "kid": "mine"}))
    });
    add(Code::BadSignature, "the key that the token points to", embedded(json!({"jku": "https://evil.example/jwks"})));
    add(
        Code::BadSignature,
        "the certificate that the token points to",
        embedded(json!({"x5u": "https://evil.example/"})),
    );
    add(Code::BadSignature, "the certificate that the token brings", embedded(json!({"x5c": ["MIIB"]})));
}

fn signatures(list: &mut List) {
    for algorithm in Algorithm::ALL.iter().copied() {
        let good = token(algorithm);
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let bytes = super::super::base64url::decode(signature.as_bytes()).unwrap();
        let mut add = |name: &str, signature: Vec<u8>| {
            list.add(
                Code::BadSignature,
                format!("signature: {name}, {algorithm}"),
                format!("{signed}.{}", b64(&signature)),
            );
        };
        add("none at all", Vec::new());
        add("all zeros", std::vec![0; bytes.len()]);
        add("one byte short", bytes[..bytes.len() - 1].to_vec());
        add("one byte more", [&bytes[..], &[0]].concat());
        add("a zero in front", [&[0], &bytes[..]].concat());
        let mut flipped = bytes.clone();
        flipped[0] ^= 1;
        add("a bit flipped", flipped);
        let other = sign(algorithm, &header(algorithm), &json!({"iss": ISSUER}));
        let other = super::super::base64url::decode(other.rsplit_once('.').unwrap().1.as_bytes()).unwrap();
        add("that of another token", other);
    }
    for algorithm in [Algorithm::Es256, Algorithm::Es384] {
        let good = token(algorithm);
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let bytes = super::super::base64url::decode(signature.as_bytes()).unwrap();
        let (r, s) = bytes.split_at(bytes.len() / 2);
        let integer = |value: &[u8]| {
            let value = [&[0], value].concat();
            [&[2, value.len() as u8], &value[..]].concat()
        };
        let body = [integer(r), integer(s)].concat();
        let der = [&[0x30, body.len() as u8], &body[..]].concat();
        let one = {
            let mut one = std::vec![0; r.len()];
            *one.last_mut().unwrap() = 1;
            one
        };
        let cases = [
            ("in DER", der),
            ("r is zero", [&std::vec![0; r.len()], s].concat()),
            ("s is zero", [r, &std::vec![0; s.len()]].concat()),
            ("r and s are one", [&one[..], &one].concat()),
            ("r and s as large as can be", std::vec![0xff; bytes.len()]),
            ("r and s swapped", [s, r].concat()),
        ];
        for (name, signature) in cases {
            list.add(
                Code::BadSignature,
                format!("signature: {name}, {algorithm}"),
                format!("{signed}.{}", b64(&signature)),
            );
        }
    }
}

fn times(list: &mut List) {
    let mut add = |code, name: &str, members| list.add(code, format!("times: {name}"), token_with(members));
    add(Code::InvalidClaim, "no exp", json!({"exp": null}));
    add(Code::Expired, "exp is past", json!({"exp": NOW - 1}));
    add(Code::Expired, "exp is now", json!({"exp": NOW}));
    add(Code::Expired, "exp is zero", json!({"exp": 0}));
    add(Code::Expired, "exp is now, as a fraction", json!({"exp": NOW as f64 - 0.5}));
    add(Code::NotYetValid, "nbf is to come", json!({"nbf": NOW + 1}));
    add(Code::NotYetValid, "nbf is to come, by a fraction", json!({"nbf": NOW as f64 + 0.5}));
    add(Code::NotYetValid, "iat is to come", json!({"iat": NOW + 1}));
    add(Code::InvalidClaim, "exp is negative", json!({"exp": -1}));
    add(Code::InvalidClaim, "exp is 2^53", json!({"exp": 1_u64 << 53}));
    add(Code::InvalidClaim, "exp is 2^64 and more", json!({"exp": 3e19}));
    add(Code::InvalidClaim, "exp is 1e300", json!({"exp": 1e300}));
    add(Code::InvalidClaim, "nbf is negative", json!({"nbf": -1}));
    add(Code::InvalidClaim, "iat is negative", json!({"iat": -1.5}));
    for claim in ["exp", "nbf", "iat"] {
        let values = [
            ("a string", json!((NOW + 100).to_string())),
            ("true", json!(true)),
            ("an array", json!([NOW])),
            ("an object", json!({"time": NOW})),
        ];
        for (name, value) in values {
            add(Code::InvalidClaim, &format!("{claim} is {name}"), json!({claim: value}));
        }
    }
    let null = claims(Algorithm::EdDsa).to_string().replace(&(NOW + 300).to_string(), "null");
    list.add(
        Code::InvalidClaim,
        "times: exp is null",
        sign_text(Algorithm::EdDsa, &header(Algorithm::EdDsa).to_string(), null.as_bytes()),
    );
    let infinite = claims(Algorithm::EdDsa).to_string().replace(&(NOW + 300).to_string(), "1e999");
    list.add(
        Code::Malformed,
        "times: exp is larger than any number",
        sign_text(Algorithm::EdDsa, &header(Algorithm::EdDsa).to_string(), infinite.as_bytes()),
    );
}

fn claim_types(list: &mut List) {
    let mut add = |code, name: &str, members| list.add(code, format!("claims: {name}"), token_with(members));
    add(Code::InvalidClaim, "no aud", json!({"aud": null}));
    add(Code::WrongAudience, "aud is another", json!({"aud": "app"}));
    add(Code::WrongAudience, "aud is none of several", json!({"aud": ["app", "web"]}));
    add(Code::WrongAudience, "aud in capitals", json!({"aud": "API"}));
    add(Code::WrongAudience, "aud with a space", json!({"aud": "api "}));
    add(Code::WrongAudience, "aud holds ours as a part", json!({"aud": "api.evil.example"}));
    add(Code::WrongAudience, "aud lists ours in one string", json!({"aud": "web api"}));
    add(Code::WrongAudience, "aud is empty", json!({"aud": ""}));
    add(Code::InvalidClaim, "aud is an empty array", json!({"aud": []}));
    add(Code::InvalidClaim, "aud holds a number", json!({"aud": ["api", 1]}));
    add(Code::InvalidClaim, "aud holds an array", json!({"aud": [["api"]]}));
    add(Code::InvalidClaim, "aud is an object", json!({"aud": {"api": true}}));
    add(Code::InvalidClaim, "aud is true", json!({"aud": true}));
    for claim in ["sub", "jti", "sid", "client_id", "org_id", "scope"] {
        for (name, value) in [("a number", json!(1)), ("an array", json!(["usr_1"])), ("an object", json!({}))] {
            add(Code::InvalidClaim, &format!("{claim} is {name}"), json!({claim: value}));
        }
    }
    add(Code::InvalidClaim, "scope has two spaces", json!({"scope": "read  write"}));
    add(Code::InvalidClaim, "scope has a line feed", json!({"scope": "read\nwrite"}));
    add(Code::InvalidClaim, "scope has a quote", json!({"scope": "read \"write\""}));
    let many: Vec<String> = (0..=MAX_TOKEN_SCOPES).map(|at| format!("s{at}")).collect();
    add(Code::InvalidClaim, "too many scopes", json!({"scope": many.join(" ")}));
    let cases = [
        ("scp is a string", json!({"scp": "read"})),
        ("scp holds a number", json!({"scp": ["read", 1]})),
        ("scp holds two scopes in one", json!({"scp": ["read write"]})),
        ("scp holds an empty one", json!({"scp": [""]})),
        ("permissions is an object", json!({"permissions": {"read": true}})),
        ("roles is a number", json!({"roles": 1})),
        ("roles holds a number", json!({"roles": [1]})),
        ("the organization by its path is a number", json!({"o": {"id": 1}})),
    ];
    for (name, members) in cases {
        let mut claims = claims(Algorithm::EdDsa);
        change(&mut claims, json!({"iss": MAPPED}));
        change(&mut claims, members);
        let token = sign(Algorithm::EdDsa, &header(Algorithm::EdDsa), &claims);
        list.add(Code::InvalidClaim, format!("claims: {name}"), token);
    }
}

fn kinds(list: &mut List) {
    let events = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    let cases = [
        ("a logout token", json!({"events": events, "sid": "ses_1"})),
        ("an id token with at_hash", json!({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"})),
        ("an id token with c_hash", json!({"c_hash": "AAAAAAAAAAAAAAAAAAAAAA"})),
        ("an id token by its use", json!({"token_use": "id"})),
        ("a refresh token by its use", json!({"token_use": "refresh"})),
        ("a refresh token by its type", json!({"typ": "Refresh"})),
        ("an id token by its type", json!({"typ": "ID"})),
    ];
    for (name, members) in cases {
        list.add(Code::InvalidClaim, format!("kind: {name}"), token_with(members));
    }
    list.add(Code::InvalidClaim, "kind: no type where one is asked for", of(ACCESS_ONLY, Algorithm::EdDsa));
    list.add(
        Code::InvalidClaim,
        "kind: a plain JWT where an access token is asked for",
        of_with_header(ACCESS_ONLY, Algorithm::EdDsa, json!({"typ": "JWT"})),
    );
}

#[test]
fn every_attack_is_refused_for_the_right_reason() {
    let issuers = target();
    let attacks = attacks();
    let names: BTreeSet<&str> = attacks.iter().map(|attack| attack.name.as_str()).collect();
    assert_eq!(names.len(), attacks.len(), "each attack has its own name");
    assert_eq!(attacks.len(), 359, "the README says how many there are");
    let wrong: Vec<_> = attacks
        .iter()
        .filter_map(|attack| {
            let answer = verify(&attack.token, &issuers).map(|_| ()).map_err(|error| error.code());
            (answer != Err(attack.code)).then_some((&attack.name, attack.code, answer))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), attacks.len());
}

/// What the attacks start from is accepted, so that they are refused for what they change.
#[test]
fn what_the_attacks_start_from_is_accepted() {
    let issuers = target();
    for algorithm in Algorithm::ALL.iter().copied() {
        assert!(verify(token(algorithm), &issuers).is_ok(), "{algorithm}");
    }
    for (issuer, algorithm) in [
        (RS256_ONLY, Algorithm::Rs256),
        (BOTH, Algorithm::Rs256),
        (PINNED, Algorithm::Rs256),
        (MIXED, Algorithm::Rs256),
        (MAPPED, Algorithm::EdDsa),
    ] {
        assert!(verify(of(issuer, algorithm), &issuers).is_ok(), "{issuer}");
    }
    let nameless = of_with_header(NAMELESS, Algorithm::EdDsa, json!({"kid": null}));
    assert!(verify(nameless, &issuers).is_ok());
    let access = of_with_header(ACCESS_ONLY, Algorithm::EdDsa, json!({"typ": "application/AT+JWT"}));
    assert!(verify(access, &issuers).is_ok());
}
