//! Where modules come from: relative to the importing file, then the `-I` directories, then what is built in.

use super::failure;
use super::runtime;
use rhai::{AST, Engine, EvalAltResult, Module, ModuleResolver, Position, Scope, Shared};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Modules that are built in, as `std/NAME`.
const EMBEDDED: &[(&str, &str)] = &[];

pub struct Resolver {
    include: Vec<PathBuf>,
    cache: Mutex<HashMap<String, Shared<Module>>>,
    loading: Mutex<Vec<String>>,
}

impl Resolver {
    pub fn new(include: &[PathBuf]) -> Self {
        Self { include: include.to_vec(), cache: Mutex::default(), loading: Mutex::default() }
    }

    /// The name under which positions refer to a module, and its text.
    fn find(&self, importer: Option<&str>, path: &str) -> Result<(String, String), Vec<String>> {
        let file =
            if Path::new(path).extension().is_some() { path.to_owned() } else { format!("{path}.rhai") };
        let beside =
            importer.and_then(|name| Path::new(name).parent()).map_or_else(PathBuf::new, Path::to_owned);
        let mut tried = Vec::new();
        for dir in std::iter::once(&beside).chain(&self.include) {
            let candidate = dir.join(&file);
            if let Ok(text) = std::fs::read_to_string(&candidate) {
                let canonical = std::fs::canonicalize(&candidate).unwrap_or(candidate);
                return Ok((runtime::display_path(&canonical), text));
            }
            tried.push(candidate.display().to_string());
        }
        match EMBEDDED.iter().find(|(name, _)| *name == path) {
            Some((name, text)) => Ok(((*name).to_owned(), (*text).to_owned())),
            None => Err(tried),
        }
    }
}

impl ModuleResolver for Resolver {
    fn resolve(
        &self,
        engine: &Engine,
        source: Option<&str>,
        path: &str,
        pos: Position,
    ) -> Result<Shared<Module>, Box<EvalAltResult>> {
        use crate::jobs::control::lock;
        let in_module =
            |error: Box<EvalAltResult>| Box::new(EvalAltResult::ErrorInModule(path.to_owned(), error, pos));
        let (name, text) = self.find(source, path).map_err(|tried| {
            let message = format!("{path}: not found; tried {}", tried.join(", "));
            Box::new(EvalAltResult::ErrorModuleNotFound(message, pos))
        })?;
        if let Some(module) = lock(&self.cache).get(&name) {
            return Ok(Shared::clone(module));
        }
        if lock(&self.loading).contains(&name) {
            let chain = lock(&self.loading).join(" → ");
            let message = format!("modules import each other in a circle: {chain} → {name}");
            return Err(Box::new(EvalAltResult::ErrorRuntime(message.into(), pos)));
        }
        failure::remember(&name, &text);
        let mut ast: AST =
            engine.compile(without_shebang(&text)).map_err(|e| in_module(Box::new(e.into())))?;
        ast.set_source(name.as_str());
        lock(&self.loading).push(name.clone());
        let module = Module::eval_ast_as_new(Scope::new(), &ast, engine);
        lock(&self.loading).pop();
        let module: Shared<Module> = module.map_err(in_module)?.into();
        lock(&self.cache).insert(name, Shared::clone(&module));
        Ok(module)
    }
}

/// `#!…` in the first line is blanked: the lines keep their numbers. (As `//` it could become a `///`, which
/// rhai takes for the documentation of a function.)
pub fn without_shebang(text: &str) -> String {
    match text.strip_prefix("#!") {
        Some(rest) => rest[rest.find('\n').unwrap_or(rest.len())..].to_owned(),
        None => text.to_owned(),
    }
}
