//! A number that tells contents apart, the same on every machine and in every version.

/// Mixes words of 64 bits into one, each step a bijection of the state. No protection against forgery.
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    pub(crate) fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    pub(crate) fn add(&mut self, value: u64) {
        let mixed = (self.0 ^ value).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        self.0 = (mixed ^ (mixed >> 32)).wrapping_add(0x94d0_49bb_1331_11eb);
    }

    /// The length goes in first, so that no two lists of strings run into the same bytes.
    pub(crate) fn add_str(&mut self, text: &str) {
        self.add(text.len() as u64);
        for chunk in text.as_bytes().chunks(8) {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            self.add(u64::from_le_bytes(bytes));
        }
    }

    pub(crate) fn finish(self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 32)
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

    /// If this fails, runs saved before no longer recognise their data.
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
