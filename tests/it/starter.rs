//! `bgjobs new` and `bgjobs skill`: what users and agents begin with runs as it is.

use crate::support::{Script, bgjobs, lacks, repo};
use std::path::Path;
use std::process::Command;

struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn bgjobs_in(dir: &Path, args: &[&str]) -> Said {
    let ran = Command::new(bgjobs()).args(args).current_dir(dir).output().expect("bgjobs starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { code: ran.status.code(), stdout: text(&ran.stdout), stderr: text(&ran.stderr) }
}

fn skill() -> String {
    let said = bgjobs_in(Path::new("/"), &["skill"]);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    said.stdout
}

#[test]
fn a_new_script_of_each_kind_runs_as_it_is() {
    for (kind, needs) in [
        ("web", &["python3"][..]),
        ("services", &["python3"]),
        ("database", &["psql", "/usr/lib/postgresql"]),
        ("empty", &[]),
    ] {
        let needs: Vec<&str> = needs.iter().copied().filter(|need| !Path::new(need).is_dir()).collect();
        if lacks(&needs) {
            continue;
        }
        let dir = tempfile::tempdir().expect("a directory");
        let said = bgjobs_in(dir.path(), &["new", "first", "--kind", kind]);
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{kind}");
        assert_eq!(said.stdout, "wrote first.rhai\nnext: bgjobs script first.rhai\n");
        let _ = Script::file("first.rhai").option("--timeout").option("5m").cwd(dir.path()).run().code(0);
        let checked = bgjobs_in(dir.path(), &["check", "first.rhai"]);
        assert_eq!((checked.code, checked.stderr.as_str()), (Some(0), ""), "{kind}");
        let text = std::fs::read_to_string(dir.path().join("first.rhai")).expect("a script");
        assert!(text.contains("// bgjobs script first.rhai "), "{text}");
        let again = bgjobs_in(dir.path(), &["new", "first.rhai"]);
        assert_eq!(again.code, Some(2));
        let said = "error: cannot write `first.rhai`: it already exists\ntry: bgjobs new OTHER_NAME\n";
        assert_eq!(again.stderr, said);
    }
}

#[test]
fn a_new_script_has_a_name_of_its_own_unless_it_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    assert_eq!(bgjobs_in(dir.path(), &["new"]).stdout, "wrote test.rhai\nnext: bgjobs script test.rhai\n");
    let said = bgjobs_in(dir.path(), &["new", "no/such/place"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""));
    assert_eq!(said.stderr, "error: cannot write `no/such/place.rhai`: no such file or directory\n");
}

/// Writes a script from a file, and gives back what it is; it passes the check without a warning.
fn written_from(dir: &Path, file: &str, text: &str) -> String {
    std::fs::write(dir.join(file), text).expect("written");
    let name = format!("from-{}", file.replace('.', "-"));
    let said = bgjobs_in(dir, &["new", &name, "--from", file]);
    let script = format!("{name}.rhai");
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{file}");
    assert_eq!(said.stdout, format!("wrote {script}\nnext: bgjobs script {script}\n"));
    let text = std::fs::read_to_string(dir.join(&script)).expect("a script");
    let checked = bgjobs_in(dir, &["check", &script]);
    assert_eq!((checked.code, checked.stderr.as_str()), (Some(0), ""), "{text}");
    assert!(text.contains(&format!("// bgjobs script {script} ")) && !text.contains("  \n"), "{text}");
    text
}

