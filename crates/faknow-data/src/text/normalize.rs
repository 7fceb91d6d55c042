//! Links and mentions in posts, which say more by being there than by their letters.

/// The token that stands for a link.
pub(crate) const URL: &str = "<url>";
/// The token that stands for a mention of a user.
pub(crate) const USER: &str = "<user>";

/// Longest mention of a name that is not ASCII, in characters; Weibo's names end there.
const LONGEST_NAME: usize = 30;

/// A stretch of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Text to be cut into words.
    Text(&'a str),
    /// A link or a mention, given by the token that replaces it.
    Mark(&'static str),
}

/// Calls `piece` for each stretch of `text`, in order, until it returns false.
///
/// A link starts with `http://`, `https://` or `www.` (in any case, not within a word) and reaches up to a
/// character that links do not hold, which is any outside ASCII, since Chinese goes on without a blank.
/// A mention is `@` and a name, not within a word, so that mail addresses stay as they are. A name of ASCII
/// letters, digits and `_` ends at any other character; one that starts with another letter is a run of letters,
/// digits, `_` and `-` of any script, of at most 30 characters.
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
    let mut start = 0; // of the text not yet given out
    let mut at = 0;
    let may_start = |byte: &u8| match byte {
        b'h' | b'H' | b'w' | b'W' => urls,
        b'@' => users,
        _ => false,
    };
    while let Some(found) = text.as_bytes()[at..].iter().position(may_start) {
        at += found;
        let within_word =
            text[..at].chars().next_back().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        let rest = &text[at..];
        let mark = match (within_word, rest.starts_with('@')) {
            (true, _) => None,
            (false, true) => name_length(&rest[1..]).map(|len| (1 + len, USER)),
            (false, false) => url_length(rest).map(|len| (len, URL)),
        };
        let Some((len, mark)) = mark else {
            at += 1; // all the characters looked for are one byte long
            continue;
        };
        if (start < at && !piece(Piece::Text(&text[start..at]))) || !piece(Piece::Mark(mark)) {
            return;
        }
        at += len;
        start = at;
    }
    if start < text.len() {
        piece(Piece::Text(&text[start..]));
    }
}

/// Length in bytes of the link that `text` starts with.
fn url_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let prefix = ["http://", "https://", "www."].into_iter().find(|prefix| {
        bytes.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    })?;
    let belongs = |byte: &u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(byte);
    let length = bytes.iter().take_while(|byte| belongs(byte)).count();
    // Punctuation at the end is the sentence's.
    let link = text[..length].trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', ')', ']', '*']);
    (link.len() > prefix.len()).then_some(link.len())
}

/// Length in bytes of the name that `text` starts with.
fn name_length(text: &str) -> Option<usize> {
    let is_ascii = text.chars().next()?.is_ascii();
    let belongs = |c: char| match is_ascii {
        true => c.is_ascii_alphanumeric() || c == '_',
        false => c.is_alphanumeric() || c == '_' || c == '-',
    };
    let longest = if is_ascii { usize::MAX } else { LONGEST_NAME };
    let length = text.chars().take(longest).take_while(|&c| belongs(c)).map(char::len_utf8).sum();
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
    fn links() {
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
    fn mentions() {
        check("@CDCgov: says", "<user>: says");
        check("RT @a_b1@c", "RT <user>@c");
        check("me@example.org @ noon @", "me@example.org @ noon @");
        check("来自：@AlvinShing大王", "来自：<user>大王");
        check("@黎启lee-_ 晒", "<user> 晒");
        check(&format!("@{}", "名".repeat(31)), "<user>名");
    }

    #[test]
    fn switched_off() {
        let mut pieces = Vec::new();
        split_marks("@a http://b", false, false, &mut |piece| {
            pieces.push(piece);
            true
        });
        assert_eq!(pieces, [Piece::Text("@a http://b")]);
        split_marks("", true, true, &mut |piece| panic!("{piece:?} in an empty text"));
    }

    #[test]
    fn stops_when_told() {
        let mut n = 0;
        split_marks("a @b c @d", true, true, &mut |_| {
            n += 1;
            n < 2
        });
        assert_eq!(n, 2);
    }
}
