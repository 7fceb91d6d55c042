"""Classifies a file of posts in PyTorch with the weights of a run directory. Usage: predict.py RUN POSTS OUTPUT.
Texts are tokenized by a regular expression and classified in batches of 256, sorted by length. Prints one JSON line."""
import json, re, sys, time
import torch, torch.nn.functional as F
from safetensors.torch import load_file

run, posts, output = sys.argv[1:]
start = time.time()
weights = load_file(f"{run}/checkpoints/best/model.safetensors")
vocab = {word: i for i, word in enumerate(open(f"{run}/vocab.txt", encoding="utf-8").read().split("\n"))}
convs = [(weights[f"text_ccn_layer.convs.{i}.weight"], weights[f"text_ccn_layer.convs.{i}.bias"]) for i in range(3)]
pattern = re.compile(r"\w+")


def forward(tokens):
    x = F.embedding(tokens, weights["word_embedding.weight"]).unsqueeze(1)
    features = [F.relu(F.conv2d(x, weight, bias)).squeeze(3).amax(2) for weight, bias in convs]
    return F.linear(torch.cat(features, 1), weights["classifier.1.weight"], weights["classifier.1.bias"]).softmax(1)


records = [json.loads(line) for line in open(posts, encoding="utf-8")]
texts = [[vocab.get(word, 1) for word in pattern.findall(r["tweet"].lower())][:255] for r in records]
order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
with torch.inference_mode():
    for start_index in range(0, len(order), 256):
        part = order[start_index:start_index + 256]
        tokens = torch.zeros(len(part), len(texts[part[-1]]) + 5, dtype=torch.long)
        for row, i in enumerate(part):
            tokens[row, :len(texts[i])] = torch.tensor(texts[i], dtype=torch.long)
        for i, scores in zip(part, forward(tokens).tolist()):
            records[i]["scores"] = scores
with open(output, "w", encoding="utf-8") as out:
    for record in records:
        out.write(json.dumps(record, ensure_ascii=False) + "\n")
print(json.dumps(dict(seconds=time.time() - start)))
