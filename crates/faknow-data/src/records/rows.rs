//! Rows of delimited text, assembled from lines, and signs that quotes are plain text.

/// The fields of a row.
pub(super) struct Row {
    /// The fields, concatenated.
    bytes: Vec<u8>,
    /// The end of each field in `bytes`.
    ends: Vec<usize>,
    /// Number of its first line, from 1.
    pub(super) line: usize,
    /// Number of its lines.
    pub(super) n_lines: usize,
    pub(super) quoting: Quoting,
}

/// What a row says about the quotes of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quoting {
    /// Nothing: no quotes, or the same fields without them.
    Unknown,
    /// The row has the expected number of fields only with quoting.
    Needed,
    /// A quoted field contains line breaks, but each line has the expected number of fields without quoting: the row may be
    /// several rows, merged by quotes that are plain text.
    Doubtful,
}

impl Row {
    pub(super) fn n_fields(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn field(&self, index: usize) -> String {
        let bytes = self.bytes(index);
        // The reader passes only valid UTF-8, and separators are single ASCII bytes, so fields are valid UTF-8 too.
        std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes).into_owned(), str::to_owned)
    }

    /// Returns the number of bytes of the fields.
    pub(super) fn n_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Returns whether the fields from `index` on are empty.
    pub(super) fn is_empty_from(&self, index: usize) -> bool {
        (index..self.n_fields()).all(|index| self.bytes(index).is_empty())
    }

    fn bytes(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }
}

/// Assembles a row from its lines.
pub(super) struct RowParser {
    separator: u8,
    quotes: bool,
    state: State,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// Number of its first line; 0 before it.
    first_line: usize,
    n_lines: usize,
    /// The line of the last opening quote.
    pub(super) quote_line: usize,
    /// Expected number of fields, to find out about quotes; 0 if this is not needed.
    n_expected: usize,
    /// Whether each line with quotes has the expected number of fields without them.
    is_same_without_quotes: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    FieldStart,
    Plain,
    Quoted,
    AfterQuote,
}

/// The state of a row after a line.
pub(super) enum LineOutcome {
    Complete,
    /// A quoted field continues on the next line.
    Incomplete,
    TextAfterQuote {
        /// From 1, in characters.
        column: usize,
    },
}

impl RowParser {
    /// Creates a parser; a row is compared with `n_expected` fields, unless this is 0.
    pub(super) fn new(separator: u8, quotes: bool, n_expected: usize) -> Self {
        Self {
            separator,
            quotes,
            state: State::FieldStart,
            bytes: Vec::new(),
            ends: Vec::new(),
            first_line: 0,
            n_lines: 0,
            quote_line: 0,
            n_expected,
            is_same_without_quotes: true,
        }
    }

    pub(super) fn is_started(&self) -> bool {
        self.n_lines > 0
    }

    /// Returns the number of bytes of the fields so far.
    pub(super) fn n_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the row, after [`LineOutcome::Complete`].
    pub(super) fn into_row(self) -> Row {
        let Self { bytes, ends, first_line: line, n_lines, .. } = self;
        let n_expected = self.n_expected;
        let quoting = match self.is_same_without_quotes {
            _ if self.quote_line == 0 || n_expected < 2 => Quoting::Unknown,
            true if n_lines > 1 => Quoting::Doubtful,
            false if ends.len() == n_expected => Quoting::Needed,
            _ => Quoting::Unknown,
        };
        Row { bytes, ends, line, n_lines, quoting }
    }

    /// Parses the next line, which has the number `number`; `line_break` follows it.
    pub(super) fn feed(&mut self, content: &[u8], line_break: &[u8], number: usize) -> LineOutcome {
        if self.n_lines == 0 {
            self.first_line = number;
            self.bytes.reserve(content.len());
        }
        self.n_lines += 1;
        let outcome = self.parse(content, line_break, number);
        if self.n_expected > 0 && self.quote_line > 0 {
            let n_fields = 1 + memchr::memchr_iter(self.separator, content).count();
            self.is_same_without_quotes &= n_fields == self.n_expected;
        }
        outcome
    }

    fn parse(&mut self, content: &[u8], line_break: &[u8], number: usize) -> LineOutcome {
        let mut pos = 0;
        while let Some(&byte) = content.get(pos) {
            self.state = match (self.state, byte) {
                (State::FieldStart, b'"') if self.quotes => {
                    self.quote_line = number;
                    State::Quoted
                }
                (State::Quoted, b'"') => State::AfterQuote,
                (State::Quoted, _) => {
                    pos += self.take_until(&content[pos..], b'"');
                    continue;
                }
                (State::FieldStart | State::Plain | State::AfterQuote, _) if byte == self.separator => {
                    self.ends.push(self.bytes.len());
                    State::FieldStart
                }
                (State::AfterQuote, b'"') => {
                    self.bytes.push(b'"');
                    State::Quoted
                }
                (State::AfterQuote, _) => {
                    let column = String::from_utf8_lossy(&content[..pos]).chars().count() + 1;
                    return LineOutcome::TextAfterQuote { column };
                }
                (State::FieldStart | State::Plain, _) => {
                    pos += self.take_until(&content[pos..], self.separator);
                    self.state = State::Plain;
                    continue;
                }
            };
            pos += 1;
        }
        if self.state == State::Quoted {
            self.bytes.extend_from_slice(line_break);
            return LineOutcome::Incomplete;
        }
        self.ends.push(self.bytes.len());
        LineOutcome::Complete
    }

    /// Appends the bytes before the next `end`, or all of them; returns their number.
    fn take_until(&mut self, content: &[u8], end: u8) -> usize {
        let n = memchr::memchr(end, content).unwrap_or(content.len());
        self.bytes.extend_from_slice(&content[..n]);
        n
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoting(lines: &str) -> Quoting {
        let mut parser = RowParser::new(b'\t', true, 3);
        for (index, line) in lines.lines().enumerate() {
            parser.feed(line.as_bytes(), b"\n", index + 1);
        }
        parser.into_row().quoting
    }

    #[test]
    fn rows_show_whether_quotes_are_needed() {
        assert_eq!(quoting("1\ta\tx"), Quoting::Unknown);
        assert_eq!(quoting("1\t\"a\"\tx"), Quoting::Unknown);
        assert_eq!(quoting("1\t\"a\tb\"\tx"), Quoting::Needed);
        assert_eq!(quoting("1\t\"a\nb\"\tx"), Quoting::Needed);
        assert_eq!(quoting("1\t\"a\n\nb\"\tx"), Quoting::Needed);
        assert_eq!(quoting("1\t\"a\tx\n2\tb\"\tx"), Quoting::Doubtful);
        assert_eq!(quoting("1\t\"a\tx\n2\tb\tx\n3\tc\"\tx"), Quoting::Doubtful);
        // Other numbers of fields with and without quotes.
        assert_eq!(quoting("1\t\"a\tx\"\t\tx"), Quoting::Unknown);
    }
}
