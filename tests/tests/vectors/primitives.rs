//! The signature primitives against published vectors: Wycheproof, and the edge cases of Ed25519
//! by CCTV. Every case is verified with a key as loaded and with the same key prepared.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use keystile_tests::artifacts;
use keystile_validator::jwt::{Algorithm, BaseTables, KeyError, SmallExponent, VerifyingKey};
use serde_json::Value;
use wasmtime::{Config, Engine, Instance, Memory, Module, Store, TypedFunc};

use crate::vectors::support::{from_hex, read, text, vectors};

#[test]
fn ecdsa() {
    let Some(folder) = vectors() else { return };
    let mut table = Table::new();
    for (file, algorithm) in [
        ("ecdsa_secp256r1_sha256_p1363_test", Algorithm::Es256),
        ("ecdsa_secp384r1_sha384_p1363_test", Algorithm::Es384),
    ] {
        table.file(&folder, file, |group, _| Plan::new(ec_key(group), &[algorithm], Expect::Label));
    }
    for (file, algorithm, reason) in [
        ("ecdsa_secp256r1_sha256_test", Algorithm::Es256, "DER is not r ‖ s"),
        ("ecdsa_secp384r1_sha384_test", Algorithm::Es384, "DER is not r ‖ s"),
        ("ecdsa_secp256r1_sha512_p1363_test", Algorithm::Es256, "ES256 hashes with SHA-256"),
        ("ecdsa_secp384r1_sha512_p1363_test", Algorithm::Es384, "ES384 hashes with SHA-384"),
    ] {
        table.file(&folder, file, |group, _| Plan::new(ec_key(group), &[algorithm], Expect::Refuse(reason)));
    }
    for file in ["ecdsa_secp256k1_sha256_p1363_test", "ecdsa_secp521r1_sha512_p1363_test"] {
        table.file(&folder, file, |group, _| {
            Plan::new(ec_key(group), &[Algorithm::Es256], Expect::NoKey("no algorithm for this curve"))
        });
    }
    table.print();
}

#[test]
fn ed25519() {
    let Some(folder) = vectors() else { return };
    let mut table = Table::new();
    let names = &[Algorithm::EdDsa, Algorithm::Ed25519];
    table.file(&folder, "ed25519_test", |group, _| Plan::new(ed_key(group), names, Expect::Label));
    table.file(&folder, "ed448_test", |group, _| {
        Plan::new(ed_key(group), names, Expect::NoKey("no algorithm for this curve"))
    });
    table.print();
}

/// The file says of every signature which edges it is made of, and no verdict. Ours is the one of
/// strict verification: the equation holds without the cofactor, with `k` made from the bytes as
/// they came; `A` and `R` are canonical, and neither is a point of small order. A component of small
/// order in a longer point is nothing that a verifier without the cofactor must refuse.
#[test]
fn ed25519_edges() {
    let Some(folder) = vectors() else { return };
    let refused = [
        "low_order_A",
        "low_order_R",
        "non_canonical_A",
        "non_canonical_R",
        // Only with the cofactor does the equation hold.
        "low_order_residue",
        // Only with `k` made from re-encoded points does the equation hold.
        "reencoded_k",
    ];
    let mut table = Table::new();
    let file = read(&folder.join("cctv-ed25519/ed25519vectors.json"));
    let cases = file.as_array().unwrap();
    assert_eq!(cases.len(), 914);
    let mut bases = BaseTables::default();
    let mut keys = BTreeMap::new();
    for case in cases {
        let key = text(&case["key"]);
        let pair = keys.entry(key).or_insert_with(|| Pair::new(&mut bases, Key::Ed25519(from_hex(key))));
        let flags: Vec<_> = case["flags"].as_array().into_iter().flatten().map(text).collect();
        let accept = !flags.iter().any(|flag| refused.contains(flag));
        if flags.contains(&"low_order_A") || flags.contains(&"non_canonical_A") {
            assert!(pair.is_none(), "{case}: no such key");
        }
        let message = text(&case["msg"]).as_bytes();
        let answer =
            pair.as_ref().is_some_and(|pair| pair.verify(Algorithm::EdDsa, message, &from_hex(text(&case["sig"]))));
        assert_eq!(answer, accept, "{case}");
        table.count("cctv-ed25519", true, None);
    }
    table.print();
}

