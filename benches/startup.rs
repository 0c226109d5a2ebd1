//! What a run costs that does little, next to a shell that does as much.

use crate::measure::{Budget, Pairs, Table, bgjobs, directory, program, shell, time};
use std::process::Command;

pub fn measure(table: &mut Table) {
    let rounds = table.pick(100, 20);
    let dir = directory();
    let script = dir.path().join("hundred.rhai");
    std::fs::write(&script, hundred_lines()).expect("written");
    let nothing = || time(&mut shell("bash", ":"));

    let pairs = Pairs::of(rounds, || time(&mut bgjobs("")), nothing);
    table.compare("an empty script", "`bash -c :`", &pairs, Budget::AtMost(1.0));
    let check = || time(Command::new(program()).arg("check").arg(&script));
    let pairs = Pairs::of(rounds, check, nothing);
    table.compare("`check` of a script of 100 lines", "`bash -c :`", &pairs, Budget::AtMost(1.5));
    let one = || time(&mut shell("bash", "/bin/true; :"));
    let pairs = Pairs::of(rounds, || time(&mut bgjobs(r#"run("true")"#)), one);
    table.compare(
        "one `run(\"true\")`, the whole process",
        "`bash -c '/bin/true; :'`",
        &pairs,
        Budget::AtMost(1.8),
    );
}

/// A script as people write them, only longer.
fn hundred_lines() -> String {
    let mut text = "// A server, a worker and their test.\n".to_owned();
    for i in 0..10 {
        text += &format!(
            "let port{i} = free_port();\n\
             let server{i} = start(\"server{i}\", `python3 -m http.server ${{port{i}}}`, #{{\n    \
                 ready: `http://127.0.0.1:${{port{i}}}/`,\n    timeout: \"20s\",\n}});\n\
             test(\"it answers ({i})\", || {{\n    let answer = http_get(server{i}.url);\n    \
                 assert_eq(answer.status, 200);\n    assert_contains(answer.body, \"Directory listing\");\n}});\n"
        );
    }
    text
}
