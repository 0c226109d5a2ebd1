//! Trace events, which Perfetto (ui.perfetto.dev) and `chrome://tracing` show: a process for each run of a script, in it a
//! track for each job, and for tests, waits, commands and requests, and counters of what jobs use. Those of a kind that overlap get tracks of their own,
//! since slices of a track may only nest.

use super::model::{JobEnding, NoteKind, Outcome, Recorded, TestOutcome, Try};
use serde_json::{Value, json};
use std::collections::HashMap;

/// The report.
pub fn trace(recorded: &Recorded) -> String {
    let begin = recorded.runs.iter().map(|run| run.began_ms).min_by(f64::total_cmp).unwrap_or_default();
    let mut all = Vec::new();
    for run in &recorded.runs {
        for script in &run.scripts {
            for one in &script.tries {
                let process = all.len();
                let mut name = script.name.clone();
                if script.tries.len() > 1 {
                    name = format!("{name}, try {}", one.number);
                }
                if let Some(shard) = run.whole.as_ref().and_then(|whole| whole.shard) {
                    name = format!("{name} (shard {}/{})", shard.index, shard.total);
                }
                let mut tracks = Tracks {
                    process: process + 1,
                    offset: run.began_ms - begin,
                    next: 1,
                    events: Vec::new(),
                };
                tracks.describe("process_name", 0, &name);
                tracks.of_try(one);
                all.push(tracks.events);
            }
        }
    }
    let events: Vec<Value> = all.into_iter().flatten().collect();
    // A line each: large files are looked at with tools for lines, too.
    let lines: Vec<String> = events.iter().map(ToString::to_string).collect();
    format!("{{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n{}\n]}}\n", lines.join(",\n"))
}

struct Slice {
    name: String,
    at_ms: f64,
    took_ms: f64,
    details: Value,
}

struct Tracks {
    process: usize,
    /// When the run began, after the first of all.
    offset: f64,
    next: usize,
    events: Vec<Value>,
}

