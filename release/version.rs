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

/// At a fixed address where the C library is glibc: to move the program to where it is loaded took longer than all that an
/// empty script does. A release build is static as well, where the libraries for that are there: the dynamic linker takes a
/// third of the time of such a script.
fn link() {
    println!("cargo::rustc-check-cfg=cfg(static_libc)");
    println!("cargo::rerun-if-env-changed=BGJOBS_LINK");
    let is_glibc = env("CARGO_CFG_TARGET_ENV") == "gnu";
    if is_glibc && env("CARGO_CFG_TARGET_FEATURE").split(',').any(|feature| feature == "crt-static") {
        // As `release/build` does it: rustc says where it lies, too.
        println!("cargo::rustc-cfg=static_libc");
    } else if is_glibc {
        println!("cargo::rustc-link-arg-bins=-no-pie");
        if env("PROFILE") == "release" && env("BGJOBS_LINK") != "dynamic" && link_statically().is_some() {
            println!("cargo::rustc-cfg=static_libc");
        }
    }
    order();
}

/// What `-C target-feature=+crt-static` does, for this program alone: without `--target` that flag is one for procedural
/// macros as well, which cannot be static. rustc names the libraries of C by their usual names; they are found in a directory
/// of ours first, where each of them is a script that leads to the static one. None: one of them is not there, or something
/// is asked for with which that has not been tried.
fn link_statically() -> Option<()> {
    const LIBRARIES: [&str; 7] = ["gcc_s", "util", "rt", "pthread", "m", "dl", "c"];
    let is_tried = ["x86_64", "aarch64"].contains(&env("CARGO_CFG_TARGET_ARCH").as_str());
    if env("HOST") != env("TARGET") || !is_tried || !links_as_usual() {
        return None;
    }
    // Since 2.34 glibc has its parts, those that look names up as well, in one library, and this one is empty.
    let pthread = std::fs::read(archive("pthread")?).ok()?;
    if pthread != b"!<arch>\n" {
        return None;
    }
    let scripts = Path::new(&env("OUT_DIR")).join("static");
    std::fs::create_dir_all(&scripts).ok()?;
    let unwinding = archive("gcc_eh")?;
    for library in LIBRARIES {
        let archives = match library {
            "gcc_s" => unwinding.clone(),
            // Each wants something of the others.
            "c" => format!("{} {unwinding} {}", archive("c")?, archive("gcc")?),
            _ => archive(library)?,
        };
        std::fs::write(scripts.join(format!("lib{library}.so")), format!("GROUP({archives})\n")).ok()?;
    }
    println!("cargo::rustc-link-arg-bins=-static");
    println!("cargo::rustc-link-arg-bins=-L{}", scripts.display());
    Some(())
}

/// Where a static library is, as the C compiler knows it, which links the program.
fn archive(library: &str) -> Option<String> {
    let name = format!("lib{library}.a");
    let output = Command::new("cc").arg(format!("-print-file-name={name}")).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?.trim_end().to_owned();
    // What it does not know it gives back as it is.
    let found = path != name && Path::new(&path).exists();
    if found {
        // Another version of the compiler has it elsewhere.
        println!("cargo::rerun-if-changed={path}");
    }
    found.then_some(path)
}

/// With the linker that rustc takes by itself, and nothing else said about it.
fn links_as_usual() -> bool {
    const OTHERWISE: [&str; 5] = ["-L", "link-arg", "linker", "prefer-dynamic", "sanitizer"];
    let flags = env("CARGO_ENCODED_RUSTFLAGS");
    env("RUSTC_LINKER").is_empty() && !OTHERWISE.iter().any(|word| flags.contains(word))
}

/// In a release build what a run goes through lies together (see `release/order`). Only for the linker that rustc takes by itself:
/// another may not know such a script.
fn order() {
    println!("cargo::rerun-if-changed=release/order.ld");
    let target = [env("CARGO_CFG_TARGET_ARCH"), env("CARGO_CFG_TARGET_ENV")];
    if env("PROFILE") == "release" && target == ["x86_64", "gnu"] && links_as_usual() {
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
