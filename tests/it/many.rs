//! Two hundred scripts, made by chance that can be repeated, on three shards with several at a time and retries. While they
//! are made it is noted how each must end, and all reports, of each shard and of all together, have to tell just that.
//!
//! No script sleeps or starts an interpreter, so that all of it takes less than a minute. `BGJOBS_SEED` repeats a run.

use crate::events::{are_as_described, events};
use crate::reports::{KINDS, Place};
use crate::support::Random;
use quick_xml::events::Event;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::fs;

const SCRIPTS: usize = 200;
const SHARDS: usize = 3;

/// How something ends; the words are those of CTRF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum How {
    Passed,
    /// At its second try.
    Flaky,
    Failed,
    Skipped,
}

/// A script, and what reports have to tell of it.
struct Scenario {
    path: String,
    code: String,
    exit: i32,
    flaky: bool,
    /// The names that reports give, with the path before them; that of the script where something failed outside of tests.
    cases: Vec<(String, How)>,
}

/// Writes one, and notes what it does.
struct Draft {
    scenario: Scenario,
    /// How many tests of a name there are.
    names: BTreeMap<String, usize>,
    tests: bool,
}

impl Draft {
    fn new(path: String) -> Self {
        let scenario = Scenario { path, code: String::new(), exit: 0, flaky: false, cases: Vec::new() };
        Self { scenario, names: BTreeMap::new(), tests: false }
    }

    fn line(&mut self, line: &str) {
        self.scenario.code += line;
        self.scenario.code.push('\n');
    }

    fn test(&mut self, name: &str, how: How, body: &str) {
        self.line(&format!("test({}, || {{ {body} }});", json!(name)));
        self.tests = true;
        let count = self.names.entry(name.to_owned()).or_default();
        *count += 1;
        let number = if *count > 1 { format!(" ({count})") } else { String::new() };
        let case = format!("{} › {name}{number}", self.scenario.path);
        self.scenario.cases.push((case, how));
        match how {
            How::Failed => self.scenario.exit = 1,
            How::Flaky => self.scenario.flaky = true,
            How::Passed | How::Skipped => {}
        }
    }

    /// What the script does outside of its tests, and how that ends.
    fn outside(&mut self, how: How, exit: i32, code: &str) {
        self.line(code);
        self.scenario.cases.push((self.scenario.path.clone(), how));
        self.scenario.exit = exit;
        self.scenario.flaky = how == How::Flaky;
    }

    fn done(mut self) -> Scenario {
        if self.scenario.cases.is_empty() {
            self.scenario.cases.push((self.scenario.path.clone(), How::Passed));
        }
        self.scenario
    }
}

fn scenario(index: usize, random: &mut Random) -> Scenario {
    // What XML, Markdown and shells would misread.
    let folder = random.pick(&["shop", "shop/cart", "größe", "a b", "x&<y>'\""]);
    let mut draft = Draft::new(format!("e2e/{folder}/{index:03}.rhai"));
    let names = ["adds", "adds", "is # 1", "says <b> & \"]]>\"", "größer"];
    match random.below(20) {
        0 => draft.line("print(\"no tests\"); // nothing to see"),
        1 => draft.line("run(\"true\"); run(\"test -d e2e\");"),
        2 | 3 => {
            draft.line("let web = mock(\"web\", #{\"GET /\": \"hello\", \"/teapot\": 418});");
            draft.test("answers", How::Passed, "assert_eq(http_get(web.url).text, \"hello\");");
            draft.test("refuses", How::Passed, "assert_eq(http_get(`${web.url}/teapot`).status, 418);");
        }
        4 | 5 => {
            draft.line(
                "let api = start(\"api\", \"echo up; exec tail -f /dev/null\", #{ready: #{log: \"up\"}});",
            );
            draft.test("is up", How::Passed, "assert(api.running);");
        }
        6 | 7 => {
            draft.test(random.pick::<&str>(&names), How::Failed, "assert_eq(1 + 1, 3);");
            draft.test(random.pick::<&str>(&names), How::Passed, "");
        }
        8 => {
            let exit = 2 + random.below(8) as i32;
            draft.outside(How::Failed, exit, &format!("print(\"bye ]]> \\u0007\"); exit({exit});"));
        }
        9 => {
            draft.test("before", How::Passed, "");
            let exit = 2 + random.below(8) as i32;
            draft.outside(How::Failed, exit, &format!("run(\"exit {exit}\");"));
        }
        10 => {
            draft.test("waits", How::Skipped, "skip(\"no <engine>\");");
            draft.test("adds", How::Passed, "assert_eq(1 + 1, 2);");
        }
        11 => draft.test(
            "meets",
            How::Flaky,
            &format!(
                "if !exists(\"seen-{index}\") {{ write_file(\"seen-{index}\", \"\"); fail(\"<not yet>\"); }}"
            ),
        ),
        12 => draft.outside(
            How::Flaky,
            0,
            &format!("if !exists(\"seen-{index}\") {{ write_file(\"seen-{index}\", \"\"); exit(4); }}"),
        ),
        _ => {
            for _ in 0..=random.below(4) {
                draft.test(random.pick::<&str>(&names), How::Passed, "assert(true);");
            }
        }
    }
    draft.done()
}

