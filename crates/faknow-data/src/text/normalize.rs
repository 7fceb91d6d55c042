//! Detection of links and mentions in posts, which are replaced by special tokens.

/// The token that replaces a link.
pub(crate) const URL: &str = "<url>";
/// The token that replaces a mention of a user.
pub(crate) const USER: &str = "<user>";

/// Maximum length of a mentioned name that is not ASCII, in characters: the limit of Weibo names.
const MAX_NAME_CHARACTERS: usize = 30;

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Text to be tokenized.
    Text(&'a str),
    /// The token that replaces a link or mention.
    Mark(&'static str),
}

/// Calls `piece` for each piece of `text`, in order, until it returns false.
///
/// A link starts with `http://`, `https://` or `www.` (ignoring case, not within a word) and extends to the first character
/// that links cannot contain. All characters outside ASCII end a link, as Chinese continues without a space. A mention is `@`
/// and a name, not within a word, so that mail addresses are unchanged. A name is a run of ASCII letters, digits and `_`, or, if
/// it starts with another letter, a run of letters, digits, `_` and `-` of any script, of at most 30 characters.
pub(crate) fn split_marks<'a>(
    text: &'a str,
    urls: bool,
    users: bool,
    piece: &mut impl FnMut(Piece<'a>) -> bool,
) {
    if !urls && !users {
        if !text.is_empty() {
            piece(Piece::Text(text));
        }
        return;
    }
    let mut start = 0; // of the text not yet emitted
    let mut pos = 0;
    let may_start = |byte: &u8| match byte {
        b'h' | b'H' | b'w' | b'W' => urls,
        b'@' => users,
        _ => false,
    };
    while let Some(offset) = text.as_bytes()[pos..].iter().position(may_start) {
        pos += offset;
        let within_word =
            text[..pos].chars().next_back().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        let rest = &text[pos..];
        let mark = match (within_word, rest.starts_with('@')) {
            (true, _) => None,
            (false, true) => name_length(&rest[1..]).map(|len| (1 + len, USER)),
            (false, false) => url_length(rest).map(|len| (len, URL)),
        };
        let Some((len, mark)) = mark else {
            pos += 1; // all searched characters are one byte long
            continue;
        };
        if (start < pos && !piece(Piece::Text(&text[start..pos]))) || !piece(Piece::Mark(mark)) {
            return;
        }
        pos += len;
        start = pos;
    }
    if start < text.len() {
        piece(Piece::Text(&text[start..]));
    }
}

/// Returns the length in bytes of the link at the start of `text`.
fn url_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let prefix = ["http://", "https://", "www."].into_iter().find(|prefix| {
        bytes.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    })?;
    let is_url_byte = |byte: &u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(byte);
    let length = bytes.iter().take_while(|byte| is_url_byte(byte)).count();
    // Trailing punctuation belongs to the sentence.
    let link = text[..length].trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', ')', ']', '*']);
    (link.len() > prefix.len()).then_some(link.len())
}

/// Returns the length in bytes of the name at the start of `text`.
fn name_length(text: &str) -> Option<usize> {
    let is_ascii = text.chars().next()?.is_ascii();
    let is_name_char = |c: char| match is_ascii {
        true => c.is_ascii_alphanumeric() || c == '_',
        false => c.is_alphanumeric() || c == '_' || c == '-',
    };
    let max_length = if is_ascii { usize::MAX } else { MAX_NAME_CHARACTERS };
    let length = text.chars().take(max_length).take_while(|&c| is_name_char(c)).map(char::len_utf8).sum();
    (length > 0).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let mut got = String::new();
        split_marks(text, true, true, &mut |piece| {
            match piece {
                Piece::Text(text) => got += text,
                Piece::Mark(mark) => got += mark,
            }
            true
        });
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn replaces_links() {
        check("see https://t.co/aB1 now", "see <url> now");
        check("HTTP://X.org/a?b=c&d=e#f, then", "<url>, then");
        check("(see http://x.org/a_(b)).", "(see <url>)).");
        check("(www.who.int).", "(<url>).");
        check("电流http://t.cn/RUnzfKG但像超凡", "电流<url>但像超凡");
        check("中www.a.cn。", "中<url>。");
        check("http:// https www. wwwide ahttp://b awww.b", "http:// https www. wwwide ahttp://b awww.b");
        check("http://a http://b", "<url> <url>");
        check("http://", "http://");
        check("what how w h", "what how w h");
    }

    #[test]
    fn replaces_mentions() {
        check("@CDCgov: says", "<user>: says");
        check("RT @a_b1@c", "RT <user>@c");
        check("me@example.org @ noon @", "me@example.org @ noon @");
        check("来自：@AlvinShing大王", "来自：<user>大王");
        check("@黎启lee-_ 晒", "<user> 晒");
        check(&format!("@{}", "名".repeat(31)), "<user>名");
    }

    #[test]
    fn disabled_normalization_returns_the_text() {
        let mut pieces = Vec::new();
        split_marks("@a http://b", false, false, &mut |piece| {
            pieces.push(piece);
            true
        });
        assert_eq!(pieces, [Piece::Text("@a http://b")]);
        split_marks("", true, true, &mut |piece| panic!("{piece:?} in an empty text"));
    }

    #[test]
    fn stops_when_piece_returns_false() {
        let mut n = 0;
        split_marks("a @b c @d", true, true, &mut |_| {
            n += 1;
            n < 2
        });
        assert_eq!(n, 2);
    }
}
