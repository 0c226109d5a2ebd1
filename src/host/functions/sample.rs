//! A namespace that only the unit tests have, so that one of them shows what follows from a description: its function,
//! option and property stand in this file and nowhere else.

use crate::api::Type;
use crate::host::value::describe::{function, options, properties};
use crate::host::value::described::{Entry, Property};
use crate::host::value::error::Fallible;
use crate::host::value::kinds::{Typed, Within};
use rhai::NativeCallContext;

/// What was played.
#[derive(Clone, Debug)]
pub struct Sample(i64);

impl Typed for Sample {
    const TYPE: Type = Type::Object("Sample");
}

pub const FUNCTIONS: &[Entry] = &[PLAY];
pub const PROPERTIES: &[&[Property]] = &[OF_SAMPLE];

options! {
    /// What playing can be told.
    struct Playing {
        /// How loud it is. In decibels.
        loudness: Within<0, 120> = 3, also volume;
    }
}

function! {
    /// Plays a sample and returns it.
    ///
    /// ```rhai
    /// play_sample("bell");
    /// ```
    PLAY = "play_sample" -> Sample, throws io {
        (name: String; Playing) => play;
    }
}

properties! {
    OF_SAMPLE of Sample {
        /// How loud it was.
        heard_db: i64 => |sample| Ok(sample.0);
    }
}

fn play(_: &NativeCallContext, _: String, opts: Playing) -> Fallible<Sample> {
    Ok(Sample(opts.loudness.0))
}

#[cfg(test)]
mod tests {
    use crate::cli::Source;
    use crate::host::engine::engine;
    use crate::host::{brief, check, entries_as_json, overview, pages, reference, search};

    #[test]
    fn what_is_described_once_is_known_everywhere() {
        // Registered, and read with its default.
        let engine = engine(&[]);
        let heard = |call: &str| engine.eval::<i64>(&format!("{call}.heard_db")).expect("a number");
        assert_eq!(heard("play_sample(\"bell\")"), 3);
        assert_eq!(heard("play_sample(\"bell\", #{loudness: 7})"), 7);

        // Judged before a run, by name and by value, with what was meant.
        let told = |code: &str| check(&Source::Code(code.to_owned()), &[]).expect_err("a mistake").message;
        let unknown = |key: &str| format!("play_sample: unknown option `{key}`; did you mean `loudness`?");
        assert_eq!(told("play_sample(\"bell\", #{loudnes: 7})"), unknown("loudnes"));
        assert_eq!(told("play_sample(\"bell\", #{volume: 7})"), unknown("volume"));
        let wrong = "play_sample: option `loudness`: 121 (integer) is not a whole number from 0 to 120";
        assert_eq!(told("play_sample(\"bell\", #{loudness: 121})"), wrong);
        assert_eq!(told("play_smaple(\"bell\")"), "there is no function `play_smaple`");

        // In the reference and in each of its pages; in what programs read, from which the random options of the tests come.
        let page = |name: &str, full| pages(&[name.to_owned()], full).map_err(|it| it.message).expect(name);
        let option = "`loudness`: integer, default 3. How loud it is. In decibels.\n";
        for (text, part) in [
            (reference(), "### play_sample\n\n```text\nplay_sample(name: string, opts: map) -> Sample\n"),
            (reference(), "* `sample.heard_db -> integer`: How loud it was.\n"),
            (overview(), "play_sample"),
            (page("play_sample", false), option),
            (page("play_sample", true), option),
            (page("play_sample.loudness", false), option),
            (page("Sample", false), "* `sample.heard_db -> integer`: How loud it was.\n"),
            (page("errors", false), "play_sample"),
            (brief(), "\nplay_sample(name: str[, opts]) -> Sample\n"),
            (brief(), "\nplay_sample: loudness: int = 3\n"),
            (brief(), "\nSample: heard_db\n"),
            (search("decibels").map_err(|it| it.message).expect("found"), "play_sample(): "),
        ] {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
        let json = entries_as_json(&["play_sample".to_owned()]).map_err(|it| it.message).expect("JSON");
        assert_eq!(json[0]["options"], serde_json::json!(["loudness"]));
        assert_eq!(json[0]["calls"], serde_json::json!(["play_sample(name: string, opts: map) -> Sample"]));
    }
}
