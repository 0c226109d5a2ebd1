//! Where modules come from: relative to the importing file, then the `-I` directories, then what is built in.
//!
//! Rhai's own resolver names a module by what stands in the `import`, so that a relative import of an imported
//! file is looked for in the wrong place. Here the name of a module is its canonical path, as people know it;
//! it is the key of the cache, the source of positions, and what a nested import is relative to.

use super::captured;
use super::text;
use crate::builtin;
use crate::host::value::error::{ScriptError, terminated};
use crate::host::value::utf8;
use crate::jobs::control::Control;
use crate::jobs::strand;
use crate::lock::lock;
use rhai::{
    AST, Dynamic, Engine, EvalAltResult, FnNamespace, FuncRegistration, Map, Module, ModuleResolver,
    Position, Scope, Shared, Stmt,
};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, ThreadId};

pub struct Resolver {
    include: Vec<PathBuf>,
    /// Where bgjobs was called: what the names of scripts are relative to.
    start: PathBuf,
    parsed: Mutex<HashMap<String, AST>>,
    cache: Mutex<HashMap<String, Shared<Module>>>,
    loading: Mutex<Loading>,
    /// Of the run; outside of one there is none, and one thread.
    control: Option<Arc<Control>>,
}

/// Closures of `parallel` may import the same module: one evaluates it, the others wait.
#[derive(Default)]
struct Loading {
    /// What is being evaluated, and by which thread.
    by: Vec<(ThreadId, String)>,
    /// Who waits for that, as [`strand::lineage`], and for what.
    waiting: Vec<(Vec<ThreadId>, String)>,
}

impl Loading {
    fn loader(&self, name: &str) -> Option<ThreadId> {
        self.by.iter().find(|(_, loading)| loading == name).map(|(thread, _)| *thread)
    }

    /// Whether a thread goes on only when the calling one does.
    fn depends_on_me(&self, thread: ThreadId) -> bool {
        let mut stuck = strand::lineage();
        let mut next = 0;
        while next < stuck.len() {
            for (lineage, name) in &self.waiting {
                if self.loader(name) == Some(stuck[next]) {
                    let new: Vec<_> = lineage.iter().filter(|one| !stuck.contains(one)).copied().collect();
                    stuck.extend(new);
                }
            }
            next += 1;
        }
        stuck.contains(&thread)
    }
}

/// What was handed on by scripts, in whose place it stands.
static GIVEN: OnceLock<Vec<(PathBuf, Map)>> = OnceLock::new();

/// From now on an import of one of these files gives these values, and does not run it again.
pub fn give(all: Vec<(PathBuf, Map)>) {
    let _ = GIVEN.set(all);
}

/// What stands for a module; none where that is to be run.
fn given(name: &str) -> Option<&'static Map> {
    let mut all = GIVEN.get()?.iter();
    all.find(|(path, _)| text::display_path(path) == name).map(|(_, values)| values)
}

/// Without what it does: only its functions, and what they import.
fn functions_alone(ast: &AST) -> AST {
    let imports = ast.statements().iter().filter(|statement| matches!(statement, Stmt::Import(..))).cloned();
    let mut alone = AST::new(imports, ast.shared_lib().clone());
    if let Some(source) = ast.source() {
        alone.set_source(source);
    }
    alone
}

/// A module's name, and its text.
type Found = (String, String);

impl Resolver {
    pub fn new(include: &[PathBuf], control: Option<Arc<Control>>) -> Self {
        Self {
            include: include.to_vec(),
            start: std::env::current_dir().unwrap_or_default(),
            parsed: Mutex::default(),
            cache: Mutex::default(),
            loading: Mutex::default(),
            control,
        }
    }

