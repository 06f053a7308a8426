//! Runs scenarios on a private machine and says visibly what was left out.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The checkout.
pub fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What a scenario wants below `target/peers` beside the usual, from its line `# needs: PATH...`.
fn needs_of(scenario: &str) -> Vec<String> {
    let file = project().join(format!("tests/scenarios/{scenario}.py"));
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.strip_prefix("# needs: "))
        .flat_map(str::split_whitespace)
        .map(|path| format!("target/peers/{path}"))
        .collect()
}

/// Says why a scenario cannot run here, if so; with `REQUIRE_ALL` set that is a failure.
fn missing(scenario: &str) -> Option<String> {
    let is_root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|out| out.stdout == b"0\n");
    let reason = if !is_root {
        "it needs root for its own namespaces".to_owned()
    } else {
        let wanted = [
            "target/peers/root/usr/libexec/sendmail/sendmail",
            "target/peers/root/usr/bin/procmail",
            "target/peers/root/usr/sbin/smtp-source",
        ];
        let absent: Vec<String> = wanted
            .into_iter()
            .map(str::to_owned)
            .chain(needs_of(scenario))
            .filter(|path| !project().join(path).exists())
            .collect();
        if absent.is_empty() {
            return None;
        }
        format!("`make peers` has not fetched {}", absent.join(", "))
    };
    assert!(
        std::env::var_os("REQUIRE_ALL").is_none(),
        "this test may not be left out: {reason}"
    );
    Some(reason)
}

/// Lends a program of the machine to a test, or says that the test was left out.
///
/// # Panics
/// When it is missing and `REQUIRE_ALL` is set.
pub fn need_tool(name: &str, test: impl FnOnce(&str)) {
    let is_there = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()));
    if is_there {
        return test(name);
    }
    assert!(
        std::env::var_os("REQUIRE_ALL").is_none(),
        "this test may not be left out: no {name}"
    );
    eprintln!("LEFT OUT: no {name}");
}

/// Runs `tests/scenarios/NAME.py` with the built program on a private machine.
///
/// # Panics
/// When the scenario fails; its output is shown.
pub fn scenario(name: &str, arguments: &[&str]) {
    scenario_with(Path::new(env!("CARGO_BIN_EXE_sendmail")), name, arguments);
}

fn scenario_with(program: &Path, name: &str, arguments: &[&str]) {
    if let Some(reason) = missing(name) {
        println!("LEFT OUT {name}: {reason}");
        eprintln!("LEFT OUT {name}: {reason}");
        return;
    }
    let output = Command::new("unshare")
        .args([
            "--mount",
            "--net",
            "--uts",
            "--ipc",
            "--pid",
            "--fork",
            "--kill-child",
        ])
        // The shell is the machine's process 1 and takes leave of orphans; python would not.
        .args(["sh", "-c", "\"$@\"; exit $?", "sh", "/usr/bin/python3"])
        .arg(project().join("tests/support/stage.py"))
        .arg(program)
        .arg(name)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("unshare starts");
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    assert!(
        output.status.success(),
        "scenario {name}: {}\n{text}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}
