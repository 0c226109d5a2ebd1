//! JUnit XML: valid for the schema of Jenkins' xunit plugin, whatever has happened, and with what others read where they are.
//! The schema is that of the plugin (`tests/fixture/junit-10.xsd`, under the MIT licence), the judge is libxml2.

use crate::reports::{MIXED, Place, mixed};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use quick_xml::events::{BytesStart, Event};
use std::collections::HashSet;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(100);

/// What the schema says of a file: nothing, where it is valid.
fn judged(place: &Place, name: &str) -> String {
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixture/junit-10.xsd");
    let mut xmllint = Command::new("xmllint");
    xmllint.args(["--nonet", "--noout", "--schema", schema, name]).current_dir(place.path());
    let output = xmllint.output().expect("xmllint, of libxml2-utils");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.success(), said == format!("{name} validates\n"), "{said}");
    if output.status.success() { String::new() } else { said }
}

#[track_caller]
fn is_valid(place: &Place, name: &str) {
    let said = judged(place, name);
    let shown: String = place.read(name).chars().take(4000).collect();
    assert!(said.is_empty(), "{said}\n{shown}");
}

/// Whatever a test may be called, and whatever its script prints.
const STRANGE: &str = r#"
test("bell \u0007, escape \u001b[31m, none \u0000, \uffff\ufffe, <&>\"' ]]> ", || ());
test("two\nlines\tand a tab", #{tags: ["a b", "<&>", "\u0000"]}, || fail("\u0001\r\n<![CDATA[ ]]> \uffff"));
test("\u0003", || skip("\u0002 <why>"));
test("𝄞 ﷽ \u202e", || ());
"#;

/// All kinds of result: passed, failed, skipped, flaky by an option of its own and by another try, failed again and again,
/// a script that fails outside of its tests, one whose job dies, one that is over its time, one of much output.
fn all_kinds() -> Place {
    let place = mixed();
    let files: [(&str, &str); 5] = [
        ("strange.rhai", STRANGE),
        (
            "own.rhai",
            "let n = 0; test(\"wobbles\", #{retries: 2, tags: [\"quick\", \"db\"]}, || { n += 1; assert_eq(n, 2); });",
        ),
        (
            "huge.rhai",
            "let much = output(\"head -c 300000 /dev/zero | tr '\\\\0' x\");\n\
             test(\"much\", || fail(much)); run(\"yes | head -c 3000000\"); exit(1);",
        ),
        ("late.rhai", "test(\"late\", #{timeout: \"10ms\"}, || sleep(\"5m\"));"),
        ("nothing.rhai", ""),
    ];
    for (name, text) in files {
        fs::write(place.path().join(name), text).expect("written");
    }
    place
}

#[test]
fn junit_of_all_kinds_of_result_is_valid() {
    let place = all_kinds();
    place.ends(&["test", ".", "--retries", "1", "--report", "junit=out.xml", "--events", "out.jsonl"], 125);
    let xml = place.read("out.xml");
    for part in [
        "<failure ",
        "<skipped ",
        "<flakyFailure ",
        "<rerunFailure ",
        "group=\"quick,db\"",
        "file=\"strange.rhai\"",
        "name=\"late.rhai › late\"",
        "name=\"huge.rhai › much\"",
    ] {
        assert!(xml.contains(part), "{part}");
    }
    assert!(xml.len() < 30_000_000, "GitLab takes no more: {}", xml.len());
    is_valid(&place, "out.xml");
    // Of a run of one script, and of one that took hours.
    place.ends(&["script", "--report", "junit=script.xml", "strange.rhai"], 1);
    is_valid(&place, "script.xml");
    let hours = regex::Regex::new("\"took_ms\":[0-9.]+").expect("a pattern");
    let slow = hours.replace_all(&place.read("out.jsonl"), "\"took_ms\":45296789.4").into_owned();
    fs::write(place.path().join("slow.jsonl"), slow).expect("written");
    fs::write(place.path().join("slow.xml"), place.prints(&["report", "junit", "slow.jsonl"]))
        .expect("written");
    assert!(place.read("slow.xml").contains(" time=\"45296.789\""), "{}", place.read("slow.xml"));
    is_valid(&place, "slow.xml");
}

/// What did not run after a failure, or since all was stopped, and what a killed run has left.
#[test]
fn junit_of_what_did_not_come_to_its_end_is_valid() {
    let place = Place::with(&[
        ("a.rhai", "test(\"first\", || ()); write_file(\"here\", \"\"); sleep(\"5m\");"),
        ("b.rhai", ""),
        ("c.rhai", "exit(1);"),
    ]);
    place.ends(&["test", "c.rhai", "b.rhai", "--fail-fast", "--report", "junit=fast.xml"], 1);
    assert!(place.read("fast.xml").contains("<skipped message=\"not run\">not run</skipped>"));
    is_valid(&place, "fast.xml");
    for (signal, says) in [(Signal::SIGINT, "<error message=\"stopped\""), (Signal::SIGKILL, "killed: ")] {
        let args = ["test", "a.rhai", "b.rhai", "--events", "out.jsonl", "--report", "junit=out.xml"];
        let mut child = place.command(&args).stderr(Stdio::null()).spawn().expect("bgjobs starts");
        let until = Instant::now() + PATIENCE;
        while !place.path().join("here").exists() {
            assert!(Instant::now() < until, "{}", place.read("out.jsonl"));
            std::thread::sleep(Duration::from_millis(2));
        }
        fs::remove_file(place.path().join("here")).expect("it was there");
        kill(Pid::from_raw(child.id().cast_signed()), signal).expect("it lives");
        child.wait().expect("it ends");
        // The one that was killed has written none, and what it has recorded is not whole.
        let killed = signal == Signal::SIGKILL;
        if killed {
            let xml = place.prints(&["report", "junit", "out.jsonl"]);
            fs::write(place.path().join("out.xml"), xml).expect("written");
        }
        let xml = place.read("out.xml");
        assert!(xml.contains("name=\"a.rhai › first\""), "{xml}");
        assert!(killed || xml.contains(says), "{says}: {xml}");
        is_valid(&place, "out.xml");
    }
}

/// The judge is one: it refuses what others read, and so do the readers of such files in Jenkins.
#[test]
fn what_others_read_is_not_valid() {
    let place = mixed();
    let mut command = place.command(&["test", "a.rhai", "--report", "junit=out.xml"]);
    let _ = command.env("CIRCLECI", "true").stderr(Stdio::null()).status().expect("bgjobs starts");
    let said = judged(&place, "out.xml");
    assert!(said.contains("attribute 'file': The attribute 'file' is not allowed."), "{said}");
}

/// Who reads more than the schema knows: elements where they may be, their attributes, no name twice, numbers that are right.
#[test]
fn where_more_is_read_more_is_written() {
    let place = mixed();
    let args = [&["test", "--retries", "1", "--report", "junit=out.xml"], &MIXED[..]].concat();
    let status = place.command(&args).env("GITLAB_CI", "true").stderr(Stdio::null()).status();
    assert_eq!(status.expect("bgjobs starts").code(), Some(125));
    let xml = place.read("out.xml");
    let mut reader = quick_xml::Reader::from_str(&xml);
    let (mut path, mut seen, mut suites): (Vec<String>, HashSet<String>, Vec<(usize, usize)>) =
        Default::default();
    loop {
        let event = reader.read_event().expect("XML");
        let (element, empty) = match &event {
            Event::Eof => break,
            Event::End(_) => {
                path.pop();
                continue;
            }
            Event::Start(element) => (element, false),
            Event::Empty(element) => (element, true),
            _ => continue,
        };
        let name = String::from_utf8_lossy(element.name().as_ref()).into_owned();
        let attributes = attributes(element);
        let has = |name: &str| attributes.iter().any(|(key, value)| key == name && !value.is_empty());
        let value = |name: &str| {
            attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let (within, required, allowed): (&str, &[&str], &[&str]) = match name.as_str() {
            "testsuites" => ("", &["name", "tests", "failures", "errors"], &["time", "skipped"]),
            "testsuite" => {
                ("testsuites", &["name", "tests", "failures", "errors", "file"], &["time", "skipped"])
            }
            "testcase" => ("testsuite", &["name", "classname", "time", "file"], &["line"]),
            "failure" | "error" | "skipped" => ("testcase", &["message"], &["type"]),
            "rerunFailure" | "flakyFailure" => ("testcase", &["type", "message"], &["time"]),
            other => panic!("<{other}> is not of JUnit"),
        };
        assert_eq!(path.last().map_or("", String::as_str), within, "<{name}>");
        assert!(required.iter().all(|key| has(key)), "<{name}> {attributes:?}");
        let known = |key: &String| required.contains(&key.as_str()) || allowed.contains(&key.as_str());
        assert!(attributes.iter().all(|(key, _)| known(key)), "<{name}> {attributes:?}");
        match name.as_str() {
            "testsuite" => {
                let number = |name: &str| value(name).parse().expect("a number");
                suites.push((number("tests"), number("failures")));
            }
            "testcase" => {
                assert!(seen.insert(value("name")), "twice: {}", value("name"));
                let suite = suites.last_mut().expect("a suite");
                suite.0 -= 1;
            }
            "failure" => suites.last_mut().expect("a suite").1 -= 1,
            _ => {}
        }
        if !empty {
            path.push(name);
        }
    }
    assert!(path.is_empty() && suites.iter().all(|suite| *suite == (0, 0)), "{suites:?}\n{xml}");
    assert!(seen.contains("a.rhai › adds") && seen.contains("a.rhai › adds (2)"), "{seen:?}");
}

fn attributes(element: &BytesStart) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let all = element.attributes().map(|attribute| attribute.expect("well-formed"));
    all.map(|it| (text(it.key.as_ref()), text(&it.value))).collect()
}