    fn find(
        &self,
        importer: Option<&str>,
        path: &str,
        position: Position,
    ) -> Result<Found, Box<EvalAltResult>> {
        let importer = importer.unwrap_or_default();
        let file = self.start.join(importer);
        // What stands in no directory, as what a shell makes of `<(…)`, is where bgjobs was called.
        let nowhere = file.metadata().is_ok_and(|meta| !meta.is_file());
        let beside = file.parent().filter(|_| !nowhere).unwrap_or(&self.start).to_owned();
        let include = self.include.iter().map(|dir| self.start.join(dir));
        let dirs = (!is_built_in(importer)).then_some(beside).into_iter().chain(include);
        let mut tried = Vec::new();
        for dir in dirs {
            let plain = dir.join(path);
            let mut candidates = vec![plain.clone()];
            if !path.ends_with(".rhai") {
                let mut name = plain.into_os_string();
                name.push(".rhai");
                candidates.insert(0, name.into());
            }
            for candidate in candidates {
                if !candidate.is_file() {
                    tried.push(shown(&candidate));
                    continue;
                }
                let wrong = |what: String| {
                    let wrong = ScriptError::usage(format!("the module `{}` {what}", shown(&candidate)));
                    Box::new(EvalAltResult::ErrorRuntime(Dynamic::from(wrong), position))
                };
                let bytes = std::fs::read(&candidate).map_err(|e| wrong(format!("cannot be read: {e}")))?;
                let text = utf8::script(bytes).map_err(wrong)?;
                let canonical = std::fs::canonicalize(&candidate).unwrap_or(candidate);
                return Ok((text::display_path(&canonical), text));
            }
        }
        let name = path.trim_end_matches(".rhai");
        if let Some(text) = builtin::module(name) {
            return Ok((name.to_owned(), text.to_owned()));
        }
        if path.starts_with("std/") {
            let names: Vec<&str> = builtin::modules().collect();
            tried.push(format!("the built-in ones: {}", names.join(", ")));
        }
        let message = format!("{path}\n{}", tried.join("\n"));
        Err(Box::new(EvalAltResult::ErrorModuleNotFound(message, position)))
    }

    /// The module when it has been evaluated, if need be by another thread that is at it. Otherwise the caller has to
    /// evaluate it, and nobody else does.
    fn cached_or_mine(
        &self,
        name: &str,
        pos: Position,
    ) -> Result<Option<Shared<Module>>, Box<EvalAltResult>> {
        let me = thread::current().id();
        loop {
            let rings = self.control.as_ref().map_or(0, |control| control.bell.rings());
            {
                let mut loading = lock(&self.loading);
                if let Some(module) = lock(&self.cache).get(name) {
                    return Ok(Some(Shared::clone(module)));
                }
                let Some(loader) = loading.loader(name) else {
                    loading.by.push((me, name.to_owned()));
                    return Ok(None);
                };
                if loading.depends_on_me(loader) {
                    let names = loading.by.iter().filter(|(thread, _)| *thread == me || *thread == loader);
                    let names: Vec<&str> = names.map(|(_, name)| name.as_str()).collect();
                    let start = names.iter().position(|loading| *loading == name).unwrap_or_default();
                    let chain = names[start..].join("` → `");
                    let message = format!("modules import each other in a circle: `{chain}` → `{name}`");
                    return Err(Box::new(EvalAltResult::ErrorRuntime(message.into(), pos)));
                }
                loading.waiting.push((strand::lineage(), name.to_owned()));
            }
            if let Some(control) = &self.control {
                control.bell.wait(rings, None);
            }
            lock(&self.loading).waiting.retain(|(lineage, _)| lineage.last() != Some(&me));
            if self.control.as_ref().is_some_and(|control| control.halted()) {
                return Err(terminated());
            }
        }
    }

    /// The parsed module. The check has usually asked for it before the run does.
    fn parsed(
        &self,
        engine: &Engine,
        importer: Option<&str>,
        path: &str,
        position: Position,
    ) -> Result<AST, Box<EvalAltResult>> {
        let (name, text) = self.find(importer, path, position)?;
        if let Some(ast) = lock(&self.parsed).get(&name) {
            return Ok(ast.clone());
        }
        text::remember(&name, &text);
        let mut ast: AST = text::compile(engine, without_shebang(&text))
            .map_err(|error| in_module(&name, Box::new(error.into()), position))?;
        ast.set_source(name.as_str());
        text::remember_closures(&ast);
        captured::remember(&ast);
        lock(&self.parsed).insert(name, ast.clone());
        Ok(ast)
    }
}

/// The built-in module that somebody means who says `postgres`, or mistypes `std/postgres`.
pub fn meant(name: &str) -> Option<&'static str> {
    let name = name.trim_end_matches(".rhai");
    let near = || crate::words::nearest(name, builtin::modules());
    builtin::modules()
        .find(|known| known.strip_prefix("std/") == Some(name))
        .or_else(|| if name.starts_with("std/") { near() } else { None })
}

/// Whether a script's name is that of a module that is built in.
pub fn is_built_in(name: &str) -> bool {
    builtin::module(name).is_some()
}

/// A path that need not exist, without `.` and `..`, as people know it.
fn shown(path: &Path) -> String {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => drop(plain.pop()),
            std::path::Component::CurDir => {}
            other => plain.push(other),
        }
    }
    text::display_path(&plain)
}

fn in_module(name: &str, error: Box<EvalAltResult>, position: Position) -> Box<EvalAltResult> {
    Box::new(EvalAltResult::ErrorInModule(name.to_owned(), error, position))
}

