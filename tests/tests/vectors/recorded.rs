//! What two libraries answered in their own test suites: every call, with its token, key, options,
//! clock and outcome. Each is judged twice.
//!
//! As recorded: the token and the key as they are. Nearly all of these tokens lack `iss` or `exp`, or
//! have a secret of a few letters, so that nearly all are refused, whatever else they are.
//!
//! Carried over: what was refused only for that is put right. A token without `iss` or `exp` gets
//! one, unless the options ask for one; it is signed anew, with a secret that is long enough. One
//! that was wrongly signed is so again. Signatures with public keys are verified as they came.

use keystile_validator::jwt::{
    Algorithm, Issuer, IssuerSettings, Issuers, JwtError, KeyError, KeyReason, KeySet, TokenType, UnverifiedJws,
    UnverifiedJwt, VerifyingKey,
};
use keystile_validator::{Code, Timestamp};
use serde_json::{Value, json};

use crate::vectors::pem::public_jwk;
use crate::vectors::refusal::{NO_PATTERN, Refusal, rules, verify_jws, verify_jwt};
use crate::vectors::signing::{ISSUER, OTHER_SECRET, SECRET, secret_jwk, sign, tag};
use crate::vectors::support::{Answers, Exceptions, from_base64, read, tests, text, vectors};

#[test]
fn node_jsonwebtoken() {
    let Some(folder) = vectors() else { return };
    let file = read(&folder.join("node-jsonwebtoken/recorded.json"));
    run(&NODE, &file, "node-jsonwebtoken", AS_RECORDED, 240, NODE_AS_RECORDED);
    run(&NODE, &file, "node-jsonwebtoken, carried over", CARRIED_OVER, 240, NODE_CARRIED_OVER);
}

#[test]
fn fast_jwt() {
    let Some(folder) = vectors() else { return };
    let file = read(&folder.join("fast-jwt/recorded.json"));
    run(&FAST, &file, "fast-jwt", AS_RECORDED, 239, FAST_AS_RECORDED);
    run(&FAST, &file, "fast-jwt, carried over", CARRIED_OVER, 239, FAST_CARRIED_OVER);
}

/// Configurations that the library refuses before it sees a token: keys and settings.
#[test]
fn fast_jwt_configurations() {
    let Some(folder) = vectors() else { return };
    let file = read(&folder.join("fast-jwt/recorded.json"));
    let mut answers = Answers::new("fast-jwt, configurations");
    for value in tests(&file).iter().filter(|value| value["outcome"] == "config-reject") {
        let case = Case { library: &FAST, value };
        match case.configure(&file) {
            Err(_) => answers.agree(),
            Ok(()) => answers.except(&value["id"], "a setting has its type: there is no such value"),
        }
    }
    answers.finish(56, FAST_CONFIGURATIONS);
}

fn run(
    library: &Library,
    file: &Value,
    source: &'static str,
    (judge, compare): Judge,
    cases: usize,
    expected: &Exceptions,
) {
    let mut answers = Answers::new(source);
    for value in tests(file) {
        let case = Case { library, value };
        let accept = match text(&value["outcome"]) {
            "accept" => true,
            "reject" => false,
            _ => continue,
        };
        match judge(&case) {
            Ok(()) if accept => answers.agree(),
            Err(refusal) if !accept => {
                if compare == Compare::Reasons {
                    case.assert_same_reason(&refusal);
                }
                answers.agree();
            }
            Ok(()) => answers.except(&value["id"], case.lacking()),
            Err(refusal) => answers.except(&value["id"], refusal.rule()),
        }
    }
    answers.finish(cases, expected);
}

