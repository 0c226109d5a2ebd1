//! A file that a job was told of and could not read, such as the key of a server that runs as another user: whose it is.
//! Looked for only once the job has died, or its time is up; what access lists or capabilities allow besides is not known
//! here.

use super::runtime::rt;
use super::spawn_error::words_of;
use crate::host::value::error::TAIL;
use crate::jobs::Job;
use crate::jobs::names;
use crate::jobs::spec::{self, Spec};
use nix::unistd::{Gid, Uid, getgroups};
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// As whom a job runs.
struct Who {
    name: String,
    uid: u32,
    groups: Vec<u32>,
}

/// What is to be said of it, and the way out.
pub fn denied(job: &Job) -> Option<(String, String)> {
    let who = who(job)?;
    let log = job.log.as_ref().map(|_| job.log_tail(TAIL)).unwrap_or_default();
    let complaints: Vec<String> =
        log.into_iter().filter(|line| line.to_ascii_lowercase().contains("denied")).collect();
    let own: Vec<String> = words_of(&job.spec.command).into_iter().chain(configurations(&job.spec)).collect();
    // What it reads because a configuration says so.
    let within: Vec<String> =
        own.iter().flat_map(|text| paths(text, &job.spec.cwd)).filter_map(settings).collect();
    let lines =
        within.iter().flat_map(|text| text.lines()).filter(|line| !line.trim_start().starts_with('#'));
    let texts = own.iter().chain(&complaints).map(String::as_str).chain(lines);
    let mut files = texts.flat_map(|text| paths(text, &job.spec.cwd));
    if let Some((file, closed)) = files.find_map(|file| who.closed(&file).map(|closed| (file, closed))) {
        // A directory alone does not tell what was looked for in it.
        let of = if closed == file { String::new() } else { format!(", above `{}`", file.display()) };
        let note = format!("{}{of}, and the job runs as `{}`", owned(&closed)?, who.name);
        return Some((
            note,
            format!("temp_dir(#{{user: {:?}}})   (a place for files that it can read)", who.name),
        ));
    }
    // One that was started as root may have become another user by itself.
    let said = complaints.iter().flat_map(|line| paths(line, &job.spec.cwd)).next()?;
    let note = format!("{}, and its log says that it was denied", owned(&said)?);
    Some((note, "temp_dir(#{user: …})   (a place for files of the user that it runs as)".to_owned()))
}

/// The files that variables of its own name, as RabbitMQ finds its configuration, with or without their ending.
fn configurations(spec: &Spec) -> Vec<String> {
    let inherited = rt().env();
    let is_own = |name: &OsStr, value: &OsStr| inherited.get(name).map(OsString::as_os_str) != Some(value);
    let own = spec.env.iter().filter(|(name, value)| is_own(name, value) && value.len() > 1);
    let texts = own.filter_map(|(_, value)| value.to_str());
    texts.flat_map(|text| ["", ".conf", ".config"].map(|ending| format!("{text}{ending}"))).collect()
}

fn who(job: &Job) -> Option<Who> {
    let Some(user) = &job.spec.user else {
        let uid = Uid::effective();
        let groups = getgroups().unwrap_or_default().into_iter().chain([Gid::effective()]);
        let name = names::user_name(uid.as_raw());
        return Some(Who { name, uid: uid.as_raw(), groups: groups.map(Gid::as_raw).collect() });
    };
    let account = spec::account(user).ok()?;
    let groups = account.credentials.groups.iter().copied().chain([account.credentials.gid]);
    Some(Who { name: account.name, uid: account.credentials.uid, groups: groups.collect() })
}

impl Who {
    /// What keeps it from reading a file: that itself, or a directory above it.
    fn closed(&self, file: &Path) -> Option<PathBuf> {
        let above = file.ancestors().skip(1).collect::<Vec<_>>();
        let shut = above.into_iter().rev().find(|dir| !self.may(dir, 0o1));
        shut.or_else(|| (!self.may(file, 0o4)).then_some(file)).map(Path::to_owned)
    }

    fn may(&self, path: &Path, bit: u32) -> bool {
        let Ok(about) = fs::metadata(path) else { return true };
        let shift = match &about {
            _ if self.uid == 0 => return true,
            about if about.uid() == self.uid => 6,
            about if self.groups.contains(&about.gid()) => 3,
            _ => 0,
        };
        about.mode() >> shift & bit != 0
    }
}

/// `` `/tmp/server.key` belongs to `root` (mode 600) ``.
fn owned(path: &Path) -> Option<String> {
    let about = fs::metadata(path).ok()?;
    Some(format!("`{}` belongs to {} (mode {:o})", path.display(), owner(&about), about.mode() & 0o7777))
}

fn owner(about: &Metadata) -> String {
    let (uid, gid) = (about.uid(), about.gid());
    let (user, group) = (names::user_name(uid), names::group_name(gid));
    // Whose group it is matters where that may read more than others.
    if about.mode() >> 3 & 7 == about.mode() & 7 { format!("`{user}`") } else { format!("`{user}:{group}`") }
}

/// The text of a configuration, by its name and size.
fn settings(file: PathBuf) -> Option<String> {
    const LARGEST: u64 = 1 << 20;
    let ending = file.extension()?.to_str()?;
    let is_one = ["conf", "cnf", "cfg", "config", "ini", "yaml", "yml", "toml", "json"].contains(&ending);
    let is_small = fs::metadata(&file).is_ok_and(|about| about.is_file() && about.len() <= LARGEST);
    if is_one && is_small { fs::read_to_string(file).ok() } else { None }
}

/// The files that are named in a word, such as `--key=/tmp/key`, or in a line of a log.
fn paths<'a>(text: &'a str, cwd: &'a Path) -> impl Iterator<Item = PathBuf> + 'a {
    let parts = text.split(|c: char| c.is_whitespace() || "=,;'\"`()<>".contains(c));
    let parts = parts.map(|part| part.trim_end_matches([':', '.'])).filter(|part| part.len() > 1);
    parts.map(|part| cwd.join(part)).filter(|path| path.is_file())
}
