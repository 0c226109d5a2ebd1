//! A page about recorded runs: one file that works alone, from a disk as from a server, and loads nothing.
//!
//! It is made of what was recorded, and of the logs that runs have kept, as far as these can be read now. What
//! happened is worked out in the page (`html/model.js`), so that a page of many runs is soon made; and of a run only when
//! somebody looks at it, so that it is soon opened: logs stand behind the script, which does not wait for them. Nothing in it
//! becomes markup or code: data stands in blocks that are not executed, the script writes text only, and the policy
//! in the page's head forbids every other script and request.

mod logs;
mod told;

use super::views::cases::{cases, counts};
use super::views::model::{Outcome, Recorded, Run, Script, TestOutcome, Try};
use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest;
use serde_json::{Value, json};

/// So many failures can be read without JavaScript.
const WITHOUT_SCRIPT: usize = 20;

const STYLE: &str = include_str!("html/page.css");

/// One script of several files, each of which is about one thing.
const SCRIPT: &str = concat!(
    include_str!("html/model.js"),
    include_str!("html/view.js"),
    include_str!("html/usage.js"),
    include_str!("html/timeline.js"),
    include_str!("html/job.js"),
    include_str!("html/search.js"),
    include_str!("html/page.js"),
);

#[derive(Template)]
#[template(path = "page.html")]
struct Page {
    verdict: String,
    passed: bool,
    /// The script, when it is a single one.
    name: String,
    failures: Vec<Told>,
    more: usize,
    style: String,
    style_hash: String,
    script: String,
    script_hash: String,
    /// What is known of all runs at once.
    data: String,
    /// The rest, of each.
    runs: Vec<String>,
    logs: Vec<String>,
}

/// A failure for those without JavaScript.
struct Told {
    title: String,
    text: String,
}

/// The page about all that was recorded.
pub fn html(recorded: &Recorded) -> String {
    let tries: Vec<Tried> = tries(recorded).collect();
    let mut failures: Vec<Told> = tries.iter().filter(|one| !one.again).flat_map(Tried::failures).collect();
    let more = failures.len().saturating_sub(WITHOUT_SCRIPT);
    failures.truncate(WITHOUT_SCRIPT);
    let (verdict, name) = verdict(&tries);
    let (mut runs, mut logs) = (vec![String::new(); tries.len()], Vec::new());
    let mut room = logs::MOST_OF_ALL;
    // What has failed is what somebody wants to read about, should there not be room for all.
    let mut order: Vec<usize> = (0..tries.len()).collect();
    order.sort_by_key(|index| tries[*index].passed());
    for index in order {
        let Tried { run, script, one, .. } = &tries[index];
        let read = logs::of(&tries[index].jobs(), &one.kept, &mut room);
        let mut about = Vec::new();
        for log in read.logs {
            about.push(json!({
                "job": log.job, "id": logs.len(), "path": log.path, "size": log.size, "head": log.head,
                "tail": log.tail, "left_out": log.left_out,
            }));
            logs.push(inert(&Value::String(log.text)));
        }
        let events = told::of(script, one, &run.began, &run.bgjobs);
        let usage = told::usage(one);
        runs[index] =
            inert(&json!({"events": events, "usage": usage, "logs": about, "logs_note": read.note}));
    }
    let damaged: usize = recorded.runs.iter().map(|run| run.damaged).sum();
    let scripts = recorded.runs.iter().flat_map(|run| &run.scripts);
    let not_run = scripts.filter(|script| script.tries.is_empty()).count();
    let (style, script) = (compact(STYLE), compact(SCRIPT));
    let page = Page {
        verdict,
        passed: tries.iter().all(|one| one.again || one.passed()),
        name,
        failures,
        more,
        style_hash: hash(&style),
        style,
        script_hash: hash(&script),
        script,
        data: inert(&json!({
            "runs": tries.iter().map(Tried::summary).collect::<Vec<_>>(), "damaged": damaged, "not_run": not_run,
            "flaky": counts(&cases(recorded)).flaky,
        })),
        runs,
        logs,
    };
    // Into memory, where a template cannot fail.
    page.render().unwrap_or_default()
}

/// As JSON in which nothing can end the block that it stands in.
fn inert(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c")
}

/// Without indentation and lines of comment, which are a quarter of it.
fn compact(code: &str) -> String {
    let lines = code.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

fn hash(text: &str) -> String {
    STANDARD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

/// One try of a script, and where it belongs.
struct Tried<'a> {
    run: &'a Run,
    script: &'a Script,
    one: &'a Try,
    /// It has failed, and was tried again: the last try is the one that counts.
    again: bool,
}

fn tries(recorded: &Recorded) -> impl Iterator<Item = Tried<'_>> {
    let scripts = recorded.runs.iter().flat_map(|run| run.scripts.iter().map(move |script| (run, script)));
    scripts.flat_map(|(run, script)| {
        let numbered = script.tries.iter().enumerate();
        numbered.map(move |(at, one)| Tried { run, script, one, again: at + 1 < script.tries.len() })
    })
}

