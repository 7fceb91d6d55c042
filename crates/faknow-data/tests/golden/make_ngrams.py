"""Writes ngrams.json: tf-idf weights of n-grams by scikit-learn's TfidfVectorizer (run with scikit-learn 1.9.1)."""

import json
import pathlib

from sklearn.feature_extraction.text import TfidfVectorizer

ENGLISH = [
    "the moon is made of cheese", "the moon is not made of cheese", "rain on the moon", "no rain no cheese no rain",
    "cheese cheese cheese is made of milk", "", "moon moon", "the rain is over the sea",
]
CHINESE = ["今天北京下雨了", "今天上海没有下雨", "月亮是奶酪做的", "月亮不是奶酪做的", "下雨下雨下雨", "北京的月亮", ""]
CASES = [
    ("words", str.split, (1, 2), 2, ENGLISH, ["the moon is made of rain and cheese", "cheese is cheese is cheese", "unknown words", ""]),
    ("words", str.split, (1, 3), 1, ENGLISH, ["no rain no rain on the moon", "milk is milk"]),
    ("characters", list, (1, 4), 2, CHINESE, ["北京今天下雨下雨了", "月亮是奶酪", "上海"]),
]


def case(kind, tokenizer, ngram_range, min_df, training, texts):
    vectorizer = TfidfVectorizer(
        tokenizer=tokenizer, token_pattern=None, ngram_range=ngram_range, min_df=min_df, sublinear_tf=True
    ).fit(training)
    names = vectorizer.get_feature_names_out()
    rows = [dict(zip(names[row.indices].tolist(), row.data.tolist())) for row in vectorizer.transform(texts)]
    return {
        "tokenizer": kind, "max_n": ngram_range[1], "min_df": min_df, "training": training, "texts": texts,
        "n_features": len(names), "rows": rows,
    }


path = pathlib.Path(__file__).parent / "ngrams.json"
path.write_text(json.dumps([case(*it) for it in CASES], ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
