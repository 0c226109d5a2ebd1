//! Bytes of a file → text. What other systems put around it is understood (a byte order mark) or named (UTF-16).

/// What some editors put at the start of a file. It says how the text is encoded and is no part of it.
pub const MARK: char = '\u{feff}';

/// The text, without a byte order mark; or what is wrong, as `is not UTF-8: …`.
pub fn text(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(UTF16.to_owned());
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("is not UTF-8: invalid byte on line {line}")
    })?;
    if text.starts_with(MARK) {
        text.drain(..MARK.len_utf8());
    }
    Ok(text)
}

/// The text of a script. There no byte is 0, while in UTF-16 every other one is, also without a mark.
pub fn script(bytes: Vec<u8>) -> Result<String, String> {
    match bytes.get(..2) {
        Some(&[a, b]) if (a == 0) != (b == 0) => Err(UTF16.to_owned()),
        _ => text(bytes),
    }
}

const UTF16: &str = "is UTF-16, not UTF-8: save it as UTF-8";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_text() {
        assert_eq!(text(b"\xef\xbb\xbfa".to_vec()).as_deref(), Ok("a"));
        assert_eq!(text(b"a\xef\xbb\xbf".to_vec()).as_deref(), Ok("a\u{feff}"));
        assert_eq!(text(Vec::new()).as_deref(), Ok(""));
    }

    #[test]
    fn another_encoding_is_named() {
        for bytes in [b"\xff\xfea\0".as_slice(), b"\xfe\xff\0a", b"a\0b\0", b"\0a\0b"] {
            assert_eq!(script(bytes.to_vec()), Err(UTF16.to_owned()));
        }
        // What the kernel shows of a command has zeros, too.
        assert_eq!(text(b"a\0b\0".to_vec()).as_deref(), Ok("a\0b\0"));
        assert_eq!(text(b"a\nb\xe9".to_vec()), Err("is not UTF-8: invalid byte on line 2".to_owned()));
    }
}
