//! Which names a script can use: only those that are written in its text. What it cannot name need not be registered,
//! which takes longer than all the rest that a short script costs.
//!
//! What it does not do: parse. A name in a comment, in a string or as the key of a map counts, too: more than a script
//! uses does no harm. Where a name may come from elsewhere, a script gets all of them.

/// What runs text that is not written here, or makes a function of a name that may be computed; and the functions of Rhai
/// that take another one by its name, as `list.map("trim")` does, which may be computed.
fn may_come_from_elsewhere(word: &[u8]) -> bool {
    matches!(word, b"import" | b"eval" | b"Fn") || BY_NAME.iter().any(|name| name.as_bytes() == word)
}

const BY_NAME: &[&str] =
    &["all", "dedup", "drain", "filter", "index_of", "map", "reduce", "reduce_rev", "retain", "some", "sort"];

/// The names that a text can use, and by chance a few more: a bit for each of a few thousand hashes. To keep the words
/// themselves took longer than what is saved.
#[derive(Debug)]
pub enum Named {
    /// Whatever there is.
    All,
    Only(Box<[u64; BITS / 64]>),
}

const BITS: usize = 1 << 12;

impl Named {
    pub fn in_text(text: &str) -> Self {
        let mut bits = Box::new([0; BITS / 64]);
        // The names of functions are of ASCII; whatever else is a letter only makes a word shorter.
        for word in text.as_bytes().split(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_')) {
            // `1in f()` is a number and a keyword.
            let digits = word.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let word = &word[digits..];
            if word.is_empty() {
                continue;
            }
            if may_come_from_elsewhere(word) {
                return Self::All;
            }
            // What `x in list` and `x !in list` call.
            let bit = bit(if word == b"in" { b"contains" } else { word });
            bits[bit / 64] |= 1 << (bit % 64);
        }
        Self::Only(bits)
    }

    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(bits) => {
                let bit = bit(name.as_bytes());
                bits[bit / 64] & (1 << (bit % 64)) != 0
            }
        }
    }
}

/// Which bit stands for a word: FNV-1a, of which the upper bits are the better ones.
fn bit(word: &[u8]) -> usize {
    let hash =
        word.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    (hash.wrapping_mul(0x9e37_79b1) >> 20) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use rhai::Engine;
    use std::collections::BTreeSet;

    #[test]
    fn a_name_counts_wherever_it_is_written() {
        let named = Named::in_text("run(`a${b.port}`, #{cwd: 1}); // sleep\n/* warn */ 1..2in_x \"log\"é5in");
        for name in ["run", "a", "b", "port", "cwd", "sleep", "warn", "in_x", "log", "contains"] {
            assert!(named.has(name), "{name}");
        }
        for name in ["ru", "unr", "r", "output"] {
            assert!(!named.has(name), "{name}");
        }
    }

    #[test]
    fn where_a_name_may_be_computed_all_of_them_count() {
        for text in
            ["import \"a\" as a;", "eval(`r` + `un(1)`)", "Fn(\"r\" + \"un\").call()", "[1].map(\"s\" + x)"]
        {
            assert!(matches!(Named::in_text(text), Named::All), "{text}");
        }
        assert!(!Named::in_text("important(); evaluate(); maps").has("run"));
    }

    /// Where there is a form with a closure, and one with a text in its place.
    #[test]
    fn what_of_rhai_takes_a_function_by_its_name_is_known() {
        let forms = Engine::new().collect_fn_metadata(
            None,
            |info| {
                let params = info.metadata.params_info.iter();
                let kind = |param: &rhai::ImmutableString| param.rsplit(": ").next().unwrap_or("").to_owned();
                Some((
                    info.metadata.name.to_string(),
                    params.map(|it| kind(&it.as_str().into())).collect::<Vec<_>>(),
                ))
            },
            true,
        );
        let by_name = forms.iter().filter(|(name, params)| {
            params.iter().position(|kind| kind == "FnPtr").is_some_and(|at| {
                let is_text = |kind: &String| kind.contains("str") || kind.contains("String");
                forms.iter().any(|(other, kinds)| {
                    other == name
                        && kinds.len() == params.len()
                        && kinds[..at] == params[..at]
                        && is_text(&kinds[at])
                })
            })
        });
        let by_name: BTreeSet<&str> = by_name.map(|(name, _)| name.as_str()).collect();
        assert_eq!(by_name, BY_NAME.iter().copied().collect());
    }
}
