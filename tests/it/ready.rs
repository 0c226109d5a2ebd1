//! What a wait says of a server that does not get ready.

use super::support::{Script, lacks, repo};

/// The report about a server that listens and does not get ready. `opts` begins with its `ready`.
fn late(cmd: &str, opts: &str, patience: &str) -> super::support::Ran {
    let code = format!(
        "let web = spawn(\"web\", {cmd}, #{{port: \"free\", {opts}}}); wait_port(web.port); wait_ready(web, {patience:?})"
    );
    Script::code(&code).cwd(repo("tests/fixture")).run().code(124)
}

fn web(mood: &str) -> String {
    format!("\"exec python3 web.py {mood} 127.0.0.1 $PORT\"")
}

#[test]
fn a_server_that_accepts_and_never_answers_is_told_from_one_that_is_not_there() {
    let _ = late(&web("mute"), "ready: \"/\"", "500ms")
        .stderr_has("attempts: accepted the connection, no answer in 5");
    let _ = late(&web("mute"), "ready: \"/\", attempt_timeout: \"50ms\"", "1s")
        .stderr_has("attempts: accepted the connection, no answer in 50 ms ×");
}

#[test]
fn a_body_that_never_ends_is_told_with_what_it_has_not() {
    let _ = late(&web("stream"), "ready: #{http: \"/\", contains: \"down\"}", "500ms")
        .stderr_has("200 but the body does not contain `down` (");
}

#[test]
fn a_server_that_speaks_only_http_2_is_named_with_the_way_out() {
    if lacks(&["node", "curl"]) {
        return;
    }
    let server = "[\"node\", \"-e\", \"require(`http2`).createServer((q, r) => r.end(`ok`)).listen(process.env.PORT, `127.0.0.1`)\"]";
    let _ = late(server, "ready: \"/health\"", "500ms")
        .stderr_has("attempts: the server speaks only HTTP/2 (bgjobs asks by HTTP/1.1)")
        .stderr_has(
            "try: ready: #{cmd: \"curl -fsS --http2-prior-knowledge http://localhost:$PORT/health\"}\n",
        );
    let way_out =
        "port: \"free\", ready: #{cmd: \"curl -fsS --http2-prior-knowledge http://localhost:$PORT/health\"}";
    let _ = Script::code(&format!("start(\"h2\", {server}, #{{{way_out}}})")).run().code(0);
    let get = format!(
        "let h2 = start(\"h2\", {server}, #{{port: \"free\", ready: #{{listening: true}}}}); http_get(h2.url)"
    );
    let ran = Script::code(&get).run().code(1);
    let _ = ran.stderr_has("the server speaks only HTTP/2").stderr_has("try: output([\"curl\", ");
}