#[test]
fn a_script_from_a_file_of_services_starts_what_that_lists() {
    if lacks(&["python3", "redis-server", "redis-cli"]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path();
    std::fs::write(dir.join(".env"), "SECRET=s3cr3t\n").expect("written");
    let procfile = "release: test -n \"$SECRET\"\nweb: exec python3 -m http.server $PORT --bind 127.0.0.1\n\
                    cache: redis-server --port $PORT --save ''\nworker: echo \"for $CACHE_URL\"; exec sleep 300\n";
    let text = written_from(dir, "Procfile", procfile);
    // What is secret stays where it is.
    assert!(!text.contains("s3cr3t") && text.contains("load_env(\".env\""), "{text}");
    assert!(text.contains("needs: [\"release\", \"cache\"]") && text.contains("\"web answers\""), "{text}");
    let _ =
        Script::file("from-Procfile.rhai").cwd(dir).run().code(0).stderr_has("1 test passed; 3 jobs stopped");

    let services = "services:\n  cache: {command: \"redis-server --port $PORT --save ''\", ports: [free], \
                    healthcheck: {test: redis-cli -p $PORT ping}}\n";
    let text = written_from(dir, "services.yaml", services);
    assert!(
        text.contains("services::start(\"services.yaml\"") && text.contains("// cache  redis-server"),
        "{text}"
    );
    let _ = Script::file("from-services-yaml.rhai").cwd(dir).run().code(0).stderr_has("1 job stopped");

    let processes = "processes:\n  api: {command: 'echo up; exec sleep 300', ready_log_line: up}\n  \
                     tests: {command: exit 4, availability: {exit_on_end: true}}\n";
    let _ = written_from(dir, "process-compose.yaml", processes);
    let _ = Script::file("from-process-compose-yaml.rhai").cwd(dir).run().code(4).stderr_has("1 job stopped");

    let known = "services:\n  cache: {image: \"redis:7\", ports: [\"6379:6379\"]}\n";
    let text = written_from(dir, "compose.yaml", known);
    assert!(text.contains("let cache = redis::start(#{name: \"cache\"});"), "{text}");
    let _ = Script::file("from-compose-yaml.rhai").cwd(dir).run().code(0).stderr_has("1 job stopped");
}

#[test]
fn a_script_from_a_compose_file_or_a_package_says_what_it_does() {
    let dir = tempfile::tempdir().expect("a directory");
    let compose = "services:\n  db:\n    image: postgres:16\n    environment: [POSTGRES_DB=app, \"POSTGRES_PASSWORD=${PW}\"]\n  \
                   app:\n    build: .\n    ports: [\"8080:80\"]\n";
    let text = written_from(dir.path(), "docker-compose.yml", compose);
    assert!(text.contains("compose::up(#{file: \"docker-compose.yml\"})"), "{text}");
    assert!(text.contains("let env = #{APP_PORT: app.port(\"app\", 80)};"), "{text}");
    assert!(text.contains("// db   postgres:16   (std/postgres starts one without an engine)"), "{text}");
    let database = "services:\n  db:\n    image: postgres:16\n    environment: {POSTGRES_DB: app, POSTGRES_USER: me, POSTGRES_PASSWORD: \"${PW}\"}\n";
    let text = written_from(dir.path(), "compose.yml", database);
    assert!(text.contains("postgres::start(#{name: \"db\", databases: [\"app\"], user: \"me\"});"), "{text}");
    let package = r#"{"scripts": {"dev": "concurrently \"npm:api\" \"npm:web\"", "api": "node a.js", "web": "vite", "test": "vitest"}}"#;
    let text = written_from(dir.path(), "package.json", package);
    let line = "#{name: \"api\", cmd: \"npm run api\", ready: #{listening: true}, timeout: \"60s\"},";
    assert!(text.contains(line) && text.contains("run(\"npm test\", #{env: addresses(),"), "{text}");
}

#[test]
fn what_no_script_can_be_written_from_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("written");
    file("Procfile", "web\n");
    file("package.json", r#"{"scripts": {"build": "tsc"}}"#);
    file("there.rhai", "");
    for (args, message) in [
        (&["new", "--from", "Procfil"][..], "error: --from Procfil: there is no such file\n"),
        (
            &["new", "there", "--from", "Procfile"],
            "error: cannot write `there.rhai`: it already exists\ntry: bgjobs new OTHER_NAME\n",
        ),
        (
            &["new", "--from", "Procfile"],
            "error: this is not a process `name: command`\n  --> Procfile:1:1\n",
        ),
        (
            &["new", "--from", "package.json"],
            "error: no script of this package starts a server: there is no `start`, `dev`, `serve` or `preview`\n",
        ),
        (
            &["new", "--from", "Procfile", "--kind", "web"],
            "error: the argument '--from <FILE>' cannot be used with",
        ),
    ] {
        let said = bgjobs_in(dir.path(), args);
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{args:?}: {}", said.stderr);
        assert!(
            said.stderr.starts_with(message) && !said.stderr.contains("stopped"),
            "{args:?}: {}",
            said.stderr
        );
    }
    assert!(!dir.path().join("test.rhai").exists());
}

#[test]
fn the_skill_is_short_and_in_the_open_format() {
    let text = skill();
    assert_eq!(
        text,
        std::fs::read_to_string(repo("skills/bgjobs/SKILL.md")).expect("the repository's own copy")
    );
    let (front, body) =
        text.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---\n")).expect("front matter");
    assert!(front.starts_with("name: bgjobs\ndescription: "), "{front}");
    // The format allows a description of 1,024 characters.
    assert!(front.chars().count() < 1_000, "{front}");
    assert!(body.chars().count() <= 8_000, "{} characters", body.chars().count());
}

#[test]
fn every_skeleton_of_the_skill_runs() {
    let text = skill();
    let skeletons: Vec<&str> =
        text.split("```rhai\n").skip(1).filter_map(|part| part.split("```").next()).collect();
    assert_eq!(skeletons.len(), 9);
    for skeleton in skeletons {
        let needs = if skeleton.contains("postgres") { "psql" } else { "python3" };
        if lacks(&[needs]) {
            continue;
        }
        let dir = tempfile::tempdir().expect("a directory");
        let _ = Script::code(skeleton).option("--timeout").option("5m").cwd(dir.path()).run().code(0);
    }
}

#[test]
fn the_skill_is_installed_with_its_references() {
    let dir = tempfile::tempdir().expect("a directory");
    let install = |args: &[&str]| bgjobs_in(dir.path(), &[&["skill", "--install"], args].concat());
    for (place, folder) in [
        ("claude", ".claude/skills/bgjobs"),
        ("codex", ".agents/skills/bgjobs"),
        ("agents", ".agents/skills/bgjobs"),
        ("gemini", ".gemini/skills/bgjobs"),
        ("cursor", ".cursor/skills/bgjobs"),
        ("copilot", ".github/skills/bgjobs"),
        ("my/skills", "my/skills/bgjobs"),
    ] {
        let said = install(&[place]);
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{place}");
        assert!(said.stdout.starts_with(&format!("wrote {folder}/SKILL.md, and ")), "{}", said.stdout);
        let file = |name: &str| std::fs::read_to_string(dir.path().join(folder).join(name)).expect(name);
        assert!(file("SKILL.md").starts_with("---\nname: bgjobs\n"));
        assert!(file("references/language.md").contains("wait_http("));
        assert!(file("references/std-postgres.md").starts_with("# std/postgres\n"));
    }
    let path = dir.path().join(".claude/skills/bgjobs/SKILL.md");
    std::fs::write(&path, "mine").expect("written");
    let said = install(&["claude"]);
    assert_eq!(said.code, Some(2));
    assert_eq!(
        said.stderr,
        "error: `.claude/skills/bgjobs/SKILL.md` already exists, and was changed or written by somebody else\n\
         try: --force   (replaces it)\n"
    );
    assert_eq!(std::fs::read_to_string(&path).expect("still there"), "mine");
    // An edit within a file of ours, and a file that is not a text.
    let other = dir.path().join(".gemini/skills/bgjobs/SKILL.md");
    let edited =
        std::fs::read_to_string(&other).expect("a skill").replace("# bgjobs\n", "# bgjobs, as we use it\n");
    for mine in [edited.as_bytes(), b"\xff\xfe"] {
        std::fs::write(&other, mine).expect("written");
        assert_eq!(install(&["gemini"]).code, Some(2));
        assert_eq!(std::fs::read(&other).expect("still there"), mine);
    }
    assert_eq!(install(&["copilot"]).code, Some(0), "what nobody has changed is replaced");
    assert_eq!(install(&["claude", "--force"]).code, Some(0));
    assert!(std::fs::read_to_string(&path).expect("replaced").starts_with("---\n"));
}
