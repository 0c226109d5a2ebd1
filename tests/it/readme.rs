//! What the README and docs show is true: its scripts run, print what it says, and its table names every function.

use crate::support::{Script, bgjobs, lacks, repo, search_path};
use std::process::Command;

struct Block {
    language: String,
    text: String,
}

/// The README, and all that stands in docs, one after the other.
fn documents() -> String {
    let mut paths = vec![repo("README.md")];
    let mut pages: Vec<_> =
        std::fs::read_dir(repo("docs")).expect("docs").flatten().map(|entry| entry.path()).collect();
    pages.sort();
    paths.extend(pages);
    paths.iter().map(|path| std::fs::read_to_string(path).expect("a page") + "\n").collect()
}

fn blocks() -> Vec<Block> {
    let text = documents();
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push(Block { language: language.to_owned(), text: body.join("\n") + "\n" });
        }
    }
    blocks
}

/// Times, pids, ports and directories differ from run to run.
fn redact(text: &str) -> String {
    let rules = [
        (r"\+\d+\.\d\ds", "+T"),
        (r"in \d+\.\d+s", "in T"),
        (r"\((\d+(\.\d+)? (ms|s|µs))\)", "(T)"),
        (r", \d+(\.\d+)? (ms|s|µs)\)", ", T)"),
        (r"pid \d+", "pid N"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:N"),
        (r"×\d+", "×N"),
        (r"\S*/bgjobs-\w+", "DIR"),
    ];
    rules.iter().fold(text.to_owned(), |text, (pattern, with)| {
        regex::Regex::new(pattern).expect("a pattern").replace_all(&text, *with).into_owned()
    })
}

/// A script that begins with `// NAME.rhai` and is followed by its output.
fn shown_output_is_printed(name: &str) {
    if lacks(&["python3", "curl"]) {
        return;
    }
    let blocks = blocks();
    let header = format!("// {name}\n");
    let script = blocks.iter().find(|block| block.text.starts_with(&header)).expect("the script is shown");
    let command = format!("$ bgjobs script {name}\n");
    let shown =
        blocks.iter().find_map(|block| block.text.strip_prefix(&command)).expect("its output is shown");
    let dir = tempfile::tempdir().expect("a directory");
    // Fixed ports are as long as free ones, and somebody else may have them.
    let ports: Vec<(&str, String)> = ["18431", "18432"].into_iter().zip(free_ports()).collect();
    let text = ports.iter().fold(script.text.clone(), |text, (shown, free)| text.replace(shown, free));
    // Two seconds are enough for whoever reads it, and too short for Python on a busy machine.
    let text = text.replace("\"2s\"", "\"9s\"");
    std::fs::write(dir.path().join(name), text).expect("written");
    // One pipe for both streams, as a terminal shows them.
    let output = Command::new("sh")
        .args(["-c", "exec \"$0\" script \"$1\" 2>&1"])
        .arg(bgjobs())
        .arg(name)
        .current_dir(dir.path())
        .output()
        .expect("bgjobs starts");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let printed = ports.iter().fold(printed, |text, (shown, free)| text.replace(free, shown));
    let printed = printed.replace("\"9s\"", "\"2s\"").replace("after 9 s", "after 2 s");
    // Jobs stop at the same time: who is first is chance.
    let sorted = |text: &str| {
        // A busy machine starts slowly, and is told so.
        let mut lines: Vec<String> = redact(text).lines().map(str::to_owned).collect();
        lines.retain(|line| !line.starts_with("slow start: "));
        let stopped = |line: &String| line.contains(" stopped (");
        let start = lines.iter().position(stopped).unwrap_or(0);
        let count = lines[start..].iter().take_while(|line| stopped(line)).count();
        lines[start..start + count].sort();
        lines
    };
    assert_eq!(sorted(&printed), sorted(shown), "printed:\n{printed}");
}

/// Two that nobody had a moment ago.
fn free_ports() -> [String; 2] {
    let held = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").expect("a port"));
    held.map(|listener| listener.local_addr().expect("bound").port().to_string())
}

#[test]
fn the_first_script_prints_what_is_shown() {
    shown_output_is_printed("shop.rhai");
}

#[test]
fn the_failing_script_prints_what_is_shown() {
    shown_output_is_printed("wrong-port.rhai");
}

#[test]
fn every_other_script_passes() {
    if lacks(&["python3", "curl"]) {
        return;
    }
    let apart = |block: &Block| ["// wrong-port", "// e2e/"].iter().any(|head| block.text.starts_with(head));
    for block in blocks().iter().filter(|block| block.language == "rhai" && !apart(block)) {
        let _ = Script::code(&block.text).run().code(0);
    }
}

/// Scripts of a directory belong together; what they ask of the project is there.
#[test]
fn the_services_that_scripts_share_are_as_shown() {
    if lacks(&["psql", "initdb"]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        std::fs::write(path, text).expect("written");
    };
    write("schema.sql", "create table cart (item text);");
    write(
        "bin/npm",
        "#!/bin/sh\n[ \"$* $APP_TOKEN\" = 'run e2e s3cr3t-token' ] && \
         psql -h $POSTGRES_HOST -p $POSTGRES_PORT -U postgres -qc 'select 1'\n",
    );
    let npm = dir.path().join("bin/npm");
    std::fs::set_permissions(npm, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("set");
    let mut shown = 0;
    for block in blocks() {
        let head = block.text.lines().next().and_then(|line| line.strip_prefix("// e2e/"));
        if let Some(name) = head.filter(|_| block.language == "rhai") {
            write(&format!("e2e/{name}"), &block.text);
            shown += 1;
        }
    }
    assert_eq!(shown, 2);
    let mut command = Command::new(bgjobs());
    command.args(["test", "e2e", "--timeout", "5m"]).current_dir(dir.path());
    command.env("PATH", format!("{}:{}", dir.path().join("bin").display(), search_path()));
    command.env_remove("GITHUB_ACTIONS");
    let output = command.output().expect("bgjobs starts");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_demo_shows_jobs_getting_ready_being_tested_and_stopped() {
    let ran = Script::file("scripts/demo.rhai").run().code(0);
    let ran = ran.stdout("the tests of the shop would run here\ncharged 30 as ch_1\n");
    for part in [
        "payments started",
        "payments ready: \"listening on http://127.0.0.1:",
        "worker ready",
        "shop stopped (",
        "0 leaked",
    ] {
        assert!(ran.stderr.contains(part), "no {part:?} in:\n{}", ran.stderr);
    }
}

#[test]
fn the_two_commands_are_the_ones_that_ci_runs() {
    let readme = std::fs::read_to_string(repo("README.md")).expect("README.md");
    let ci = std::fs::read_to_string(repo(".ci/run")).expect(".ci/run");
    for command in ["cargo run --release -- script scripts/demo.rhai", "cargo test "] {
        assert!(readme.contains(command), "{command}");
    }
    assert!(ci.contains("cargo test --locked\n") && ci.contains("--release -- script scripts/demo.rhai"));
}

/// The table of functions, from what `bgjobs api --json` lists: a line for the functions of each namespace, then one for
/// what each object has.
fn table_of_functions() -> String {
    let api = Command::new(bgjobs()).args(["api", "--json"]).output().expect("bgjobs starts");
    let api: Vec<serde_json::Value> = serde_json::from_slice(&api.stdout).expect("it is JSON");
    let mut functions: Vec<(String, Vec<String>)> = Vec::new();
    let mut objects: Vec<(String, Vec<String>)> = Vec::new();
    for entry in &api {
        let (name, group) = (entry["name"].as_str().expect("a name"), entry["group"].as_str().expect("one"));
        let (lines, title, shown) = match name.split_once('.') {
            // What stands in brackets.
            Some((of, "[]")) => (&mut objects, format!("`{of}`"), "`[…]`".to_owned()),
            Some((of, name)) => (&mut objects, format!("`{of}`"), format!("`.{name}`")),
            None => (&mut functions, group.to_owned(), format!("`{name}`")),
        };
        match lines.iter_mut().find(|(known, _)| *known == title) {
            // A property and a method may have one name.
            Some((_, names)) if names.contains(&shown) => {}
            Some((_, names)) => names.push(shown),
            None => lines.push((title, vec![shown])),
        }
    }
    let lines = functions.iter().chain(&objects);
    let lines: Vec<String> =
        lines.map(|(title, names)| format!("| {title} | {} |\n", names.join(" "))).collect();
    format!("| of | there are |\n| --- | --- |\n{}", lines.concat())
}

/// `BGJOBS_UPDATE=1` rewrites it.
#[test]
fn the_table_of_functions_is_what_the_description_says() {
    const MARKS: [&str; 2] =
        ["<!-- functions: begin (BGJOBS_UPDATE=1 rewrites them) -->\n", "<!-- functions: end -->\n"];
    let path = repo("docs/language.md");
    let page = std::fs::read_to_string(&path).expect("a page");
    let parts = page.split_once(MARKS[0]).and_then(|(before, rest)| {
        let (shown, behind) = rest.split_once(MARKS[1])?;
        Some((before, shown, behind))
    });
    let (before, shown, behind) = parts.expect("docs/language.md has both marks");
    let table = table_of_functions();
    if std::env::var_os("BGJOBS_UPDATE").is_some() {
        let page = [before, MARKS[0], &table, MARKS[1], behind].concat();
        return std::fs::write(&path, page).expect("written");
    }
    assert!(
        shown == table,
        "the table of docs/language.md is not that of the description; \
         `BGJOBS_UPDATE=1 cargo test --test it -- readme::` rewrites it to:\n{table}"
    );
}

/// Stands in for npm and pytest: serves the current directory, and says that it has tested.
const STUB: &str = "#!/bin/sh
case \"$*\" in
start | 'run start' | 'run api' | 'run web') exec python3 -m http.server \"${PORT:-3000}\" --bind 127.0.0.1 ;;
test | -q) echo tested ;;
ci) ;;
*) echo \"$0: what is $*?\"; exit 64 ;;
esac
";

