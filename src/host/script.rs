//! Load, check, run, `on_exit`.

use super::check::{self as checks, Facts};
use super::engine::{self, engine, engine_for};
use crate::builtin;
use crate::cli::{Source, Staying};
use crate::envfile::EnvFile;
use crate::event::{Event, Failure, Outcome};
use crate::exit;
use crate::host::check::{plan as plans, warnings};
use crate::host::explain::failure;
use crate::host::functions::{assert, command, param};
use crate::host::run::job::view;
use crate::host::run::ready::readiness;
use crate::host::run::runtime::{self, Runtime, Session};
use crate::host::run::{handing, logs, services, waiting};
use crate::host::source::import::without_shebang;
use crate::host::source::named::Named;
use crate::host::source::{captured, params, text};
use crate::host::value::error::{Fallible, ScriptError};
use crate::host::value::handle::Job;
use crate::host::value::{error, utf8};
use crate::jobs::{self, State, patient};
use crate::lock::lock;
use crate::manual::Manual;
use crate::probe::background::Background;
use crate::words::{self, quote};
use rhai::{AST, Dynamic, Engine, Scope};
use std::io::Read;
use std::mem::ManuallyDrop;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The script of this run.
pub struct Script {
    /// Never taken apart: its thousand functions take longer to free than an empty script takes to run, and the process
    /// ends soon. What is described is added once it is known what is evaluated.
    engine: ManuallyDrop<Engine>,
    rt: &'static Runtime,
    /// What `bgjobs up` has written; it goes with the script.
    env_file: Arc<Mutex<Option<EnvFile>>>,
}

/// What a text of our own is called where an error names its place.
const OWN: &str = "bgjobs itself";

/// No place in a script that the user has not written.
fn without_own_place(mut failure: Failure) -> Failure {
    failure.place.take_if(|place| place.file == OWN);
    failure.trail.retain(|frame| !frame.contains(OWN) && !frame.contains("std/"));
    failure
}

impl Script {
    pub fn new(session: Session) -> Self {
        let include = session.options.include.clone();
        let rt = runtime::install(session);
        handing::receive(rt, &rt.options.handed);
        Self { engine: ManuallyDrop::new(engine::bare(&include)), rt, env_file: Arc::default() }
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// What went wrong, unless the script was stopped from outside: that the caller knows.
    pub fn run(&mut self, source: &Source) -> Result<(), Failure> {
        let result = self.evaluate(source, &mut Scope::new())?;
        let name = source.to_string();
        self.judged(&name, result)?;
        // Where one was skipped or has failed, nobody knows what it would have asked for.
        let all_passed = self.rt.suite.all().iter().all(|test| matches!(test.outcome, Outcome::Passed));
        if all_passed && let Err(error) = assert::finish_snapshots(self.rt) {
            return self.judged(&name, Err(error));
        }
        Ok(())
    }

    /// `bgjobs up`: starts the services of a file, or runs a script that starts them; then stays, or runs a command.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn up(&mut self, source: &Source, staying: &Staying) -> Result<(), Failure> {
        if staying.services.is_none() {
            let result = self.evaluate(source, &mut Scope::new())?;
            if result.is_err() {
                return self.judged(&source.to_string(), result).map(drop);
            }
        }
        let text = |text: &Option<String>| text.clone().map_or(Dynamic::UNIT, Dynamic::from);
        let file = staying.services.as_ref().map(|_| source.to_string());
        let names = staying.services.iter().flatten().cloned().map(Dynamic::from).collect::<rhai::Array>();
        let follow = runtime::rt().options.follow.iter().flat_map(|follow| follow.only.clone());
        let follow = follow.map(Dynamic::from).collect::<rhai::Array>();
        let asked = [
            ("file", text(&file)),
            ("names", names.into()),
            ("follow", follow.into()),
            ("exec", text(&staying.exec)),
        ];
        let asked: rhai::Map = asked.into_iter().map(|(key, value)| (key.into(), value)).collect();
        let mut scope = Scope::new();
        scope.push_constant("up", asked);
        let (env_file, path) = (Arc::clone(&self.env_file), staying.env_file.clone());
        self.engine.register_fn("write_addresses", move || -> Fallible<()> {
            let Some(path) = &path else { return Ok(()) };
            let written = EnvFile::write(path, &services::all_addresses());
            *lock(&env_file) = Some(written.map_err(|why| ScriptError::new(error::Kind::Io, why))?);
            Ok(())
        });
        let (exec, at_terminal) = (staying.exec.clone().unwrap_or_default(), staying.at_terminal);
        self.engine
            .register_fn("run_exec", move |env: rhai::Map| command::run_exec(exec.clone(), env, at_terminal));
        let result = self.own(builtin::UP, &mut scope).map(drop);
        self.judged(OWN, result).map_err(|mut failure| {
            // It does not run tests, but stays.
            if let Some(hint) = failure.hint.as_mut().filter(|_| staying.exec.is_none()) {
                *hint = staying_instead(hint);
            }
            without_own_place(failure)
        })
    }