#[test]
fn rsa_pkcs1() {
    let Some(folder) = vectors() else { return };
    let mut table = Table::new();
    for file in [
        "rsa_signature_2048_sha256_test",
        "rsa_signature_2048_sha384_test",
        "rsa_signature_2048_sha512_test",
        "rsa_signature_3072_sha256_test",
        "rsa_signature_3072_sha384_test",
        "rsa_signature_3072_sha512_test",
        "rsa_signature_4096_sha256_test",
        "rsa_signature_4096_sha384_test",
        "rsa_signature_4096_sha512_test",
        "rsa_signature_8192_sha256_test",
    ] {
        table.file(&folder, file, |group, case| pkcs1(&group["publicKey"], group, case));
    }
    for file in ["rsa_pkcs1_1024_sig_gen_test", "rsa_pkcs1_1536_sig_gen_test", "rsa_pkcs1_2048_sig_gen_test"] {
        table.file(&folder, file, |group, case| pkcs1(&group["privateKey"], group, case));
    }
    table.print();
}

fn pkcs1(numbers: &Value, group: &Value, case: &Value) -> Plan {
    let all = &[Algorithm::Rs256, Algorithm::Rs384, Algorithm::Rs512];
    let key = rsa_key(numbers, SmallExponent::AllowThree);
    if group["keySize"].as_u64() < Some(2048) {
        return Plan::new(key, all, Expect::NoKey("fewer than 2048 bits"));
    }
    let is_three = from_hex(text(&numbers["publicExponent"])) == [3];
    if is_three {
        assert!(matches!(rsa_key(numbers, SmallExponent::Refuse).load(), Err(KeyError::Exponent)));
    }
    let Some(algorithm) = by_hash(group, all) else {
        return Plan::new(key, all, Expect::Refuse("no algorithm with this hash"));
    };
    let has = |flag: &str| case["flags"].as_array().is_some_and(|flags| flags.iter().any(|other| other == flag));
    let expect = match text(&case["result"]) {
        "acceptable" if has("MissingNull") => Expect::Refuse("DigestInfo without its NULL"),
        "acceptable" if has("SmallPublicKey") && is_three => Expect::Accept("the exponent 3 is allowed in this test"),
        _ => Expect::Label,
    };
    Plan::new(key, &[algorithm], expect)
}

#[test]
fn rsa_pss() {
    let Some(folder) = vectors() else { return };
    let mut table = Table::new();
    for file in [
        "rsa_pss_2048_sha256_mgf1_32_test",
        "rsa_pss_2048_sha384_mgf1_48_test",
        "rsa_pss_3072_sha256_mgf1_32_test",
        "rsa_pss_4096_sha256_mgf1_32_test",
        "rsa_pss_4096_sha384_mgf1_48_test",
        "rsa_pss_4096_sha512_mgf1_64_test",
        "rsa_pss_2048_sha256_mgf1_0_test",
        "rsa_pss_2048_sha256_mgf1sha1_20_test",
        "rsa_pss_2048_sha1_mgf1_20_test",
        "rsa_pss_4096_sha512_mgf1_32_test",
        "rsa_pss_misc_test",
    ] {
        table.file(&folder, file, |group, case| {
            let all = &[Algorithm::Ps256, Algorithm::Ps384, Algorithm::Ps512];
            let key = rsa_key(&group["publicKey"], SmallExponent::Refuse);
            let Some(algorithm) = by_hash(group, all) else {
                return Plan::new(key, all, Expect::Refuse("no algorithm with this hash"));
            };
            let hash_length = match algorithm {
                Algorithm::Ps256 => 32,
                Algorithm::Ps384 => 48,
                _ => 64,
            };
            if group["mgfSha"] != group["sha"] {
                return Plan::new(key, all, Expect::Refuse("MGF1 with another hash"));
            }
            if case["comment"] == format!("s_len changed to {hash_length}") {
                return Plan::new(key, &[algorithm], Expect::Accept("the salt is as long as the hash in this case"));
            }
            if group["sLen"].as_u64() != Some(hash_length) {
                return Plan::new(key, all, Expect::Refuse("a salt of another length than the hash"));
            }
            Plan::new(key, &[algorithm], Expect::Label)
        });
    }
    table.print();
}

