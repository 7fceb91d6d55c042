//! A stable hash of data, identical on every machine and in every version.

/// A stable 64-bit hash of numbers, strings and bytes. It is not cryptographically secure.
///
/// Use it to implement [`Dataset::fingerprint`](crate::Dataset::fingerprint) of a custom dataset:
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
    /// Creates an empty fingerprint.
    pub fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    /// Adds a number. Each step is a bijection of the previous state.
    pub fn add(&mut self, value: u64) {
        let mixed = (self.0 ^ value).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        self.0 = (mixed ^ (mixed >> 32)).wrapping_add(0x94d0_49bb_1331_11eb);
    }

    /// Adds a string with its length, so that `["ab"]` and `["a", "b"]` differ.
    pub fn add_str(&mut self, text: &str) {
        self.add_bytes(text.as_bytes());
    }

    /// Adds bytes with their length.
    pub fn add_bytes(&mut self, bytes: &[u8]) {
        self.add(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.add(u64::from_le_bytes(word));
        }
    }

    /// Returns the hash of all added values.
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

    fn fingerprint(words: &[&str]) -> u64 {
        let mut fingerprint = Fingerprint::new();
        words.iter().for_each(|word| fingerprint.add_str(word));
        fingerprint.finish()
    }

    #[test]
    fn is_pinned() {
        // If this fails, saved runs no longer recognize their data.
        assert_eq!(fingerprint(&["moon", "cheese"]), 448_634_443_395_745_217);
    }

    #[test]
    fn differs_for_similar_contents() {
        let lists: [&[&str]; 8] =
            [&[], &[""], &["", ""], &["ab"], &["a", "b"], &["b", "a"], &["ab", ""], &["ab\0"]];
        let distinct: std::collections::HashSet<u64> = lists.iter().map(|list| fingerprint(list)).collect();
        assert_eq!(distinct.len(), lists.len());
    }
}
