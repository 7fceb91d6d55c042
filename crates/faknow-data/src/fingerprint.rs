//! A number that tells contents apart, the same on every machine and in every version.

/// A stable hash: mixes numbers, texts and bytes into one number of 64 bits. It does not protect against forgery.
///
/// It is what [`Dataset::fingerprint`](crate::Dataset::fingerprint) of a custom data set needs:
///
/// ```
/// use faknow_data::Fingerprint;
///
/// let mut fingerprint = Fingerprint::new();
/// fingerprint.add(2);
/// fingerprint.add_str("moon");
/// assert_eq!(fingerprint.finish(), 1_998_413_140_418_297_050);
/// ```
#[derive(Debug, Clone)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// Starts a fingerprint of nothing.
    pub fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    /// Adds a number. Each step is a bijection of what was added before.
    pub fn add(&mut self, value: u64) {
        let mixed = (self.0 ^ value).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        self.0 = (mixed ^ (mixed >> 32)).wrapping_add(0x94d0_49bb_1331_11eb);
    }

    /// Adds a text; two lists of texts differ even if they are the same letters.
    pub fn add_str(&mut self, text: &str) {
        self.add_bytes(text.as_bytes());
    }

    /// Adds bytes.
    pub fn add_bytes(&mut self, bytes: &[u8]) {
        // The length goes in first, so that no two lists run into the same bytes.
        self.add(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.add(u64::from_le_bytes(word));
        }
    }

    /// Returns the number that stands for all that was added.
    pub fn finish(self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 32)
    }
}

impl Default for Fingerprint {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> u64 {
        let mut fingerprint = Fingerprint::new();
        words.iter().for_each(|word| fingerprint.add_str(word));
        fingerprint.finish()
    }

    /// If this fails, runs saved before no longer recognize their data.
    #[test]
    fn is_pinned() {
        assert_eq!(of(&["moon", "cheese"]), 448_634_443_395_745_217);
    }

    #[test]
    fn tells_like_contents_apart() {
        let lists: [&[&str]; 8] =
            [&[], &[""], &["", ""], &["ab"], &["a", "b"], &["b", "a"], &["ab", ""], &["ab\0"]];
        let distinct: std::collections::HashSet<u64> = lists.iter().map(|list| of(list)).collect();
        assert_eq!(distinct.len(), lists.len());
    }
}
