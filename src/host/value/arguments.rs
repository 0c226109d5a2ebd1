//! The arguments of a script: words such as `--name value` and `--name=value`.

/// The parameters that are given, each with its value.
pub fn given(args: &[String]) -> Vec<(String, String)> {
    let value = |index: usize, inline: Option<&str>| {
        inline.or_else(|| value_after(args, index, false)).unwrap_or_default().to_owned()
    };
    options(args).map(|(index, name, inline)| (name.to_owned(), value(index, inline))).collect()
}

/// The `--name` words with their positions and, for `--name=value`, their values. After `--` there are none.
pub fn options(args: &[String]) -> impl Iterator<Item = (usize, &str, Option<&str>)> {
    args.iter().take_while(|arg| *arg != "--").enumerate().filter_map(|(index, arg)| {
        let word = arg.strip_prefix("--")?;
        Some(match word.split_once('=') {
            Some((name, value)) => (index, name, Some(value)),
            None => (index, word, None),
        })
    })
}

/// The value that stands behind a `--name`. After a flag comes one only if it is true or false: `--verbose file`
/// has a positional argument.
pub fn value_after(args: &[String], index: usize, is_flag: bool) -> Option<&str> {
    let word = args.get(index + 1).filter(|word| !word.starts_with("--"))?;
    (!is_flag || matches!(word.as_str(), "true" | "false")).then_some(word)
}
