//! The macros that describe the language: `options!`, `function!`, `properties!` and `words!`. How they are used is told in src/api/mod.rs;
//! here stands their grammar, and nothing else than macros.
//!
//! They are `macro_rules` and no derive, so that a contributor finds the whole of it in this file. A mistake in a *type*
//! is reported at its place ("the trait `FromValue` is not implemented for …": use one of src/host/value/kinds.rs, or
//! implement it). A mistake in the *grammar* is reported as "no rules expected this token": compare with the examples; mostly a `;`
//! or the order `type = default, default "in words", also names` is wrong.

/// The options of a function: a struct with typed fields, its description, and how it is read.
///
/// ```text
/// options! {
///     /// One sentence.
///     pub struct NAME or BARE_KEY: OTHER as FIELD, OTHER as FIELD {      // `or …` and `: …` may be missing
///         /// One sentence, with the unit.
///         KEY: TYPE = DEFAULT, also FOREIGN_NAME FOREIGN_NAME;           // the field is a TYPE
///         /// One sentence.
///         KEY: Option<TYPE>, default "in words", also FOREIGN_NAME;      // the field is an Option<TYPE>
///     }
/// }
/// ```
macro_rules! options {
    ($(#[doc = $about:literal])* $vis:vis struct $name:ident $(or $bare:ident)? $(: $($like:ty as $field:ident),+)? {
        $( $(#[doc = $doc:literal])+ $key:ident : $kind:ty $(= $default:literal)? $(, default $said:literal)?
            $(, also $($also:ident)+)?; )*
    }) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug)]
        $vis struct $name {
            $($( pub $field: $like, )+)?
            $( $(#[doc = $doc])+ pub $key: $kind, )*
        }

        impl $crate::host::value::described::FromOpts for $name {
            const OPTIONS: &'static $crate::api::Options = &$crate::api::Options {
                keys: &[$( $crate::api::Opt {
                    name: $crate::host::value::described::word(stringify!($key)),
                    kind: <$kind as $crate::host::value::kinds::Typed>::TYPE,
                    default: concat!($(stringify!($default))? $($said)?),
                    doc: &[$($doc),+],
                    also: &[$($(stringify!($also)),+)?],
                } ),*],
                like: &[$($( <$like as $crate::host::value::described::FromOpts>::OPTIONS ),+)?],
                bare: [$(Some(stringify!($bare)),)? None][0],
            };

            fn read(opts: &$crate::host::value::read::Opts) -> $crate::host::value::error::Fallible<Self> {
                Ok(Self {
                    $($( $field: <$like as $crate::host::value::described::FromOpts>::read(opts)?, )+)?
                    $( $key: $crate::host::value::described::option(
                        opts,
                        $crate::host::value::described::word(stringify!($key)),
                        [$(Some($crate::host::value::kinds::Default::value($default)),)? None][0].as_ref(),
                    )?, )*
                })
            }
        }
    };
}