impl Tried<'_> {
    fn passed(&self) -> bool {
        self.one.outcome == Outcome::Passed
    }

    /// Whether it is counted: as everywhere, what scripts share only when it has failed.
    fn counts(&self) -> bool {
        !(self.again || self.script.setup && self.passed())
    }

    /// Each name once; a job that was started again is in the model twice.
    fn jobs(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for job in &self.one.jobs {
            if !names.contains(&job.name.as_str()) {
                names.push(&job.name);
            }
        }
        names
    }

    /// What stands in the list of all.
    fn summary(&self) -> Value {
        let one = self.one;
        let state = match one.outcome {
            Outcome::Passed => "passed",
            Outcome::Unfinished => "cut",
            Outcome::Failed | Outcome::Stopped if one.cause.is_some() => "stopped",
            Outcome::Failed | Outcome::Stopped => "failed",
        };
        let count = |is: fn(&TestOutcome) -> bool| one.tests.iter().filter(|test| is(&test.outcome)).count();
        json!({
            "script": self.script.name, "number": one.number, "time": self.run.began, "state": state,
            "code": one.code, "cause": one.cause, "status": one.status, "end": one.took_ms,
            "again": self.again, "counted": self.counts(),
            "counts": {
                "failed": count(|it| matches!(it, TestOutcome::Failed(_))),
                "passed": count(|it| matches!(it, TestOutcome::Passed)),
                "skipped": count(|it| matches!(it, TestOutcome::Skipped(_))),
            },
        })
    }

    fn failures(&self) -> Vec<Told> {
        let script = &self.script.name;
        let tests = self.one.tests.iter().filter_map(|test| match &test.outcome {
            TestOutcome::Failed(why) => Some((format!("{script}: {}", test.name), why)),
            TestOutcome::Passed | TestOutcome::Skipped(_) => None,
        });
        let own = self.one.failure.iter().map(|why| (script.clone(), why));
        tests.chain(own).map(|(title, why)| Told { title, text: why.text.clone() }).collect()
    }
}

/// The verdict, and the script when it is a single one; the page makes a better one of it when it can.
fn verdict(tries: &[Tried]) -> (String, String) {
    let counted = tries.iter().filter(|one| one.counts());
    let (all, bad) = (counted.clone().count(), counted.filter(|one| !one.passed()).count());
    match tries {
        [] => ("no run was recorded".to_owned(), String::new()),
        [only] => {
            let verdict = match (only.one.outcome, only.one.code) {
                (Outcome::Passed, _) => "passed".to_owned(),
                (Outcome::Unfinished, _) => "cut short".to_owned(),
                (_, Some(code)) => format!("failed (exit {code})"),
                (_, None) => "failed".to_owned(),
            };
            (verdict, only.script.name.clone())
        }
        _ if bad == 0 => {
            let passed =
                if all == 1 { "1 script passed".to_owned() } else { format!("{all} scripts passed") };
            (passed, String::new())
        }
        _ => (format!("{bad} of {all} scripts did not pass"), String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::views::testing::{failing, passing, recorded, script};

    #[test]
    fn a_page_without_runs_is_small() {
        let page = html(&Recorded::default());
        assert!(page.len() < 64 << 10, "{} bytes", page.len());
        assert!(page.contains("<h1 id=\"verdict\" class=\"good\">no run was recorded</h1>"), "{page}");
    }

    #[test]
    fn nothing_that_was_recorded_becomes_markup() {
        let evil = "</script><script>alert(1)</script><!--";
        let mut one = failing(evil, evil);
        one.kept = vec![evil.to_owned()];
        one.cause = Some(evil.to_owned());
        let page = html(&recorded(vec![script(evil, vec![one])]));
        assert!(!page.contains("<script>alert") && !page.contains("<!--"), "{page}");
        // Its own, those of the data, and no other.
        assert_eq!((page.matches("<script").count(), page.matches("</script").count()), (3, 3));
        assert!(page.contains("<title>failed: "), "{page}");
    }

    #[test]
    fn what_has_failed_can_be_read_without_javascript() {
        let scripts =
            vec![script("a.rhai", vec![failing("adds", "1 < 2")]), script("b.rhai", vec![passing(&["x"])])];
        let page = html(&recorded(scripts));
        let verdict = "<h1 id=\"verdict\" class=\"bad\">1 of 2 scripts did not pass</h1>";
        assert!(page.contains(verdict), "{page}");
        let (_, rest) = page.split_once("<noscript>").expect("a part for those without");
        let (told, _) = rest.split_once("</noscript>").expect("its end");
        assert!(told.contains("<h2>a.rhai: adds</h2>") && told.contains("error: 1 &#60; 2\n"), "{told}");
    }

    #[test]
    fn of_several_tries_the_last_counts_and_of_what_is_shared_what_has_failed() {
        let flaky = || script("a.rhai", vec![failing("adds", "1 < 2"), passing(&["adds"])]);
        let setup = || Script { setup: true, ..script("_setup.rhai", vec![passing(&[])]) };
        let page = html(&recorded(vec![flaky(), setup()]));
        assert!(page.contains("<h1 id=\"verdict\" class=\"good\">1 script passed</h1>"), "{page}");
        assert!(page.contains("\"flaky\":1") && !page.contains("<h2>a.rhai: adds</h2>"), "{page}");
        let bad = script("b.rhai", vec![failing("adds", "1 < 2"), failing("adds", "1 < 2")]);
        let page = html(&recorded(vec![flaky(), setup(), bad]));
        let verdict = "<h1 id=\"verdict\" class=\"bad\">1 of 2 scripts did not pass</h1>";
        assert!(page.contains(verdict), "{page}");
        assert_eq!(page.matches("<h2>b.rhai: adds</h2>").count(), 1, "{page}");
    }
}
