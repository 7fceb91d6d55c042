//! Texts as sets of shingles, and their MinHash sketches, which find similar texts without comparing every pair.

use unicode_segmentation::UnicodeSegmentation;

use crate::{Fingerprint, Rng};

/// Number of words per shingle; each Chinese character counts as a word.
const SHINGLE_WORDS: usize = 3;
/// Number of bands of a sketch, and of rows per band: texts that share 70 % of their shingles have a band in common with a
/// probability of 99 %.
const BANDS: usize = 16;
const ROWS: usize = 4;

/// A text as the set of its shingles.
pub(super) struct Sketch {
    /// Hashes of the shingles, ascending and distinct.
    shingles: Vec<u32>,
    /// A hash per band: similar texts have one in common with high probability.
    pub(super) bands: [u64; BANDS],
    /// A hash of the unmodified text.
    pub(super) exact: u64,
}

/// The hash functions of sketches, the same in every process (Broder, *On the Resemblance and Containment of Documents*, 1997).
pub(super) struct Sketcher {
    functions: Vec<(u64, u64)>,
}

impl Sketcher {
    pub(super) fn new() -> Self {
        let mut rng = Rng::new(0);
        // Multiply-shift hashing needs odd factors.
        Self { functions: (0..BANDS * ROWS).map(|_| (rng.next_u64() | 1, rng.next_u64())).collect() }
    }

    /// Returns the sketch of a text, or `None` if it has no word.
    pub(super) fn sketch(&self, text: &str) -> Option<Sketch> {
        let lower = text.to_lowercase();
        let words: Vec<&str> = lower.unicode_words().collect();
        if words.is_empty() {
            return None;
        }
        let n = SHINGLE_WORDS.min(words.len());
        let mut shingles: Vec<u32> = words.windows(n).map(|shingle| (hash(shingle) >> 32) as u32).collect();
        shingles.sort_unstable();
        shingles.dedup();
        let minimum = |&(factor, offset): &(u64, u64)| {
            let hashes = shingles
                .iter()
                .map(|&shingle| factor.wrapping_mul(u64::from(shingle)).wrapping_add(offset) >> 16);
            hashes.min().unwrap_or_default()
        };
        let minima: Vec<u64> = self.functions.iter().map(minimum).collect();
        let mut bands = [0; BANDS];
        for (band, rows) in bands.iter_mut().zip(minima.chunks(ROWS)) {
            let mut fingerprint = Fingerprint::new();
            rows.iter().for_each(|row| fingerprint.add(*row));
            *band = fingerprint.finish();
        }
        Some(Sketch { shingles, bands, exact: hash(&[text]) })
    }
}

impl Sketch {
    /// Returns the Jaccard similarity of the shingles of both texts, from 0 to 1.
    pub(super) fn jaccard(&self, other: &Self) -> f64 {
        let (mut a, mut b) = (self.shingles.iter().peekable(), other.shingles.iter().peekable());
        let mut n_shared = 0_usize;
        while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
            match x.cmp(y) {
                std::cmp::Ordering::Less => drop(a.next()),
                std::cmp::Ordering::Greater => drop(b.next()),
                std::cmp::Ordering::Equal => {
                    n_shared += 1;
                    a.next();
                    b.next();
                }
            }
        }
        n_shared as f64 / (self.shingles.len() + other.shingles.len() - n_shared) as f64
    }
}

/// Returns a hash that is the same on every machine: it decides which similar texts are found.
fn hash(words: &[&str]) -> u64 {
    let mut fingerprint = Fingerprint::new();
    words.iter().for_each(|word| fingerprint.add_str(word));
    fingerprint.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jaccard_is_exact_and_similar_texts_share_a_band() {
        let sketcher = Sketcher::new();
        let sketch = |text: &str| sketcher.sketch(text).unwrap();
        let jaccard = |a: &str, b: &str| sketch(a).jaccard(&sketch(b));
        assert_eq!(jaccard("a b c d", "A B, c d!"), 1.0);
        assert_eq!(jaccard("a b c d", "a b c e"), 1.0 / 3.0);
        assert_eq!(jaccard("a b c d", "w x y z"), 0.0);
        assert_eq!(jaccard("one", "one"), 1.0);
        assert_eq!(jaccard("地震 了", "地震 了"), 1.0);
        assert!(sketcher.sketch(" … ").is_none());
        assert_ne!(sketch("a b c d").exact, sketch("A b c d").exact);
        // Pinned: another hash would find other texts.
        assert_eq!(sketch("a b c d").bands[0], 8_920_065_212_082_159_734);
        let long: Vec<String> = (0..40).map(|word| format!("word{word}")).collect();
        let (text, prefix) = (long.join(" "), long[..36].join(" "));
        let have_common_band = sketch(&text).bands.iter().zip(sketch(&prefix).bands).any(|(a, b)| *a == b);
        assert!(have_common_band && jaccard(&text, &prefix) > 0.85);
    }
}
