//! What a file really is, by its first bytes, whatever its name says.

/// The kind of a file that is not text with records, or not in the expected format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Content {
    /// A web page, such as the page of a download or of an error.
    Html,
    /// XML.
    Xml,
    /// The message of a server for a missing file.
    NotFound,
    /// A Git LFS pointer instead of the file.
    GitLfsPointer,
    /// JSON.
    Json,
    /// Apache Parquet.
    Parquet,
    /// A spreadsheet: `.xlsx`, `.ods`.
    Spreadsheet,
    /// A spreadsheet or document of old Office versions: `.xls`, `.doc`.
    OldOffice,
    /// A document in a zip archive: `.docx`, `.odt`.
    Document,
    /// A NumPy archive, `.npz`.
    NumpyArchive,
    /// An array of NumPy, `.npy`.
    NumpyArray,
    /// A model or tensor of PyTorch.
    PyTorch,
    /// An object of Python's pickle.
    Pickle,
    /// A zip archive.
    Zip,
    /// Data compressed by gzip or zstd, twice: the first time was undone.
    CompressedTwice,
    /// Data compressed by bzip2.
    Bzip2,
    /// Data compressed by xz.
    Xz,
    /// A 7z archive.
    SevenZip,
    /// A RAR archive.
    Rar,
    /// A tar archive.
    Tar,
    /// A SQLite database.
    Sqlite,
    /// An Arrow or Feather file.
    Arrow,
    /// An HDF5 file.
    Hdf5,
    /// A PDF document.
    Pdf,
    /// An RTF document.
    Rtf,
    /// An image.
    Image,
}

/// A kind of content with its name, what helps, and its recognition.
struct Kind {
    content: Content,
    name: &'static str,
    help: &'static str,
    matches: fn(&[u8]) -> bool,
}

const fn kind(content: Content, name: &'static str, help: &'static str, matches: fn(&[u8]) -> bool) -> Kind {
    Kind { content, name, help, matches }
}

const EXPORT: &str = "export it as CSV or JSON lines";
const PANDAS: &str =
    "export it with pandas: `to_csv(path, index=False)` or `to_json(path, orient=\"records\", lines=True)`";
const DOWNLOAD: &str = "download the file itself instead of the page that links to it";

