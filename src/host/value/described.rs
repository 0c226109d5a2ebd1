//! The described functions in the engine: registration, the choice of a form, and the typed reading of arguments and
//! option maps. What is said of a value that is wrong comes from its kind; see kinds.rs.
//!
//! All forms of one name and length are one function of the engine, whose arguments are of any type: which form is meant
//! is decided here, and that none is is reported as the engine itself would, with all forms.

use super::error::{Fallible, about, stopped_in};
use super::kinds::{self, FromValue};
use super::read::Opts;
use crate::api::{self, Form, Function, Options, Type};
use rhai::{
    Dynamic, Engine, EvalAltResult, FuncRegistration, Map, Module, NativeCallContext, Position, RhaiFunc,
    Shared,
};
use std::any::TypeId;

/// What calls one form.
pub type Call = fn(&NativeCallContext, &mut Args) -> Fallible<Dynamic>;

/// A function of the language: what is said about it, and what it does, form by form.
pub struct Entry {
    pub about: &'static Function,
    pub calls: &'static [Option<Call>],
}

/// What can be read of an object: what is said about it, and what has it.
pub struct Property {
    pub about: &'static api::Property,
    pub register: fn(&mut Module),
}

/// The name of a type of object.
pub const fn object(kind: Type) -> &'static str {
    match kind {
        Type::Object(name) => name,
        _ => "",
    }
}

/// A set of options that is read into a struct.
pub trait FromOpts: Sized {
    const OPTIONS: &'static Options;
    /// From a map whose keys are known to be among [`FromOpts::OPTIONS`].
    fn read(opts: &Opts) -> Fallible<Self>;
}

/// A name without what lets a word of Rust be one: `r#override`.
pub const fn word(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}

/// Reads one option, or what it is when it is not given.
pub fn option<T: FromValue>(opts: &Opts, key: &str, default: Option<&Dynamic>) -> Fallible<T> {
    let read = match opts.get(key).or(default) {
        Some(value) => T::from_value(value, &opts.what(key)),
        None => T::missing(&opts.what(key)),
    };
    read.map_err(|error| about(error, key))
}

/// The arguments of one call, read one after the other.
pub struct Args {
    function: &'static Function,
    values: std::vec::IntoIter<Dynamic>,
}

impl Args {
    pub fn next<T: FromValue>(&mut self) -> Fallible<T> {
        T::from_value(&self.values.next().unwrap_or_default(), self.function.name)
    }

    pub fn options<T: FromOpts>(&mut self) -> Fallible<T> {
        let value = self.values.next().unwrap_or_default();
        T::read(&Opts::described(self.function.name, &value, T::OPTIONS)?)
    }
}

/// Registers functions and properties. Several functions may have one name and length: whichever of them is called, they
/// are all asked. `named` has those of a name.
pub fn register<'a>(
    engine: &mut Engine,
    entries: impl Iterator<Item = &'static Entry>,
    properties: impl Iterator<Item = &'a Property>,
    named: fn(&str) -> Vec<&'static Entry>,
) {
    let mut module = Module::new();
    properties.for_each(|property| (property.register)(&mut module));
    for entry in entries {
        // A bit for each length.
        let mut lengths: u32 = 0;
        for (form, call) in entry.about.forms.iter().zip(entry.calls) {
            let with_and_without = if form.options.is_some() { 0b11 } else { 0b1 };
            if call.is_some() {
                lengths |= with_and_without << form.params.len();
            }
        }
        let any = |length| vec![TypeId::of::<Dynamic>(); length];
        let all = (0..32).filter(|length| lengths >> length & 1 == 1).map(any);
        for types in all.chain(usual(entry)) {
            let function = move |ctx: Option<NativeCallContext>, args: &mut [&mut Dynamic]| {
                let ctx = ctx.expect("asked for");
                let args = args.iter().map(|arg| arg.flatten_clone()).collect();
                call(&ctx, entry, named, args).map_err(|error| stopped_in(error, entry.about.name, &ctx))
            };
            FuncRegistration::new(entry.about.name).set_into_module_raw(
                &mut module,
                types,
                RhaiFunc::Pure {
                    func: Shared::new(function),
                    has_context: true,
                    is_pure: false,
                    is_volatile: true,
                },
            );
        }
    }
    engine.register_global_module(module.into());
}

