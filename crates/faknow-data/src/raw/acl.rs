//! Twitter15 and Twitter16 as released with Ma, Gao and Wong (ACL 2017).
//!
//! `label.txt` has lines `label:id`, `source_tweets.txt` lines `id<TAB>text`, and `tree/<id>.txt` one edge per line,
//! `['user', 'tweet', 'delay']->['user', 'tweet', 'delay']`, with delays in minutes and the source as child of `ROOT`. A retweet
//! has the id of the tweet that it shares, so a post is identified by tweet and user.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use hashbrown::HashMap;

use super::posts::{Post, RawThread};
use super::sink::Sink;
use super::{RawKind, files, time};
use crate::common::printable;
use crate::{Error, Result};

const LABELS: &str = "label.txt";
const TEXTS: &str = "source_tweets.txt";

pub(super) fn is_form(path: &Path) -> bool {
    is_release(path) || !releases(path).is_empty()
}

fn is_release(path: &Path) -> bool {
    path.join("tree").is_dir() && (path.join(LABELS).is_file() || path.join(TEXTS).is_file())
}

/// Returns the releases in the subdirectories `twitter15` and `twitter16`.
fn releases(path: &Path) -> Vec<PathBuf> {
    let dirs = ["twitter15", "twitter16"].into_iter().filter_map(|name| files::find(path, name));
    dirs.filter(|path| is_release(path)).collect()
}

pub(super) fn read(path: &Path, sink: &mut Sink<'_>) -> Result<()> {
    if !is_release(path) {
        let mut releases = releases(path);
        if let Some(part) = sink.part() {
            releases.retain(|dir| files::name(dir).eq_ignore_ascii_case(part));
        }
        return match &releases[..] {
            [] => Err(RawKind::Acl2017.mismatch(path, &files::describe(path))),
            [release] => read(release, sink),
            _ => {
                let paths: Vec<String> = releases.iter().map(|path| path.display().to_string()).collect();
                let paths = paths.join(" or ");
                let message = format!("expected one dataset, got two, which share trees: choose {paths}");
                Err(Error::file(path, message))
            }
        };
    }
    let is_other_part = |part: &&str| {
        files::name(path).eq_ignore_ascii_case(part) && sink.part().is_some_and(|it| it != *part)
    };
    if RawKind::Acl2017.parts().iter().any(is_other_part) {
        return Err(RawKind::Acl2017.mismatch(path, "the directory of the other dataset"));
    }
    for name in [LABELS, TEXTS] {
        if !path.join(name).is_file() {
            return Err(RawKind::Acl2017.mismatch(path, &format!("no `{name}` in {}", files::describe(path))));
        }
    }
    let mut labels = read_labels(&path.join(LABELS))?;
    let texts = read_texts(&path.join(TEXTS))?;
    for file in files::files(&path.join("tree"), "txt")? {
        let id = files::stem(&file);
        let Some(label) = labels.remove(&id) else {
            sink.leave_out("trees without a label in label.txt", &id);
            continue;
        };
        let text = texts.get(&id).cloned();
        let edges = read_edges(&file, sink)?;
        let mut posts = posts(&id, &edges, sink);
        let Some(root) = posts.first_mut() else {
            sink.leave_out("trees without a post", &id);
            continue;
        };
        root.text.clone_from(&text);
        sink.write(RawThread { id, label, text: text.unwrap_or_default(), posts, ..RawThread::default() })?;
    }
    let mut rest: Vec<String> = labels.into_keys().collect();
    rest.sort_by_cached_key(|id| files::sort_key(id));
    rest.iter().for_each(|id| sink.leave_out("labels without a tree", id));
    Ok(())
}

fn read_labels(path: &Path) -> Result<HashMap<String, String>> {
    let mut labels = HashMap::new();
    files::for_each_line(path, |number, line| {
        let (label, id) = line.split_once(':').unwrap_or_default();
        let (label, id) = (label.trim(), id.trim());
        if label.is_empty() || id.is_empty() {
            return Err(Error::line(
                path,
                number,
                format!("expected `label:id`, got `{}`", printable(line, 80)),
            ));
        }
        match labels.insert(id.to_owned(), label.to_owned()) {
            Some(other) if other != label => Err(Error::line(
                path,
                number,
                format!("expected one label of tree `{id}`, got `{other}` and `{label}`"),
            )),
            _ => Ok(()),
        }
    })?;
    Ok(labels)
}