type Judge = (fn(&Case<'_>) -> Result<(), Refusal>, Compare);

/// Whether a case that is refused by both must be for the same reason.
#[derive(Clone, Copy, PartialEq)]
enum Compare {
    Outcomes,
    Reasons,
}

fn as_recorded(case: &Case<'_>) -> Result<(), Refusal> {
    let token = case.token()?;
    UnverifiedJwt::parse(token.as_bytes())?;
    let jwk = case.key().map(|key| jwk(&key));
    let issuers = case.issuers(token, jwk, case.algorithms()?)?;
    match verify_jwt(token.as_bytes(), &issuers, case.now()) {
        Ok(_) => Ok(()),
        // Where the only key cannot be used, that is why.
        Err(error @ JwtError::UnknownSigningKey) => {
            let name = UnverifiedJwt::parse(token.as_bytes())?.lookup().issuer.unwrap_or_default().to_owned();
            Err(match issuers.get(&name).and_then(|issuer| issuer.problems().first()) {
                Some(problem) => Refusal::Key(problem.reason),
                None => error.into(),
            })
        }
        Err(error) => Err(error.into()),
    }
}

fn carried_over(case: &Case<'_>) -> Result<(), Refusal> {
    let token = case.token()?;
    UnverifiedJws::parse(token.as_bytes())?;
    let segments: Vec<&str> = token.split('.').collect();
    let mut header: Value = serde_json::from_slice(&from_base64(segments[0])).unwrap();
    let algorithm = Algorithm::from_name(text(&header["alg"])).ok_or(JwtError::AlgorithmNotAllowed)?;
    let key = case.key().ok_or(Refusal::NoKey)?;
    let signed = token.rsplit_once('.').unwrap().0;
    let allowed = case.algorithms()?;
    let (algorithm, allowed, is_right) = match tag(algorithm, &key, signed) {
        Some(tag) => {
            admit_secret(&key)?;
            (algorithm, allowed, tag == from_base64(segments[2]))
        }
        None => {
            verify_jws(token, &jwk(&key).to_string(), &allowed)?;
            (Algorithm::Hs256, vec![Algorithm::Hs256], true)
        }
    };
    header["alg"] = json!(algorithm.as_str());
    let payload = case.complete(from_base64(segments[1]));
    let secret = if is_right { SECRET } else { OTHER_SECRET };
    let token = sign(algorithm, secret, header.to_string().as_bytes(), &payload);
    let issuers = case.issuers(&token, Some(secret_jwk(SECRET)), allowed)?;
    verify_jwt(token.as_bytes(), &issuers, case.now())?;
    Ok(())
}

/// What is wrong with a secret but that it is too short.
fn admit_secret(secret: &[u8]) -> Result<(), Refusal> {
    match VerifyingKey::hmac(secret) {
        Err(KeyError::SecretTooShort { length }) if length > 0 => Ok(()),
        Err(error) => Err(Refusal::Key(KeyReason::Key(error))),
        Ok(_) => Ok(()),
    }
}

/// The key as a JWK: the public key of a PEM; else a secret.
fn jwk(key: &[u8]) -> Value {
    if key.windows(11).any(|part| part == b"-----BEGIN ") {
        assert!(matches!(VerifyingKey::hmac(key), Err(KeyError::SecretIsKeyText)), "a PEM is taken for a secret");
    }
    str::from_utf8(key).ok().and_then(public_jwk).unwrap_or_else(|| secret_jwk(key))
}

/// What the options of a library are called.
struct Library {
    issuer: &'static str,
    audience: &'static str,
    token_type: &'static str,
    /// How many units of its clock and of its tolerance a second has.
    second: u64,
    /// Options that no setting of ours is, and what is said of them.
    lacking: &'static [(&'static str, &'static str)],
}

struct Case<'a> {
    library: &'a Library,
    value: &'a Value,
}

impl Case<'_> {
    fn option(&self, name: &str) -> &Value {
        &self.value["options"][name]
    }

    fn token(&self) -> Result<&str, Refusal> {
        self.value["token"].as_str().ok_or(Refusal::NoText)
    }

    /// The bytes of the key, or of the one that its function gave.
    fn key(&self) -> Option<Vec<u8>> {
        let key = match text(&self.value["key"]["type"]) {
            "function" => &self.value["resolved_key"],
            _ => &self.value["key"],
        };
        match key["type"].as_str()? {
            "string" => Some(text(&key["value"]).into()),
            "bytes" => Some(from_base64(text(&key["b64u"]))),
            "publicKeyObject" => Some(text(&key["pem"]).into()),
            "function" | "object" | "number" | "null" | "undefined" => None,
            other => panic!("{other}"),
        }
    }

    fn algorithms(&self) -> Result<Vec<Algorithm>, Refusal> {
        let names = match (self.option("algorithms"), self.option("algorithm")) {
            (Value::Array(names), _) => names.iter().map(text).collect(),
            (_, Value::String(name)) => vec![name.as_str()],
            _ => return Ok(Algorithm::ALL.to_vec()),
        };
        let known: Vec<_> = names.iter().filter_map(|name| Algorithm::from_name(name)).collect();
        if known.is_empty() { Err(JwtError::AlgorithmNotAllowed.into()) } else { Ok(known) }
    }

    fn now(&self) -> Timestamp {
        let given = self.option("clockTimestamp").as_u64().map(|now| now / self.library.second);
        Timestamp::from_unix(given.unwrap_or(self.value["now_ms"].as_u64().unwrap() / 1000)).unwrap()
    }

    /// The issuers that the options ask for, or the one that the token names, each with this key by
    /// the name that the token has for it.
    fn issuers(&self, token: &str, jwk: Option<Value>, algorithms: Vec<Algorithm>) -> Result<Issuers, Refusal> {
        let jwt = UnverifiedJwt::parse(token.as_bytes())?;
        let header: Value = serde_json::from_str(jwt.dangerous_header()).unwrap();
        let keys = jwk.map(|mut jwk| {
            if header["kid"].is_string() {
                jwk["kid"] = header["kid"].clone();
            }
            jwk
        });
        let asked = match names(self.option(self.library.issuer))? {
            names if names.is_empty() => vec![jwt.lookup().issuer.unwrap_or(ISSUER).to_owned()],
            names => names,
        };
        let mut issuers = Issuers::default();
        for name in asked {
            let mut settings = IssuerSettings::new(name, algorithms.clone());
            settings.audiences = names(self.option(self.library.audience))?;
            settings.any_audience = settings.audiences.is_empty();
            // They know no such rule.
            settings.forbidden_claims.clear();
            settings.leeway = self.option("clockTolerance").as_u64().unwrap_or(0) / self.library.second;
            if let Some(asked) = self.option(self.library.token_type).as_str() {
                settings.token_type =
                    Some(TokenType::from_name(asked).ok_or(Refusal::Setting("`typ` is JWT or at+jwt"))?);
            }
            settings.tables = false;
            settings.secrets = true;
            let jwks = json!({"keys": keys.iter().collect::<Vec<_>>()}).to_string();
            issuers.put(Issuer::new(settings, jwks.as_bytes()).unwrap()).unwrap();
        }
        Ok(issuers)
    }

    /// The claims with `iss` and `exp`, where they are claims and the options ask for none.
    fn complete(&self, payload: Vec<u8>) -> Vec<u8> {
        let Ok(Value::Object(claims)) = serde_json::from_slice(&payload) else { return payload };
        let mut added = String::new();
        if !claims.contains_key("iss") && self.option(self.library.issuer).is_null() {
            added.push_str(&format!("\"iss\":\"{ISSUER}\","));
        }
        if !claims.contains_key("exp") {
            added.push_str(&format!("\"exp\":{},", self.now().unix() + 3600));
        }
        let rest = str::from_utf8(&payload).unwrap().trim_start().strip_prefix('{').unwrap().trim_start();
        // Before the only brace there is no comma.
        let added = if claims.is_empty() { added.trim_end_matches(',') } else { &added };
        format!("{{{added}{rest}").into_bytes()
    }

    /// Whether a host could be set up like this: the key and the algorithms.
    fn configure(&self, file: &Value) -> Result<(), Refusal> {
        let key = self.key().ok_or(Refusal::NoKey)?;
        let algorithms = self.algorithms()?;
        if algorithms.iter().any(|algorithm| tag(*algorithm, &[], "").is_some()) {
            return admit_secret(&key);
        }
        let jwk = jwk(&key).to_string();
        KeySet::from_jwk(jwk.as_bytes(), rules())?;
        // A key of another type than its algorithms has not one token that it is for.
        let is_asked = |value: &&Value| {
            algorithms.iter().any(|algorithm| value["header"]["alg"] == algorithm.as_str())
                && value["outcome"] == "accept"
        };
        let token = tests(file).iter().find(is_asked).unwrap();
        verify_jws(text(&token["token"]), &jwk, &algorithms).map(|_| ())
    }

    /// Where the message of the library says which rule it was, ours is that rule.
    fn assert_same_reason(&self, refusal: &Refusal) {
        let Refusal::Token(error) = refusal else { return };
        let message = text(&self.value["error"]["message"]);
        if let Some((_, codes)) = REASONS.iter().find(|(part, _)| message.contains(part)) {
            assert!(codes.contains(&error.code()), "{message}: {error:?}: {}", self.value);
        }
    }

    /// What this case is refused for elsewhere, and cannot be here.
    fn lacking(&self) -> &'static str {
        let lacking = self.library.lacking.iter().find(|(option, _)| self.value["options"].get(option).is_some());
        lacking.unwrap_or_else(|| panic!("accepted: {}", self.value)).1
    }
}

