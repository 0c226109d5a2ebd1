//! What a release is made of: the version that is told, and that scripts, packages and workflows mean the same files. The
//! build itself is the release workflow's.

use crate::support::{bgjobs, lacks, repo};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn read(path: &str) -> String {
    fs::read_to_string(repo(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What release/version.rs tells when it runs in this directory.
fn version_in(program: &Path, dir: &Path, profile: &str, commit: &str) -> String {
    let mut command = Command::new(program);
    command.current_dir(dir).env("CARGO_PKG_VERSION", VERSION).env("PROFILE", profile);
    // A hook of git may have called the tests.
    command.env("BGJOBS_COMMIT", commit).env_remove("GIT_DIR").env_remove("GIT_WORK_TREE");
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = said.lines().find_map(|line| line.strip_prefix("cargo::rustc-env=BGJOBS_VERSION="));
    line.expect("a version").to_owned()
}

#[test]
fn the_version_has_the_commit_where_one_is_known() {
    if lacks(&["git", "rustc"]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let program = dir.path().join("version");
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition=2024", "-o"]).arg(&program).arg(repo("release/version.rs"));
    assert!(rustc.status().expect("rustc starts").success());
    let made = |name: &str| -> PathBuf {
        let path = dir.path().join(name);
        fs::create_dir_all(&path).expect("made");
        path
    };
    let version = |dir: &Path, profile: &str, commit: &str| version_in(&program, dir, profile, commit);
    let (archive, package, tree) = (made("archive"), made("package"), made("tree"));
    assert_eq!(version(&archive, "release", ""), VERSION);
    assert_eq!(version(&archive, "debug", "0123456789abcdef"), format!("{VERSION} (012345678)"));
    assert_eq!(version(&archive, "release", "changed"), format!("{VERSION} (changed)"));
    let noted = "{\n  \"git\": {\n    \"sha1\": \"fedcba9876543210\"\n  },\n  \"path_in_vcs\": \"\"\n}";
    fs::write(package.join(".cargo_vcs_info.json"), noted).expect("written");
    assert_eq!(version(&package, "release", ""), format!("{VERSION} (fedcba987)"));
    fs::write(package.join(".cargo_vcs_info.json"), "{}").expect("written");
    assert_eq!(version(&package, "release", ""), VERSION);
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        git.current_dir(&tree).args([
            "-c",
            "user.name=n",
            "-c",
            "user.email=e",
            "-c",
            "commit.gpgsign=false",
        ]);
        let output = git.args(args).env_remove("GIT_DIR").output().expect("git starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    git(&["init", "-q"]);
    assert_eq!(version(&tree, "release", ""), VERSION, "there is no commit yet");
    git(&["commit", "-q", "--allow-empty", "-m", "x"]);
    let commit = git(&["rev-parse", "HEAD"]);
    assert_eq!(version(&tree, "release", ""), format!("{VERSION} ({})", &commit[..9]));
    assert_eq!(version(&tree, "debug", ""), VERSION, "it would be built anew after each commit");
    // Unpacked within the work tree of something else.
    assert_eq!(version(&made("tree/unpacked"), "release", ""), VERSION);
}

#[test]
fn the_version_is_that_of_the_manifest() {
    let output = Command::new(bgjobs()).arg("--version").output().expect("bgjobs starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let plain = format!("bgjobs {VERSION}\n");
    assert!(said == plain || said.starts_with(&format!("bgjobs {VERSION} (")), "{said}");
}

#[test]
fn archives_have_one_name_everywhere() {
    let of_cargo = "bgjobs-{ version }-{ target }";
    let manifest = read("Cargo.toml");
    assert!(
        manifest.contains(&format!("/v{{ version }}/{of_cargo}.tar.gz\"")),
        "[package.metadata.binstall]"
    );
    assert!(manifest.contains(&format!("bin-dir = \"{of_cargo}/{{ bin }}")), "[package.metadata.binstall]");
    let build = read("release/build");
    assert!(build.contains("name=bgjobs-$version-$target\n") && build.contains("\"$dist/$name.tar.gz\""));
    let action = read("action.yml");
    assert!(action.contains("name=\"bgjobs-$VERSION-$(uname -m)-unknown-linux-gnu\"\n"));
    assert!(
        action.contains("/releases/download/v$VERSION/$name.tar.gz\"") && action.contains("\"$name/bgjobs\"")
    );
}

#[test]
fn packages_have_files_that_there_are() {
    let made = regex::Regex::new(r"target/(?:release|dist)/[^\x22]+").expect("a pattern");
    let build = read("release/build");
    for found in made.find_iter(&read("Cargo.toml")).map(|found| found.as_str()) {
        let name = found.rsplit('/').next().expect("a name");
        let is_made = match found {
            "target/release/bgjobs" => true,
            "target/dist/share/man/*.1" => build.contains("\"$dist/share/man/bgjobs.1\""),
            other => {
                build.contains(&format!("\"$dist/share/{}\"", other.trim_start_matches("target/dist/share/")))
            }
        };
        assert!(is_made, "release/build does not make {name}: {found}");
    }
    for file in ["README.md", "CHANGELOG.md", "LICENSE", "LICENSE-MIT", "LICENSE-APACHE"] {
        assert!(repo(file).is_file() && build.contains(file), "{file}");
    }
}

/// What stands in a workflow or an action behind `run: |`, indented, or behind `run: ` in its line.
pub fn steps(text: &str) -> Vec<String> {
    let mut lines = text.lines().peekable();
    let mut steps = Vec::new();
    while let Some(line) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        let Some(rest) = line.trim_start().trim_start_matches("- ").strip_prefix("run: ") else {
            continue;
        };
        let mut step = rest.trim_start_matches('|').to_owned();
        let inside = |line: &&str| line.trim().is_empty() || line.len() - line.trim_start().len() > indent;
        while let Some(line) = lines.next_if(inside) {
            step += &format!("{line}\n");
        }
        steps.push(step);
    }
    steps
}

#[test]
fn its_shell_is_shell() {
    for script in ["release/build", "release/check", "release/reproduce", ".ci/run"] {
        let checked = Command::new("bash").arg("-n").arg(repo(script)).status().expect("bash starts");
        assert!(checked.success(), "{script}");
    }
    for file in ["action.yml", ".github/workflows/release.yml", ".github/workflows/ci.yml"] {
        let steps = steps(&read(file));
        assert!(!steps.is_empty(), "{file}");
        for step in steps {
            let checked = Command::new("bash").args(["-n", "-c", &step]).output().expect("bash starts");
            let said = String::from_utf8_lossy(&checked.stderr);
            assert!(checked.status.success(), "{file}:\n{step}\n{said}");
        }
    }
}
