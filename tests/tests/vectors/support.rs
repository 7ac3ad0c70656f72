//! Where the files are, and what is printed of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde_json::Value;

use crate::vectors::refusal::Refusal;

/// The folder, or `None` where it is absent, which is said aloud.
pub(crate) fn vectors() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors");
    let folder = env::var_os("KEYSTILE_VECTORS").map_or_else(beside, PathBuf::from);
    if folder.join("wycheproof").is_dir() {
        return Some(folder);
    }
    assert!(
        env::var_os("CI").is_none_or(|ci| ci != "true"),
        "no vectors in {} · set KEYSTILE_VECTORS",
        folder.display()
    );
    println!("skipped: no vectors in {} · set KEYSTILE_VECTORS", folder.display());
    None
}

pub(crate) fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The cases of a file that has them as `tests`.
pub(crate) fn tests(file: &Value) -> &[Value] {
    file["tests"].as_array().unwrap()
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Cases that are answered otherwise than it is written down: the reason, how many, and which.
pub(crate) type Exceptions = [(&'static str, usize, &'static str)];

/// The answers to the cases of one source.
pub(crate) struct Answers {
    source: &'static str,
    cases: usize,
    exceptions: BTreeMap<&'static str, Vec<String>>,
}

impl Answers {
    pub(crate) fn new(source: &'static str) -> Answers {
        Answers { source, cases: 0, exceptions: BTreeMap::new() }
    }

    /// A case that is answered as it is written down.
    pub(crate) fn agree(&mut self) {
        self.cases += 1;
    }

    /// A case that is answered otherwise, for this reason.
    pub(crate) fn except(&mut self, case: impl ToString, reason: &'static str) {
        self.cases += 1;
        self.exceptions.entry(reason).or_default().push(case.to_string());
    }

    /// A case with its answer. What is refused elsewhere is refused here.
    pub(crate) fn compare(&mut self, case: impl ToString, accept: bool, answer: Result<(), Refusal>) {
        match answer {
            Ok(()) => {
                assert!(accept, "{}: {} is accepted", self.source, case.to_string());
                self.agree();
            }
            Err(_) if !accept => self.agree(),
            Err(refusal) => self.except(case, refusal.rule()),
        }
    }

    /// Prints the row, and compares what differs with the list.
    pub(crate) fn finish(self, cases: usize, expected: &Exceptions) {
        let given: Vec<_> =
            self.exceptions.iter().map(|(reason, cases)| (*reason, cases.len(), listed(cases))).collect();
        let differ: usize = given.iter().map(|(_, count, _)| count).sum();
        let mut row = format!(
            "{:<34} {:>4} cases {:>4} agree {differ:>4} exceptions",
            self.source,
            self.cases,
            self.cases - differ
        );
        for (reason, count, cases) in &given {
            row.push_str(&format!("\n    {count:>4} · {reason}: {cases}"));
        }
        println!("{row}");
        let mut expected: Vec<_> =
            expected.iter().map(|(reason, count, cases)| (*reason, *count, (*cases).to_owned())).collect();
        expected.sort();
        assert_eq!(given, expected, "{}", self.source);
        assert_eq!(self.cases, cases, "{}", self.source);
    }
}

/// The names of cases one after the other; numbers that follow each other as a range.
fn listed(cases: &[String]) -> String {
    let mut runs: Vec<(String, String)> = Vec::new();
    for case in cases {
        let follows = |last: &str| last.parse::<u64>().is_ok_and(|last| case.parse() == Ok(last + 1));
        match runs.last_mut() {
            Some((_, last)) if follows(last) => last.clone_from(case),
            _ => runs.push((case.clone(), case.clone())),
        }
    }
    let runs: Vec<_> =
        runs.into_iter().map(|(first, last)| if first == last { first } else { format!("{first}-{last}") }).collect();
    runs.join(", ")
}

/// Bytes from base64 or base64url, whatever stands between its characters left out.
pub(crate) fn from_base64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for character in text.bytes() {
        let digit = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => continue,
        };
        bits = (bits << 6) | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    bytes
}

pub(crate) fn to_base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..=chunk.len() {
            text.push(char::from(DIGITS[(bits >> (18 - 6 * at)) as usize & 63]));
        }
    }
    text
}

pub(crate) fn from_hex(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}