/// The names of an option that is one, or several. Patterns are left out.
fn names(option: &Value) -> Result<Vec<String>, Refusal> {
    let listed = match option {
        Value::Null => return Ok(Vec::new()),
        Value::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    let names: Vec<_> = listed.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    if names.is_empty() { Err(Refusal::Setting(NO_PATTERN)) } else { Ok(names) }
}

const AS_RECORDED: Judge = (as_recorded, Compare::Outcomes);
const CARRIED_OVER: Judge = (carried_over, Compare::Reasons);

/// What a message has in it, and the codes that this is here. A claim that is missing or of another
/// type is always `invalid_claim`.
const REASONS: &[(&str, &[Code])] = &[
    ("expired", &[Code::Expired, Code::InvalidClaim]),
    ("not active", &[Code::NotYetValid]),
    ("will be active", &[Code::NotYetValid]),
    ("audience invalid", &[Code::WrongAudience, Code::InvalidClaim]),
    ("None of aud claim values", &[Code::WrongAudience]),
    ("issuer invalid", &[Code::UnknownIssuer, Code::InvalidClaim]),
    ("iss claim value", &[Code::UnknownIssuer]),
    ("claim must be", &[Code::InvalidClaim]),
    ("invalid exp value", &[Code::InvalidClaim]),
    ("invalid nbf value", &[Code::InvalidClaim]),
    ("crit", &[Code::Malformed]),
    ("malformed", &[Code::Malformed]),
    ("invalid token", &[Code::Malformed]),
    ("invalid signature", &[Code::BadSignature]),
    // A signature that is no base64url is malformed.
    ("signature is invalid", &[Code::BadSignature, Code::Malformed]),
    ("signature is missing", &[Code::BadSignature]),
    ("signature is required", &[Code::AlgorithmNotAllowed]),
];

const NODE: Library = Library {
    issuer: "issuer",
    audience: "audience",
    token_type: "there is none",
    second: 1,
    lacking: &[
        ("maxAge", "no setting is `maxAge`"),
        ("nonce", "no setting is `nonce`"),
        ("subject", "no setting is `subject`"),
        ("jwtid", "no setting is `jwtid`"),
    ],
};

const FAST: Library = Library {
    issuer: "allowedIss",
    audience: "allowedAud",
    token_type: "checkTyp",
    second: 1000,
    lacking: &[
        ("maxAge", "no setting is `maxAge`"),
        ("allowedNonce", "no setting is `allowedNonce`"),
        ("allowedSub", "no setting is `allowedSub`"),
        ("allowedJti", "no setting is `allowedJti`"),
        ("requiredClaims", "no setting is `requiredClaims`"),
    ],
};

const NODE_AS_RECORDED: &Exceptions = &[
    ("`alg` is one of ours and of the list, exactly (no ES512, no ES256K, no none)", 1, "222"),
    (
        "`iss` is required: it chooses the key",
        87,
        "1-2, 4-5, 7, 13-14, 16-17, 19, 25, 29-30, 33-35, 54-60, 73-75, 89-91, 107-113, 116-135, 138, 144, 150-151, 153, 155, 158, 160, 162, 165, 167, 169, 171, 176-177, 182, 185-190, 197, 215-216, 219, 223-225, 229-230",
    ),
    ("an HMAC secret is as long as the hash", 5, "80-82, 85-86"),
    ("an issuer and an audience have names, compared exactly; no pattern", 9, "3, 6, 15, 18, 26-28, 31-32"),
    ("the claims are a JSON object", 2, "183-184"),
];
const NODE_CARRIED_OVER: &Exceptions = &[
    ("`alg` is one of ours and of the list, exactly (no ES512, no ES256K, no none)", 1, "222"),
    ("`iat` is not in the future", 9, "54, 56-57, 59, 75, 187-190"),
    ("`nbf` is not in the future, whatever the options say", 1, "113"),
    ("an issuer and an audience have names, compared exactly; no pattern", 12, "3, 5-6, 15, 17-18, 26-28, 31-33"),
    ("expired from `exp` on, whatever the options say", 7, "60, 155, 162, 169, 176, 224-225"),
    ("no setting is `jwtid`", 2, "92-93"),
    ("no setting is `maxAge`", 5, "66, 76-79"),
    ("no setting is `nonce`", 17, "198-214"),
    ("no setting is `subject`", 2, "136-137"),
    ("the claims are a JSON object", 2, "183-184"),
];
const FAST_AS_RECORDED: &Exceptions = &[
    ("`alg` is one of ours and of the list, exactly (no ES512, no ES256K, no none)", 6, "6, 46, 206, 271, 284, 289"),
    ("`crit` is refused, whatever it says", 1, "242"),
    (
        "`iss` is required: it chooses the key",
        107,
        "1-5, 7-18, 33-40, 42-43, 45, 48-49, 51-52, 54-55, 57-58, 60-61, 63-64, 66-67, 69-70, 72-87, 90-96, 106, 114-117, 120-121, 123, 125-126, 193, 195, 198-199, 201-205, 207-215, 217-218, 221, 223, 225-228, 247, 256, 259, 292",
    ),
    (
        "an HMAC secret is as long as the hash",
        22,
        "132-134, 140-144, 149-150, 156-158, 163-165, 168, 170, 173, 238-240",
    ),
    ("an issuer and an audience have names, compared exactly; no pattern", 5, "151, 234-237"),
];
const FAST_CARRIED_OVER: &Exceptions = &[
    (
        "`alg` is one of ours and of the list, exactly (no ES512, no ES256K, no none)",
        10,
        "6, 17, 45-46, 77, 81, 206, 271, 284, 289",
    ),
    ("`aud` is required where one is asked for", 1, "173"),
    ("`crit` is refused, whatever it says", 1, "242"),
    ("`iat` is not in the future", 1, "85"),
    ("`nbf` is not in the future, whatever the options say", 2, "120, 226"),
    ("a key as text is no HMAC secret", 3, "34, 36, 38"),
    ("an issuer and an audience have names, compared exactly; no pattern", 7, "143-144, 151, 234-237"),
    ("expired from `exp` on, whatever the options say", 2, "123, 227"),
    ("no key is recorded", 1, "199"),
    ("no setting is `allowedJti`", 2, "130-131"),
    ("no setting is `allowedNonce`", 3, "160-162"),
    ("no setting is `allowedSub`", 3, "153-154, 169"),
    ("no setting is `maxAge`", 2, "124, 219"),
    ("no setting is `requiredClaims`", 2, "171-172"),
    ("the curve is P-256, P-384 or Ed25519", 4, "69-70, 83, 214"),
];
const FAST_CONFIGURATIONS: &Exceptions = &[("a setting has its type: there is no such value", 16, "179-192, 248-249")];
