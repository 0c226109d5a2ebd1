//! The page of `--report html`: that a browser shows it, without an error and without asking anybody for anything, and that it
//! can be used by mouse and by keys, on a large screen and on a small one.

use crate::support::{Script, lacks, repo, skip, which};
use serde_json::{Value, json};
use std::process::Command;

const SCRIPT: &str = r#"
let api = start("api", "printf 'first line\\n</script><script>alert(1)</script>\\nsecond line\\n'; exec cat", #{
    ready: #{log: "second"},
    stdin: "pipe",
});
run("exit 0");
test("the first one", || assert_eq(1, 1));
test("the second one </script><script>alert(2)</script>", || {
    api.send("third line");
    api.wait_log("third");
    assert(false, "<img src=x onerror=alert(3)>");
});
test("the third one", || skip("not today"));
"#;

#[test]
fn a_browser_shows_the_page_and_it_can_be_used() {
    let modules = repo("target/browser");
    if lacks(&["chromium", "node"]) {
        return;
    }
    if !modules.join("node_modules/playwright-core").exists() {
        return skip("npm install --prefix target/browser playwright-core");
    }
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("s.rhai"), SCRIPT).expect("written");
    let _ = Script::file("s.rhai").option("--report").option("html=page.html").cwd(dir.path()).run().code(1);
    let output = Command::new(which("node").expect("it is there"))
        .arg(repo("tests/fixture/page.mjs"))
        .args([modules, which("chromium").expect("it is there"), dir.path().join("page.html")])
        .output()
        .expect("node starts");
    let said = String::from_utf8_lossy(&output.stderr);
    let seen: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!((&seen["errors"], &seen["requests"]), (&json!([]), &json!([])));
    let (white, black) = ("rgb(255, 255, 255)", "rgb(16, 19, 23)");
    for (size, background, other) in [("wide", white, black), ("narrow", black, white)] {
        let expected = json!({
            "verdict": "failed (exit 1)",
            "cause": "assertion failed: <img src=x onerror=alert(3)>",
            "overflows": false,
            "jobs": ["api"],
            "background": background,
            "nameless": 0,
            "log": ["first line", "</script><script>alert(1)</script>", "second line", "third line"],
            "moment": "the second one </script><script>alert(2)</script> failed: assertion failed: <img src=x onerror=alert(3)>",
            "count": "1 of 1 line",
            "closed": true,
            "results": [
                "Failure the second one </script><script>alert(2)</script>: assertion failed: <img src=x onerror=alert(3)>",
            ],
            "focus": "the second one </script><script>alert(2)</script>",
            "other": other,
        });
        assert_eq!(seen[size], expected, "{size}");
    }
}