/// A signature is a number below the modulus. The same number plus the modulus has the same power,
/// and often still fits the length; some verifiers take it.
#[test]
fn a_signature_plus_the_modulus_is_refused() {
    let Some(folder) = vectors() else { return };
    for (file, algorithm) in [
        ("rsa_pss_2048_sha256_mgf1_32_test", Algorithm::Ps256),
        ("rsa_pss_4096_sha512_mgf1_64_test", Algorithm::Ps512),
        ("rsa_signature_2048_sha256_test", Algorithm::Rs256),
        ("rsa_signature_4096_sha512_test", Algorithm::Rs512),
    ] {
        let vectors = read(&folder.join(format!("wycheproof/{file}.json")));
        let group = &vectors["testGroups"][0];
        let pair = Pair::new(&mut BaseTables::default(), rsa_key(&group["publicKey"], SmallExponent::Refuse)).unwrap();
        let modulus = from_hex(text(&group["publicKey"]["modulus"]));
        let mut made = 0;
        for case in cases(group).filter(|case| case["result"] == "valid") {
            let signature = from_hex(text(&case["sig"]));
            let message = from_hex(text(&case["msg"]));
            assert!(pair.verify(algorithm, &message, &signature), "{file} {}", case["tcId"]);
            if let Some(sum) = sum_of_equal_length(&signature, modulus.strip_prefix(&[0]).unwrap()) {
                assert!(!pair.verify(algorithm, &message, &sum), "{file} {}", case["tcId"]);
                made += 1;
            }
        }
        assert!(made > 0, "{file}: no signature of these has room for the modulus");
    }
}

#[test]
fn hmac() {
    let Some(folder) = vectors() else { return };
    let mut table = Table::new();
    for (file, algorithm, bits) in [
        ("hmac_sha256_test", Algorithm::Hs256, 256),
        ("hmac_sha384_test", Algorithm::Hs384, 384),
        ("hmac_sha512_test", Algorithm::Hs512, 512),
    ] {
        table.file(&folder, file, |group, case| {
            let expect = if group["keySize"].as_u64() < Some(256) {
                Expect::NoKey("the secret is shorter than any hash")
            } else if group["keySize"].as_u64() < Some(bits) {
                Expect::Refuse("the secret is shorter than the hash")
            } else if group["tagSize"].as_u64() < Some(bits) {
                Expect::Refuse("the tag is truncated")
            } else {
                Expect::Label
            };
            Plan::new(Key::Hmac(from_hex(text(&case["key"]))), &[algorithm], expect).tag()
        });
    }
    table.print();
}

/// What to do with a case, and what must come out.
struct Plan {
    key: Key,
    /// Every one of them must answer as expected.
    algorithms: Vec<Algorithm>,
    expect: Expect,
    signature: &'static str,
}

