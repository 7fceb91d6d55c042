"""PyTorch peer of `faknow train eann` and `faknow train spotfake` with frozen encoders whose features are at hand.

usage: multimodal.py {eann|spotfake} POSTS.jsonl EPOCHS

EANN: trained word vectors (300), convolutions, features of images (1000) and an event discriminator after gradient
reversal, batches of 100. SpotFake: features of texts (384) and images (1280), batches of 64. Features are random numbers,
since only the time of an epoch is measured: batches of texts are padded to their longest text, the optimizer is fused.
Prints one JSON line: seconds of each epoch, peak memory in MB.
"""
import json
import random
import re
import resource
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


class Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return -gradient


class Eann(nn.Module):
    def __init__(self, n_words, n_events):
        super().__init__()
        self.words = nn.Embedding(n_words, 300, padding_idx=0)
        self.convolutions = nn.ModuleList(nn.Conv1d(300, 20, kernel) for kernel in (1, 2, 3, 4))
        self.text, self.image = nn.Linear(80, 32), nn.Linear(1000, 32)
        self.classes = nn.Linear(64, 2)
        self.events = nn.Sequential(nn.Linear(64, 32), nn.LeakyReLU(), nn.Linear(32, n_events))

    def forward(self, tokens, image):
        vectors = self.words(tokens).transpose(1, 2)
        text = torch.cat([F.leaky_relu(conv(vectors)).amax(2) for conv in self.convolutions], 1)
        features = torch.cat([F.leaky_relu(self.text(text)), F.leaky_relu(self.image(image))], 1)
        return self.classes(features), self.events(Reverse.apply(features))


class SpotFake(nn.Module):
    def __init__(self):
        super().__init__()

        def branch(size):
            layers = [nn.Linear(size, 2742), nn.ReLU(), nn.Dropout(0.4), nn.Linear(2742, 32), nn.ReLU(), nn.Dropout(0.4)]
            return nn.Sequential(*layers)

        self.text, self.image = branch(384), branch(1280)
        self.classes = nn.Sequential(nn.Dropout(0.4), nn.Linear(64, 35), nn.ReLU(), nn.Dropout(0.4), nn.Linear(35, 1))

    def forward(self, text, image):
        return self.classes(torch.cat([self.text(text), self.image(image)], 1)).squeeze(1)


def main():
    name, path, n_epochs = sys.argv[1], sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(2)
    posts = [json.loads(line) for line in open(path, encoding="utf-8")]
    labels = torch.tensor([post["label"] for post in posts])
    images = {path: index for index, path in enumerate(dict.fromkeys(post["image"] for post in posts))}
    image_of = torch.tensor([images[post["image"]] for post in posts])
    if name == "eann":
        events = {event: index for index, event in enumerate(sorted({post["event"] for post in posts}))}
        event_of = torch.tensor([events[post["event"]] for post in posts])
        texts = [re.findall(r"\w+|[^\w\s]", post["text"].lower())[:255] for post in posts]
        vocab = {word: index for index, word in enumerate(dict.fromkeys(w for text in texts for w in text), 2)}
        ids = [[vocab[word] for word in text] for text in texts]
        model, features, batch_size = Eann(len(vocab) + 2, len(events)), torch.randn(len(images), 1000), 100
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    else:
        text_features, features = torch.randn(len(posts), 384), torch.randn(len(images), 1280)
        model, batch_size = SpotFake(), 64
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    seconds = []
    for _ in range(n_epochs):
        start = time.time()
        order = list(range(len(posts)))
        random.shuffle(order)
        for first in range(0, len(order), batch_size):
            rows = order[first : first + batch_size]
            index = torch.tensor(rows)
            image = features[image_of[index]]
            optimizer.zero_grad(set_to_none=True)
            if name == "eann":
                length = max(4, max(len(ids[row]) for row in rows))
                tokens = torch.zeros(len(rows), length, dtype=torch.long)
                for row, post in enumerate(rows):
                    tokens[row, : len(ids[post])] = torch.tensor(ids[post])
                classes, found = model(tokens, image)
                loss = F.cross_entropy(classes, labels[index]) + F.cross_entropy(found, event_of[index])
            else:
                logits = model(text_features[index], image)
                loss = F.binary_cross_entropy_with_logits(logits, labels[index].float())
            loss.backward()
            optimizer.step()
        seconds.append(time.time() - start)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"model": name, "epoch_seconds": seconds, "rss_mb": memory}))


main()