fn read_texts(path: &Path) -> Result<HashMap<String, String>> {
    let mut texts = HashMap::new();
    files::for_each_line(path, |number, line| {
        let Some((id, text)) = line.split_once('\t') else {
            let message = format!("expected an id, a tab and a text, got `{}`", printable(line, 80));
            return Err(Error::line(path, number, message));
        };
        texts.insert(id.trim().to_owned(), text.to_owned());
        Ok(())
    })?;
    Ok(texts)
}

/// A post in an edge.
#[derive(Debug, Clone, PartialEq)]
struct Node {
    user: String,
    tweet: String,
    /// Minutes since the source.
    delay: f64,
}

impl Node {
    fn is_root_marker(&self) -> bool {
        self.tweet == "ROOT"
    }

    fn id(&self) -> String {
        format!("{}:{}", self.tweet, self.user)
    }
}

fn read_edges(path: &Path, sink: &mut Sink<'_>) -> Result<Vec<(Node, Node)>> {
    let mut edges = Vec::new();
    files::for_each_line(path, |number, line| {
        sink.count_read();
        match line.split_once("->").and_then(|(parent, child)| Some((node(parent)?, node(child)?))) {
            Some(edge) => {
                edges.push(edge);
                Ok(())
            }
            None => {
                let expected = "['user', 'tweet', 'delay']->['user', 'tweet', 'delay']";
                let message = format!("expected `{expected}`, got `{}`", printable(line, 80));
                sink.skip(Error::line(path, number, message))
            }
        }
    })?;
    Ok(edges)
}

fn node(text: &str) -> Option<Node> {
    let inner = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    let mut parts = inner.split(',').map(|part| part.trim().trim_matches(['\'', '"']));
    let (user, tweet, delay) = (parts.next()?, parts.next()?, parts.next()?);
    let delay: f64 = delay.parse().ok().filter(|delay: &f64| delay.is_finite())?;
    let is_node = parts.next().is_none() && !user.is_empty() && !tweet.is_empty();
    is_node.then(|| Node { user: user.to_owned(), tweet: tweet.to_owned(), delay })
}

/// Returns the posts of a tree, the source first.
fn posts(tree: &str, edges: &[(Node, Node)], sink: &mut Sink<'_>) -> Vec<Post> {
    let sources: Vec<&Node> =
        edges.iter().filter(|(parent, _)| parent.is_root_marker()).map(|(_, child)| child).collect();
    let source = sources.iter().copied().find(|child| child.tweet == tree).or(sources.first().copied());
    // Without a line of `ROOT`, the source is the first post with the id of the tree, or else the first post.
    let posts = || edges.iter().flat_map(|(parent, child)| [parent, child]);
    let source = source.or_else(|| {
        sink.adjust("trees without a line of ROOT", tree);
        posts().find(|node| node.tweet == tree).or_else(|| posts().next())
    });
    let Some(source) = source else { return Vec::new() };
    let root = source.id();
    let post = |node: &Node, parent: Option<String>| Post {
        id: node.id(),
        parent,
        time: Some(time::round(node.delay * 60.0)),
        text: None,
    };
    let mut seen = HashSet::from([root.clone()]);
    let mut tree_posts = vec![post(source, None)];
    let mut parents: HashMap<String, String> = HashMap::new();
    for (parent, child) in edges {
        let (parent_id, id) = (parent.id(), child.id());
        if id == root {
            if !parent.is_root_marker() {
                sink.leave_out("edges to the source post", &id);
            }
        } else if parent_id == id {
            sink.leave_out("edges from a post to itself", &id);
        } else if let Some(other) = parents.get(&id) {
            let is_same = *other == parent_id;
            sink.leave_out(if is_same { "edges that occur before" } else { "edges to a second parent" }, &id);
        } else {
            parents.insert(id.clone(), parent_id.clone());
            seen.insert(id);
            let parent = (!parent.is_root_marker()).then_some(parent_id);
            tree_posts.push(post(child, parent));
        }
    }
    // Posts that occur only as parents.
    for (parent, _) in edges {
        if !parent.is_root_marker() && seen.insert(parent.id()) {
            tree_posts.push(post(parent, None));
        }
    }
    tree_posts
}