    /// A `_setup.rhai`: hands on what it has made, unless one of its tests has failed, and stays until nobody needs it.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn setup(&mut self, source: &Source, link: &Arc<UnixStream>) -> Result<(), Failure> {
        let mut scope = Scope::new();
        let result = self.evaluate(source, &mut scope)?;
        let name = source.to_string();
        let ast = self.judged(&name, result)?;
        if self.rt.suite.any_failed() {
            return Ok(());
        }
        let path = std::fs::canonicalize(&name).unwrap_or_else(|_| PathBuf::from(&name));
        self.judged(&name, handing::hand_on(&path, &ast, &scope, link))
    }

    /// `bgjobs new --from`: writes a script that starts what a file of services lists.
    ///
    /// # Errors
    /// What is wrong with the file, or that the script cannot be written.
    pub fn write_from(&mut self, source: &Source, target: &Path) -> Result<(), Failure> {
        let mut scope = Scope::new();
        let shown = target.display().to_string();
        scope.push_constant("from", source.to_string()).push_constant("target", quote(&shown));
        let text = self.own(builtin::FROM, &mut scope).and_then(|text| {
            let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(target);
            let written = file.as_mut().map_err(|e| e.to_string()).and_then(|file| {
                std::io::Write::write_all(file, text.to_string().as_bytes()).map_err(|e| e.to_string())
            });
            written.map_err(|why| {
                ScriptError::new(error::Kind::Io, format!("cannot write `{shown}`: {why}")).into()
            })
        });
        self.judged(OWN, text).map_err(without_own_place)?;
        self.rt.emit(Event::Stdout(words::written(&shown).into()));
        Ok(())
    }

    /// Evaluates a text of our own, of which no error names a place.
    fn own(&mut self, text: &str, scope: &mut Scope) -> Fallible<Dynamic> {
        engine::add(&mut self.engine, &Named::All);
        let mut ast = self.engine.compile_with_scope(scope, text)?;
        ast.set_source(OWN);
        captured::remember(&ast);
        self.engine.eval_ast_with_scope(scope, &ast)
    }

    /// Evaluates it. The outer error says why that could not begin.
    fn evaluate(&mut self, source: &Source, scope: &mut Scope) -> Result<Fallible<AST>, Failure> {
        let loaded = load(source, "script")?;
        if let Some(dir) = &loaded.dir {
            dir.clone_into(&mut lock(&self.rt.script_dir));
            *lock(&self.rt.script_file) = Some(PathBuf::from(&loaded.name));
        }
        engine::add(&mut self.engine, &Named::in_text(&loaded.text));
        let (ast, facts) = compile(&self.engine, &loaded)?;
        self.rt.only.store(facts.only, Relaxed);
        self.rt.suite.set_only(facts.only);
        param::declare(params::declared(&ast), &self.rt.options.args)
            .map_err(|error| failure::from_error(&error))?;
        Ok(self.engine.run_ast_with_scope(scope, &ast).map(|()| ast))
    }

    /// What is said of how it ended.
    fn judged<T>(&self, name: &str, result: Fallible<T>) -> Result<T, Failure> {
        // What the jobs print while they are being stopped says nothing about the test.
        self.rt.jobs.look_for_failures_to_the_end();
        // Whatever the evaluation says: if it was stopped, that is why it ended, and this is where.
        let stopped = self.rt.control().reason().is_some();
        result.map_err(|error| {
            let mut failure = failure::describe(&error, name);
            if stopped {
                failure.notes = jobs_at_the_end(self.rt);
                failure.tails.clear();
                failure.hint = None;
            } else if error::is_judgement(&error) {
                logs::show_logs(&mut failure, &[], Duration::ZERO);
            }
            if !stopped && failure.code != exit::USAGE {
                failure.notes.extend(readiness::guesses());
            }
            failure
        })
    }

    /// Runs the `on_exit` closures, the last one first. One that fails is reported; the others still run.
    pub fn on_exit(&mut self) {
        loop {
            let Some(hook) = lock(&self.rt.hooks).pop() else {
                // What it names is about to go.
                return drop(lock(&self.env_file).take());
            };
            if let Err(error) = hook.call(&self.engine)
                && !self.rt.control().halted()
            {
                let failure = failure::describe(&error, "");
                let place = failure.place.map_or_else(String::new, |place| format!(" ({place})"));
                let why = failure.message.lines().next().unwrap_or_default();
                self.rt.warn(format!("on_exit: {why}{place}"));
            }
            if self.rt.control().halted() && !lock(&self.rt.hooks).is_empty() {
                let left = lock(&self.rt.hooks).len();
                self.rt.warn(format!("on_exit: time is up, {left} more not run"));
                return;
            }
        }
    }
}