/// The commands that are shown beside the recipe, each in one line.
fn shown_commands() -> Vec<String> {
    let blocks = blocks();
    let ours =
        blocks.iter().filter(|block| block.language == "sh" && block.text.starts_with("bgjobs script "));
    ours.flat_map(|block| block.text.replace("\\\n", " ").lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

#[test]
fn the_commands_beside_the_bash_recipe_pass() {
    if lacks(&["python3", "initdb", "psql"]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let file = |path: &str, text: &str| std::fs::write(dir.path().join(path), text).expect("written");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port().to_string();
    drop(listener);
    for sub in ["bin", "migrations"] {
        std::fs::create_dir(dir.path().join(sub)).expect("made");
    }
    for program in ["bin/npm", "bin/pytest"] {
        file(program, &STUB.replace("3000", &port));
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path().join(program), mode).expect("executable");
    }
    std::os::unix::fs::symlink(bgjobs(), dir.path().join("bin/bgjobs")).expect("linked");
    file("health", "ok\n");
    file("services.conf", "web: npm run web\n");
    file("migrations/1.sql", "create table users (name text);");
    file("package.json", "{\"name\": \"app\", \"scripts\": {\"start\": \"x\"}}");
    file("server.py", "import os; os.execvp('npm', ['npm', 'start'])");
    let path = format!("{}/bin:{}", dir.path().display(), search_path());
    let commands = shown_commands();
    assert!(commands.len() > 8, "{commands:?}");
    let without_engine =
        |command: &&String| !command.contains("docker-service") && !command.contains(" compose ");
    for command in commands.iter().filter(without_engine) {
        let output = Command::new("sh")
            .args(["-c", &command.replace("3000", &port)])
            .env("PATH", &path)
            .current_dir(dir.path())
            .output()
            .expect("sh starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{command}\n{said}");
        let tested = String::from_utf8_lossy(&output.stdout).contains("tested");
        assert_eq!(tested, command.contains("npm test") || command.contains("pytest"), "{command}\n{said}");
    }
}

#[test]
fn every_scenario_script_is_shown_with_parameters_that_it_has() {
    let list = Command::new(bgjobs()).args(["scripts", "--json"]).output().expect("bgjobs starts");
    let list: serde_json::Value = serde_json::from_slice(&list.stdout).expect("JSON");
    let commands = shown_commands().join("\n");
    let option = regex::Regex::new(r" --([a-z-]+)").expect("a pattern");
    for it in list.as_array().expect("an array") {
        let name = it["name"].as_str().expect("a name");
        if name == "demo" {
            continue;
        }
        let command = commands.lines().find_map(|line| line.split_once(&format!(" {name} ")));
        let (_, args) = command.unwrap_or_else(|| panic!("`{name}` is not shown"));
        for found in option.captures_iter(args) {
            let known =
                it["params"].as_array().expect("an array").iter().any(|param| param["name"] == found[1]);
            assert!(known, "{name} has no --{}", &found[1]);
        }
    }
}

#[test]
fn the_bash_that_is_shown_is_bash() {
    let blocks = blocks();
    let bash: Vec<&Block> = blocks.iter().filter(|block| block.language == "bash").collect();
    assert!(bash.len() > 6);
    for block in bash {
        let checked = Command::new("bash").args(["-n", "-c", &block.text]).output().expect("bash starts");
        assert!(checked.status.success(), "{}\n{}", block.text, String::from_utf8_lossy(&checked.stderr));
    }
}

#[test]
fn the_readme_is_short_and_tells_what_is_needed() {
    let readme = std::fs::read_to_string(repo("README.md")).expect("README.md");
    assert!(readme.lines().count() <= 220, "{} lines", readme.lines().count());
    let manifest = std::fs::read_to_string(repo("Cargo.toml")).expect("Cargo.toml");
    let line = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).expect("a version");
    assert!(readme.contains(&format!("a Rust toolchain ({} or newer)", line.trim_matches('"'))), "{line}");
}

#[test]
fn every_link_leads_somewhere_and_every_page_is_in_the_summary() {
    let link = regex::Regex::new(r"\]\(([^)#]+)").expect("a pattern");
    let summary = std::fs::read_to_string(repo("docs/SUMMARY.md")).expect("a page");
    let mut pages = vec![repo("README.md"), repo("CONTRIBUTING.md"), repo("AGENTS.md")];
    for page in std::fs::read_dir(repo("docs")).expect("docs").flatten().map(|entry| entry.path()) {
        let name = page.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(
            name == "SUMMARY.md" || summary.contains(&format!("({name})")),
            "{name} is not in the summary"
        );
        pages.push(page);
    }
    for page in pages {
        let text = std::fs::read_to_string(&page).expect("a page");
        for found in link.captures_iter(&text).filter(|found| !found[1].starts_with("http")) {
            let target = page.parent().expect("a directory").join(&found[1]);
            assert!(target.exists(), "{}: {}", page.display(), &found[1]);
        }
    }
}

/// The one list of variables names those that there are.
#[test]
fn every_variable_is_in_the_list() {
    let list = std::fs::read_to_string(repo("CONTRIBUTING.md")).expect("a page");
    let name = regex::Regex::new(r"BGJOBS_[A-Z_]*[A-Z]").expect("a pattern");
    let mut queue = vec![repo("src"), repo("tests/it"), repo("tests/scripts"), repo("benches")];
    let mut found = std::collections::BTreeSet::new();
    while let Some(dir) = queue.pop() {
        for path in std::fs::read_dir(dir).expect("a directory").flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                queue.push(path);
            } else {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                found.extend(name.find_iter(&text).map(|found| found.as_str().to_owned()));
            }
        }
    }
    let missing: Vec<&String> = found.iter().filter(|name| !list.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "not in CONTRIBUTING.md: {missing:?}");
    let unknown: Vec<&str> =
        name.find_iter(&list).map(|found| found.as_str()).filter(|name| !found.contains(*name)).collect();
    assert!(unknown.is_empty(), "in CONTRIBUTING.md, but nowhere else: {unknown:?}");
}
