//! Through the JavaScript package, in Node.

use super::*;

#[test]
fn through_javascript_in_node() {
    let node = Command::new("node").arg("--version").output();
    let Ok(version) = node else {
        assert!(std::env::var_os("CI").is_none(), "CI needs node");
        println!("skipped: node is not installed");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("javascript/conformance.mjs");
    let output =
        Command::new("node").arg(script).arg(artifacts().join("javascript")).arg(PATH).output().expect("node runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let vectors = vectors();
    for issuers in vectors.issuers.keys() {
        assert_eq!(answer["keys"][issuers], json!(vectors.usable_keys(issuers)));
    }
    let node = format!("Node {}", String::from_utf8_lossy(&version.stdout).trim());
    for time in ["first", "again"] {
        let verdicts: Vec<_> = answer[time].as_array_mut().unwrap().iter_mut().map(check_message).collect();
        assert_all_equal(&format!("{node}, {time}"), &vectors.cases, &verdicts);
    }
    let of_function = answer["function"].as_array_mut().unwrap();
    assert_eq!(of_function.len(), vectors.cases.len());
    for (case, verdict) in vectors.cases.iter().zip(of_function).filter(|(_, verdict)| !verdict.is_null()) {
        assert_eq!(check_message(verdict), case.verdict, "{node}, the function for keys: {}", case.name);
    }
}

#[test]
fn javascript_refuses_what_is_not_of_the_documented_type() {
    assert_script("misuse.mjs", "49 refused");
}

#[test]
fn javascript_leaves_out_no_member_and_heeds_no_changed_prototype() {
    assert_script("attacks.mjs", "598 attacks, none of them allowed");
}

#[test]
fn javascript_withstands_any_number_of_abnormal_exits() {
    assert_script("exits.mjs", "13 kinds of exits, 100000 times each");
}

#[test]
fn javascript_denies_what_it_has_no_memory_for() {
    assert_script("memory.mjs", "without memory nothing is allowed");
}

/// Runs a script over the package, and compares what it writes.
fn assert_script(script: &str, expected: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("javascript").join(script);
    let output = match Command::new("node").arg(script).arg(artifacts().join("javascript")).output() {
        Ok(output) => output,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "CI needs node: {error}");
            println!("skipped: node is not installed");
            return;
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}
