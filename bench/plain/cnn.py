"""A first convolutional network on MNIST, as a beginner article writes it: `python -m bench.plain.cnn [EPOCHS]`.

Three 3x3 convolutions 32-64-128 with pooling, 512, dropout, batch 64, Adam 1e-3, 10 epochs; the loops are those of the
article before it.
"""

import os
import sys
from pathlib import Path

import torch
from torch import nn, optim
from torch.utils.data import DataLoader

from bench.plain.mlp import test, train
from bench.plain.vision import MNIST, Compose, Normalize, ToTensor


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=3, padding=1)
        self.conv3 = nn.Conv2d(64, 128, kernel_size=3, padding=1)
        self.pool = nn.MaxPool2d(2, 2)
        self.fc1 = nn.Linear(128 * 3 * 3, 512)
        self.fc2 = nn.Linear(512, 10)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        x = self.pool(torch.relu(self.conv1(x)))
        x = self.pool(torch.relu(self.conv2(x)))
        x = self.pool(torch.relu(self.conv3(x)))
        x = x.view(-1, 128 * 3 * 3)
        x = self.dropout(torch.relu(self.fc1(x)))
        return self.fc2(x)


def main():
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    root = Path(os.environ["DEEPEN_DATA"]) / "mnist"
    transform = Compose([ToTensor(), Normalize((0.1307,), (0.3081,))])
    train_loader = DataLoader(MNIST(root, train=True, transform=transform), batch_size=64, shuffle=True)
    test_loader = DataLoader(MNIST(root, train=False, transform=transform), batch_size=64)

    model = Net()
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=0.001)
    for epoch in range(epochs):
        loss = train(model, train_loader, criterion, optimizer)
        accuracy = test(model, test_loader)
        print(f"epoch {epoch + 1} loss {loss:.4f} test accuracy {accuracy:.4f}", flush=True)


if __name__ == "__main__":
    main()
