//! The usual names of columns, and the part of a record that each names.

use crate::common::without_invisible;

/// A part of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A text, such as `text` or `tweet`.
    Text,
    /// A short text in addition to the text, such as `title`.
    ShortText,
    /// A label, such as `label` or `verdict`.
    Label,
    /// A label or another property, such as `type`.
    PossibleLabel,
    /// A domain, topic or event.
    Domain,
    /// An identifier or a row number.
    Id,
    /// The path of an image file.
    Image,
    /// Another usual column, such as `date`.
    Other,
}

/// Names without case, punctuation and invisible characters.
#[rustfmt::skip]
const NAMES: &[(Role, &[&str])] = &[
    (Role::Text, &[
        "text", "texts", "fulltext", "rawtext", "cleantext", "cleanedtext", "processedtext", "originaltext", "textcontent",
        "content", "contents", "body", "statement", "claim", "tweet", "post", "message", "comment", "news", "article",
        "sentence", "document", "story", "review", "translated", "articlebody", "bodytext", "内容", "文本", "正文", "微博内容",
    ]),
    (Role::ShortText, &[
        "title", "headline", "headlines", "newstitle", "articletitle", "description", "summary", "caption", "subtitle",
        "abstract", "lead", "标题",
    ]),
    (Role::Label, &[
        "label", "labels", "class", "classlabel", "target", "y", "verdict", "veracity", "annotation", "truth", "truthvalue",
        "groundtruth", "gold", "goldlabel", "isfake", "fake", "isreal", "real", "istrue", "isrumor", "isrumour", "ishoax", "hoax",
        "fakenews", "isfakenews", "factuality", "credibility", "misinformation", "ismisinformation", "标签", "标注",
    ]),
    (Role::PossibleLabel, &[
        "type", "rating", "category", "categories", "status", "result", "outcome", "stance", "evaluation", "assessment", "fakeness",
        "ruling", "类别",
    ]),
    (Role::Domain, &[
        "domain", "domains", "event", "events", "eventid", "eventname", "topic", "topics", "theme", "subject", "subjects",
        "section", "source", "publisher", "site", "website", "siteurl", "newssource", "领域", "话题",
    ]),
    (Role::Id, &[
        "id", "ids", "idstr", "index", "idx", "uid", "uuid", "guid", "tweetid", "tweetids", "postid", "newsid", "statusid",
        "articleid", "claimid", "statementid", "rootid", "unnamed0", "rownumber", "rowid", "no", "mid", "sid", "key", "编号",
    ]),
    (Role::Image, &[
        "image", "images", "img", "imgs", "picture", "pictures", "pic", "pics", "photo", "photos", "imagepath", "imagepaths", "imagefile",
        "imagefiles", "imagename", "imgpath", "imgfile", "imgname", "picturepath", "photopath", "imageid", "图片", "图像",
    ]),
    (Role::Other, &[
        "date", "time", "timestamp", "createdat", "published", "publishdate", "author", "authors", "user", "username", "userid",
        "screenname", "url", "newsurl", "link", "imageurl", "language", "lang", "speaker", "party", "state",
        "context", "job", "jobtitle", "location", "keyword", "keywords", "tags", "hashtags", "retweets", "likes", "score",
    ]),
];

/// Words within a longer name, as in `tweet_text` or `label_encoded`.
const WORDS: &[(Role, &[&str])] = &[
    (
        Role::Text,
        &["text", "content", "body", "statement", "claim", "tweet", "article", "sentence", "message"],
    ),
    (Role::ShortText, &["title", "headline", "description"]),
    (
        Role::Label,
        &[
            "label",
            "class",
            "target",
            "verdict",
            "veracity",
            "annotation",
            "truth",
            "fake",
            "rumor",
            "rumour",
            "hoax",
        ],
    ),
    (Role::PossibleLabel, &["rating", "category", "type"]),
    (Role::Domain, &["domain", "topic", "event", "subject"]),
];

/// Words of names that make the column something else: `tweet_id`, `label_date`.
const OTHER_WORDS: &[&str] = &[
    "id",
    "ids",
    "url",
    "urls",
    "link",
    "date",
    "time",
    "count",
    "counts",
    "length",
    "len",
    "num",
    "number",
    "score",
    "source",
    "lang",
    "language",
    "image",
    "images",
    "path",
    "file",
    "author",
    "user",
    "embedding",
    "tokens",
    "confidence",
    "probability",
];

/// A name of a column: its role, and whether the entire name is usual or only a word of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NamedRole {
    pub(super) role: Role,
    pub(super) is_exact: bool,
}

/// Returns the role that a name suggests.
pub(super) fn role_of(name: &str) -> Option<NamedRole> {
    // The last part of a path into nested objects names the value.
    let last = name.rsplit('.').next().unwrap_or(name);
    let words = words(&without_invisible(last));
    let key = words.concat();
    let find = |table: &[(Role, &[&str])], key: &str| {
        table.iter().find(|(_, names)| names.contains(&key)).map(|(role, _)| *role)
    };
    if let Some(role) = find(NAMES, &key) {
        return Some(NamedRole { role, is_exact: true });
    }
    if words.iter().any(|word| OTHER_WORDS.contains(&word.as_str())) {
        return None;
    }
    // The last word is the noun of a name: `claim_label` is a label, `news_text` a text.
    let role = words.iter().rev().find_map(|word| find(WORDS, word))?;
    Some(NamedRole { role, is_exact: false })
}

/// Returns the lowercase words of a name: `tweetText`, `tweet_text` and `Tweet Text` have the same.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lowercase = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && was_lowercase) {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        was_lowercase = c.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_roles() {
        let check = |name: &str, expected: Option<(Role, bool)>| {
            let found = role_of(name).map(|found| (found.role, found.is_exact));
            assert_eq!(found, expected, "{name}");
        };
        check("text", Some((Role::Text, true)));
        check("\u{feff}Text", Some((Role::Text, true)));
        check("label\u{200b}", Some((Role::Label, true)));
        check("Full Text", Some((Role::Text, true)));
        check("tweetText", Some((Role::Text, false)));
        check("tweet_text", Some((Role::Text, false)));
        check("claim_label", Some((Role::Label, false)));
        check("is_fake", Some((Role::Label, true)));
        check("content.text", Some((Role::Text, true)));
        check("Unnamed: 0", Some((Role::Id, true)));
        check("tweet_id", Some((Role::Id, true)));
        check("image_path", Some((Role::Image, true)));
        check("image_url", Some((Role::Other, true)));
        check("tweet_created", Some((Role::Text, false)));
        check("label_confidence", None);
        check("x1", None);
        check("", None);
    }

    #[test]
    fn no_name_has_two_roles() {
        let all: Vec<&str> = NAMES.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let distinct: std::collections::HashSet<&str> = all.iter().copied().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