/// What the jobs do when the run is stopped in the middle: the first few that live, a line each.
fn jobs_at_the_end(rt: &Runtime) -> Vec<String> {
    const MOST: usize = 4;
    let living = |job: &Job| view(job).is_some_and(|view| !matches!(view.state, State::Ended(_)));
    let jobs = rt.jobs.list().into_iter().map(Job).filter(living);
    jobs.take(MOST).map(|job| waiting::state_line(&job)).collect()
}

/// More text than any script has; but a device may go on for ever.
const LARGEST: u64 = 64 << 20;

struct Loaded {
    /// As positions refer to it.
    name: String,
    text: String,
    dir: Option<PathBuf>,
}

/// `command`: the one of bgjobs that is to read it, for its hints.
fn load(source: &Source, command: &str) -> Result<Loaded, Failure> {
    let fail = |message: String| Failure { code: exit::USAGE, message, ..Failure::default() };
    let (name, bytes, dir) = match source {
        Source::Code(code) => ("-e".to_owned(), code.clone().into_bytes(), None),
        Source::Stdin => {
            let bytes =
                read_stdin().map_err(|e| fail(format!("cannot read the script from standard input: {e}")))?;
            ("-".to_owned(), bytes, None)
        }
        Source::File(path) => {
            let shown = path.display();
            let built_in =
                path.to_str().and_then(builtin::script).filter(|_| !path.exists() || path.is_dir());
            if let Some(text) = built_in {
                (shown.to_string(), text.as_bytes().to_vec(), None)
            } else if path.is_dir() {
                return Err(directory(path, command));
            } else {
                let control = runtime::running().map(Runtime::control);
                let bytes = patient::read(path, LARGEST, control).or_else(|e| match e.kind() {
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
                        Err(unknown_script(&shown.to_string(), command))
                    }
                    // Stopped before there was a script.
                    std::io::ErrorKind::Interrupted => Ok(Vec::new()),
                    _ => Err(fail(format!("cannot read the script `{shown}`: {e}"))),
                })?;
                let full = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
                // What a shell makes of `<(…)` is nowhere.
                let dir = full.parent().filter(|_| full.is_file()).map(PathBuf::from);
                (shown.to_string(), bytes, dir)
            }
        }
    };
    if bytes.len() as u64 > LARGEST {
        return Err(fail(format!("the script `{name}` is larger than {} MiB", LARGEST >> 20)));
    }
    let text = utf8::script(bytes).map_err(|wrong| fail(format!("`{name}` {wrong}")))?;
    text::remember(&name, &text);
    Ok(Loaded { name, text, dir })
}

