//! Writes the part of the corpus that is made: valid forms of every kind, and nasty ones of each.
//!
//! `make fuzz-corpus` runs it. A file that is there is left as it is (some signatures are random), so
//! delete one to have it made anew. What a fuzzer found is put beside them by hand, named for what it
//! broke; this program never removes anything.

use std::fs;
use std::io;
use std::path::Path;

use keystile_fuzz::fixtures::{
    HMAC_ISSUER, ISSUER, NOW, base64url, claims, formats, header, jwk, key_set, request, sign,
};
use keystile_validator::jwt::{Algorithm, TokenRecord};
use keystile_validator::wire::{Item, Message, check_message, encode_formats, encode_record, encode_token_record};
use keystile_validator::{
    AddressRange, Digest, Environment, KeyId, KeyRecord, KeyState, Rate, Request, Scope, Timestamp, Usage,
};

fn main() -> io::Result<()> {
    let mut corpus = Corpus { target: "", number: 0 };
    corpus.compact()?;
    corpus.headers()?;
    corpus.claims()?;
    corpus.key_sets()?;
    corpus.issuers()?;
    corpus.credentials()?;
    corpus.records()?;
    corpus.messages()?;
    corpus.verdicts()?;
    corpus.tokens()
}

struct Corpus {
    target: &'static str,
    number: usize,
}

impl Corpus {
    fn begin(&mut self, target: &'static str) {
        (self.target, self.number) = (target, 0);
    }

