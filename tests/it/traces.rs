//! The trace context that a run hands on: one trace a run, a span a try of a test.

use crate::events::{are_as_described, events};
use crate::support::{Script, bgjobs};
use serde_json::Value;
use std::process::Command;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const OUTER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A run of this code where these variables are set; what it has printed, line by line.
fn printed(code: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let mut script = Script::code(code);
    for name in ["TRACEPARENT", "TRACESTATE", "OTEL_SDK_DISABLED"] {
        let value = variables.iter().find(|(of, _)| *of == name).map_or("", |(_, value)| value);
        script = script.env(name, value);
    }
    script.run().code(0).stdout.lines().map(str::to_owned).collect()
}

/// The trace, the span and the flags.
#[track_caller]
fn parts(text: &str) -> [&str; 3] {
    match text.split('-').collect::<Vec<_>>()[..] {
        ["00", trace, span, flags] if (trace.len(), span.len(), flags.len()) == (32, 16, 2) => {
            [trace, span, flags]
        }
        _ => panic!("not a trace context: {text:?}"),
    }
}

const ALL: &str = r#"
    fn said(job) { job.wait_log("trace=(.*)")[1] }
    let show = "echo trace=$TRACEPARENT; exec sleep 300";
    print(said(start("one", show, #{ready: #{log: "trace="}})));
    print(output("echo $TRACEPARENT"));
    let web = mock(#{"/": "hello"});
    http_get(web.url);
    test("a", || {
        print(output("echo $TRACEPARENT"));
        http_get(web.url);
        print(env("TRACEPARENT"));
        print(said(start("two", show, #{ready: #{log: "trace="}})));
    });
    test("b", || parallel([|| print(output("echo $TRACEPARENT"))]));
    for request in web.requests() { print(request.headers["traceparent"]); }
"#;

#[test]
fn jobs_belong_to_the_run_and_what_a_test_does_to_the_test() {
    let all = printed(ALL, &[]);
    let all: Vec<[&str; 3]> = all.iter().map(|text| parts(text)).collect();
    let [job, command, in_a, env_in_a, job_in_a, in_b, request, request_in_a] = all[..] else {
        panic!("{all:?}")
    };
    assert!(all.iter().all(|[trace, _, flags]| *trace == job[0] && *flags == "01"), "{all:?}");
    assert_eq!([command, job_in_a, request], [job; 3]);
    assert_eq!([env_in_a, request_in_a], [in_a; 2]);
    assert!(in_a != job && in_b != job && in_a != in_b, "{all:?}");
}

#[test]
fn an_inherited_trace_goes_on_and_what_is_not_one_is_ignored() {
    let code = "print(output(\"echo \\\"$TRACEPARENT $TRACESTATE\\\"\"));
        let web = mock(#{\"/\": \"hello\"});
        http_get(web.url);
        let headers = web.requests()[0].headers;
        print(`${headers[\"traceparent\"]} ${if \"tracestate\" in headers { headers[\"tracestate\"] } else { \"\" }}`);";
    let state = ("TRACESTATE", "vendor=1");
    for said in printed(code, &[("TRACEPARENT", OUTER), state]) {
        let (parent, state) = said.split_once(' ').expect("both");
        let [trace, span, _] = parts(parent);
        assert_eq!((trace, state), (TRACE, "vendor=1"));
        assert_ne!(span, "00f067aa0ba902b7");
    }
    for wrong in ["off", "00-0-0-01", &OUTER.to_uppercase(), &OUTER.replacen("00", "ff", 1)] {
        for said in printed(code, &[("TRACEPARENT", wrong), state]) {
            let (parent, state) = said.split_once(' ').expect("both");
            assert_eq!((state, parts(parent)[2]), ("", "01"), "{wrong}");
            assert!(!parent.contains(TRACE), "{wrong}");
        }
    }
}

/// By the variable that OpenTelemetry has for it, by the script, or for one process.
#[test]
fn it_can_be_switched_off_and_set() {
    let off = r#"
        let web = mock(#{"/": "hello"});
        test("a", || {
            print(`[${output("echo $TRACEPARENT")}]`);
            http_get(web.url);
        });
        print(web.requests()[0].headers.contains("traceparent"));"#;
    assert_eq!(
        printed(off, &[("OTEL_SDK_DISABLED", "true"), ("TRACEPARENT", "as it is")]),
        ["[as it is]", "false"]
    );
    assert_eq!(printed(&format!("set_env(\"TRACEPARENT\", ());{off}"), &[]), ["[]", "false"]);
    let own = r#"
        let web = mock(#{"/": "hello"});
        test("a", || {
            print(output("echo $TRACEPARENT", #{env: #{TRACEPARENT: "mine"}}));
            print(`[${output("/bin/sh -c 'echo $TRACEPARENT'", #{clear_env: true})}]`);
            http_get(web.url, #{headers: #{TraceParent: "mine"}});
        });
        print(web.requests()[0].headers["traceparent"]);
        set_env("TRACEPARENT", "ours");
        print(output("echo $TRACEPARENT"));
        print(env("TRACEPARENT"));"#;
    assert_eq!(printed(own, &[]), ["mine", "[]", "mine", "ours", "ours"]);
}

/// The ids of each are in what is recorded, and in reports of it.
#[test]
fn spans_are_in_events_and_reports() {
    let dir = tempfile::tempdir().expect("a directory");
    let code = r#"
        let n = 0;
        test("flaky", || { print(output("echo $TRACEPARENT")); n += 1; assert_eq(n, 2); }, #{retries: 1});
        test("skipped", || (), #{skip: "no"});"#;
    let ran = Script::code(code).option("--events=out.jsonl").cwd(dir.path());
    let ran = ran.env("TRACEPARENT", OUTER).env("OTEL_SDK_DISABLED", "").run().code(0);
    let said: Vec<[&str; 3]> = ran.stdout.lines().map(parts).collect();
    let events = events(&dir.path().join("out.jsonl"));
    are_as_described(&events);
    let first = &events[0];
    assert_eq!((&first["trace_id"], &first["parent_span_id"]), (&TRACE.into(), &"00f067aa0ba902b7".into()));
    let of = |name: &str| events.iter().filter(|event| event["event"] == name).collect::<Vec<_>>();
    assert_eq!(of("test_again")[0]["span_id"], said[0][1]);
    let tests = of("test");
    assert_eq!((&tests[0]["span_id"], &tests[1]["span_id"]), (&said[1][1].into(), &Value::Null));
    assert_ne!(said[0][1], said[1][1]);
    let report = |kind: &str| -> Value {
        let command =
            Command::new(bgjobs()).args(["report", kind, "out.jsonl"]).current_dir(dir.path()).output();
        serde_json::from_slice(&command.expect("bgjobs starts").stdout).expect("JSON")
    };
    let ctrf = report("ctrf");
    let extra = &ctrf["results"]["tests"][0]["extra"];
    assert_eq!((&extra["traceId"], &extra["spanId"]), (&TRACE.into(), &said[1][1].into()));
    let trace = report("trace");
    let slices = trace["traceEvents"].as_array().expect("a list");
    let of = |name: &str| slices.iter().find(|it| it["name"] == name && it["ph"] == "X").expect("a slice");
    assert_eq!(of("flaky")["args"]["span_id"], said[1][1]);
    assert_eq!(of("script")["args"]["trace_id"], TRACE);
}