/// What has no slash in it may be the name of a script that is built in.
fn unknown_script(name: &str, command: &str) -> Failure {
    let message = format!("there is no script `{name}`");
    let mut failure = Failure { code: exit::USAGE, message, ..Failure::default() };
    let mut candidates = if command == "scripts" { Vec::new() } else { files_like(Path::new(name)) };
    if !name.contains('/') {
        candidates.extend(builtin::scripts().map(str::to_owned));
    }
    // With its extension and its directory a name is as near as without.
    let plain = |name: &str| name.rsplit('/').next().unwrap_or(name).trim_end_matches(".rhai").to_owned();
    let names: Vec<String> = candidates.iter().map(|name| plain(name)).collect();
    let near = words::nearest(&plain(name), names.iter().map(String::as_str));
    if let Some(near) = near.and_then(|near| names.iter().position(|name| name == near)) {
        let near = &candidates[near];
        let remark = if builtin::script(near).is_some() { "   (which is built in)" } else { "" };
        let command = if command == "scripts" { "script" } else { command };
        failure.hint = Some(format!("bgjobs {command} {}{remark}", quote(near)));
    } else if !name.contains('/') && !name.ends_with(".rhai") {
        let names = builtin::scripts().collect::<Vec<_>>().join(", ");
        failure.notes.push(format!("built in are: {names}"));
    }
    failure
}

/// The scripts that somebody may mean who has mistyped the path of one: those in its directory, or in the one whose name
/// is nearest to that.
fn files_like(path: &Path) -> Vec<String> {
    let (parent, name) = (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default());
    let beside = scripts_in(parent);
    if !beside.is_empty() || parent.is_dir() || parent.as_os_str().is_empty() {
        return beside;
    }
    let (above, last) = (parent.parent().unwrap_or(Path::new("")), parent.file_name().unwrap_or_default());
    let dirs = entries(above)
        .filter(|entry| entry.is_dir())
        .filter_map(|dir| Some(dir.file_name()?.to_str()?.to_owned()));
    let dirs: Vec<String> = dirs.collect();
    let near = words::nearest(&last.to_string_lossy(), dirs.iter().map(String::as_str));
    let there = near.map(|near| above.join(near).join(name)).filter(|file| file.is_file());
    there.map(|file| file.display().to_string()).into_iter().collect()
}

/// What is in a directory; the empty path is the current one.
fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let readable = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let found = std::fs::read_dir(readable).into_iter().flatten().flatten();
    found.map(move |entry| dir.join(entry.file_name()))
}

/// The scripts in a directory, by their extension, in order.
fn scripts_in(dir: &Path) -> Vec<String> {
    let is_script = |file: &PathBuf| file.extension().is_some_and(|end| end == "rhai") && file.is_file();
    let mut found: Vec<String> =
        entries(dir).filter(is_script).map(|file| file.display().to_string()).collect();
    found.sort();
    found
}

/// A directory in the place of a script.
fn directory(path: &Path, command: &str) -> Failure {
    const MOST: usize = 8;
    let message = format!("`{}` is a directory, not a script", path.display());
    let mut failure = Failure { code: exit::USAGE, message, ..Failure::default() };
    let found = scripts_in(path);
    if found.len() > 1 {
        let more =
            if found.len() > MOST { format!(" and {} more", found.len() - MOST) } else { String::new() };
        failure.notes.push(format!("scripts in it: {}{more}", found[..found.len().min(MOST)].join(", ")));
    }
    let beside = path.with_extension("rhai");
    let meant = if beside.is_file() { Some(beside.display().to_string()) } else { found.into_iter().next() };
    match meant {
        Some(meant) => failure.hint = Some(format!("bgjobs {command} {}", quote(&meant))),
        None => failure.notes.push("there is no *.rhai in it".to_owned()),
    }
    failure
}

