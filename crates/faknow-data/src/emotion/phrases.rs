//! Lexicon entries of one or more tokens, and their occurrences in a text.

use std::collections::{BTreeMap, HashMap};

use crate::text::Tokenizer;

/// Separates the tokens of an entry; no token contains it.
const SEPARATOR: &str = "\n";

/// Values of words and phrases, tokenized as the texts in which they are found.
#[derive(Debug)]
pub(super) struct Phrases<T> {
    values: HashMap<String, T>,
    /// Number of tokens of the longest entry.
    max_tokens: usize,
}

impl<T: Clone> Phrases<T> {
    /// Tokenizes the entries of a lexicon; those without any token are never found.
    pub(super) fn new(entries: &BTreeMap<String, T>, tokenizer: &Tokenizer) -> Self {
        let mut phrases = Self { values: HashMap::new(), max_tokens: 0 };
        for (word, value) in entries {
            let tokens = tokenizer.tokens(word);
            if !tokens.is_empty() {
                phrases.max_tokens = phrases.max_tokens.max(tokens.len());
                phrases.values.insert(tokens.join(SEPARATOR), value.clone());
            }
        }
        phrases
    }

    /// Returns the occurrences in `tokens`, from left to right, the longest at each position: position, number of tokens, value.
    pub(super) fn find(&self, tokens: &[String]) -> Vec<(usize, usize, &T)> {
        let (mut found, mut position) = (Vec::new(), 0);
        while position < tokens.len() {
            let longest = self.max_tokens.min(tokens.len() - position);
            let value = |n: usize| self.values.get(&tokens[position..position + n].join(SEPARATOR));
            match (1..=longest).rev().find_map(|n| Some((n, value(n)?))) {
                Some((n, value)) => {
                    found.push((position, n, value));
                    position += n;
                }
                None => position += 1,
            }
        }
        found
    }
}
