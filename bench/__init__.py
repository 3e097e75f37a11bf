"""The comparisons of docs/performance.md: `python -m bench [ROW ...]`."""
