//! Tests that need a process of their own: they change what belongs to the whole of it, or end it.

use std::process::{Command, ExitStatus};

/// Set in such processes.
const OWN_PROCESS: &str = "KEYSTILE_TEST_OWN_PROCESS";

/// Runs the test of this name once more in a process of its own, and says how that ended; `None` in that process,
/// which does the work.
pub(crate) fn in_own_process(name: &str) -> Option<ExitStatus> {
    if std::env::var_os(OWN_PROCESS).is_some() {
        return None;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(OWN_PROCESS, "1");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    print!("{said}");
    if !output.status.success() {
        println!("{}", String::from_utf8_lossy(&output.stderr));
    }
    // A wrong name would run no test, and succeed.
    assert!(said.contains("running 1 test"), "{said}");
    Some(output.status)
}
