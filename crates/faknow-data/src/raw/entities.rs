//! HTML entities in texts of Twitter and Weibo.

/// Named entities, and their characters.
const NAMED: [(&str, char); 6] =
    [("amp", '&'), ("lt", '<'), ("gt", '>'), ("quot", '"'), ("apos", '\''), ("nbsp", '\u{a0}')];

/// Returns a text with its HTML entities decoded, and whether it had any; each is decoded once.
pub(super) fn unescape(text: &str) -> (String, bool) {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    let mut is_changed = false;
    while let Some(start) = rest.find('&') {
        decoded.push_str(&rest[..start]);
        rest = &rest[start..];
        // The longest entity, `&#1114111;`, has 10 bytes.
        let end = rest.bytes().take(10).position(|byte| byte == b';');
        match end.and_then(|end| Some((end, character(&rest[1..end])?))) {
            Some((end, character)) => {
                decoded.push(character);
                rest = &rest[end + 1..];
                is_changed = true;
            }
            None => {
                decoded.push('&');
                rest = &rest[1..];
            }
        }
    }
    decoded.push_str(rest);
    (decoded, is_changed)
}

fn character(name: &str) -> Option<char> {
    let Some(number) = name.strip_prefix('#') else {
        return NAMED.iter().find(|(it, _)| *it == name).map(|(_, character)| *character);
    };
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => number.parse(),
    };
    code.ok().and_then(char::from_u32).filter(|c| !c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_entities_once() {
        let check = |text: &str, expected: &str| {
            assert_eq!(unescape(text), (expected.to_owned(), text != expected), "{text}");
        };
        check("you &amp; me &lt;3 &#39;x&#x27; &quot;é&quot;", "you & me <3 'x' \"é\"");
        check("&amp;lt;", "&lt;");
        check(
            "AT&T; a & b &unknown; &#0; &#xFFFFFFFF; & 语言;",
            "AT&T; a & b &unknown; &#0; &#xFFFFFFFF; & 语言;",
        );
    }
}
