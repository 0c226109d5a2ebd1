//! Words for people and for shells: the nearest of several, quoted, folded to a width.

/// The known name that is closest to a mistyped one, if any is close.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (name.chars().count() / 3).max(1) + 1;
    known
        .into_iter()
        .map(|candidate| {
            (strsim::damerau_levenshtein(&name.to_lowercase(), &candidate.to_lowercase()), candidate)
        })
        .filter(|(distance, candidate)| *distance <= most && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Quotes one word for the shell.
pub fn quote(word: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_.-/:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(safe) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Words as one line for the shell.
pub fn command_line<T: AsRef<str>>(words: impl IntoIterator<Item = T>) -> String {
    words.into_iter().map(|word| quote(word.as_ref())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_only_one_that_is_near() {
        let known = ["timeout", "grace", "port"];
        assert_eq!(nearest("timeuot", known), Some("timeout"));
        assert_eq!(nearest("PORT", known), Some("port"));
        assert_eq!(nearest("xyzzy", known), None);
    }

    #[test]
    fn a_command_line_survives_a_shell() {
        assert_eq!(
            command_line(["bgjobs", "-e", "print(\"a\")", "it's", ""]),
            r#"bgjobs -e 'print("a")' 'it'\''s' ''"#
        );
    }
}