/// All of them; a job dies in one, so that the worst code is not everywhere the same.
fn scenarios(random: &mut Random) -> BTreeMap<String, Scenario> {
    let dies = random.below(SCRIPTS as u64) as usize;
    let all = (0..SCRIPTS).map(|index| {
        if index != dies {
            return scenario(index, random);
        }
        let mut draft = Draft::new(format!("e2e/shop/{index:03}-dies.rhai"));
        draft.outside(How::Failed, 125, "start(\"api\", \"echo dying; exit 4\", #{ready: #{log: \"up\"}});");
        draft.done()
    });
    all.map(|one| (one.path.clone(), one)).collect()
}

/// `150 scripts passed (9 flaky), 50 failed`.
fn tally(scenarios: &[&Scenario]) -> String {
    let count = |is: &dyn Fn(&Scenario) -> bool| scenarios.iter().filter(|one| is(one)).count();
    let flaky = match count(&|one| one.flaky) {
        0 => String::new(),
        flaky => format!(" ({flaky} flaky)"),
    };
    match (count(&|one| one.exit == 0), count(&|one| one.exit != 0)) {
        (passed, 0) => format!("{passed} scripts passed{flaky}"),
        (passed, failed) => format!("{passed} scripts passed{flaky}, {failed} failed"),
    }
}

fn worst(scenarios: &[&Scenario]) -> i32 {
    scenarios.iter().map(|one| one.exit).max().unwrap_or(0)
}

fn cases(scenarios: &[&Scenario]) -> BTreeMap<String, How> {
    let all: Vec<(String, How)> = scenarios.iter().flat_map(|one| one.cases.clone()).collect();
    let unique: BTreeMap<String, How> = all.iter().cloned().collect();
    assert_eq!(unique.len(), all.len(), "names are unique");
    unique
}

fn number(cases: &BTreeMap<String, How>, how: &[How]) -> usize {
    cases.values().filter(|is| how.contains(is)).count()
}

