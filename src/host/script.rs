//! Load, check, run, `on_exit`.

use super::engine::engine;
use super::import::without_shebang;
use super::runtime::{self, Runtime, Session};
use super::{check as checks, env, failure};
use crate::cli::Source;
use crate::event::Failure;
use crate::exit;
use crate::jobs::control::lock;
use rhai::{AST, Dynamic, Engine, Scope};
use std::io::Read;
use std::path::PathBuf;

/// The script of this run.
pub struct Script {
    engine: Engine,
    rt: &'static Runtime,
}

impl Script {
    pub fn new(session: Session) -> Self {
        let include = session.options.include.clone();
        let rt = runtime::install(session);
        Self { engine: engine(&include), rt }
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// What went wrong, unless the script was stopped from outside: that the caller knows.
    pub fn run(&mut self, source: &Source) -> Result<(), Failure> {
        let loaded = load(source)?;
        if let Some(dir) = &loaded.dir {
            dir.clone_into(&mut lock(&self.rt.script_dir));
        }
        let ast = compile(&self.engine, &loaded)?;
        env::declare(env::declared(&ast), &self.rt.options.args)
            .map_err(|error| failure::from_error(&error))?;
        let result = self.engine.run_ast_with_scope(&mut Scope::new(), &ast);
        if self.rt.control().reason().is_some() {
            return Ok(()); // Whatever the evaluation says, it was stopped.
        }
        result.map_err(|error| failure::describe(&error, &loaded.name))
    }

    /// Runs the `on_exit` closures, the last one first. One that fails is reported; the others still run.
    #[expect(
        deprecated,
        reason = "rhai marks what it considers volatile as deprecated; there is no other way"
    )]
    pub fn on_exit(&mut self) {
        loop {
            let Some(hook) = lock(&self.rt.hooks).pop() else { return };
            let context = hook.context.create_context(&self.engine);
            if let Err(error) = hook.closure.call_within_context::<Dynamic>(&context, ())
                && !self.rt.control().halted()
            {
                let failure = failure::describe(&error, "");
                let place = failure
                    .place
                    .map_or_else(String::new, |p| format!(" ({}:{}:{})", p.file, p.line, p.column));
                self.rt.warn(format!("on_exit: {}{place}", failure.message));
            }
            if self.rt.control().halted() && !lock(&self.rt.hooks).is_empty() {
                let left = lock(&self.rt.hooks).len();
                self.rt.warn(format!("on_exit: time is up, {left} more not run"));
                return;
            }
        }
    }
}

struct Loaded {
    /// As positions refer to it.
    name: String,
    text: String,
    dir: Option<PathBuf>,
}

fn load(source: &Source) -> Result<Loaded, Failure> {
    let fail = |message: String| Failure { code: exit::USAGE, message, ..Failure::default() };
    let (name, bytes, dir) = match source {
        Source::Code(code) => ("-e".to_owned(), code.clone().into_bytes(), None),
        Source::Stdin => {
            let mut bytes = Vec::new();
            std::io::stdin()
                .lock()
                .read_to_end(&mut bytes)
                .map_err(|e| fail(format!("cannot read the script from standard input: {e}")))?;
            ("-".to_owned(), bytes, None)
        }
        Source::File(path) => {
            let shown = path.display();
            if path.is_dir() {
                return Err(fail(format!("`{shown}` is a directory, not a script")));
            }
            let bytes = std::fs::read(path).map_err(|e| match e.kind() {
                std::io::ErrorKind::NotFound => fail(format!("there is no script `{shown}`")),
                _ => fail(format!("cannot read the script `{shown}`: {e}")),
            })?;
            let full = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
            (shown.to_string(), bytes, full.parent().map(PathBuf::from))
        }
    };
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let line = e.as_bytes()[..at].iter().filter(|b| **b == b'\n').count() + 1;
        fail(format!("`{name}` is not UTF-8: invalid byte in line {line}"))
    })?;
    failure::remember(&name, &text);
    Ok(Loaded { name, text, dir })
}

fn compile(engine: &Engine, loaded: &Loaded) -> Result<AST, Failure> {
    let text = without_shebang(&loaded.text);
    let mut ast = engine.compile(text).map_err(|error| failure::syntax(&error.0, &loaded.name, error.1))?;
    ast.set_source(loaded.name.as_str());
    failure::remember_closures(&ast);
    checks::check(engine, &ast, &loaded.name)?;
    Ok(ast)
}

/// Compiles and checks, runs nothing.
pub fn check(source: &Source, include: &[PathBuf]) -> Result<(), Failure> {
    let loaded = load(source)?;
    compile(&engine(include), &loaded).map(drop)
}