impl ModuleResolver for Resolver {
    fn resolve(
        &self,
        engine: &Engine,
        source: Option<&str>,
        path: &str,
        pos: Position,
    ) -> Result<Shared<Module>, Box<EvalAltResult>> {
        if path == APART {
            return Ok(apart());
        }
        let ast = self.parsed(engine, source, path, pos)?;
        let name = ast.source().unwrap_or(path).to_owned();
        if let Some(module) = self.cached_or_mine(&name, pos)? {
            return Ok(module);
        }
        let ast = separated(engine, ast, &name);
        let given = given(&name);
        let ast = if given.is_some() { functions_alone(&ast) } else { ast };
        let module = Module::eval_ast_as_new(Scope::new(), &ast, engine)
            .map_err(|error| in_module(&name, error, pos))
            .map(|mut module| {
                for (name, value) in given.into_iter().flatten() {
                    module.set_var(name.as_str(), value.clone());
                }
                share_closures(&mut module, &ast);
                Shared::new(module)
            });
        if let Ok(module) = &module {
            lock(&self.cache).insert(name.clone(), Shared::clone(module));
        }
        lock(&self.loading).by.retain(|(_, loading)| *loading != name);
        if let Some(control) = &self.control {
            control.bell.ring();
        }
        module
    }

    fn resolve_ast(
        &self,
        engine: &Engine,
        source: Option<&str>,
        path: &str,
        pos: Position,
    ) -> Option<Result<AST, Box<EvalAltResult>>> {
        Some(self.parsed(engine, source, path, pos))
    }
}

/// The name of a module that no script can write down; see [`separated`].
const APART: &str = "\u{1}";
/// What is put into each function of a module.
const IMPORT: &str = "import\"\u{1}\"as apart__;";

/// The module with its functions kept apart from those of other modules.
///
/// Rhai remembers which function a call meant by its name and number of arguments, in a cache that a function of a
/// module shares with whoever called it: two modules with a `helper(x)` each would get the same one. It takes a new
/// cache only after the import of a module that has functions for all; so each function begins with such an import,
/// which its end undoes. A closure without a block is left as it is.
fn separated(engine: &Engine, ast: AST, name: &str) -> AST {
    let text = text::text_of(name);
    let text = without_shebang(&text);
    let starts = ast.iter_fn_def().map(|function| function.body.start_position());
    let mut starts: Vec<(usize, usize)> =
        starts.filter_map(|start| Some((start.line()?, start.position()?))).collect();
    starts.sort_unstable();
    let mut lines: Vec<Vec<char>> = text.split('\n').map(|line| line.chars().collect()).collect();
    starts
        .retain(|&(line, column)| lines.get(line - 1).is_some_and(|line| line.get(column - 1) == Some(&'{')));
    for &(line, column) in starts.iter().rev() {
        lines[line - 1].splice(column..column, IMPORT.chars());
    }
    let text: Vec<String> = lines.into_iter().map(String::from_iter).collect();
    // When that is no code, something was not as we thought: then rather the module as it is.
    let Ok(mut separated) = engine.compile(text.join("\n")) else { return ast };
    separated.set_source(name);
    text::remember_inserted(name, starts, IMPORT.chars().count());
    text::remember_closures(&separated);
    captured::remember(&separated);
    separated
}

/// A module with a function for all, which nobody calls.
fn apart() -> Shared<Module> {
    let mut module = Module::new();
    FuncRegistration::new("apart__").in_global_namespace().set_into_module(&mut module, || ());
    module.build_index();
    module.into()
}

/// Lets a closure that a module's function returns be called by whoever got it: rhai looks for its body among
/// the functions that are visible there. The names of closures are unique.
#[expect(deprecated, reason = "rhai marks what it considers volatile as deprecated; there is no other way")]
fn share_closures(module: &mut Module, ast: &AST) {
    if !ast.iter_functions().any(|function| function.name.starts_with("anon$")) {
        return;
    }
    // Only an engine tells the hashes of a module's functions.
    let mut engine = Engine::new_raw();
    engine.register_global_module(module.clone().into());
    let closure =
        |info: rhai::FuncInfo| info.metadata.name.starts_with("anon$").then_some(info.metadata.hash);
    for hash in engine.collect_fn_metadata(None, closure, false) {
        module.update_fn_namespace(hash, FnNamespace::Global);
    }
    module.build_index();
}

/// `#!…` in the first line is no code. It becomes an empty line: `//` in front of `/usr/bin/env` would start
/// a documentation comment.
pub fn without_shebang(text: &str) -> &str {
    match text.strip_prefix("#!") {
        Some(rest) => rest.find('\n').map_or("", |end| &rest[end..]),
        None => text,
    }
}
