//! What bgjobs touches as root where another user may write.

use crate::support::{Script, skip};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::Path;

const NOBODY: u32 = 65534;

/// A home of `nobody`, and a file that they may not read.
struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            skip("only root has more rights than others");
            return None;
        }
        let dir = tempfile::Builder::new().prefix("bt").tempdir_in("/tmp").expect("a directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
        let home = Self { dir };
        fs::create_dir(home.path("home")).expect("made");
        chown(home.path("home"), Some(NOBODY), Some(NOBODY)).expect("given");
        fs::write(home.path("precious"), "precious\n").expect("written");
        fs::set_permissions(home.path("precious"), fs::Permissions::from_mode(0o600)).expect("a mode");
        Some(home)
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn link(&self, target: &str, name: &str) {
        symlink(target, self.path(name)).expect("a link");
        lchown(self.path(name), Some(NOBODY), Some(NOBODY)).expect("given");
    }

    fn script(&self, code: &str, off: &str) -> Script {
        Script::code(code).env("BGJOBS_TEST_OFF", off)
    }

    #[track_caller]
    fn precious_is_as_it_was(&self) {
        assert_eq!(fs::read_to_string(self.path("precious")).expect("there"), "precious\n");
    }
}

#[test]
fn a_log_is_not_opened_along_links_of_its_user() {
    let Some(home) = Home::new() else { return };
    home.link(&home.path("precious"), "home/server.log");
    fs::create_dir(home.path("logs")).expect("made");
    home.link(&home.path("logs"), "home/logs");
    for off in ["", "openat2"] {
        for log in ["home/server.log", "home/logs/server.log"] {
            let path = home.path(log);
            let code = format!("spawn(`echo over it`, #{{user: `nobody`, log: `{path}`}}).wait()");
            let ran = home.script(&code, off).run();
            assert_ne!(ran.code, Some(0), "{}", ran.stderr);
            let why = "a symbolic link on the way belongs to another user";
            assert!(ran.stderr.contains(why) && ran.stderr.contains(&path), "{}", ran.stderr);
        }
        home.precious_is_as_it_was();
        assert_eq!(fs::read_dir(home.path("logs")).expect("there").count(), 0);
    }
}

#[test]
fn what_comes_in_the_place_of_a_log_is_neither_read_nor_changed() {
    let Some(home) = Home::new() else { return };
    let precious = home.path("precious");
    for (dir, swap) in [
        ("home/a", format!("ln -sfn {precious} $D/server.log")),
        ("home/b", format!("mv $D $D.old && ln -s {} $D", home.path("planted"))),
    ] {
        fs::create_dir(home.path(dir)).expect("made");
        chown(home.path(dir), Some(NOBODY), Some(NOBODY)).expect("given");
        fs::create_dir_all(home.path("planted")).expect("made");
        fs::write(home.path("planted/server.log"), "precious\n").expect("written");
        let log = format!("{}/server.log", home.path(dir));
        let code = format!(
            "let job = spawn(`echo first; D={} ; {swap}; echo swapped > {}; exec sleep 60`, #{{user: `nobody`, log: `{log}`, fail_on: `precio`}});
             wait_file(`{}`);
             print(job.output); print(job.tail(5)); print(job.lines().len());
             let found = attempt(|| job.wait_log(`precio`, `300ms`)); print(found.ok); throw 1",
            home.path(dir),
            home.path("home/swapped"),
            home.path("home/swapped"),
        );
        let ran = home.script(&code, "").run();
        for output in [&ran.stdout, &ran.stderr] {
            assert!(
                !output.lines().any(|line| line.trim_start_matches(['|', ' ']) == "precious"),
                "{output}"
            );
        }
        assert!(ran.stdout.ends_with("false\n"), "{}{}", ran.stdout, ran.stderr);
        home.precious_is_as_it_was();
        assert_eq!(fs::read_to_string(home.path("planted/server.log")).expect("there"), "precious\n");
        fs::remove_file(home.path("home/swapped")).expect("removed");
    }
}

#[test]
fn links_of_ones_own_are_followed() {
    let dir = tempfile::Builder::new().prefix("bt").tempdir_in("/tmp").expect("a directory");
    fs::create_dir(dir.path().join("real")).expect("made");
    symlink("real", dir.path().join("logs")).expect("a link");
    let code = "let job = spawn(`echo hello`, #{log: `logs/server.log`}); job.wait(); print(job.output); \
                spawn(`echo x`, #{log: `/dev/null`}).wait()";
    for off in ["", "openat2"] {
        let ran = Script::code(code).env("BGJOBS_TEST_OFF", off).cwd(dir.path()).run().code(0);
        assert_eq!(ran.stdout.trim_end(), "hello", "{}", ran.stderr);
        assert!(Path::new(&dir.path().join("real/server.log")).exists());
    }
}
