//! The JSON test suite. What we answer otherwise is listed here with the reason; nothing else is.
//!
//! The files are read from the folder in `KEYSTILE_VECTORS`, or from `shared/vectors` beside the
//! checkout. Where it is absent the test says so; under `CI=true` it fails.

use std::path::{Path, PathBuf};
use std::prelude::rust_2024::*;
use std::{env, fs, println};

use super::super::json::Json;

fn folder() -> Option<PathBuf> {
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

/// What must parse parses and what must not does not, at the outermost level and inside an object.
#[test]
fn json_test_suite() {
    let Some(folder) = folder() else { return };
    let (mut count, mut stricter) = (0, Vec::new());
    for entry in fs::read_dir(folder.join("json-test-suite/test_parsing")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let bytes = fs::read(&path).unwrap();
        count += 1;
        let answer = Json::read(bytes.clone()).is_ok();
        let inside = Json::read([&b"{\"x\":"[..], &bytes, b"}"].concat()).is_ok();
        match name.split_once('_').unwrap().0 {
            "y" if !answer => stricter.push(name),
            "y" => assert!(inside, "{name}"),
            "n" => assert!(!answer && !inside, "{name}"),
            _ => {}
        }
    }
    stricter.sort();
    println!("json-test-suite: {count} cases, stricter: {stricter:?}");
    assert!(count >= 318, "{count}");
    // RFC 8259, section 4, leaves it open; here a member stands once.
    assert_eq!(stricter, ["y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"]);
}
