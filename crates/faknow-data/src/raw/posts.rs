//! Posts and threads, as all readers produce them.

use serde_json::{Map, Value};

use super::time;

/// A post as released.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Post {
    pub(super) id: String,
    /// Id of the post that it replies to or shares.
    pub(super) parent: Option<String>,
    /// Seconds since the source post.
    pub(super) time: Option<f64>,
    pub(super) text: Option<String>,
}

/// A source post with the posts that reply to or share it, before they are assembled to a tree.
#[derive(Debug, Default)]
pub(super) struct RawThread {
    pub(super) id: String,
    pub(super) label: String,
    pub(super) event: Option<String>,
    pub(super) text: String,
    pub(super) image: Option<String>,
    /// Further fields of the record.
    pub(super) extra: Vec<(&'static str, Value)>,
    /// The first post is the root.
    pub(super) posts: Vec<Post>,
}

/// Returns an id, a string or an integer with all its digits.
pub(super) fn id(value: Option<&Value>) -> Option<String> {
    match value {
        Some(Value::String(id)) if !id.trim().is_empty() => Some(id.trim().to_owned()),
        Some(Value::Number(id)) if id.is_u64() || id.is_i64() => Some(id.to_string()),
        _ => None,
    }
}

/// Returns the first of these fields that is a string with text.
pub(super) fn text(post: &Map<String, Value>, fields: &[&str]) -> Option<String> {
    let mut texts = fields.iter().filter_map(|field| post.get(*field)?.as_str());
    texts.find(|text| !text.trim().is_empty()).map(str::to_owned)
}

/// A tweet in the format of Twitter's API, version 1.1.
#[derive(Debug, Clone)]
pub(super) struct Tweet {
    pub(super) id: String,
    pub(super) text: Option<String>,
    /// Id of the tweet that it replies to.
    pub(super) reply_to: Option<String>,
    /// Seconds since 1970.
    pub(super) seconds: Option<f64>,
}

impl Tweet {
    /// Returns the tweet of a JSON object; `None` if it has no id.
    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let tweet = value.as_object()?;
        Some(Self {
            id: id(tweet.get("id_str")).or_else(|| id(tweet.get("id")))?,
            text: text(tweet, &["full_text", "text"]),
            reply_to: id(tweet.get("in_reply_to_status_id_str"))
                .or_else(|| id(tweet.get("in_reply_to_status_id"))),
            seconds: tweet.get("created_at").and_then(time::seconds),
        })
    }

    /// Returns the tweet as a post with the time since `start`, in seconds since 1970.
    pub(super) fn into_post(self, parent: Option<String>, start: Option<f64>) -> Post {
        let time = self.seconds.zip(start).map(|(time, start)| time::round(time - start));
        Post { id: self.id, parent, time, text: self.text }
    }
}
