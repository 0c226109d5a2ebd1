//! A script and the modules that it imports, and the words in them.

use super::tree::root;
use crate::event::Failure;
use crate::exit;
use crate::host::explain::failure;
use crate::host::source::functions::Functions;
use crate::host::source::text;
use rhai::{AST, ASTNode, Engine, EvalAltResult, Expr, FnAccess, FnCallExpr, FnPtr, Position, Stmt};
use std::collections::{BTreeMap, BTreeSet};

/// A script or a module.
pub(super) struct File {
    pub(super) name: String,
    pub(super) ast: AST,
    /// What an alias of `import` stands for; none when it stands for several or for something unknown.
    pub(super) imports: BTreeMap<String, Option<String>>,
    /// How many parameters the functions of a name take, and whether another file sees it.
    pub(super) functions: BTreeMap<String, Vec<(usize, bool)>>,
    /// These and the closures.
    pub(super) defined: Functions,
}

impl File {
    /// The names of the parameters of a closure that is written out, without those that it has captured.
    fn parameters(&self, value: &Expr) -> Option<Vec<String>> {
        let (closure, captured) = match value {
            Expr::FnCall(call, _) if call.name == "curry" => (call.args.first()?, call.args.len() - 1),
            Expr::Stmt(block) => match block.statements() {
                [Stmt::Share(_), Stmt::Expr(closure)] => return self.parameters(closure),
                [Stmt::Share(_), Stmt::FnCall(call, position)] => {
                    return self.parameters(&Expr::FnCall(call.clone(), *position));
                }
                _ => return None,
            },
            other => (other, 0),
        };
        let Expr::DynamicConstant(closure, _) = closure else { return None };
        let name = closure.read_lock::<FnPtr>()?.fn_name().to_owned();
        let function = self.defined.named(&name).first()?;
        Some(function.params.iter().skip(captured).map(ToString::to_string).collect())
    }
}

/// All files of a run, and the words in them.
#[derive(Default)]
pub(super) struct Project {
    pub(super) files: BTreeMap<String, File>,
    /// The script itself: no other imports it.
    pub(super) main: String,
    /// The names of all functions.
    pub(super) defined: BTreeSet<String>,
    /// Map keys, properties and strings: the names that a closure in a map can have.
    pub(super) words: BTreeSet<String>,
    /// Strings, and the keys of `env` maps: the names that a variable of the shell can have.
    pub(super) shell: BTreeSet<String>,
    /// The methods that maps get where they are written, by file and name, with their parameters. What a module returns
    /// is among them.
    pub(super) methods: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    /// Variables that are given another value somewhere.
    pub(super) assigned: BTreeSet<String>,
    /// Code is made at run time: functions may exist that are written nowhere.
    pub(super) dynamic: bool,
    /// Files of variables are read, of which nothing is known here.
    pub(super) loads_env: bool,
    /// A test has `only: true`.
    pub(super) only: bool,
}

impl Project {
    pub(super) fn add(
        &mut self,
        engine: &Engine,
        ast: &AST,
        name: &str,
        chain: &mut Vec<String>,
    ) -> Result<(), Failure> {
        let mut functions: BTreeMap<String, Vec<(usize, bool)>> = BTreeMap::new();
        for function in ast.iter_functions() {
            if !function.name.starts_with("anon$") {
                let public = function.access == FnAccess::Public;
                functions.entry(function.name.to_owned()).or_default().push((function.params.len(), public));
            }
        }
        let mut file = File {
            name: name.to_owned(),
            ast: ast.clone(),
            imports: BTreeMap::new(),
            functions,
            defined: Functions::of(ast),
        };
        // Registered before its imports are followed, so that a circle ends.
        self.files.insert(
            name.to_owned(),
            File {
                imports: BTreeMap::new(),
                functions: BTreeMap::new(),
                name: name.to_owned(),
                ast: AST::empty(),
                defined: Functions::default(),
            },
        );
        chain.push(name.to_owned());
        let mut imports = Vec::new();
        // What stands after the first call may depend on what it did: a module that is not there yet.
        let mut certain: BTreeSet<Position> = BTreeSet::new();
        for stmt in ast.statements() {
            match stmt {
                Stmt::Import(import, _) => drop(certain.insert(import.0.position())),
                Stmt::Var(..) | Stmt::Noop(..) => {}
                _ => break,
            }
        }
        ast.walk(&mut |path: &[ASTNode]| {
            if let Some(ASTNode::Stmt(Stmt::Import(import, _))) = path.last() {
                match &import.0 {
                    Expr::StringConstant(path, position) => {
                        imports.push((path.to_string(), import.1.name.to_string(), *position));
                    }
                    _ => self.dynamic = true,
                }
            }
            true
        });
        for (path, alias, position) in imports {
            let resolved = engine.module_resolver().resolve_ast(engine, Some(name), &path, position);
            let target = match resolved {
                Some(Ok(module)) => {
                    let target = module.source().unwrap_or(&path).to_owned();
                    if chain.contains(&target) {
                        return Err(circle(chain, &target, name, position));
                    }
                    if !self.files.contains_key(&target) {
                        self.add(engine, &module, &target, chain)?;
                    }
                    Some(target)
                }
                Some(Err(error)) => {
                    let missing = matches!(*error, EvalAltResult::ErrorModuleNotFound(..));
                    if !missing || certain.contains(&position) {
                        return Err(failure::describe(&error, name));
                    }
                    self.dynamic = true;
                    None
                }
                None => None,
            };
            let known = file.imports.entry(alias).or_insert_with(|| target.clone());
            if *known != target {
                *known = None;
            }
        }
        chain.pop();
        self.files.insert(name.to_owned(), file);
        Ok(())
    }

