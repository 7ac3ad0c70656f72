//! Every kept input through its target, and thousands of mutations of each: the laws hold on a
//! stable compiler, in every run of the tests. What a fuzzer found stays in the corpus.

#![allow(clippy::print_stderr, reason = "a failure names its input")]

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use keystile_fuzz::fixtures::{self, base64url, issuers, request, sign, with_state};
use keystile_fuzz::{Mutations, TARGETS};
use keystile_validator::jwt::{Algorithm, Issuer, KeyRules, KeySet, UnverifiedJws, UnverifiedJwt};
use keystile_validator::wire::{MAX_MESSAGE_LEN, check_message, decode_verdict, record_hints};

/// Where the mutations start; each input goes on from the hash of its name.
const SEED: u64 = 0x6b65_7973_7469_6c65;
const MUTATIONS: usize = 2_000;
/// The whole corpus is small enough to be cloned by everybody.
const MAX_CORPUS_BYTES: usize = 1 << 20;

macro_rules! replay {
    ($($target:ident)*) => {
        const REPLAYED: &[&str] = &[$(stringify!($target)),*];
        $(#[test]
        fn $target() {
            run(stringify!($target), keystile_fuzz::$target);
        })*
    };
}

replay! { compact header claims key_set issuer credential record message verdict token }

#[test]
fn every_target_has_a_program_a_corpus_and_a_test() {
    let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names, REPLAYED.iter().map(|name| (*name).to_owned()).collect());
    assert_eq!(names, stems(&here("libfuzzer/fuzz_targets")));
    assert_eq!(names, stems(&here("corpus")), "a folder for each target, and none is forgotten");
    let manifest = fs::read_to_string(here("libfuzzer/Cargo.toml")).unwrap();
    let mut bytes = 0;
    for name in &names {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in libfuzzer/Cargo.toml");
        let program = fs::read_to_string(here(&format!("libfuzzer/fuzz_targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("keystile_fuzz::{name}(data)")), "{name} runs something else");
        let inputs = inputs(name);
        assert!(inputs.len() >= 24, "{name} has {} inputs", inputs.len());
        bytes += inputs.iter().map(|(_, input)| input.len()).sum::<usize>();
    }
    assert!(bytes < MAX_CORPUS_BYTES, "{bytes} bytes");
}

/// The laws are about what is accepted: an input of each kind is, or they would hold of nothing.
#[test]
fn good_inputs_are_among_the_kept() {
    let now = request().now;
    let verified = |token: &[u8]| UnverifiedJwt::parse(token)?.verify(issuers(), now, None);
    let signed = |payload: &[u8]| sign(Algorithm::Hs256, fixtures::header(Algorithm::Hs256).as_bytes(), payload);
    let in_header = |header: &[u8]| format!("{}.e30.", base64url(header));
    let judge = |message: &[u8]| with_state(|state| check_message(message, state, &mut vec![0; MAX_MESSAGE_LEN]));
    assert!(accepted("compact", |input| UnverifiedJws::parse(input).is_ok()) >= 20);
    assert!(accepted("header", |input| UnverifiedJwt::parse(in_header(input).as_bytes()).is_ok()) >= 20);
    assert!(accepted("claims", |input| verified(signed(input).as_bytes()).is_ok()) >= 20);
    assert!(
        accepted("key_set", |input| KeySet::from_jwks(input, KeyRules::default()).is_ok_and(|set| !set.is_empty()))
            >= 10
    );
    assert!(accepted("issuer", |input| Issuer::from_json(input).is_ok()) >= 10);
    assert!(accepted("record", |input| record_hints(input).is_ok()) >= 10);
    assert!(accepted("message", |input| judge(input).is_ok()) >= 10);
    assert!(accepted("verdict", |input| decode_verdict(input).is_ok()) >= 30);
    assert!(accepted("token", |input| verified(input).is_ok()) >= 13);
}

fn accepted(name: &str, accepts: impl Fn(&[u8]) -> bool) -> usize {
    inputs(name).iter().filter(|(_, input)| accepts(input)).count()
}

fn run(name: &str, target: fn(&[u8])) {
    eprintln!("{name}: {MUTATIONS} mutations an input from seed {SEED:#x}");
    let check = |input: &[u8], which: &str| {
        if catch_unwind(AssertUnwindSafe(|| target(input))).is_err() {
            panic!("{name}, {which}: {}", input.escape_ascii());
        }
    };
    let inputs = inputs(name);
    for (file, input) in &inputs {
        check(input, file);
    }
    for (file, input) in &inputs {
        // FNV-1a: an input has the same mutations whatever other inputs there are.
        let seed = file.bytes().fold(SEED, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        for (number, mutation) in Mutations::new(input, seed).take(MUTATIONS).enumerate() {
            check(&mutation, &format!("mutation {number} of {file}"));
        }
    }
}

fn inputs(name: &str) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(here("corpus").join(name)).unwrap().map(|entry| entry.unwrap().path());
    let mut inputs: Vec<_> = files.map(|path| (file_name(&path), fs::read(&path).unwrap())).collect();
    inputs.sort();
    inputs
}

fn stems(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| file_name(&entry.unwrap().path().with_extension(""))).collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
