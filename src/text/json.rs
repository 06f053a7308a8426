//! JSON, as far as reports need it: values out, nothing in.
//!
//! Octets that are no UTF-8 become the replacement character; everything JSON asks to be
//! escaped is. Source: RFC 8259 sections 2 to 7.

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// Names and values in their order.
    Object(Vec<(&'static str, Json)>),
}

impl Json {
    /// Makes a text of octets.
    pub fn text(octets: impl AsRef<[u8]>) -> Json {
        Json::Text(String::from_utf8_lossy(octets.as_ref()).into_owned())
    }

    /// Makes a text of octets, or `null`.
    pub fn optional_text(octets: Option<impl AsRef<[u8]>>) -> Json {
        octets.map_or(Json::Null, Json::text)
    }

    /// Makes a list of texts.
    pub fn texts<T: AsRef<[u8]>>(list: impl IntoIterator<Item = T>) -> Json {
        Json::List(list.into_iter().map(Json::text).collect())
    }

    /// Appends the value in one line, without blanks between its parts.
    pub fn write(&self, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
            Json::Number(number) => out.push_str(&number.to_string()),
            Json::Text(text) => write_text(text, out),
            Json::List(members) => {
                out.push('[');
                for (at, member) in members.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    member.write(out);
                }
                out.push(']');
            }
            Json::Object(members) => {
                out.push('{');
                for (at, (name, value)) in members.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    write_text(name, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

impl std::fmt::Display for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = String::new();
        self.write(&mut out);
        f.write_str(&out)
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Json {
        Json::Text(text.to_owned())
    }
}

impl From<i64> for Json {
    fn from(number: i64) -> Json {
        Json::Number(number)
    }
}

impl From<bool> for Json {
    fn from(truth: bool) -> Json {
        Json::Bool(truth)
    }
}

impl From<u32> for Json {
    fn from(number: u32) -> Json {
        Json::Number(i64::from(number))
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 || c == '\u{7f}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_in_one_line() {
        let value = Json::Object(vec![
            ("a", Json::Number(-3)),
            ("b", Json::List(vec![Json::Null, Json::Bool(true)])),
            ("c", Json::texts(["x", "y"])),
        ]);
        assert_eq!(
            value.to_string(),
            r#"{"a":-3,"b":[null,true],"c":["x","y"]}"#
        );
    }

    #[test]
    fn texts_are_escaped() {
        for (octets, written) in [
            (b"plain".as_slice(), r#""plain""#),
            (b"a\"b\\c", r#""a\"b\\c""#),
            (
                b"tab\tend\n\r\0\x1f\x7f",
                r#""tab\tend\n\r\u0000\u001f\u007f""#,
            ),
            (b"\xc3\xa4/", "\"\u{e4}/\""),
            (b"\xff", "\"\u{fffd}\""),
        ] {
            assert_eq!(Json::text(octets).to_string(), written);
        }
    }
}