/// All kinds; more specific ones precede those that also match.
const KINDS: &[Kind] = &[
    kind(Content::Html, "an HTML page", DOWNLOAD, is_html),
    kind(Content::Xml, "XML", EXPORT, |bytes| {
        text(bytes).starts_with(b"<?xml") || text(bytes).starts_with(b"<rss")
    }),
    kind(
        Content::NotFound,
        "the message of a server that has no such file",
        "download the file again",
        |bytes| text(bytes).starts_with(b"404: Not Found") || text(bytes).starts_with(b"404 Not Found"),
    ),
    kind(
        Content::GitLfsPointer,
        "a Git LFS pointer, not the file",
        "fetch the file with `git lfs pull`",
        |bytes| text(bytes).starts_with(b"version https://git-lfs"),
    ),
    kind(Content::Json, "JSON", "read it with `format = json`", is_json),
    kind(Content::Parquet, "Parquet", "read it with `format = parquet`", |bytes| bytes.starts_with(b"PAR1")),
    kind(Content::Spreadsheet, "a spreadsheet", "read it with `format = excel`", |bytes| {
        is_zip(bytes)
            && (contains(bytes, b"xl/")
                || contains(bytes, b"[Content_Types].xml") && !contains(bytes, b"word/")
                || contains(bytes, b"opendocument.spreadsheet"))
    }),
    kind(
        Content::OldOffice,
        "a spreadsheet or document of Microsoft Office",
        "read a spreadsheet with `format = excel`",
        |bytes| bytes.starts_with(b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"),
    ),
    kind(Content::Document, "a text document", EXPORT, |bytes| {
        is_zip(bytes) && (contains(bytes, b"word/") || contains(bytes, b"opendocument.text"))
    }),
    kind(Content::NumpyArchive, "a NumPy archive", "export the texts as CSV or JSON lines", |bytes| {
        is_zip(bytes) && contains(bytes, b".npy")
    }),
    kind(Content::NumpyArray, "a NumPy array", EXPORT, |bytes| bytes.starts_with(b"\x93NUMPY")),
    kind(Content::PyTorch, "a PyTorch file", EXPORT, |bytes| is_zip(bytes) && contains(bytes, b"data.pkl")),
    kind(Content::Pickle, "a Python pickle", PANDAS, |bytes| {
        matches!(bytes, [0x80, 2..=5, 0x95 | b'c' | b'}' | b']' | b'X' | b'(', ..])
    }),
    kind(Content::Zip, "a zip archive", "extract it with `unzip`", is_zip),
    kind(
        Content::CompressedTwice,
        "compressed twice",
        "decompress it once, with `gunzip` or `unzstd`",
        |bytes| bytes.starts_with(b"\x1F\x8B\x08") || bytes.starts_with(b"\x28\xB5\x2F\xFD"),
    ),
    kind(Content::Bzip2, "compressed with bzip2", "decompress it with `bunzip2`", |bytes| {
        matches!(bytes, [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, ..])
    }),
    kind(Content::Xz, "compressed with xz", "decompress it with `unxz`", |bytes| {
        bytes.starts_with(b"\xFD7zXZ\0")
    }),
    kind(Content::SevenZip, "a 7z archive", "extract it with `7z x`", |bytes| {
        bytes.starts_with(b"7z\xBC\xAF\x27\x1C")
    }),
    kind(Content::Rar, "a RAR archive", "extract it with `unrar x`", |bytes| {
        bytes.starts_with(b"Rar!\x1A\x07")
    }),
    kind(Content::Tar, "a tar archive", "extract it with `tar -xf`", |bytes| {
        bytes.get(257..262) == Some(b"ustar")
    }),
    kind(
        Content::Sqlite,
        "a SQLite database",
        "export a table with `sqlite3 -header -csv FILE 'select * from TABLE'`",
        |bytes| bytes.starts_with(b"SQLite format 3\0"),
    ),
    kind(Content::Arrow, "an Arrow or Feather file", PANDAS, |bytes| {
        bytes.starts_with(b"ARROW1") || bytes.starts_with(b"FEA1") || bytes.starts_with(b"\xFF\xFF\xFF\xFF")
    }),
    kind(Content::Hdf5, "an HDF5 file", PANDAS, |bytes| bytes.starts_with(b"\x89HDF\r\n")),
    kind(Content::Pdf, "a PDF document", EXPORT, |bytes| bytes.starts_with(b"%PDF-")),
    kind(Content::Rtf, "an RTF document", EXPORT, |bytes| bytes.starts_with(b"{\\rtf")),
    kind(Content::Image, "an image", "use a file of texts", |bytes| {
        [&b"\x89PNG\r\n"[..], b"\xFF\xD8\xFF", b"GIF87a", b"GIF89a"]
            .iter()
            .any(|start| bytes.starts_with(start))
    }),
];

impl Content {
    /// Recognizes the content of a file by its first bytes, after decompression; `None` for text such as CSV, and for anything
    /// else.
    ///
    /// ```
    /// use faknow_data::Content;
    ///
    /// assert_eq!(Content::recognize(b"<!DOCTYPE html><title>404</title>"), Some(Content::Html));
    /// assert_eq!(Content::recognize(b"text,label\n"), None);
    /// ```
    pub fn recognize(first: &[u8]) -> Option<Self> {
        KINDS.iter().find(|kind| (kind.matches)(first)).map(|kind| kind.content)
    }

    /// Returns a description, as in "the file is a zip archive".
    pub fn name(self) -> &'static str {
        self.kind().map_or("", |kind| kind.name)
    }

    /// Returns what to do with such a file.
    pub fn help(self) -> &'static str {
        self.kind().map_or("", |kind| kind.help)
    }

    /// Returns the error message for a file with this content.
    pub(crate) fn message(self) -> String {
        format!("the file is {}: {}", self.name(), self.help())
    }

    fn kind(self) -> Option<&'static Kind> {
        KINDS.iter().find(|kind| kind.content == self)
    }
}