    fn add(&mut self, input: impl AsRef<[u8]>) -> io::Result<()> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(self.target);
        fs::create_dir_all(&folder)?;
        let path = folder.join(format!("made-{:03}", self.number));
        self.number += 1;
        if path.exists() { Ok(()) } else { fs::write(path, input) }
    }

    fn add_all<T: AsRef<[u8]>>(&mut self, inputs: impl IntoIterator<Item = T>) -> io::Result<()> {
        inputs.into_iter().try_for_each(|input| self.add(input))
    }

    fn compact(&mut self) -> io::Result<()> {
        self.begin("compact");
        self.add_all(Algorithm::ALL.iter().map(|algorithm| good_token(*algorithm)))?;
        let (head, body) = (base64url(br#"{"alg":"EdDSA"}"#), base64url(b"{}"));
        self.add_all([
            "",
            ".",
            "..",
            "...",
            "....",
            ".....",
            "a.b.c",
            "e30.e30.",
            "e30.e30.AA",
            "e30.e30.AB",
            "e31.e30.AA",
            "e30=.e30.AA",
            "e30.e30.AA==",
            "e30.e30.A",
            " e30.e30.AA",
            "e30.e30.AA\n",
            "e30.e3\n0.AA",
            "e30.e+/.AA",
            "e30.e30.A\u{e9}",
            "bnVsbA.bnVsbA.",
            "W10.W10.",
            "eyJhbGciOm51bGx9.e30.",
        ])?;
        self.add_all([
            format!("{head}.{body}."),
            format!("{head}.{body}.{}", "A".repeat(86)),
            format!("{head}.{}.AA", base64url(b"not JSON, and a payload for all that")),
            format!("{head}..AA"),
            format!(".{body}.AA"),
            format!("{head}.{body}.AA.AA.AA"),
            format!("{head}.{body}.AA.AA"),
            format!("{head}.{}.AA", base64url("{\"a\":\"é\u{1f511}\"}".as_bytes())),
            format!("{head}.{}.AA", base64url(b"\xef\xbb\xbf{}")),
            format!("{head}.{}.AA", base64url(b"\xff\xfe{\0}\0")),
            format!("{}.{body}.AA", base64url(br#"{"alg":"none","alg":"HS256"}"#)),
        ])
    }

    fn headers(&mut self) -> io::Result<()> {
        self.begin("header");
        self.add_all(Algorithm::ALL.iter().map(|algorithm| header(*algorithm)))?;
        self.add_all([
            r#"{"alg":"ES256"}"#,
            r#"{"alg":"none"}"#,
            r#"{"alg":"nOnE"}"#,
            r#"{"alg":null}"#,
            r#"{"alg":["HS256"]}"#,
            r#"{"alg":"HS256","alg":"none"}"#,
            r#"{"alg":"HS256","\u0061lg":"none"}"#,
            r#"{"kid":"1"}"#,
            "{}",
            "[]",
            "null",
            "",
            "{",
            r#"{"alg":"\ud800"}"#,
            r#"{"alg":"EdDSA","typ":"JWT"}"#,
            r#"{"alg":"EdDSA","typ":"at+jwt"}"#,
            r#"{"alg":"EdDSA","typ":"application/AT+JWT"}"#,
            r#"{"alg":"EdDSA","typ":"JOSE","cty":"text/plain"}"#,
            r#"{"alg":"EdDSA","typ":1}"#,
            r#"{"alg":"EdDSA","cty":"JWT"}"#,
            r#"{"alg":"EdDSA","kid":1}"#,
            r#"{"alg":"EdDSA","kid":""}"#,
            r#"{"alg":"EdDSA","kid":"../../etc/passwd"}"#,
            r#"{"alg":"EdDSA","kid":"' OR 1=1 --"}"#,
            r#"{"alg":"EdDSA","crit":["b64"],"b64":false}"#,
            r#"{"alg":"EdDSA","crit":[]}"#,
            r#"{"alg":"EdDSA","b64":true}"#,
            r#"{"alg":"EdDSA","zip":"DEF"}"#,
            r#"{"alg":"dir","enc":"A256GCM"}"#,
            r#"{"alg":"EdDSA","jku":"https://id.example/keys"}"#,
            r#"{"alg":"EdDSA","jku":"keys"}"#,
            r#"{"alg":"EdDSA","x5u":"https://id.example/c"}"#,
            r#"{"alg":"EdDSA","x5c":["MIIB+A=="],"x5t":"AA","x5t#S256":"AA"}"#,
            r#"{"alg":"EdDSA","x5c":[]}"#,
            r#"{"alg":"EdDSA","x5c":[{}]}"#,
            r#"{"alg":"EdDSA","jwk":{"kty":"oct","k":"AA"}}"#,
            r#"{"alg":"EdDSA","jwk":{"kty":"OKP","crv":"Ed25519","x":"AA","d":"AA"}}"#,
            r#"{"alg":"EdDSA","jwk":{"kty":"OKP","crv":"Ed25519","x":"AA","key_ops":["verify"]}}"#,
            r#"{"alg":"EdDSA","unknown":[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]}"#,
            r#"{"alg":"EdDSA","unknown":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}"#,
            r#"{"alg":"EdDSA","unknown":{"a":1,"a":2}}"#,
            r#"{"alg":"EdDSA","unknown":1e999}"#,
            r#"{"alg":"EdDSA","unknown":-0.0}"#,
            " {\n\t\"alg\" : \"EdDSA\" } ",
        ])?;
        self.add(format!(r#"{{"alg":"EdDSA","kid":"{}"}}"#, "k".repeat(256)))?;
        self.add(format!(r#"{{"alg":"EdDSA","kid":"{}"}}"#, "k".repeat(257)))?;
        self.add(format!("{{\"alg\":\"EdDSA\",{}}}", numbered_members(40, 40)))?;
        self.add(format!("{{\"alg\":\"EdDSA\",{}}}", numbered_members(40, 7)))
    }

    fn claims(&mut self) -> io::Result<()> {
        self.begin("claims");
        self.add(claims(Algorithm::Hs256))?;
        self.add(claims(Algorithm::EdDsa))?;
        for members in [
            r#""sub":"usr_1","jti":"t","sid":"s","client_id":"c","org_id":"o","scope":"a:read b:* *""#,
            r#""scope":"""#,
            r#""scope":" ""#,
            r#""scope":["a"]"#,
            r#""scope":"a\"b""#,
            r#""scp":["a"]"#,
            r#""realm_access":{"roles":["admin","user"]}"#,
            r#""realm_access":{"roles":"admin"}"#,
            r#""realm_access":{"roles":[1]}"#,
            r#""realm_access":"roles""#,
            r#""realm_access":{"roles":[]}"#,
            r#""sub":1"#,
            r#""sub":null"#,
            r#""sub":"""#,
            r#""sub":"\u0000\ud83d\udd11""#,
            r#""sub":"a","sub":"b""#,
            r#""iat":1799999999.5"#,
            r#""nbf":1800000000"#,
            r#""nbf":1800000000.5"#,
            r#""nbf":1799999999.000001"#,
            r#""iat":1800000001"#,
            r#""iat":-1"#,
            r#""iat":"1""#,
            r#""nbf":-0.0"#,
            r#""nbf":0"#,
            r#""org_id":{"id":"o"}"#,
            r#""typ":"Refresh""#,
            r#""typ":"Bearer""#,
            r#""token_use":"id""#,
            r#""token_use":"access""#,
            r#""events":{}"#,
            r#""at_hash":"x""#,
            r#""nonce":"n""#,
            r#""deep":[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]"#,
            r#""deep":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]"#,
        ] {
            self.add(format!(r#"{{"iss":"{HMAC_ISSUER}","aud":"api","exp":{},{members}}}"#, NOW + 300))?;
        }
        for exp in [
            "1800000000",
            "1800000001",
            "1800000000.5",
            "1.8e9",
            "1.9e9",
            "9007199254740991",
            "9007199254740992",
            "253402300800",
            "18446744073709551615",
            "18446744073709551616",
            "-1",
            "null",
            "\"1900000000\"",
            "1e400",
        ] {
            self.add(format!(r#"{{"iss":"{HMAC_ISSUER}","aud":"api","exp":{exp}}}"#))?;
        }
        for aud in [r#"["api"]"#, r#"["other","api"]"#, r#""other""#, "[]", r#"["api",1]"#, "null", r#""API""#] {
            self.add(format!(r#"{{"iss":"{HMAC_ISSUER}","aud":{aud},"exp":{}}}"#, NOW + 300))?;
        }
        let scopes = |count: usize| vec!["a:b"; count].join(" ");
        for scopes in [scopes(128), scopes(129), "s".repeat(128), "s".repeat(129)] {
            self.add(format!(r#"{{"iss":"{HMAC_ISSUER}","aud":"api","exp":{},"scope":"{scopes}"}}"#, NOW + 300))?;
        }
        self.add_all(["{}", "[]", "", "1", r#"{"iss":1}"#, "{\"iss\":\"x\"}", "\u{feff}{}"])
    }

    fn key_sets(&mut self) -> io::Result<()> {
        self.begin("key_set");
        self.add(key_set(false))?;
        self.add(key_set(true))?;
        let set = |keys: &[String]| format!("{{\"keys\":[{}]}}", keys.join(","));
        let keys = [Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa, Algorithm::Hs256].map(jwk);
        self.add(set(&keys))?;
        for key in &keys {
            self.add(set(std::slice::from_ref(key)))?;
            self.add(set(&[key.clone(), key.clone()]))?;
            self.add(set(&[key.replacen("\"kid\"", "\"use\":\"sig\",\"kid\"", 1)]))?;
            self.add(set(&[key.replacen("\"kid\"", "\"use\":\"enc\",\"kid\"", 1)]))?;
            self.add(set(&[key.replacen("\"kid\"", "\"key_ops\":[\"verify\"],\"kid\"", 1)]))?;
            self.add(set(&[key.replacen("\"kid\"", "\"key_ops\":[\"sign\"],\"kid\"", 1)]))?;
            self.add(set(&[key.replacen("\"kid\"", "\"alg\":\"ES256\",\"kid\"", 1)]))?;
            self.add(set(&[key.replacen("\"kid\"", "\"alg\":\"RSA-OAEP\",\"kid\"", 1)]))?;
            self.add(set(&[key.replacen("A", "B", 1)]))?;
        }
        self.add_all([
            "{}", "[]", "", r#"{"keys":{}}"#, r#"{"keys":[]}"#, r#"{"keys":[],"keys":[]}"#, r#"{"keys":[1,null,{}]}"#,
            r#"{"keys":[{"kty":"OKP","crv":"Ed448","x":"AA"}]}"#, r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":""}]}"#,
            r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}"#,
            r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}"#,
            r#"{"keys":[{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"}]}"#,
            r#"{"keys":[{"kty":"EC","crv":"P-256","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}"#,
            r#"{"keys":[{"kty":"RSA","n":"AQ","e":"AQAB"}]}"#, r#"{"keys":[{"kty":"RSA","n":"","e":""}]}"#,
            r#"{"keys":[{"kty":"oct","k":"short"}]}"#, r#"{"keys":[{"kty":"AKP","alg":"ML-DSA-44","pub":"AA"}]}"#,
            r#"{"keys":[{"kty":1}]}"#,
        ])?;
        self.add(set(&[keys[0].replacen("AQAB", "Aw", 1)]))?;
        self.add(set(&[keys[0].replacen("AQAB", "AQAA", 1)]))?;
        self.add(set(&vec!["{}".to_owned(); 64]))?;
        self.add(set(&vec!["{}".to_owned(); 65]))?;
        // RFC 7515, appendix A.1: a published secret.
        self.add(r#"{"keys":[{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}]}"#)
    }

    fn issuers(&mut self) -> io::Result<()> {
        self.begin("issuer");
        let sets = [key_set(false), key_set(true), r#"{"keys":[]}"#.to_owned()];
        for set in &sets {
            self.add(format!(r#"{{"issuer":"{ISSUER}","algorithms":["EdDSA","ES256"],"jwks":{set}}}"#))?;
            self.add(format!(
                r#"{{"issuer":"{ISSUER}","algorithms":["HS256"],"audiences":["api","b"],"typ":"at+jwt","leeway":60,"claims":{{"scopes":["scope","scp","scopes","permissions"],"organization":"/o/id","roles":"/realm_access/roles"}},"environment":"live","longest_token":65536,"small_exponent":true,"tables":false,"secrets":true,"jwks":{set}}}"#
            ))?;
        }
        for member in [
            r#""typ":null"#,
            r#""typ":"application/jwt""#,
            r#""typ":"ID""#,
            r#""leeway":61"#,
            r#""leeway":-1"#,
            r#""leeway":1.0"#,
            r#""audiences":[]"#,
            r#""audiences":[""]"#,
            r#""audiences":"api""#,
            r#""claims":{}"#,
            r#""claims":{"scopes":[]}"#,
            r#""claims":{"scopes":["roles"]}"#,
            r#""claims":{"organization":null}"#,
            r#""claims":{"organization":""}"#,
            r#""claims":{"roles":"/a~1b/~0"}"#,
            r#""claims":{"unknown":1}"#,
            r#""claims":[]"#,
            r#""environment":"Live""#,
            r#""environment":null"#,
            r#""any_environment":true"#,
            r#""any_environment":true,"environment":"live""#,
            r#""any_environment":true,"claims":{"environment":"/app/env"}"#,
            r#""environment":"live","claims":{"environment":"env"}"#,
            r#""longest_token":0"#,
            r#""longest_token":65537"#,
            r#""tables":1"#,
            r#""secrets":null"#,
            r#""unknown":1"#,
            r#""issuer":"b""#,
            r#""audiences":["\u0000\"\\\u001f\u007f\ud83d\udd11/"]"#,
        ] {
            self.add(format!(r#"{{"issuer":"a","algorithms":["EdDSA"],{member},"jwks":{{"keys":[]}}}}"#))?;
        }
        self.add_all([
            "{}", "[]", "", r#"{"issuer":"a","algorithms":["EdDSA"]}"#, r#"{"issuer":"a","jwks":{"keys":[]}}"#,
            r#"{"issuer":"a","algorithms":[],"jwks":{"keys":[]}}"#,
            r#"{"issuer":"a","algorithms":["none"],"jwks":{"keys":[]}}"#,
            r#"{"issuer":"","algorithms":["EdDSA"],"jwks":{"keys":[]}}"#,
            r#"{"issuer":"a","algorithms":["EdDSA","EdDSA"],"jwks":{"keys":[],"extra":[1,-2,3.5,1e30,null,true,"\n"]}}"#,
            r#"{"issuer":"a","algorithms":["EdDSA"],"jwks":[]}"#,
        ])?;
        self.add(format!(r#"{{"issuer":"{}","algorithms":["EdDSA"],"jwks":{{"keys":[]}}}}"#, "i".repeat(1_024)))?;
        self.add(format!(r#"{{"issuer":"{}","algorithms":["EdDSA"],"jwks":{{"keys":[]}}}}"#, "i".repeat(1_025)))
    }

    fn credentials(&mut self) -> io::Result<()> {
        self.begin("credential");
        let body = "0123456789abcdefghijABCDEFGHIJ";
        for format in formats() {
            let checksum = if format.checksum().is_empty() { "none" } else { "crc32" };
            let separator = char::from(format.separator().as_byte());
            let names: Vec<&str> = format.environments().iter().map(Environment::as_str).collect();
            let (prefix, len) = (format.prefix(), format.body_len());
            let line = format!("{prefix} {separator} {len} {checksum} {}", names.join(" "));
            for environment in format.environments() {
                let Ok(secret) = format.assemble(environment, &body[..len]) else { continue };
                self.add(format!("{line}\n{secret}"))?;
                self.add(format!("{line}\n{secret}x"))?;
                self.add(format!("{line}\n{}", &secret[1..]))?;
                self.add(format!("{line}\n{}", &secret[..secret.len() - 1]))?;
                self.add(format!("{line}\n{}", secret.replacen('0', "1", 1)))?;
                self.add(format!("{line}\n{}", secret.to_uppercase()))?;
                self.add(format!("{line}\n{}", secret.replacen('0', "\u{e9}", 1)))?;
                self.add(format!("{line}\n {secret}"))?;
            }
        }
        self.add_all([
            "",
            "\n",
            "\n\n",
            "hx _ 30 crc32 live",
            "hx _ 30 crc32\nx",
            "hx _ 21 none live\nx",
            "hx _ 129 none live\nx",
            "hx _ 128 none live\nx",
            "_hx _ 30 none live\nx",
            "hx - 30 none live\nx",
            "hx _ 30 none live live\nx",
            "hx _ 30 none Live\nx",
            "hx _ 30 none live\nhx_live_",
            "a_b-c . 22 none test_dev e2e\na_b-c_test_dev.0123456789abcdefghijAB",
            "hx _ 22 none live\nhx_live__________________________",
            "hx _ 22 none live\n\0\u{1}\u{7f}",
            "hx _ 22 none live\neyJhbGciOiJub25lIn0.eyJpc3MiOiJtZSJ9.",
        ])?;
        self.add(b"hx _ 22 none live\n\xff\xfe\xfd")?;
        self.add(format!("hx . 22 none live\n{}", good_token(Algorithm::EdDsa)))?;
        self.add(format!("hx _ 30 none live\n{}", "x".repeat(2_000)))
    }

    fn records(&mut self) -> io::Result<()> {
        self.begin("record");
        for record in key_records() {
            let form = form_of(&record);
            self.add(&form)?;
            for (at, byte) in [(0, 0xff), (2, 0), (3, 3), (4, 0xff), (5, 0), (9, 1)] {
                let mut bad = form.clone();
                bad[at] = byte;
                self.add(bad)?;
            }
        }
        let times = [None, Some(0), Some(NOW - 11), Some(NOW), Some(NOW + 1)];
        for (number, time) in times.into_iter().enumerate() {
            let mut form = Vec::new();
            let (revoked, suspended) = (number == 1, number == 2);
            let record =
                TokenRecord { revoked, suspended, not_before: time.and_then(|at| Timestamp::from_unix(at).ok()) };
            encode_token_record(&record, &mut form).map_err(io::Error::other)?;
            self.add(&form)?;
            form[3] ^= 4;
            self.add(&form)?;
            form.push(0);
            self.add(form)?;
        }
        self.add_all([&b""[..], b"\0", b"\0\0\x01", b"\0\0\x02", b"\xff\xff\xff\xff", &[0; 60]])
    }

    fn messages(&mut self) -> io::Result<()> {
        self.begin("message");
        let mut requests = vec![request()];
        let mut full = request();
        full.all_of.extend(Scope::new("invoices:read"));
        full.any_of.extend([Scope::new("a"), Scope::new("invoices:write")].into_iter().flatten());
        full.environment = Environment::new("live").ok();
        full.address = "10.1.2.3".parse().ok();
        full.usage = Timestamp::from_unix(NOW + 30).ok().map(|resets_at| Usage { used: 600, resets_at });
        requests.push(full.clone());
        full.address = "2001:db8::1".parse().ok();
        full.usage = None;
        requests.push(full);
        let tokens: Vec<String> = Algorithm::ALL.iter().map(|algorithm| good_token(*algorithm)).collect();
        let records: Vec<Vec<u8>> = key_records().iter().map(form_of).collect();
        for request in &requests {
            self.add(message(request, &[(b"hello", None)]))?;
            self.add(message(request, &[(SECRET, Some(&records[0]))]))?;
            self.add(message(request, &[(SECRET, Some(&records[1])), (b"", None), (b"x", Some(&records[2]))]))?;
            self.add(message(request, &[(tokens[0].as_bytes(), None)]))?;
            self.add(message(request, &[(tokens[12].as_bytes(), None), (tokens[12].as_bytes(), None)]))?;
            let items: Vec<_> = records.iter().map(|record| (SECRET, Some(record.as_slice()))).collect();
            self.add(message(request, &items))?;
        }
        for token in tokens.iter().skip(3) {
            self.add(message(&requests[0], &[(token.as_bytes(), None)]))?;
        }
        for token in rich_and_poor_tokens() {
            self.add(message(&requests[0], &[(token.as_bytes(), None), (token.as_bytes(), None)]))?;
            self.add(message(&requests[1], &[(token.as_bytes(), None)]))?;
        }
        let good = message(&requests[1], &[(SECRET, Some(&records[0]))]);
        for at in 0..32 {
            let mut bad = good.clone();
            bad[at] = bad[at].wrapping_add(1);
            self.add(bad)?;
        }
        self.add_all([&b""[..], &good[..31], &good[..32], &good[..good.len() - 1], &[0xff; 64]])
    }

    fn verdicts(&mut self) -> io::Result<()> {
        self.begin("verdict");
        for code in 0..=22 {
            self.add([8, 0, 0, code, 0, 0, 0, 0])?;
        }
        self.add([8, 0, 0, 18, 30, 0, 0, 0])?;
        let mut allows = Vec::new();
        for record in key_records() {
            allows.push(answer(&message(&request(), &[(SECRET, Some(&form_of(&record)))])));
        }
        for token in rich_and_poor_tokens() {
            allows.push(answer(&message(&request(), &[(token.as_bytes(), None)])));
        }
        for allow in allows {
            self.add(&allow)?;
            self.add([&allow[..], &allow[..]].concat())?;
            for at in [2, 3, 4, 8, 9, 10, 11].into_iter().filter(|at| *at < allow.len()) {
                let mut bad = allow.clone();
                bad[at] = bad[at].wrapping_add(1);
                self.add(bad)?;
            }
        }
        self.add_all([&b""[..], b"\0", b"\0\0", b"\x02\0", b"\xff\xff\x01", &[0; 48]])
    }

    fn tokens(&mut self) -> io::Result<()> {
        self.begin("token");
        for algorithm in Algorithm::ALL.iter().copied() {
            self.add(good_token(algorithm))?;
        }
        for algorithm in [Algorithm::Hs256, Algorithm::EdDsa] {
            let good = good_token(algorithm);
            let (signed, signature) = good.rsplit_once('.').unwrap_or_default();
            self.add(format!("{signed}."))?;
            self.add(format!("{signed}.{signature}A"))?;
            self.add(format!("{signed}.{}", &signature[1..]))?;
            self.add(format!("{signed}.{}", "A".repeat(signature.len())))?;
            let other = |old: &str, new: &str| {
                sign(algorithm, header(algorithm).as_bytes(), claims(algorithm).replace(old, new).as_bytes())
            };
            self.add(other("\"api\"", "[\"other\"]"))?;
            self.add(other("\"api\"", "[\"other\",\"api\"]"))?;
            self.add(other("id.example", "nobody.example"))?;
            self.add(other("hmac.example", "id.example"))?;
            self.add(other(&(NOW + 300).to_string(), &NOW.to_string()))?;
            self.add(other(&(NOW - 10).to_string(), &(NOW + 10).to_string()))?;
            self.add(other("\"jti\"", "\"scope\":\"a:read b:* *\",\"realm_access\":{\"roles\":[\"x\"]},\"jti\""))?;
            self.add(other("\"jti\"", "\"jti\":\"u\",\"jti\""))?;
            let under = |header: &str| sign(algorithm, header.as_bytes(), claims(algorithm).as_bytes());
            self.add(under(&format!(r#"{{"alg":"{algorithm}"}}"#)))?;
            self.add(under(&format!(r#"{{"alg":"{algorithm}","typ":"at+jwt"}}"#)))?;
            self.add(under(&format!(r#"{{"alg":"{algorithm}","kid":"rsa"}}"#)))?;
            self.add(under(&format!(r#"{{"alg":"{algorithm}","kid":"unknown"}}"#)))?;
            self.add(under(r#"{"alg":"none"}"#))?;
            self.add(under(r#"{"alg":"HS256","kid":"rsa"}"#))?;
            self.add(under(r#"{"alg":"RS256","kid":"rsa"}"#))?;
        }
        self.add_all(["", "..", "a.b.c", "eyJhbGciOiJub25lIn0.eyJpc3MiOiJtZSJ9.", "hx_live_0123456789"])?;
        let formats = formats();
        let [live, ..] = formats[1].environments() else { return Ok(()) };
        self.add(formats[1].assemble(live, "0123456789abcdefghijAB").map_err(io::Error::other)?)
    }
}

/// The secret of the records in messages.
const SECRET: &[u8] = b"a secret of no format";

fn good_token(algorithm: Algorithm) -> String {
    sign(algorithm, header(algorithm).as_bytes(), claims(algorithm).as_bytes())
}

/// A token with every claim that a verdict has, and one with none but those it must have.
fn rich_and_poor_tokens() -> [String; 2] {
    let rich = format!(
        r#"{{"iss":"{HMAC_ISSUER}","aud":"api","exp":{},"iat":{},"sub":"é","jti":"t","sid":"s","client_id":"c","org_id":"o","scope":"a:read invoices:*","realm_access":{{"roles":["x","","long role"]}}}}"#,
        NOW + 300,
        NOW - 10
    );
    let poor = format!(r#"{{"iss":"{HMAC_ISSUER}","aud":"api","exp":{}}}"#, NOW + 300);
    [rich, poor].map(|payload| sign(Algorithm::Hs256, header(Algorithm::Hs256).as_bytes(), payload.as_bytes()))
}

fn numbered_members(count: usize, repeated: usize) -> String {
    let names = (0..count).map(|at| if at + 1 == count { repeated } else { at });
    names.map(|name| format!("\"m{name}\":{{}}")).collect::<Vec<_>>().join(",")
}

/// Records without anything, with everything, and some in between.
fn key_records() -> Vec<KeyRecord> {
    let Ok(live) = Environment::new("live") else { return Vec::new() };
    let base = KeyRecord::new(KeyId::from_bytes([7; 16]), Digest::of(SECRET), live);
    let time = |seconds| Timestamp::from_unix(seconds).ok();
    let mut full = base.clone();
    full.owner = Some("Åsa, accounting".into());
    full.scopes.extend(["invoices:read", "invoices:*", "a"].into_iter().flat_map(Scope::new));
    full.addresses
        .extend(["10.0.0.0/8", "2001:db8::/32", "0.0.0.0/0"].into_iter().flat_map(str::parse::<AddressRange>));
    (full.not_before, full.expires_at, full.retires_at) = (time(NOW - 1), time(NOW + 1), time(NOW + 1));
    full.rate = Rate::new(600, 60).ok();
    full.starts_grace = true;
    let mut rated = base.clone();
    rated.rate = Rate::new(1, Rate::MAX_WINDOW).ok();
    rated.expires_at = time(NOW + 60);
    let mut owned = base.clone();
    owned.owner = Some("o".repeat(254));
    owned.scopes.extend(Scope::new("s".repeat(128)));
    let states = [KeyState::Suspended, KeyState::Revoked].map(|state| KeyRecord { state, ..full.clone() });
    let expired = KeyRecord { expires_at: time(NOW), ..base.clone() };
    [base, full, rated, owned, expired].into_iter().chain(states).collect()
}

fn form_of(record: &KeyRecord) -> Vec<u8> {
    let mut form = Vec::new();
    encode_record(record, &mut form).expect("a record in bounds");
    form
}

fn message(request: &Request, items: &[(&[u8], Option<&[u8]>)]) -> Vec<u8> {
    let mut formats_form = Vec::new();
    encode_formats(&formats(), &mut formats_form).expect("formats in bounds");
    let items: Vec<_> = items.iter().map(|(credential, record)| Item { credential, record: *record }).collect();
    let mut bytes = vec![0; 65_536];
    let message = Message { request, formats: &formats_form, items: &items };
    let len = message.write_to(&mut bytes).expect("a message in bounds");
    bytes.truncate(len);
    bytes
}

fn answer(message: &[u8]) -> Vec<u8> {
    let mut answer = vec![0; 65_536];
    let len = keystile_fuzz::fixtures::with_state(|state| check_message(message, state, &mut answer));
    answer.truncate(len.expect("a message that we wrote"));
    answer
}
