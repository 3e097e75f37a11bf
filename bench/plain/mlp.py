"""A first neural network on MNIST, as a beginner article writes it: `python -m bench.plain.mlp [EPOCHS]`.

784-128-256-10, batch 64, Adam, 16 epochs, a picture at a time through the transform, the loss read at every step and
the test set looked at after every epoch.
"""

import os
import sys
from pathlib import Path

import torch
from torch import nn, optim
from torch.utils.data import DataLoader

from bench.plain.vision import MNIST, Compose, Normalize, ToTensor


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(28 * 28, 128)
        self.fc2 = nn.Linear(128, 256)
        self.fc3 = nn.Linear(256, 10)

    def forward(self, x):
        x = x.view(x.size(0), -1)
        x = torch.relu(self.fc1(x))
        x = torch.relu(self.fc2(x))
        return self.fc3(x)


def train(model, loader, criterion, optimizer):
    model.train()
    total = 0.0
    for images, labels in loader:
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / len(loader)


def test(model, loader):
    model.eval()
    correct = 0
    with torch.no_grad():
        for images, labels in loader:
            _, predicted = torch.max(model(images), 1)
            correct += (predicted == labels).sum().item()
    return correct / len(loader.dataset)


def main():
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 16
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
