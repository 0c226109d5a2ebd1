//! The version that `bgjobs --version` tells: that of Cargo.toml, in a release build with the commit that it is built from;
//! and how the program is linked: where it lies, and in which order its functions do.
//!
//! The commit is what `BGJOBS_COMMIT` says, what git says of this directory, or what `cargo package` has noted; where none
//! of them knows one, there is none. A debug build has none either: it would be built anew after each commit.

#![allow(clippy::print_stdout, reason = "it is how a build script speaks to cargo")]
#![allow(clippy::disallowed_methods, reason = "no reaper runs in a build")]

use std::path::Path;
use std::process::Command;

/// How many characters of a commit are told.
const SHORT: usize = 9;

fn main() {
    println!("cargo::rerun-if-changed=release/version.rs");
    println!("cargo::rerun-if-env-changed=BGJOBS_COMMIT");
    let version = env("CARGO_PKG_VERSION");
    let given = Some(env("BGJOBS_COMMIT")).filter(|commit| !commit.is_empty());
    let found = || (env("PROFILE") == "release").then(|| of_git().or_else(of_package)).flatten();
    let version = match given.or_else(found) {
        Some(commit) => format!("{version} ({})", commit.get(..SHORT).unwrap_or(&commit)),
        None => version,
    };
    println!("cargo::rustc-env=BGJOBS_VERSION={version}");
    link();
}

/// At a fixed address where the C library is glibc, unless it is static, which says for itself where it lies: to move the
/// program to where it is loaded took longer than all that an empty script does. The libraries lie anywhere, as ever.
fn link() {
    println!("cargo::rustc-check-cfg=cfg(static_libc)");
    let is_glibc = env("CARGO_CFG_TARGET_ENV") == "gnu";
    if is_glibc && env("CARGO_CFG_TARGET_FEATURE").split(',').any(|feature| feature == "crt-static") {
        println!("cargo::rustc-cfg=static_libc");
    } else if is_glibc {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
    order();
}

/// In a release build what a run goes through lies together (see `release/order`). Only for the linker that rustc takes by itself:
/// another may not know such a script.
fn order() {
    println!("cargo::rerun-if-changed=release/order.ld");
    let flags = env("CARGO_ENCODED_RUSTFLAGS");
    let is_usual = env("RUSTC_LINKER").is_empty() && !flags.contains("link-arg") && !flags.contains("linker");
    let target = [env("CARGO_CFG_TARGET_ARCH"), env("CARGO_CFG_TARGET_ENV")];
    if env("PROFILE") == "release" && target == ["x86_64", "gnu"] && is_usual {
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{}/release/order.ld", env("CARGO_MANIFEST_DIR"));
    }
}

fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// Only where this directory is the top of a work tree: a source archive may have been unpacked within another project's.
fn of_git() -> Option<String> {
    let git = |args: &[&str]| {
        let output = Command::new("git").arg("rev-parse").args(args).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    };
    if !git(&["--show-prefix"])?.is_empty() {
        return None;
    }
    // Every commit and every checkout adds a line to it.
    let moved = git(&["--git-path", "logs/HEAD"]).filter(|path| Path::new(path).exists());
    if let Some(path) = moved.or_else(|| git(&["--git-path", "HEAD"])) {
        println!("cargo::rerun-if-changed={path}");
    }
    git(&["HEAD"])
}

/// `{"git": {"sha1": "…"}, …}`, in a package of a registry.
fn of_package() -> Option<String> {
    let text = std::fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let (_, rest) = text.split_once("\"sha1\"")?;
    let commit = rest.split('"').nth(1)?;
    commit.chars().all(|c| c.is_ascii_hexdigit()).then(|| commit.to_owned())
}