/// Each report tells of these, of no other, and counts rightly.
#[track_caller]
fn tell(place: &Place, name: &str, scenarios: &[&Scenario]) {
    let cases = cases(scenarios);
    let count = |how: &[How]| number(&cases, how);
    let read = |kind: &str| place.read(&format!("{name}.{kind}"));

    assert_eq!(of_junit(&read("junit")), cases, "{name}.junit");

    let ctrf: Value = serde_json::from_str(&read("ctrf")).expect("JSON");
    let (summary, tests) = (&ctrf["results"]["summary"], &ctrf["results"]["tests"]);
    let expected = json!({
        "tests": cases.len(), "passed": count(&[How::Passed, How::Flaky]), "failed": count(&[How::Failed]),
        "skipped": count(&[How::Skipped]), "flaky": count(&[How::Flaky]), "pending": 0, "other": 0,
        "suites": scenarios.len(),
    });
    for (key, value) in expected.as_object().expect("a map") {
        assert_eq!(&summary[key], value, "{name}.ctrf: {key}");
    }
    let told = tests.as_array().expect("an array").iter().map(|test| {
        let how = match (test["status"].as_str().expect("a status"), test["flaky"] == true) {
            ("passed", false) => How::Passed,
            ("passed", true) => How::Flaky,
            ("failed", false) => How::Failed,
            ("skipped", false) => How::Skipped,
            other => panic!("{other:?}"),
        };
        (test["name"].as_str().expect("a name").to_owned(), how)
    });
    assert_eq!(told.collect::<BTreeMap<_, _>>(), cases, "{name}.ctrf");

    let tap = read("tap");
    let points: Vec<&str> =
        tap.lines().filter(|line| line.starts_with("ok ") || line.starts_with("not ok ")).collect();
    assert!(tap.starts_with(&format!("TAP version 14\n1..{}\n", cases.len())), "{name}.tap");
    for (index, point) in points.iter().enumerate() {
        let numbered = point.trim_start_matches("not ").starts_with(&format!("ok {} - ", index + 1));
        assert!(numbered, "{name}.tap: {point}");
    }
    let skipped = points.iter().filter(|point| point.contains(" # SKIP ")).count();
    let failed = points.iter().filter(|point| point.starts_with("not ok ")).count();
    let told = (points.len(), skipped, failed);
    assert_eq!(told, (cases.len(), count(&[How::Skipped]), count(&[How::Failed])), "{name}.tap");

    let summary = read("github");
    let head = format!("### ❌ bgjobs: {} of {} tests failed\n", count(&[How::Failed]), cases.len());
    assert!(summary.starts_with(&head), "{name}.github: {}", summary.lines().next().unwrap_or_default());

    let page = read("html");
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"), "{name}.html");
    let trace: Value = serde_json::from_str(&read("trace")).expect("JSON");
    let tracks = trace["traceEvents"].as_array().expect("an array").iter();
    let tracks = tracks.filter(|event| event["name"] == "process_name");
    let tracks: HashSet<&str> = tracks.filter_map(|event| event["args"]["name"].as_str()).collect();
    for one in scenarios {
        assert!(tracks.iter().any(|track| track.starts_with(&one.path)), "{name}.trace: {}", one.path);
    }
}

/// What JUnit XML tells, after its own counts were found right and its names unique.
fn of_junit(xml: &str) -> BTreeMap<String, How> {
    let mut reader = quick_xml::Reader::from_str(xml);
    reader.config_mut().expand_empty_elements = true;
    let mut all: Vec<(String, How)> = Vec::new();
    let mut expected: Vec<(usize, [usize; 4])> = Vec::new();
    loop {
        let event = reader.read_event().expect("XML");
        let element = match &event {
            Event::Eof => break,
            Event::Start(element) => element,
            _ => continue,
        };
        let value = |name: &str| {
            let attribute = element.try_get_attribute(name).expect("well-formed").expect(name);
            let raw = String::from_utf8_lossy(&attribute.value).into_owned();
            quick_xml::escape::unescape(&raw).expect("well-formed").into_owned()
        };
        let element = String::from_utf8_lossy(element.name().as_ref()).into_owned();
        match element.as_str() {
            "testsuites" | "testsuite" => {
                let number = |name: &str| value(name).parse().expect("a number");
                let skipped = if element == "testsuite" { number("skipped") } else { 0 };
                let counts = [number("tests"), number("failures"), number("errors"), skipped];
                expected.push((all.len(), counts));
            }
            "testcase" => {
                assert!(value("name").starts_with(&value("classname")), "{}", value("name"));
                all.push((value("name"), How::Passed));
            }
            other => {
                let (_, how) = all.last_mut().expect("a test case");
                *how = match other {
                    "failure" => How::Failed,
                    "skipped" => How::Skipped,
                    "flakyFailure" => How::Flaky,
                    "rerunFailure" if *how == How::Failed => How::Failed,
                    "system-out" | "system-err" => *how,
                    other => panic!("<{other}> after {all:?}"),
                };
            }
        }
    }
    // The first is of the whole, each other of one script.
    let ends = expected.iter().skip(2).map(|(at, _)| *at).chain([all.len()]);
    for ((from, counts), to) in expected[1..].iter().zip(ends) {
        let of = |how: How| all[*from..to].iter().filter(|(_, is)| *is == how).count();
        assert_eq!(*counts, [to - from, of(How::Failed), 0, of(How::Skipped)], "{:?}", &all[*from..to]);
    }
    let failed = all.iter().filter(|(_, how)| *how == How::Failed).count();
    assert_eq!(expected[0].1[..3], [all.len(), failed, 0]);
    let told: BTreeMap<String, How> = all.iter().cloned().collect();
    assert_eq!(told.len(), all.len(), "names are unique");
    told
}