enum Expect {
    /// What the file says, which must be `valid` or `invalid`.
    Label,
    /// A deny whatever the file says, for this reason.
    Refuse(&'static str),
    /// Not even a key, for this reason.
    NoKey(&'static str),
    /// An allow whatever the file says, for this reason.
    Accept(&'static str),
}

impl Plan {
    fn new(key: Key, algorithms: &[Algorithm], expect: Expect) -> Plan {
        Plan { key, algorithms: algorithms.to_vec(), expect, signature: "sig" }
    }

    fn tag(self) -> Plan {
        Plan { signature: "tag", ..self }
    }
}

/// A key as a file has it.
enum Key {
    P256([Vec<u8>; 2]),
    P384([Vec<u8>; 2]),
    Ed25519(Vec<u8>),
    Rsa([Vec<u8>; 2], SmallExponent),
    Hmac(Vec<u8>),
}

impl Key {
    fn load(&self) -> Result<VerifyingKey, KeyError> {
        match self {
            Key::P256([x, y]) => VerifyingKey::p256(x, y),
            Key::P384([x, y]) => VerifyingKey::p384(x, y),
            Key::Ed25519(x) => VerifyingKey::ed25519(x),
            Key::Rsa([n, e], small) => VerifyingKey::rsa(n, e, *small),
            Key::Hmac(secret) => VerifyingKey::hmac(secret),
        }
    }

    /// As `keystile_verify_signature` wants it.
    fn parts(&self) -> (u8, &[u8], &[u8]) {
        match self {
            Key::P256([x, y]) => (0, x, y),
            Key::P384([x, y]) => (1, x, y),
            Key::Ed25519(x) => (2, x, &[]),
            Key::Rsa([n, e], SmallExponent::Refuse) => (3, n, e),
            Key::Rsa([n, e], SmallExponent::AllowThree) => (4, n, e),
            Key::Hmac(secret) => (5, secret, &[]),
        }
    }
}

/// The same key as loaded, and prepared; and the same two in the guest.
struct Pair {
    key: Key,
    loaded: VerifyingKey,
    prepared: VerifyingKey,
}

impl Pair {
    fn new(bases: &mut BaseTables, key: Key) -> Option<Pair> {
        let Ok(loaded) = key.load() else {
            assert_eq!(guest_answer(&key, Algorithm::Es256, b"", b""), -1, "a key for the guest alone");
            return None;
        };
        let mut prepared = key.load().unwrap();
        prepared.prepare(bases);
        Some(Pair { key, loaded, prepared })
    }

    fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let answer = self.loaded.verify(algorithm, message, signature).is_ok();
        let prepared = self.prepared.verify(algorithm, message, signature).is_ok();
        assert_eq!(answer, prepared, "{:?} prepared answers otherwise", self.loaded);
        let guest = guest_answer(&self.key, algorithm, message, signature);
        assert_eq!(guest, i32::from(answer), "{:?} in the guest answers otherwise", self.loaded);
        answer
    }
}

/// The validator's module with an export for bare signatures, in wasmtime.
struct Guest {
    store: Store<()>,
    memory: Memory,
    input: usize,
    verify: TypedFunc<i32, i32>,
}

impl Guest {
    fn load() -> Guest {
        let engine = Engine::new(Config::new().wasm_wide_arithmetic(true)).unwrap();
        let module = Module::from_file(&engine, artifacts().join("primitives.wasm")).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let input = instance.get_typed_func::<(), i32>(&mut store, "keystile_input").unwrap();
        let input = usize::try_from(input.call(&mut store, ()).unwrap()).unwrap();
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        let verify = instance.get_typed_func(&mut store, "keystile_verify_signature").unwrap();
        Guest { store, memory, input, verify }
    }
}

/// 1: good; 0: not good; -1: no key.
fn guest_answer(key: &Key, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> i32 {
    thread_local! {
        static GUEST: RefCell<Guest> = RefCell::new(Guest::load());
    }
    let (kind, first, second) = key.parts();
    let number = Algorithm::ALL.iter().position(|known| *known == algorithm).unwrap();
    let mut question = vec![kind, u8::try_from(number).unwrap()];
    for part in [first, second, message] {
        question.extend(u32::try_from(part.len()).unwrap().to_le_bytes());
    }
    for part in [first, second, message, signature] {
        question.extend_from_slice(part);
    }
    GUEST.with_borrow_mut(|Guest { store, memory, input, verify }| {
        memory.write(&mut *store, *input, &question).unwrap();
        verify.call(&mut *store, i32::try_from(question.len()).unwrap()).unwrap()
    })
}

/// What is printed at the end: a line a file, and under it what differs from the file's labels.
struct Table {
    rows: BTreeMap<String, (usize, usize, BTreeMap<&'static str, usize>)>,
    bases: BaseTables,
}

impl Table {
    fn new() -> Table {
        Table { rows: BTreeMap::new(), bases: BaseTables::default() }
    }

    fn file(&mut self, folder: &Path, file: &str, plan: impl Fn(&Value, &Value) -> Plan) {
        let vectors = read(&folder.join(format!("wycheproof/{file}.json")));
        let mut seen = 0;
        for group in vectors["testGroups"].as_array().unwrap() {
            // A key is prepared once for its group, but for HMAC, where each case has its own.
            let mut shared: Option<Option<Pair>> = None;
            for case in cases(group) {
                let Plan { key, algorithms, expect, signature } = plan(group, case);
                if shared.is_none() || !case["key"].is_null() {
                    shared = Some(Pair::new(&mut self.bases, key));
                }
                let pair = shared.as_ref().unwrap();
                let label = text(&case["result"]);
                let (accept, reason) = match expect {
                    Expect::Label if label == "valid" => (true, None),
                    Expect::Label if label == "invalid" => (false, None),
                    Expect::Label => panic!("{file} {}: {label} needs a rule", case["tcId"]),
                    Expect::Refuse(reason) | Expect::NoKey(reason) => (false, Some(reason)),
                    Expect::Accept(reason) => (true, Some(reason)),
                };
                assert_eq!(pair.is_none(), matches!(expect, Expect::NoKey(_)), "{file} {}", case["tcId"]);
                let (message, signature) = (from_hex(text(&case["msg"])), from_hex(text(&case[signature])));
                for algorithm in algorithms {
                    let answer = pair.as_ref().is_some_and(|pair| pair.verify(algorithm, &message, &signature));
                    assert_eq!(answer, accept, "{file} {} as {algorithm}: {}", case["tcId"], case["comment"]);
                }
                self.count(file, label == if accept { "valid" } else { "invalid" }, reason);
                seen += 1;
            }
        }
        assert_eq!(Some(seen), vectors["numberOfTests"].as_u64(), "{file}");
    }

    fn count(&mut self, source: &str, agrees: bool, reason: Option<&'static str>) {
        let (cases, agree, exceptions) = self.rows.entry(source.to_owned()).or_default();
        *cases += 1;
        if agrees {
            *agree += 1;
        } else {
            *exceptions.entry(reason.expect("what differs from the label has a reason")).or_default() += 1;
        }
    }

    fn print(&self) {
        println!("{:<42} {:>6} {:>6} {:>10}", "source", "cases", "agree", "exceptions");
        for (source, (cases, agree, exceptions)) in &self.rows {
            println!("{source:<42} {cases:>6} {agree:>6} {:>10}", cases - agree);
            for (reason, count) in exceptions {
                println!("    {count:>5} · {reason}");
            }
        }
    }
}

fn cases(group: &Value) -> impl Iterator<Item = &Value> {
    group["tests"].as_array().unwrap().iter()
}

/// The algorithm of the group's hash, out of three for SHA-256, SHA-384 and SHA-512.
fn by_hash(group: &Value, [sha256, sha384, sha512]: &[Algorithm; 3]) -> Option<Algorithm> {
    match text(&group["sha"]) {
        "SHA-256" => Some(*sha256),
        "SHA-384" => Some(*sha384),
        "SHA-512" => Some(*sha512),
        _ => None,
    }
}

/// The key of a group, from its point: `04 ‖ x ‖ y`.
fn ec_key(group: &Value) -> Key {
    let point = from_hex(text(&group["publicKey"]["uncompressed"]));
    let (x, y) = point[1..].split_at(point.len() / 2);
    match x.len() {
        48 => Key::P384([x.to_vec(), y.to_vec()]),
        _ => Key::P256([x.to_vec(), y.to_vec()]),
    }
}

fn ed_key(group: &Value) -> Key {
    Key::Ed25519(from_hex(text(&group["publicKey"]["pk"])))
}

fn rsa_key(key: &Value, small: SmallExponent) -> Key {
    let exponent = from_hex(text(&key["publicExponent"]));
    let exponent = exponent.strip_prefix(&[0]).unwrap_or(&exponent).to_vec();
    Key::Rsa([from_hex(text(&key["modulus"])), exponent], small)
}

/// `a + b` in as many bytes as both have, when it fits.
fn sum_of_equal_length(a: &[u8], b: &[u8]) -> Option<Vec<u8>> {
    assert_eq!(a.len(), b.len());
    let mut carry = 0;
    let mut sum = vec![0; a.len()];
    for at in (0..a.len()).rev() {
        let digit = u16::from(a[at]) + u16::from(b[at]) + carry;
        sum[at] = digit as u8;
        carry = digit >> 8;
    }
    (carry == 0).then_some(sum)
}
