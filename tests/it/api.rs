//! The generated reference: every example in it runs.

use crate::support::{Script, bgjobs};
use std::process::Command;
use std::sync::Mutex;

fn examples() -> Vec<String> {
    let api = Command::new(bgjobs()).arg("api").output().expect("bgjobs starts");
    let text = String::from_utf8_lossy(&api.stdout).into_owned();
    let mut examples = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == "```rhai" {
            examples.push(lines.by_ref().take_while(|line| *line != "```").collect::<Vec<_>>().join("\n"));
        }
    }
    examples
}

#[test]
fn every_example_of_the_reference_runs() {
    let examples = examples();
    assert!(examples.len() > 100, "only {} examples", examples.len());
    let queue = Mutex::new(examples.iter());
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let Some(example) = queue.lock().expect("not poisoned").next() else { return };
                    // In a directory of its own: examples write files.
                    let dir = tempfile::tempdir().expect("a directory");
                    let ran = Script::code(example).option("--timeout").option("60s").cwd(dir.path()).run();
                    if ran.code != Some(0) {
                        let text = format!("exit {:?}:\n{example}\n{}", ran.code, ran.stderr);
                        failures.lock().expect("not poisoned").push(text);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("not poisoned");
    assert!(failures.is_empty(), "{} examples fail:\n\n{}", failures.len(), failures.join("\n"));
}
