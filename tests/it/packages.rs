//! How bgjobs gets onto other machines, tried: the steps of the action with a release that is none, and what release/check
//! refuses. With `BGJOBS_RELEASE=1` a release is built, twice, and all of it is tried, which takes a quarter of an hour.

use crate::release::steps;
use crate::support::{lacks, repo, skip_in_ci_too};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn program(path: &Path, code: &str) {
    fs::create_dir_all(path.parent().expect("a directory")).expect("made");
    fs::write(path, format!("#!/bin/sh\n{code}\n")).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("set");
}

fn said(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{out}{err}")
}

#[track_caller]
fn shell(dir: &Path, code: &str) -> String {
    let output = Command::new("bash").args(["-ec", code]).current_dir(dir).output().expect("bash starts");
    assert!(output.status.success(), "{code}\n{}", said(&output));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A workflow that uses the action, in a directory of its own; its releases are files.
struct Workflow(tempfile::TempDir);

impl Workflow {
    fn new() -> Self {
        let it = Self(tempfile::tempdir().expect("a directory"));
        fs::create_dir(it.path("temp")).expect("made");
        it
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Publishes the release 9.8.7, and says its checksum.
    fn release(&self) -> String {
        let name = format!("bgjobs-9.8.7-{}-unknown-linux-gnu", std::env::consts::ARCH);
        program(&self.path(&format!("{name}/bgjobs")), "echo 'bgjobs 9.8.7 (abcdef012)'");
        let releases = "releases/download/v9.8.7";
        shell(
            self.0.path(),
            &format!(
                "mkdir -p {releases}; tar -czf {releases}/{name}.tar.gz {name}; sha256sum < {releases}/{name}.tar.gz"
            ),
        )
        .trim_end_matches(['-', ' '])
        .to_owned()
    }

    /// Runs the only step of the action, as the runner does.
    fn uses(&self, version: &str, sha256: &str) -> Output {
        let action = fs::read_to_string(repo("action.yml")).expect("action.yml");
        let [step] = &steps(&action)[..] else { panic!("another step: run it, too") };
        let base = self.0.path().display();
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", step]).current_dir(self.0.path());
        for (name, of, value) in [
            ("VERSION", "${{ inputs.version }}", version.to_owned()),
            ("SHA256", "${{ inputs.sha256 }}", sha256.to_owned()),
            (
                "REPOSITORY",
                "${{ github.server_url }}/${{ github.action_repository }}",
                format!("file://{base}"),
            ),
            ("SOURCE", "${{ github.action_path }}", format!("{base}/source")),
            ("BIN", "${{ runner.temp }}/bgjobs-bin", format!("{base}/temp/bgjobs-bin")),
        ] {
            assert!(action.contains(&format!("        {name}: {of}\n")), "{name}");
            command.env(name, value);
        }
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{base}/tools:{path}")).env("RUNNER_TEMP", self.path("temp"));
        command.env("GITHUB_PATH", self.path("path")).env("GITHUB_OUTPUT", self.path("output"));
        command.output().expect("bash starts")
    }

    /// Where the next step finds bgjobs, and what the action says of it.
    fn has(&self, version: &str) {
        assert_eq!(self.read("path"), format!("{}\n", self.path("temp/bgjobs-bin").display()));
        assert_eq!(self.read("output"), format!("version={version}\n"));
        assert!(self.path("temp/bgjobs-bin/bgjobs").is_file());
    }
}

#[test]
fn the_action_installs_a_release_whose_checksum_is_right() {
    if lacks(&["curl", "tar", "gzip", "sha256sum"]) {
        return;
    }
    let workflow = Workflow::new();
    let sum = workflow.release();
    let output = workflow.uses("9.8.7", &sum);
    assert!(output.status.success(), "{}", said(&output));
    workflow.has("bgjobs 9.8.7 (abcdef012)");
}

#[test]
fn the_action_installs_nothing_that_it_cannot_check() {
    if lacks(&["curl", "tar", "gzip", "sha256sum"]) {
        return;
    }
    for (version, sum, expected) in [
        (
            "9.8.7",
            "",
            "::error::bgjobs: the input sha256 is missing, by which the archive of 9.8.7 is checked\n",
        ),
        ("9.8.7", &"0".repeat(64), "FAILED"),
        ("9.8.6", &"0".repeat(64), "curl: "),
    ] {
        let workflow = Workflow::new();
        workflow.release();
        let output = workflow.uses(version, sum);
        assert!(!output.status.success() && said(&output).contains(expected), "{}", said(&output));
        assert_eq!(workflow.read("path") + &workflow.read("output"), "");
        assert!(!workflow.path("temp/bgjobs-bin/bgjobs").exists());
    }
}

#[test]
fn the_action_builds_from_its_source_without_a_version() {
    let workflow = Workflow::new();
    let cargo = r#"
        [ "$1 $2 $3 $4 $5" = "install --locked --path $SOURCE --root" ] || exit 1
        mkdir -p "$6/bin"; printf '#!/bin/sh\necho bgjobs built\n' > "$6/bin/bgjobs"; chmod +x "$6/bin/bgjobs""#;
    program(&workflow.path("tools/cargo"), cargo);
    let output = workflow.uses("", "");
    assert!(output.status.success(), "{}", said(&output));
    workflow.has("bgjobs built");
}

#[test]
fn what_is_wrong_with_a_release_is_found() {
    if lacks(&["tar", "gzip", "sha256sum", "readelf"]) {
        return;
    }
    let name = format!("bgjobs-{VERSION}-{}-unknown-linux-gnu", std::env::consts::ARCH);
    for (make, expected) in [
        (format!("rm {name}.tar.gz.sha256"), "error: nothing is in DIR: release/build makes it\n"),
        (format!("echo 'no sum of it' > {name}.tar.gz.sha256"), "no properly formatted"),
        (format!("echo x >> {name}.tar.gz"), "FAILED"),
        ("echo x > bgjobs.deb".to_owned(), "error: bgjobs.deb has no checksum\n"),
        (String::new(), "error: NAME: the program is not static\n"),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let code = format!(
            "mkdir {name}; cp \"$(command -v tar)\" {name}/bgjobs; tar -czf {name}.tar.gz {name}; rm -r {name}
             sha256sum {name}.tar.gz > {name}.tar.gz.sha256; {make}"
        );
        shell(dir.path(), &code);
        let output = Command::new(repo("release/check")).arg(dir.path()).output().expect("it starts");
        let said = said(&output).replace(&name, "NAME").replace(&*dir.path().to_string_lossy(), "DIR");
        assert!(output.status.code() == Some(1) && said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn a_release_is_the_same_when_it_is_built_again_and_works() {
    if std::env::var_os("BGJOBS_RELEASE").is_none() {
        skip_in_ci_too("BGJOBS_RELEASE=1 builds a release and tries it");
        return;
    }
    for script in ["release/reproduce", "release/check"] {
        let output = Command::new(repo(script)).output().expect("it starts");
        assert!(output.status.success(), "{script}\n{}", said(&output));
        println!("{}", String::from_utf8_lossy(&output.stdout));
    }
}
