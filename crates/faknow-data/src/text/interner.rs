//! String interning: distinct words and their indices, each word stored once.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// A map from words to indices, numbered from 0 in order of first occurrence.
///
/// All words are concatenated in one string, and the hash table contains only indices: a few bytes per word in addition to its
/// text, and no allocation per word.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interner {
    words: String,
    /// The end of each word in `words`.
    ends: Vec<usize>,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Interner {
    /// Returns the index of `word`, inserting it if necessary.
    #[inline]
    pub(crate) fn intern(&mut self, word: &str) -> u32 {
        let hash = self.hasher.hash_one(word);
        let (words, ends, hasher) = (&mut self.words, &mut self.ends, &self.hasher);
        if let Some(&number) = self.numbers.find(hash, |&number| slice(words, ends, number) == word) {
            return number;
        }
        let number = ends.len() as u32;
        words.push_str(word);
        ends.push(words.len());
        self.numbers.insert_unique(hash, number, |&number| hasher.hash_one(slice(words, ends, number)));
        number
    }

    /// Returns the index of `word`, if it is present.
    pub(crate) fn get(&self, word: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(word);
        self.numbers.find(hash, |&number| slice(&self.words, &self.ends, number) == word).copied()
    }

    /// Returns the word with this index, if it exists.
    pub(crate) fn word(&self, number: u32) -> Option<&str> {
        ((number as usize) < self.ends.len()).then(|| slice(&self.words, &self.ends, number))
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns all words in the order of their indices.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.ends.len() as u32).map(|number| slice(&self.words, &self.ends, number))
    }
}

#[inline(always)]
fn slice<'a>(words: &'a str, ends: &[usize], number: u32) -> &'a str {
    let number = number as usize;
    let start = if number == 0 { 0 } else { ends[number - 1] };
    &words[start..ends[number]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_follow_first_occurrence() {
        let mut interner = Interner::default();
        let words = ["b", "", "a", "b", "ab", "", "é"];
        let numbers: Vec<u32> = words.iter().map(|word| interner.intern(word)).collect();
        assert_eq!(numbers, [0, 1, 2, 0, 3, 1, 4]);
        assert_eq!(interner.iter().collect::<Vec<_>>(), ["b", "", "a", "ab", "é"]);
        assert_eq!(
            (interner.get("ab"), interner.get("ba"), interner.word(4), interner.word(5)),
            (Some(3), None, Some("é"), None)
        );
    }

    #[test]
    fn many_words_stay_distinct() {
        let mut interner = Interner::default();
        for _ in 0..2 {
            for i in 0..20_000_u32 {
                assert_eq!(interner.intern(&i.to_string()), i);
            }
        }
        assert_eq!(interner.len(), 20_000);
        assert_eq!(interner.word(12_345), Some("12345"));
    }
}