impl Tracks {
    fn of_try(&mut self, one: &Try) {
        let how = match one.outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            Outcome::Stopped => "stopped",
            Outcome::Unfinished => "without an end",
        };
        let ids = one.trace.as_ref();
        let details = json!({
            "outcome": how, "code": one.code, "trace_id": ids.map(|it| &it.id), "span_id": ids.map(|it| &it.span),
            "parent_span_id": ids.and_then(|it| it.parent.as_ref()),
        });
        let whole = slice("script", one.at_ms, one.took_ms, details);
        self.kind("script", vec![whole]);
        let script = self.next - 1;
        for note in &one.notes {
            let kind = match note.kind {
                NoteKind::Log => "log",
                NoteKind::Warning => "warning",
                NoteKind::Interrupted => "interrupted",
            };
            self.instant(script, kind, note.at_ms, json!({"text": note.text}));
        }
        let tests = one.tests.iter().map(|test| {
            let mut details = match &test.outcome {
                TestOutcome::Passed => json!({"outcome": "passed"}),
                TestOutcome::Skipped(reason) => json!({"outcome": "skipped", "reason": reason}),
                TestOutcome::Failed(failure) => json!({"outcome": "failed", "message": failure.message}),
            };
            details["span_id"] = json!(test.span);
            slice(&test.name, test.at_ms, test.took_ms, details)
        });
        self.kind("tests", tests.collect());
        let waits = one.waits.iter().map(|it| slice(&it.what, it.at_ms, it.took_ms, json!({"ok": it.ok})));
        self.kind("waits", waits.collect());
        let commands = one
            .commands
            .iter()
            .map(|it| slice(&it.command, it.at_ms, it.took_ms, json!({"status": it.status, "ok": it.ok})));
        self.kind("commands", commands.collect());
        let requests = one.requests.iter().map(|it| {
            let details = json!({"status": it.status, "error": it.error});
            slice(&format!("{} {}", it.method, it.url), it.at_ms, it.took_ms, details)
        });
        self.kind("requests", requests.collect());
        self.jobs(one);
        self.usage(one);
    }

    /// Counters of each job: its memory, and how busy it was since the look before. They end with it.
    fn usage(&mut self, one: &Try) {
        let mut before: HashMap<&str, (f64, f64)> = HashMap::new();
        for look in &one.usage {
            for used in &look.jobs {
                let (memory, processor) = counters(&used.job);
                self.counter(&memory, look.at_ms, json!({"MiB": used.rss as f64 / f64::from(1 << 20)}));
                if let Some((at, cpu)) = before.insert(&used.job, (look.at_ms, used.cpu_ms)) {
                    let share = (used.cpu_ms - cpu).max(0.0) / (look.at_ms - at).max(1.0);
                    self.counter(&processor, look.at_ms, json!({"%": (share * 100.0).round()}));
                }
            }
        }
        for job in one.jobs.iter().filter(|job| before.contains_key(job.name.as_str())) {
            if let Some(end) = &job.end {
                let (memory, processor) = counters(&job.name);
                self.counter(&memory, end.at_ms, json!({"MiB": 0}));
                self.counter(&processor, end.at_ms, json!({"%": 0}));
            }
        }
    }

    fn counter(&mut self, name: &str, at_ms: f64, value: Value) {
        self.events.push(json!({
            "ph": "C", "name": name, "pid": self.process, "ts": self.micros(at_ms), "args": value,
        }));
    }

    /// One that is started again goes on on its track.
    fn jobs(&mut self, one: &Try) {
        let until = one.at_ms + one.took_ms;
        let mut named: Vec<(&str, usize)> = Vec::new();
        for job in &one.jobs {
            let track = match named.iter().find(|(name, _)| *name == job.name) {
                Some((_, track)) => *track,
                None => {
                    let track = self.track(&format!("job {}", job.name));
                    named.push((&job.name, track));
                    track
                }
            };
            let end = job.end.as_ref().map_or(until, |end| end.at_ms);
            let status = job.end.as_ref().and_then(|end| end.status.as_ref());
            let details = json!({"command": job.command, "pid": job.pid, "status": status});
            self.slice(track, &slice(&job.name, job.at_ms, end - job.at_ms, details));
            if let Some(ready) = &job.ready {
                let details = json!({"ready": ready.what});
                self.slice(track, &slice("starts", job.at_ms, ready.at_ms - job.at_ms, details));
                self.instant(track, "ready", ready.at_ms, json!({"what": ready.what}));
            }
            if let Some(line) = &job.failed {
                self.instant(track, "failed", end, json!({"line": line}));
            }
            if let Some(end) = &job.end
                && matches!(end.how, JobEnding::Died | JobEnding::Killed)
            {
                let what = if end.how == JobEnding::Died { "died" } else { "killed" };
                self.instant(track, what, end.at_ms, json!({"status": end.status}));
            }
        }
    }

    /// Tracks for slices of a kind, as many as overlap.
    fn kind(&mut self, name: &str, mut slices: Vec<Slice>) {
        slices.sort_by(|a, b| a.at_ms.total_cmp(&b.at_ms));
        // Until when each is taken.
        let mut tracks: Vec<(usize, f64)> = Vec::new();
        for one in slices {
            let at = tracks.iter().position(|(_, until)| *until <= one.at_ms).unwrap_or_else(|| {
                let number = tracks.len() + 1;
                let name = if number == 1 { name.to_owned() } else { format!("{name} {number}") };
                tracks.push((self.track(&name), 0.0));
                number - 1
            });
            tracks[at].1 = one.at_ms + one.took_ms;
            self.slice(tracks[at].0, &one);
        }
    }

    fn track(&mut self, name: &str) -> usize {
        let track = self.next;
        self.next += 1;
        self.describe("thread_name", track, name);
        let order = json!({"ph": "M", "name": "thread_sort_index", "pid": self.process, "tid": track, "args": {"sort_index": track}});
        self.events.push(order);
        track
    }

    fn describe(&mut self, what: &str, track: usize, name: &str) {
        let event =
            json!({"ph": "M", "name": what, "pid": self.process, "tid": track, "args": {"name": name}});
        self.events.push(event);
    }

    fn slice(&mut self, track: usize, it: &Slice) {
        self.events.push(json!({
            "ph": "X", "name": it.name, "pid": self.process, "tid": track, "ts": self.micros(it.at_ms),
            "dur": micros(it.took_ms.max(0.0)), "args": it.details,
        }));
    }

    fn instant(&mut self, track: usize, name: &str, at_ms: f64, details: Value) {
        self.events.push(json!({
            "ph": "i", "s": "t", "name": name, "pid": self.process, "tid": track, "ts": self.micros(at_ms), "args": details,
        }));
    }

    fn micros(&self, at_ms: f64) -> i64 {
        micros(self.offset + at_ms.max(0.0))
    }
}

fn counters(job: &str) -> (String, String) {
    (format!("memory of {job}"), format!("processor of {job}"))
}

fn slice(name: &str, at_ms: f64, took_ms: f64, details: Value) -> Slice {
    Slice { name: name.to_owned(), at_ms, took_ms, details }
}

fn micros(ms: f64) -> i64 {
    (ms * 1000.0).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::views::model::Command;
    use crate::report::views::testing::{passing, recorded, script};

    #[test]
    fn what_overlaps_gets_tracks_of_its_own() {
        let command = |at_ms: f64, took_ms: f64| Command {
            command: "c".to_owned(),
            status: Some("exit 0".to_owned()),
            ok: true,
            at_ms,
            took_ms,
        };
        let mut one = passing(&["x"]);
        one.commands = vec![command(0.0, 10.0), command(5.0, 10.0), command(10.0, 1.0)];
        let text = trace(&recorded(vec![script("a.rhai", vec![one])]));
        let trace: Value = serde_json::from_str(&text).expect("JSON");
        let events = trace["traceEvents"].as_array().expect("an array");
        let tracks: Vec<i64> =
            events.iter().filter(|it| it["name"] == "c").filter_map(|it| it["tid"].as_i64()).collect();
        assert_eq!(tracks, [3, 4, 3], "{text}");
        let test = events.iter().find(|it| it["name"] == "x").expect("a test");
        assert_eq!((&test["ts"], &test["dur"], &test["ph"]), (&json!(10_000), &json!(5000), &json!("X")));
    }
}