/// Reads standard input on a thread of its own: an interrupt must get through while nobody types.
fn read_stdin() -> std::io::Result<Vec<u8>> {
    let read = || {
        let mut bytes = Vec::new();
        std::io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes).map(|_| bytes)
    };
    let Some(rt) = runtime::running() else { return read() };
    let mut reading = Background::new(Arc::clone(&rt.jobs.control));
    loop {
        let rings = rt.control().bell.rings();
        if let Some(result) = reading.poll(read) {
            return result;
        }
        if rt.control().halted() {
            return Ok(Vec::new()); // Stopped before there was a script.
        }
        rt.control().bell.wait(rings, Some(jobs::now() + Duration::from_millis(50)));
    }
}

fn engine_of(include: &[PathBuf], loaded: &Loaded) -> Engine {
    engine_for(include, &Named::in_text(&loaded.text))
}

fn compile(engine: &Engine, loaded: &Loaded) -> Result<(AST, Facts), Failure> {
    let ast = parse(engine, loaded)?;
    let facts = checks::check(engine, &ast, &loaded.name)?;
    Ok((ast, facts))
}

fn parse(engine: &Engine, loaded: &Loaded) -> Result<AST, Failure> {
    let text = without_shebang(&loaded.text);
    let mut ast =
        text::compile(engine, text).map_err(|error| failure::syntax(&error.0, &loaded.name, error.1))?;
    ast.set_source(loaded.name.as_str());
    text::remember_closures(&ast);
    captured::remember(&ast);
    Ok(ast)
}

/// Compiles and checks, runs nothing; what is not wrong, but is better done otherwise.
pub fn check(source: &Source, include: &[PathBuf]) -> Result<Vec<Failure>, Failure> {
    let loaded = load(source, "check")?;
    let (ast, _) = compile(&engine_of(include, &loaded), &loaded)?;
    Ok(warnings::warnings(&ast, &loaded.name, &loaded.text))
}

/// Whether this is a script that calls nothing, and it has been evaluated, outside of a run, without an error. It has had
/// little room and little time, so that whoever does it can go on with something else; it has changed nothing.
pub fn runs_alone(source: &Source, include: &[PathBuf]) -> bool {
    const LARGEST: u64 = 64 << 10;
    let is_at_hand = match source {
        Source::Code(_) => true,
        // No FIFO, on which one would wait.
        Source::File(path) => path.metadata().is_ok_and(|meta| meta.is_file() && meta.len() <= LARGEST),
        Source::Stdin => false,
    };
    let loaded = is_at_hand.then(|| load(source, "script").ok()).flatten();
    // Without a parenthesis there is neither a call nor a closure that something calls.
    let calls_nothing = |loaded: &Loaded| !loaded.text.contains('(') && !loaded.text.contains("import");
    let Some(loaded) = loaded.filter(calls_nothing) else { return false };
    // As in a run it is never taken apart.
    let mut engine = ManuallyDrop::new(engine_of(include, &loaded));
    engine
        .set_max_expr_depths(32, 32)
        .set_max_operations(1000)
        .set_max_string_size(usize::try_from(LARGEST).unwrap_or_default())
        .set_max_array_size(1000)
        .set_max_map_size(1000);
    let Ok((ast, _)) = compile(&engine, &loaded) else { return false };
    engine.run_ast_with_scope(&mut Scope::new(), &ManuallyDrop::new(ast)).is_ok()
}

