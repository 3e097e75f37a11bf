"""A bidirectional LSTM on sentences, as tutorials train it: shuffled batches, each padded to its longest text, nothing packed.

Eager float32, Adam with its fused kernel. The last states of both directions are joined and answer.
"""

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader


class LSTM(nn.Module):
    def __init__(self, vocabulary, embedding, width, classes):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding, padding_idx=0)
        self.lstm = nn.LSTM(embedding, width, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.3)
        self.fc = nn.Linear(2 * width, classes)

    def forward(self, text):
        embedded = self.dropout(self.embedding(text))
        _, (hidden, _) = self.lstm(embedded)
        return self.fc(self.dropout(torch.cat([hidden[-2], hidden[-1]], dim=1)))


def collate(samples):
    texts, labels = zip(*samples, strict=True)
    return pad_sequence(texts, batch_first=True), torch.tensor(labels)


def loader(samples, batch):
    return DataLoader(samples, batch_size=batch, shuffle=True, collate_fn=collate)


def train(model, batches, optimizer):
    model.train()
    for texts, labels in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(texts), labels)
        loss.backward()
        optimizer.step()
