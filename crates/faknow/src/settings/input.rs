//! Settings of the run, its data, texts, batches and model.

use super::policies::{DATA, ENCODING, FREE, INITIAL, SEED};
use super::setting::{StaticTable, setting, table};

pub(super) const TABLES: &[StaticTable] = &[
    table(
        "",
        "Keys outside of all tables.",
        &[
            setting(
                "seed",
                SEED,
                "0 to 9223372036854775807",
                "seed of splits, batch order, initial weights and dropout",
            ),
            setting(
                "device",
                FREE,
                "`auto`, `cpu`, `cuda`, `cuda:N`",
                "where to compute; `auto` uses CUDA if available",
            ),
            setting("threads", FREE, "0 to 1024", "threads of libtorch; 0: one per core"),
            setting(
                "baseline",
                FREE,
                "boolean",
                "train `linear` too after the test, and compare; default: true for models of texts, in `train` and `resume`",
            ),
        ],
    ),
    table(
        "data",
        "Records or propagation trees, and their columns. Paths are relative to the current directory.",
        &[
            setting(
                "train",
                FREE,
                "path, list of paths, or table from labels to paths",
                "training records or, as .jsonl, trees; required unless `data.trees` or `data.upfd` is given",
            ),
            setting("valid", FREE, "as `data.train`", "validation records; default: a share of `data.train`"),
            setting(
                "test",
                FREE,
                "as `data.train`",
                "test records; default: a share of `data.train`, unless `data.valid` is given",
            ),
            setting(
                "trees",
                DATA,
                "path: file in TD_RvNN format, or directory of `<id>.npz`",
                "propagation trees",
            ),
            setting("labels", DATA, "path", "labels of `data.trees`: label, event and root id per line"),
            setting(
                "train_ids",
                DATA,
                "path",
                "ids of the training trees, one per line; default: `data.split` or `data.fold`",
            ),
            setting(
                "valid_ids",
                DATA,
                "path",
                "ids of the validation trees; default: a share of the training trees",
            ),
            setting(
                "test_ids",
                DATA,
                "path",
                "ids of the test trees; without it there is no test if `data.train_ids` is given",
            ),
            setting("upfd", DATA, "path", "raw directory of a UPFD dataset, which has its own split"),
            setting(
                "fang",
                DATA,
                "path",
                "directory of a graph of articles, sources and users in the format of FANG, which may have its own split",
            ),
            setting(
                "feature",
                ENCODING,
                "`profile`, `spacy`, `bert`, `content`",
                "node features of `data.upfd`",
            ),
            setting(
                "weighting",
                ENCODING,
                "`tf-idf`, `none`",
                "weighting of node features; default: `tf-idf` for word counts, else `none`",
            ),
            setting(
                "split_by_event",
                DATA,
                "boolean",
                "split by event (of records: `data.domain`), so that no event is in two parts",
            ),
            setting(
                "text",
                DATA,
                "column, or columns separated by commas or as a list",
                "text column, or several, which are joined by line breaks; in files without a header its number from 1, as a \
                 string; in nested JSON a path such as `content.text`; default: recognized from the training file",
            ),
            setting("label", DATA, "column", "label column; default: recognized from the training file"),
            setting(
                "domain",
                DATA,
                "column",
                "domain (topic, event) column, for models that use it and for results per domain",
            ),
            setting(
                "image",
                DATA,
                "column",
                "column of the image of a post, for models that read images: the path of a file",
            ),
            setting(
                "image_dir",
                DATA,
                "path",
                "directory of the images; default: that of the file of records",
            ),
            setting(
                "entities",
                ENCODING,
                "column",
                "column of the entities of the text, for models that read them",
            ),
            setting(
                "title",
                ENCODING,
                "column",
                "column of the headline, for models that read it separately from the text",
            ),
            setting(
                "features",
                DATA,
                "table from features to columns, or list of columns",
                "columns of numeric features, arrays of numbers, for models that read features: `data.features.emotions = \
                 \"emo\"`",
            ),
            setting(
                "comments",
                DATA,
                "column",
                "comments on a post, an array of texts, for emotion features without a column",
            ),
            setting(
                "classes",
                ENCODING,
                "at least 2 distinct names",
                "class names in order; of two, the second is the positive class; default: recognized from the labels",
            ),
            setting(
                "values",
                DATA,
                "table of lists",
                "further label values per class: `data.values.fake = [\"hoax\", \"1\"]`",
            ),
            setting(
                "format",
                DATA,
                "`json`, `jsonl`, `csv`, `tsv`, `excel`, `parquet`",
                "file format; default: by the extension",
            ),
            setting(
                "encoding",
                DATA,
                "a name such as `windows-1252`, `gbk`, `shift_jis`",
                "character encoding of record files; default: UTF-8, or by the byte order mark",
            ),
            setting(
                "delimiter",
                DATA,
                "a character, `tab`, `semicolon`, `pipe`",
                "separator of CSV and TSV files; default: recognized",
            ),
            setting(
                "header",
                DATA,
                "boolean",
                "the first CSV or TSV record is a header; default: recognized",
            ),
            setting(
                "quotes",
                DATA,
                "boolean",
                "quotes group fields in CSV and TSV files; default: recognized",
            ),
            setting(
                "drop_classes",
                DATA,
                "list of label values",
                "labels whose records are left out of all parts, ignoring case",
            ),
            setting(
                "skip_broken",
                DATA,
                "records, at least 0; or a percentage, as in `\"1%\"`",
                "maximum number of records per file to skip because they cannot be parsed or lack a text or label",
            ),
            setting(
                "split",
                DATA,
                "three shares that sum to 1, the first above 0",
                "training, validation and test shares of `data.train`, stratified by class",
            ),
            setting(
                "fold",
                DATA,
                "a fold such as `\"2 of 5\"`; not with `data.test`",
                "cross-validation fold of `data.train` to test on",
            ),
        ],
    ),
    table(
        "text",
        "Tokenization, vocabulary and word vectors.",
        &[
            setting(
                "language",
                ENCODING,
                "`en`, `zh`",
                "tokenizer: Unicode words, or Chinese words by jieba",
            ),
            setting(
                "tokenizer",
                ENCODING,
                "`words`, `jieba`, `characters`, `alphanumeric`",
                "overrides the language's tokenizer",
            ),
            setting("lowercase", ENCODING, "boolean", "convert to lowercase"),
            setting(
                "punctuation",
                ENCODING,
                "boolean",
                "make punctuation, symbols and emoji tokens; default: true, except for n-grams of words",
            ),
            setting("normalize_urls", ENCODING, "boolean", "replace each URL by the token `<url>`"),
            setting("normalize_mentions", ENCODING, "boolean", "replace each @mention by the token `<user>`"),
            setting(
                "normalize_unicode",
                ENCODING,
                "boolean",
                "normalize to NFKC (fullwidth letters, ligatures), and remove invisible characters",
            ),
            setting("stop_words", ENCODING, "path", "file of words to drop, one per line"),
            setting(
                "max_length",
                ENCODING,
                "tokens, at least 1",
                "maximum length; longer texts are truncated",
            ),
            setting(
                "min_count",
                ENCODING,
                "at least 1",
                "minimum number of occurrences of a word in the training texts",
            ),
            setting(
                "max_vocab",
                ENCODING,
                "words, at least 3; 0: no limit",
                "maximum vocabulary size, padding and unknown token included",
            ),
            setting(
                "vectors",
                INITIAL,
                "path",
                "pretrained word vectors: GloVe, word2vec or fastText, also `.bin`, `.gz` or `.zst`",
            ),
            setting(
                "encoder",
                ENCODING,
                "path",
                "directory of a pretrained encoder such as BERT in the format of Hugging Face, whose tokenizer replaces the \
                 settings above, except `max_length`",
            ),
            setting(
                "lexicons",
                ENCODING,
                "path",
                "directory of emotion lexicons, from which emotion features without a column are computed",
            ),
            setting(
                "memory",
                FREE,
                "MiB, at least 0",
                "memory for the tokens of a dataset; beyond it they are read from a file",
            ),
            setting(
                "cache",
                FREE,
                "path",
                "directory that caches tokens and the output of frozen encoders between runs, by content; safe to delete",
            ),
        ],
    ),
    table(
        "image",
        "Images of posts, and their encoder.",
        &[
            setting(
                "encoder",
                ENCODING,
                "path: .pth, .pt, .bin, .safetensors",
                "weights of a pretrained image encoder: VGG or ResNet with torchvision's names, or EfficientNet-Lite0; default: a \
                 small ResNet from scratch",
            ),
            setting("size", ENCODING, "pixels, 32 to 1024", "height and width to which images are resized"),
            setting(
                "resize",
                ENCODING,
                "`crop`, `stretch`",
                "`crop`: keep the aspect ratio and crop the center; `stretch`: change the aspect ratio",
            ),
            setting(
                "max_megapixels",
                FREE,
                "millions of pixels, at least 1",
                "maximum size of an image file",
            ),
            setting(
                "on_problem",
                DATA,
                "`error`, `missing`",
                "reject an image that cannot be read, or treat it as missing with a warning",
            ),
            setting(
                "memory",
                FREE,
                "MiB, at least 0",
                "memory for the pixels of a dataset; images beyond it are decoded again for each batch",
            ),
            setting(
                "cache",
                FREE,
                "path",
                "directory that caches decoded pixels between runs; safe to delete",
            ),
        ],
    ),
    table(
        "loader",
        "Batches.",
        &[
            setting(
                "batch_size",
                DATA,
                "samples, at least 1",
                "training batch size; with `max_tokens` the maximum",
            ),
            setting(
                "max_tokens",
                DATA,
                "tokens; 0: no limit",
                "fill batches with texts of similar length up to this number of tokens, padding included",
            ),
            setting(
                "eval_batch_size",
                FREE,
                "samples, at least 1",
                "batch size of validation, test and prediction; does not affect results",
            ),
            setting(
                "buckets",
                DATA,
                "batches; 0: none",
                "batches per pool that is sorted by length to reduce padding",
            ),
            setting("drop_last", DATA, "boolean", "drop the last incomplete training batch"),
            setting("balanced", DATA, "boolean", "draw all classes equally often, with replacement"),
            setting(
                "workers",
                FREE,
                "threads, 0 to 1024",
                "threads that prepare batches in advance; does not affect results",
            ),
        ],
    ),
    table(
        "model",
        "The model. A config that names a model of propagation trees takes the optimizer, batch size, epochs and patience \
         of its authors where they are not given (`faknow models NAME`).",
        &[
            setting("name", ENCODING, "a model of `faknow models`", "which model"),
            setting(
                "weights",
                INITIAL,
                "path: .pt, .pth, .safetensors",
                "initial weights; those whose name and shape match are loaded",
            ),
        ],
    ),
];
