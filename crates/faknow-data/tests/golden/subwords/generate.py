"""Writes tiny tokenizers of each supported format to this directory, and the ids that `transformers` returns for some texts.

Requires transformers, tokenizers and sentencepiece. Usage: python generate.py
"""

import io
import json
import os
import pathlib

import sentencepiece
import tokenizers
import transformers

HERE = pathlib.Path(__file__).parent
CORPUS = [
    "The moon is made of green cheese, scientists say.",
    "Breaking news: aliens landed in the city last night!",
    "Rain on Monday, the weather report says; schools are closed.",
    "Vaccines are safe, a study of 3,500 patients shows.",
    "Der Café-Besitzer sagt: naïve résumés überall.",
    "月球上发现了外星人,科学家表示震惊。",
    "今天天气很好,学校放假。",
] * 4
TEXTS = [
    "The moon is made of cheese.",
    "Aliens LANDED!!  Really?  #fake @user https://t.co/x1",
    "  leading and trailing   spaces  ",
    "",
    " ",
    "Café naïve résumé Über ﬁne ＡＢＣ",
    "Cafe\u0301 combining",
    "月球上发现了外星人",
    "新闻 News 混合 text,标点。",
    "😀 👩‍👩‍👧 emoji 🚀moon",
    "tabs\tand\nnew\r\nlines\u3000wide\u00a0no-break",
    "zero\u200bwidth \ufeffmark \x00null \ufffd",
    "[CLS] moon [SEP] <s> moon </s> <mask> [MASK]",
    "don't can't 3.14 1,000,000 -- ...",
    "moon " * 40,
    "a" * 120,
    "Дождь العربية हिन्दी ไทย",
]
RULES = "\n".join(
    f"{' '.join(f'{ord(c):X}' for c in a)}\t{' '.join(f'{ord(c):X}' for c in b)}"
    for a, b in [("ﬁ", "fi"), ("Ａ", "A"), ("Ｂ", "B"), ("Ｃ", "C"), ("e\u0301", "é"), ("\t", " "), ("\n", " "), ("\u3000", " "), ("\u00a0", " "), ("\u200b", ""), ("\uff0c", ",")]
)


def directory(name):
    path = HERE / name
    path.mkdir(exist_ok=True)
    return path


def write(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def word_piece(name, lowercase, settings):
    path = directory(name)
    trained = tokenizers.BertWordPieceTokenizer(lowercase=lowercase)
    trained.train_from_iterator(CORPUS, vocab_size=260, min_frequency=2, show_progress=False)
    trained.save_model(str(path))
    write(path / "tokenizer_config.json", settings)
    return transformers.BertTokenizerFast.from_pretrained(path)


def byte_level(name, prefix_space):
    path = directory(name)
    trained = tokenizers.ByteLevelBPETokenizer(add_prefix_space=prefix_space)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trained.train_from_iterator(CORPUS, vocab_size=360, min_frequency=2, special_tokens=special, show_progress=False)
    trained.save_model(str(path))
    write(path / "tokenizer_config.json", {"add_prefix_space": prefix_space, "model_max_length": 512})
    return transformers.RobertaTokenizerFast.from_pretrained(path)


def sentence_piece(name, file, tokenizer_class, config, settings, **options):
    path = directory(name)
    (path / "rules.tsv").write_text(RULES, encoding="utf-8")
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS),
        model_writer=model,
        normalization_rule_tsv=str(path / "rules.tsv"),
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    (path / "rules.tsv").unlink()
    (path / file).write_bytes(model.getvalue())
    write(path / "config.json", config)
    write(path / "tokenizer_config.json", settings)
    return tokenizer_class.from_pretrained(path)


def json_file(name):
    """A tokenizer as that of ModernBERT: byte-level BPE with a normalizer, only in tokenizer.json."""
    path = directory(name)
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.normalizer = tokenizers.normalizers.NFC()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=360, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_truncation(16)
    tokenizer.enable_padding(length=16)
    tokenizer.save(str(path / "tokenizer.json"), pretty=False)
    names = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]"}
    write(path / "special_tokens_map.json", names)
    return transformers.PreTrainedTokenizerFast.from_pretrained(path)


def main():
    xlm = {"config": {"model_type": "xlm-roberta", "pad_token_id": 1}, "tokenizer_class": transformers.XLMRobertaTokenizerFast}
    deberta = {"config": {"model_type": "deberta-v2", "pad_token_id": 0}, "tokenizer_class": transformers.DebertaV2TokenizerFast}
    deberta_ids = {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3, "pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]"}
    spaces = {"remove_extra_whitespaces": False}
    made = {
        "bert": word_piece("bert", True, {"do_lower_case": True, "model_max_length": 512}),
        "bert_cased": word_piece("bert_cased", False, {"do_lower_case": False, "tokenize_chinese_chars": False, "strip_accents": True}),
        "roberta": byte_level("roberta", False),
        "roberta_prefix": byte_level("roberta_prefix", True),
        "modernbert": json_file("modernbert"),
        "xlm_roberta": sentence_piece("xlm_roberta", "sentencepiece.bpe.model", settings={"model_max_length": 512}, model_type="unigram", vocab_size=220, **xlm),
        "xlm_roberta_bpe": sentence_piece("xlm_roberta_bpe", "sentencepiece.bpe.model", settings={"model_max_length": 512}, model_type="bpe", vocab_size=220, **xlm),
        "deberta": sentence_piece("deberta", "spm.model", settings={"do_lower_case": False, "split_by_punct": False}, model_type="unigram", vocab_size=220, **deberta_ids, **deberta),
        "deberta_lowercase": sentence_piece("deberta_lowercase", "spm.model", settings={"do_lower_case": True, "split_by_punct": True}, model_type="unigram", vocab_size=220, user_defined_symbols=["<url>"], **deberta_ids, **deberta),
    }
    cases = []
    for name, tokenizer in made.items():
        for max_length in [128, 9]:
            ids = [tokenizer(text, truncation=True, max_length=max_length, padding=False)["input_ids"] for text in TEXTS]
            cases.append({"name": name, "max_length": max_length, "padding": tokenizer.pad_token_id, "unknown": tokenizer.unk_token_id, "mask": tokenizer.mask_token_id, "n_tokens": len(tokenizer), "ids": ids})
    text = json.dumps({"texts": TEXTS, "cases": cases}, ensure_ascii=True, separators=(",", ":"))
    (HERE / "expected.json").write_text(text.replace('{"name"', '\n{"name"') + "\n", encoding="utf-8")


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    main()
