//! What a script says about itself, as plain data: the text at its top, the parameters that it asks for, and what it does
//! from top to bottom. Nothing of it needs the script to run.

use serde_json::Value;

/// What `bgjobs script FILE --help` and `bgjobs scripts` show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manual {
    /// As it is called: a path, or the name of a script that is built in.
    pub name: String,
    /// The comment at its top, without the slashes.
    pub about: String,
    /// In the order in which the script asks for them.
    pub params: Vec<Param>,
    /// Whether these are all: nothing reads the arguments in a way that cannot be told beforehand.
    pub complete: bool,
}

/// A parameter that a script asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    pub name: String,
    /// Empty when the script says nothing about it.
    pub help: String,
    /// What a value of it looks like, such as `NAME=COMMAND`; empty when the script says nothing about it.
    pub form: String,
    pub required: bool,
    /// Where it is written out. Its type is the type of the parameter: true and false need no value, an array
    /// takes one value each time that the parameter is given.
    pub default: Option<Value>,
}

/// One thing that a script does, as far as its text says.
#[derive(Clone, Debug)]
pub struct Step {
    pub line: usize,
    /// `start`, `run`, `wait_http`, `postgres::start`.
    pub call: String,
    /// The name and the command, or what is waited for.
    pub what: String,
    /// `ready "/"`, `needs db`, `at most 30s`.
    pub facts: Vec<String>,
}

impl Manual {
    /// What it does, in one sentence.
    pub fn sentence(&self) -> String {
        let paragraph = self.about.split("\n\n").next().unwrap_or_default().replace('\n', " ");
        match paragraph.split_once(". ") {
            Some((sentence, _)) => format!("{sentence}."),
            None => paragraph,
        }
    }
}

impl Param {
    pub fn is_flag(&self) -> bool {
        matches!(self.default, Some(Value::Bool(_)))
    }

    pub fn is_list(&self) -> bool {
        matches!(self.default, Some(Value::Array(_)))
    }

    /// `--name VALUE`, as it is typed.
    pub fn typed(&self) -> String {
        let noun = match self.default {
            _ if !self.form.is_empty() => &self.form,
            Some(Value::Bool(false)) => return format!("--{}", self.name),
            Some(Value::Bool(true)) => "false",
            Some(Value::Number(_)) => "NUMBER",
            _ => "VALUE",
        };
        format!("--{} {noun}", self.name)
    }

    /// As in a line of usage: `[--name VALUE]...`.
    pub fn in_usage(&self) -> String {
        let dots = if self.is_list() { "..." } else { "" };
        let typed = self.typed();
        if self.required { format!("{typed}{dots}") } else { format!("[{typed}]{dots}") }
    }
}

/// What may be typed after the name of the script.
pub fn usage(params: &[Param]) -> String {
    params.iter().map(Param::in_usage).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_of_usage_shows_what_each_takes() {
        let param = |name: &str, default: Option<Value>| Param {
            name: name.to_owned(),
            help: String::new(),
            form: String::new(),
            required: false,
            default,
        };
        let params = [
            Param { required: true, ..param("cmd", None) },
            param("port", Some(json!(80))),
            param("quick", Some(json!(false))),
            param("check", Some(json!(true))),
            Param { form: "URL".to_owned(), ..param("url", Some(json!([]))) },
            param("x", None),
        ];
        let shown = "--cmd VALUE [--port NUMBER] [--quick] [--check false] [--url URL]... [--x VALUE]";
        assert_eq!(usage(&params), shown);
    }

    #[test]
    fn the_sentence_is_the_first_one() {
        let about = |text: &str| Manual { about: text.to_owned(), ..Manual::default() }.sentence();
        assert_eq!(about("Starts it,\nwaits. Then more.\n\nEven more."), "Starts it, waits.");
        assert_eq!(about("No full stop"), "No full stop");
        assert_eq!(about(""), "");
    }
}
