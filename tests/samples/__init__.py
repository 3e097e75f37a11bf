"""Small data for every reader of the registry: one file a reader, named as it, and nothing else names it.

Each has `make(folder) -> str`, which writes data into an empty folder and returns what stands after `deepen train`, and
`BREAKS`, by name a function that damages what `make` wrote and the words that the one sentence about it must hold. `NEEDS`
may name, by task, a function(folder) -> {key: value} of settings that it cannot do without on such data; `SETTINGS` are for
every training on it.
"""