/// A function of the language: what is said about it, and what is called, in each of its forms.
///
/// ```text
/// function! {
///     /// What it does. What it throws, when that is not plain from the names below.
///     ///
///     /// (an example in ```rhai)
///     pub NAME = "name" -> RESULT, throws KIND KIND {            // `throws …` may be missing
///         (param: TYPE, param: TYPE; OPTIONS) => rust_function;  // rust_function(ctx, param, param, options)
///         /// What is special about this form.
///         (param: TYPE) => rust_function;                        // without options
///         (param: TYPE) => |ctx| EXPRESSION;                     // a Fallible<RESULT>, of ctx and the parameters
///         (param: TYPE);                                         // described only: registered otherwise
///     }
/// }
/// ```
macro_rules! function {
    ($(#[doc = $doc:literal])+ $vis:vis $id:ident = $name:literal -> $returns:ty $(, throws $($throws:ident)+)? {
        $( $(#[doc = $form_doc:literal])*
            ( $($param:ident : $kind:ty),* $(; $opts:ty)? ) $(=> $body:path)? $(=> |$ctx:pat_param| $expr:expr)?; )+
    }) => {
        $(#[doc = $doc])+
        $vis const $id: $crate::host::value::described::Entry = $crate::host::value::described::Entry {
            about: &$crate::api::Function {
                name: $name,
                forms: &[$( $crate::api::Form {
                    params: &[$( $crate::api::Param {
                        name: stringify!($param),
                        kind: <$kind as $crate::host::value::kinds::Typed>::TYPE,
                    } ),*],
                    options: [$(Some(<$opts as $crate::host::value::described::FromOpts>::OPTIONS),)? None][0],
                    doc: &[$($form_doc),*],
                } ),+],
                returns: <$returns as $crate::host::value::kinds::Typed>::TYPE,
                throws: &[$($(stringify!($throws)),+)?],
                doc: &[$($doc),+],
            },
            calls: &[$( $crate::host::value::describe::call!(
                ($($param: $kind),*) ($($opts)?) $($body)? $(|$ctx| $expr, $returns)?
            ) ),+],
        };
    };
}

/// Part of `function!`: how one form is called; none where it is registered otherwise.
macro_rules! call {
    (($($param:ident : $kind:ty),*) ()) => { None };
    (($($param:ident : $kind:ty),*) ($opts:ty)) => { None };
    (($($param:ident : $kind:ty),*) () |$ctx:pat_param| $expr:expr, $returns:ty) => {
        Some(|ctx, args| {
            // None of a form without parameters.
            let _ = &args;
            $( let $param = args.next::<$kind>()?; )*
            let $ctx = ctx;
            let result: $crate::host::value::error::Fallible<$returns> = $expr;
            result.map(rhai::Dynamic::from)
        })
    };
    (($($param:ident : $kind:ty),*) ($($opts:ty)?) $body:path) => {
        Some(|ctx, args| {
            // None of a form without parameters.
            let _ = &args;
            $( let $param = args.next::<$kind>()?; )*
            $body(ctx $(, $param)* $(, args.options::<$opts>()?)?).map(rhai::Dynamic::from)
        })
    };
}

/// What can be read of an object: what is said about it, and how it is had.
///
/// ```text
/// properties! {
///     NAME of OBJECT {
///         /// One sentence.
///         PROPERTY: TYPE => |object| EXPRESSION;               // a Fallible<TYPE>
///     }
///     /// What stands in brackets; may be missing.
///     [key] -> TYPE => |object| EXPRESSION;                    // key is a &str
/// }
/// ```
macro_rules! properties {
    ($vis:vis $id:ident of $of:ty {
        $( $(#[doc = $doc:literal])+ $name:ident : $kind:ty => |$this:ident| $get:expr; )*
    } $( $(#[doc = $item_doc:literal])+ [$key:ident] -> $item:ty => |$whole:ident| $find:expr; )? ) => {
        $vis const $id: &[$crate::host::value::described::Property] = &[
            $( $crate::host::value::described::Property {
                about: &$crate::api::Property {
                    of: $crate::host::value::described::object(<$of as $crate::host::value::kinds::Typed>::TYPE),
                    name: stringify!($name),
                    kind: <$kind as $crate::host::value::kinds::Typed>::TYPE,
                    doc: &[$($doc),+],
                },
                register: |module| {
                    let get = |$this: &mut $of| -> $crate::host::value::error::Fallible<$kind> { $get };
                    rhai::FuncRegistration::new_getter(stringify!($name)).set_into_module(module, get);
                },
            }, )*
            $( $crate::host::value::described::Property {
                about: &$crate::api::Property {
                    of: $crate::host::value::described::object(<$of as $crate::host::value::kinds::Typed>::TYPE),
                    name: "[]",
                    kind: <$item as $crate::host::value::kinds::Typed>::TYPE,
                    doc: &[$($item_doc),+],
                },
                register: |module| {
                    let get = |$whole: &mut $of, $key: &str| -> $crate::host::value::error::Fallible<$item> { $find };
                    rhai::FuncRegistration::new_index_getter().set_into_module(module, get);
                },
            } )?
        ];
    };
}

/// An option that is one of several words: an enum, with its kind.
///
/// ```text
/// words! {
///     /// One sentence.
///     pub enum NAME { VARIANT = "word", VARIANT = "word" }
/// }
/// ```
macro_rules! words {
    ($(#[doc = $doc:literal])+ $vis:vis enum $name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name { $($variant),+ }

        impl $crate::host::value::kinds::Typed for $name {
            const TYPE: $crate::api::Type = $crate::api::Type::OneOf(&[$($word),+]);
        }

        impl $crate::host::value::kinds::FromValue for $name {
            fn from_value(value: &rhai::Dynamic, what: &str) -> $crate::host::value::error::Fallible<Self> {
                $crate::host::value::kinds::literal(<Self as $crate::host::value::kinds::Typed>::TYPE, value, what)?;
                let word = value.read_lock::<rhai::ImmutableString>().map(|word| word.to_string());
                $( if word.as_deref() == Some($word) { return Ok(Self::$variant); } )+
                unreachable!("it is one of the words")
            }
        }
    };
}

pub(crate) use {call, function, options, properties, words};