    pub(super) fn read_words(&mut self) {
        let mut words = BTreeSet::new();
        let mut shell = BTreeSet::new();
        let mut methods = BTreeMap::new();
        let mut assigned = BTreeSet::new();
        let mut dynamic = self.dynamic;
        let mut loads_env = false;
        let mut only = false;
        for file in self.files.values() {
            let mut own = BTreeMap::new();
            file.ast.walk(&mut |path: &[ASTNode]| {
                match path.last() {
                    Some(ASTNode::Expr(Expr::Map(map, _))) => {
                        words.extend(map.0.iter().map(|(key, _)| key.name.to_string()));
                        // What a call gets are its options.
                        let for_call = path.len().checked_sub(2).is_some_and(|outside| {
                            matches!(
                                path[outside],
                                ASTNode::Expr(Expr::FnCall(..) | Expr::MethodCall(..))
                                    | ASTNode::Stmt(Stmt::FnCall(..))
                            )
                        });
                        let closures = map.0.iter().filter(|_| !for_call);
                        own.extend(closures.filter_map(|(key, value)| {
                            Some((key.name.to_string(), file.parameters(value)?))
                        }));
                        for (key, value) in &map.0 {
                            if let (true, Expr::Map(env, _)) = (key.name == "env", value) {
                                shell.extend(env.0.iter().map(|(key, _)| key.name.to_string()));
                            }
                        }
                    }
                    Some(ASTNode::Stmt(Stmt::Assignment(assignment))) => {
                        assigned.extend(root(&assignment.1.lhs).map(str::to_owned));
                    }
                    Some(ASTNode::Expr(Expr::Property(property, _))) => {
                        words.insert(property.2.to_string());
                    }
                    Some(ASTNode::Expr(Expr::StringConstant(text, _))) => {
                        words.insert(text.to_string());
                        shell.insert(text.to_string());
                    }
                    Some(ASTNode::Expr(Expr::FnCall(call, _)) | ASTNode::Stmt(Stmt::FnCall(call, _))) => {
                        dynamic |= call.name == "eval";
                        loads_env |= call.name == "load_env";
                        only |= has_only(call);
                    }
                    _ => {}
                }
                true
            });
            methods.insert(file.name.clone(), own);
        }
        self.defined = self.files.values().flat_map(|file| file.functions.keys().cloned()).collect();
        self.words = words;
        self.shell = shell;
        self.methods = methods;
        self.assigned = assigned;
        self.dynamic = dynamic;
        self.loads_env = loads_env;
        self.only = only;
    }
}

/// `test(…, #{only: true}, …)`.
fn has_only(call: &FnCallExpr) -> bool {
    let set = |(key, value): &(rhai::Ident, Expr)| {
        key.name == "only" && matches!(value, Expr::BoolConstant(true, _))
    };
    call.name == "test"
        && call.args.iter().any(|arg| matches!(arg, Expr::Map(map, _) if map.0.iter().any(set)))
}

fn circle(chain: &[String], target: &str, importer: &str, position: Position) -> Failure {
    let start = chain.iter().position(|name| name == target).unwrap_or(0);
    let names: Vec<String> = chain[start..].iter().map(|name| format!("`{name}`")).collect();
    Failure {
        code: exit::USAGE,
        message: format!("modules import each other in a circle: {} → `{target}`", names.join(" → ")),
        place: text::place(importer, position),
        hint: Some("move what both need into a module of its own".to_owned()),
        ..Failure::default()
    }
}
