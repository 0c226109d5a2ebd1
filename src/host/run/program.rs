//! Which program somebody means who has called one that is not there.

use super::runtime::rt;
use crate::jobs::spec;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;

/// What is called otherwise here: the name that was used, and what there may be.
const OTHERWISE: &[(&str, &[&str])] = &[
    ("python", &["python3"]),
    ("python3", &["python"]),
    ("pip", &["pip3"]),
    ("pip3", &["pip"]),
    ("node", &["nodejs"]),
    ("mysqld", &["mariadbd"]),
    ("mysql", &["mariadb"]),
    ("docker", &["podman"]),
    ("redis", &["redis-server"]),
];

/// What to call instead of a program that was not found, and where that is; none when nothing is like it.
pub fn instead(program: &str) -> Option<String> {
    let rt = rt();
    let (cwd, env) = (rt.cwd(), rt.env());
    let path = env.get(OsStr::new("PATH")).map(std::ffi::OsString::as_os_str);
    let there = |name: &str| spec::find_program(name, &cwd, path).is_some();
    if let Some((dir, name)) = program.rsplit_once('/') {
        let names = names_in(&cwd.join(dir));
        let near = near(name, &names)?;
        return Some(format!("{dir}/{near}   (which is there)"));
    }
    for (place, call) in
        [(".", "./"), ("node_modules/.bin", "npx "), (".venv/bin", ".venv/bin/"), ("venv/bin", "venv/bin/")]
    {
        if there(&format!("{place}/{program}")) {
            return Some(format!("{call}{program}   (which is there, but not on PATH)"));
        }
    }
    if program == "docker-compose" && there("docker") {
        return Some("docker compose   (two words)".to_owned());
    }
    let otherwise = OTHERWISE.iter().find(|(name, _)| *name == program).map_or(&[][..], |(_, names)| names);
    if let Some(name) = otherwise.iter().find(|name| there(name)) {
        return Some(format!("{name}   (which is on PATH)"));
    }
    let dirs = std::env::split_paths(path.unwrap_or_default());
    let names: BTreeSet<String> = dirs.flat_map(|dir| names_in(&cwd.join(dir))).collect();
    near(program, &names).filter(|name| there(name)).map(|name| format!("{name}   (which is on PATH)"))
}

/// How many places were searched for a program, without their names: nobody reads all of PATH.
pub fn searched(path: &str) -> String {
    match std::env::split_paths(path).filter(|dir| !dir.as_os_str().is_empty()).count() {
        0 => "PATH is empty".to_owned(),
        1 => format!("PATH is only {path}"),
        count => format!("none of the {count} directories of PATH has it"),
    }
}

/// The program that a shell or `env` has not found, as their messages say.
pub fn missing_in(output: &str) -> Option<&str> {
    const MOST: usize = 20;
    output.lines().rev().take(MOST).find_map(|line| {
        let line = line.trim_end();
        let of_shell = line.strip_suffix(": command not found").or_else(|| line.strip_suffix(": not found"));
        let of_env = || {
            let rest = line.strip_suffix(": No such file or directory")?;
            rest.contains("env: ").then_some(rest)
        };
        let name = of_shell.or_else(of_env)?.rsplit(": ").next()?;
        let name = name.trim_matches(['\'', '"', '‘', '’', '`']);
        (!name.is_empty() && !name.contains(char::is_whitespace)).then_some(name)
    })
}

fn names_in(dir: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// The nearest name. There are thousands of programs, so it must be very near: with a letter or two too many, too few,
/// changed or swapped, or with a number or `-server` behind it.
fn near<'a>(name: &str, names: &'a BTreeSet<String>) -> Option<&'a str> {
    let length = name.chars().count();
    let most = match length {
        0..3 => return None,
        3..6 => 1,
        _ => 2,
    };
    let longer = |candidate: &str| {
        let rest = candidate.strip_prefix(name)?;
        let is_version = rest.starts_with(|c: char| c.is_ascii_digit() || c == '-')
            && rest.trim_start_matches('-').chars().all(|c| c.is_ascii_digit() || c == '.');
        (is_version || rest == "-server" || rest == "d").then_some(1)
    };
    let distance = |candidate: &str| {
        let first = |text: &str| text.chars().next();
        let typed = strsim::damerau_levenshtein(name, candidate);
        let near = typed <= most && candidate.chars().count() > 2;
        let penalty = usize::from(first(name) != first(candidate));
        near.then_some(typed + penalty).into_iter().chain(longer(candidate)).min()
    };
    names
        .iter()
        .filter_map(|candidate| Some((distance(candidate)?, candidate.as_str())))
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_very_near_is_proposed() {
        let names = ["python3", "node", "npm", "npx", "redis-server", "curl", "memcached", "ls", "cargo"];
        let names: BTreeSet<String> = names.map(str::to_owned).into();
        for (typed, meant) in [
            ("pyhton3", Some("python3")),
            ("python", Some("python3")),
            ("ndoe", Some("node")),
            ("npmm", Some("npm")),
            ("crul", Some("curl")),
            ("redis", Some("redis-server")),
            ("memcache", Some("memcached")),
            ("carg", Some("cargo")),
            ("lss", None),
            ("xyz", None),
            ("frobnicate", None),
        ] {
            assert_eq!(near(typed, &names), meant, "{typed}");
        }
    }

    #[test]
    fn shells_say_what_is_missing() {
        for (said, name) in [
            ("sh: 1: npmm: not found\n", "npmm"),
            ("x\nbash: line 3: pyhton: command not found", "pyhton"),
            ("sh: npmm: not found", "npmm"),
            ("/usr/bin/env: ‘pyton’: No such file or directory\n", "pyton"),
            ("env: 'nod': No such file or directory", "nod"),
        ] {
            assert_eq!(missing_in(said), Some(name), "{said}");
        }
        for said in ["", "404 page not found", "cat: x: No such file or directory", "error: a b: not found"] {
            assert_eq!(missing_in(said), None, "{said}");
        }
    }
}