#[test]
fn two_hundred_scripts_on_three_shards_are_reported_as_they_end() {
    let seed = std::env::var("BGJOBS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    // The harness shows it when something is wrong.
    println!("BGJOBS_SEED={seed}");
    let all = scenarios(&mut Random::new(seed));
    assert_eq!(all.len(), SCRIPTS);
    let files: Vec<(&str, &str)> = all.values().map(|one| (one.path.as_str(), one.code.as_str())).collect();
    let place = Place::with(&files);
    fs::create_dir(place.path().join("shards")).expect("made");
    let reports = |name: &str| KINDS.map(|kind| format!("--report={kind}={name}.{kind}"));

    let mut seen: Vec<String> = Vec::new();
    for index in 1..=SHARDS {
        let (shard, file, name) =
            (format!("{index}/{SHARDS}"), format!("shards/{index}.jsonl"), format!("shard-{index}"));
        let reports = reports(&name);
        let mut args =
            vec!["test", "e2e", "--jobs", "4", "--retries", "1", "--shard", &shard, "--events", &file];
        args.extend(reports.iter().map(String::as_str));
        let output = place.command(&args).output().expect("bgjobs starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let events = events(&place.path().join(&file));
        are_as_described(&events);
        let paths = events[0]["scripts"].as_array().expect("a list").iter();
        let paths: Vec<String> = paths.map(|path| path.as_str().expect("a path").to_owned()).collect();
        let mine: Vec<&Scenario> = paths.iter().map(|path| &all[path]).collect();
        assert!(mine.len() >= SCRIPTS / SHARDS, "{}", mine.len());
        assert_eq!(output.status.code(), Some(worst(&mine)), "{said}");
        let verdict = said.lines().last().unwrap_or_default();
        assert!(verdict.ends_with(&format!(": {}", tally(&mine))), "{verdict}\n{}", tally(&mine));
        tell(&place, &name, &mine);
        seen.extend(paths);
    }
    seen.sort_unstable();
    assert_eq!(seen, all.keys().cloned().collect::<Vec<_>>(), "each script is in one shard");

    let whole: Vec<&Scenario> = all.values().collect();
    let of_all = reports("all");
    let mut args = vec!["report", "merge", "shards", "-o", "all.jsonl"];
    args.extend(of_all.iter().map(String::as_str));
    let said = place.ends(&args, worst(&whole));
    let verdict = said.lines().last().unwrap_or_default();
    assert!(verdict.starts_with(&format!("bgjobs: failed (exit {}) in ", worst(&whole))), "{verdict}");
    assert!(
        verdict.ends_with(&format!(", {SHARDS} shards: {}", tally(&whole))),
        "{verdict}\n{}",
        tally(&whole)
    );
    tell(&place, "all", &whole);
    // Made again from the one file that merging has written.
    for kind in KINDS {
        let made = format!("again.{kind}");
        place.ends(&["report", kind, "all.jsonl", "-o", &made], 0);
    }
    tell(&place, "again", &whole);
}