/// Returns text without a byte order mark and leading blanks.
fn text(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes).trim_ascii_start()
}

fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06")
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}

fn is_html(bytes: &[u8]) -> bool {
    const STARTS: [&[u8]; 7] =
        [b"<!doctype html", b"<html", b"<head", b"<body", b"<meta ", b"<script", b"<title"];
    let text = text(bytes);
    let starts_with =
        |start: &&[u8]| text.get(..start.len()).is_some_and(|it| it.eq_ignore_ascii_case(start));
    STARTS.iter().any(starts_with)
}

/// Returns whether text starts with an object, or an array of objects or arrays. The header of a CSV file may start with a
/// bracket too.
fn is_json(bytes: &[u8]) -> bool {
    let text = text(bytes);
    let next = text.get(1..).unwrap_or_default().trim_ascii_start().first();
    matches!((text.first(), next), (Some(b'{'), Some(b'"')) | (Some(b'['), Some(b'{' | b'[')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognizes_content() {
        let mut tar = vec![b'a'; 600];
        tar[257..262].copy_from_slice(b"ustar");
        let cases: &[(&[u8], Content)] = &[
            (b"<!DOCTYPE html>\n<html>", Content::Html),
            (b"\xEF\xBB\xBF \n<HTML lang=en>", Content::Html),
            (b"<?xml version=\"1.0\"?>", Content::Xml),
            (b"404: Not Found", Content::NotFound),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a", Content::GitLfsPointer),
            (b"{\"text\": 1}", Content::Json),
            (b"[\n  {\"text\": 1}]", Content::Json),
            (b"PAR1\x15\x04", Content::Parquet),
            (b"PK\x03\x04\x14\0\x06\0[Content_Types].xml", Content::Spreadsheet),
            (b"PK\x03\x04mimetypeapplication/vnd.oasis.opendocument.spreadsheet", Content::Spreadsheet),
            (b"PK\x03\x04[Content_Types].xml word/document.xml", Content::Document),
            (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", Content::OldOffice),
            (b"PK\x03\x04x.npy", Content::NumpyArchive),
            (b"PK\x03\x04archive/data.pkl", Content::PyTorch),
            (b"PK\x03\x04train.csv", Content::Zip),
            (b"\x93NUMPY\x01\0", Content::NumpyArray),
            (b"\x80\x04\x95\x10", Content::Pickle),
            (b"\x1F\x8B\x08\0", Content::CompressedTwice),
            (b"BZh91AY", Content::Bzip2),
            (b"\xFD7zXZ\0", Content::Xz),
            (b"7z\xBC\xAF\x27\x1C", Content::SevenZip),
            (b"Rar!\x1A\x07", Content::Rar),
            (&tar, Content::Tar),
            (b"SQLite format 3\0", Content::Sqlite),
            (b"ARROW1\0\0", Content::Arrow),
            (b"\x89HDF\r\n", Content::Hdf5),
            (b"%PDF-1.7", Content::Pdf),
            (b"{\\rtf1", Content::Rtf),
            (b"\x89PNG\r\n", Content::Image),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Content::recognize(bytes), Some(*expected));
            assert!(expected.message().starts_with("the file is "));
        }
        for kind in KINDS {
            assert!(
                cases.iter().any(|(_, content)| *content == kind.content),
                "no case of {:?}",
                kind.content
            );
        }
    }

    #[test]
    fn delimited_text_is_not_another_content() {
        for text in [
            "",
            "text,label\n",
            "[id],[text]\n",
            "<b>,label\n",
            "{id},x\n",
            "PK,text\n",
            "GIF,a\n",
            "404,text\n",
            "€\u{4}",
        ] {
            assert_eq!(Content::recognize(text.as_bytes()), None, "{text}");
        }
    }
}
