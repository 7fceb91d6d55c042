//! Trees from posts: one root, existing parents, unique ids and no cycle.

use hashbrown::HashMap;

use super::posts::Post;
use super::sink::Sink;

/// Returns the posts as a tree, the root first: duplicates are left out, and posts without a path to the root are attached to it.
/// Every change is counted in `sink`. The first post is the root.
pub(super) fn assemble(thread: &str, posts: Vec<Post>, sink: &mut Sink<'_>) -> Vec<Post> {
    let mut nodes: Vec<Post> = Vec::with_capacity(posts.len());
    let mut indices: HashMap<String, usize> = HashMap::with_capacity(posts.len());
    for post in posts {
        if indices.contains_key(&post.id) {
            sink.leave_out("posts whose id occurs before in the thread", &post.id);
            continue;
        }
        indices.insert(post.id.clone(), nodes.len());
        nodes.push(post);
    }
    let root_id = nodes.first().map(|root| root.id.clone());
    let mut parents = vec![0; nodes.len()];
    for (index, post) in nodes.iter_mut().enumerate().skip(1) {
        let parent = post.parent.as_ref().and_then(|parent| indices.get(parent).copied());
        match (&post.parent, parent) {
            (_, Some(parent)) => parents[index] = parent,
            (None, None) => sink.adjust("posts without a parent, attached to the source post", &post.id),
            (Some(_), None) => {
                sink.adjust("posts whose parent is missing, attached to the source post", &post.id);
            }
        }
    }
    for index in cycle_starts(&parents) {
        parents[index] = 0;
        sink.adjust("posts in a cycle of replies, attached to the source post", &nodes[index].id);
    }
    let ids: Vec<String> = nodes.iter().map(|post| post.id.clone()).collect();
    let mut n_early = 0;
    for (index, post) in nodes.iter_mut().enumerate() {
        post.parent = (index > 0).then(|| ids[parents[index]].clone());
        n_early += usize::from(post.time.is_some_and(|time| time < 0.0));
    }
    if n_early > 0 {
        let example = root_id.as_deref().unwrap_or(thread);
        sink.adjust_many("posts before their source post (negative time), as released", n_early, example);
    }
    nodes
}

/// Returns one post of each cycle; the root, node 0, is its own parent.
fn cycle_starts(parents: &[usize]) -> Vec<usize> {
    /// On the current path, or known to be connected to the root.
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        OnPath,
        Connected,
    }
    let mut states = vec![State::New; parents.len()];
    if let Some(root) = states.first_mut() {
        *root = State::Connected;
    }
    let mut starts = Vec::new();
    for first in 0..parents.len() {
        let (mut node, mut path) = (first, Vec::new());
        while states[node] == State::New {
            states[node] = State::OnPath;
            path.push(node);
            node = parents[node];
        }
        if states[node] == State::OnPath {
            starts.push(node);
        }
        path.into_iter().for_each(|node| states[node] = State::Connected);
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cycle_has_one_start() {
        assert_eq!(cycle_starts(&[]), [0usize; 0]);
        assert_eq!(cycle_starts(&[0, 0, 1, 2]), [0usize; 0]);
        assert_eq!(cycle_starts(&[0, 1, 1]), [1]);
        assert_eq!(cycle_starts(&[0, 2, 3, 1, 2, 0, 7, 6]), [1, 6]);
        // A long chain does not overflow the stack.
        let chain: Vec<usize> = (0..100_000usize).map(|node| node.saturating_sub(1)).collect();
        assert_eq!(cycle_starts(&chain), [0usize; 0]);
    }
}