/// The types with which functions are called that take a command, where that is one text. A function of any types is looked
/// for once none has been found of exactly those that are given, and to see that takes Rhai longer than all else of a call:
/// it computes what tells its own functions apart, for each of them.
fn usual(entry: &'static Entry) -> impl Iterator<Item = Vec<TypeId>> {
    let forms = entry.about.forms.iter().zip(entry.calls).filter(|(_, call)| call.is_some());
    let text = forms.filter(|(form, _)| form.params.iter().any(|param| matches!(param.kind, Type::Command)));
    text.flat_map(|(form, _)| {
        let kind = |kind| if matches!(kind, Type::Command) { Type::Text } else { kind };
        let types: Vec<TypeId> = form.params.iter().map(|param| kinds::type_id(kind(param.kind))).collect();
        let with_options = form.options.map(|_| types.iter().copied().chain([TypeId::of::<Map>()]).collect());
        std::iter::once(types).chain(with_options)
    })
}

/// A described function on its first argument, which it may change.
pub type InPlace = fn(&NativeCallContext, &mut Dynamic, &[Dynamic]) -> Fallible<Dynamic>;

/// Registers a form of a described function for exactly its types: where it changes its first argument, and where Rhai
/// has a function of its own for these.
pub fn in_place(module: &mut Module, entry: &'static Entry, types: &[TypeId], function: InPlace) {
    let name = entry.about.name;
    let call = move |context: Option<NativeCallContext>, args: &mut [&mut Dynamic]| {
        let context = context.expect("asked for");
        let Some((first, rest)) = args.split_first_mut() else { return Ok(Dynamic::UNIT) };
        let rest: Vec<Dynamic> = rest.iter().map(|arg| (**arg).clone()).collect();
        // A constant stays as it is.
        let result = match first.is_read_only() {
            true => function(&context, &mut first.flatten_clone(), &rest),
            false => function(&context, first, &rest),
        };
        result.map_err(|error| stopped_in(error, name, &context))
    };
    FuncRegistration::new(entry.about.name).set_into_module_raw(
        module,
        types,
        RhaiFunc::Method { func: Shared::new(call), has_context: true, is_pure: true, is_volatile: true },
    );
}

/// What a function of the engine gets: of these types, in this order.
pub fn types(form: &Form) -> Vec<TypeId> {
    form.params.iter().map(|param| kinds::type_id(param.kind)).collect()
}

fn call(
    ctx: &NativeCallContext,
    entry: &'static Entry,
    named: fn(&str) -> Vec<&'static Entry>,
    values: Vec<Dynamic>,
) -> Fallible<Dynamic> {
    let name = entry.about.name;
    if let Some(meant) = meant(entry, &values) {
        return meant(ctx, &mut Args { function: entry.about, values: values.into_iter() });
    }
    for other in named(name) {
        if let Some(meant) = meant(other, &values) {
            return meant(ctx, &mut Args { function: other.about, values: values.into_iter() });
        }
    }
    let types: Vec<&str> = values.iter().map(Dynamic::type_name).collect();
    let call = format!("{name} ({})", types.join(", "));
    Err(EvalAltResult::ErrorFunctionNotFound(call, Position::NONE).into())
}

/// What calls the form that these values are for; none where one of them is of the wrong type altogether. Other mistakes
/// are told by who reads the value.
fn meant(entry: &Entry, values: &[Dynamic]) -> Option<Call> {
    let called = entry.about.forms.iter().zip(entry.calls);
    let called = || called.clone().filter_map(|(form, call)| Some((form, (*call)?)));
    let fits = |index: usize, kind: Type| kinds::literal(kind, &values[index], entry.about.name).is_ok();
    let (mut form, fitting) = Form::best(called().map(|(form, _)| form), values.len(), fits)?;
    let is_of_types = |form: &Form| {
        form.params.get(fitting).is_none_or(|param| kinds::is_of_type(param.kind, &values[fitting]))
    };
    if !is_of_types(form) {
        // Another one that fits as far, for which the next value is only wrong in itself: a map with an unknown key.
        let as_far = |other: &&Form| {
            let mut params = other.params.iter().take(fitting).enumerate();
            other.takes(values.len()) && params.all(|(at, param)| fits(at, param.kind)) && is_of_types(other)
        };
        form = called().map(|(form, _)| form).find(as_far)?;
    }
    called().find(|(other, _)| std::ptr::eq(*other, form)).map(|(_, call)| call)
}