/// Compiles and checks, and tells what it would do; runs nothing.
pub fn plan(source: &Source, include: &[PathBuf]) -> Result<Vec<crate::manual::Step>, Failure> {
    let loaded = load(source, "script")?;
    Ok(plans::plan(&compile(&engine_of(include, &loaded), &loaded)?.0))
}

/// As [`check`], every finding for itself: what is wrong, or else what is better done otherwise.
pub fn findings(source: &Source, include: &[PathBuf]) -> Result<Vec<Failure>, Failure> {
    let loaded = load(source, "check")?;
    let engine = engine_of(include, &loaded);
    let ast = parse(&engine, &loaded)?;
    let wrong = checks::each(&engine, &ast, &loaded.name);
    Ok(if wrong.is_empty() { warnings::warnings(&ast, &loaded.name, &loaded.text) } else { wrong })
}

/// The scripts that a path stands for: itself, or all `*.rhai` below a directory.
pub fn scripts_of(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let mut found: Vec<PathBuf> = entries(path)
        .filter(|entry| !entry.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")))
        // A link to a directory may lead back.
        .filter(|entry| !(entry.is_dir() && entry.is_symlink()))
        .filter(|entry| entry.is_dir() || entry.extension().is_some_and(|end| end == "rhai"))
        .flat_map(|entry| scripts_of(&entry))
        .collect();
    found.sort();
    found
}

/// What a script says about itself; none when it reads `--help` itself, or when it comes from standard input, which
/// can be read only once.
pub fn manual(source: &Source, include: &[PathBuf]) -> Result<Option<Manual>, Failure> {
    if matches!(source, Source::Stdin) {
        return Ok(None);
    }
    let loaded = load(source, "script")?;
    let declared = params::declared(&parse(&engine_of(include, &loaded), &loaded)?);
    Ok((!declared.own_help).then(|| described(loaded.name, &loaded.text, declared)))
}

/// What the scripts that are built in say about themselves.
pub fn built_in() -> Vec<Manual> {
    let engine = engine(&[]);
    let manual = |(name, text): &(&str, &str)| {
        let loaded = Loaded { name: (*name).to_owned(), text: (*text).to_owned(), dir: None };
        let declared = parse(&engine, &loaded).map(|ast| params::declared(&ast)).unwrap_or_default();
        described(loaded.name, &loaded.text, declared)
    };
    builtin::SCRIPTS.iter().map(manual).collect()
}

/// The text of a script that is built in.
pub fn built_in_text(name: &str) -> Result<&'static str, Failure> {
    builtin::script(name.trim_end_matches(".rhai")).ok_or_else(|| unknown_script(name, "scripts"))
}

fn described(name: String, text: &str, declared: params::Declared) -> Manual {
    Manual { name, about: header(text), params: declared.params, complete: declared.complete }
}

/// The comment at the top of a script, without its slashes.
fn header(text: &str) -> String {
    let comment = |line: &str| {
        let rest = line.strip_prefix("//")?;
        let rest = rest.strip_prefix('!').unwrap_or(rest);
        Some(rest.strip_prefix(' ').unwrap_or(rest).trim_end().to_owned())
    };
    let lines = without_shebang(text).trim_start().lines().map_while(comment);
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// What runs the tests of a Compose file, as what stays instead.
fn staying_instead(hint: &str) -> String {
    let command = hint.strip_prefix("bgjobs script compose --file ");
    match command.and_then(|rest| rest.strip_suffix(" --test \"npm test\"")) {
        Some(file) if !file.contains(['\'', '"']) => format!(
            "bgjobs script -e 'import \"std/compose\" as compose; compose::up(#{{file: \"{file}\"}}); stay()'"
        ),
        _ => hint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_the_first_comment() {
        let text = "#!/usr/bin/env -S bgjobs script\n//! Starts it.\n//!\n//!   indented\n\n// no more\n";
        assert_eq!(header(text), "Starts it.\n\n  indented");
        assert_eq!(header("// a\n//b\nlet x = 1;"), "a\nb");
        assert_eq!(header("let x = 1; // a"), "");
    }
}
