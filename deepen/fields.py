"""Typed fields of dataclasses, from text or from Python values, with their documentation.

The settings of a recipe are dataclass fields; this reads `key=value` by a field's annotation and says, in one sentence,
what was wrong. The string that stands under a field is its documentation.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from deepen.errors import Misuse, did_you_mean

WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def convert(owner: Any, name: str, value: Any, key: str) -> Any:
    """`value` as the type of `owner.name`; text is parsed. Raises `Misuse` naming `key`."""
    hint = get_type_hints(type(owner))[name]
    try:
        return _convert(hint, value)
    except (ValueError, TypeError):
        hinted = did_you_mean(str(value), map(str, get_args(hint))) if get_origin(hint) is Literal else ""
        raise Misuse(f"{key}={value} is not usable: expected {describe(hint)}.{hinted}") from None


def describe(hint: Any) -> str:
    """A type in words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return "one of " + ", ".join(str(choice) for choice in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join("none" if part is types.NoneType else describe(part) for part in arguments)
    if origin is tuple:
        inner = {int: "whole numbers", float: "numbers", str: "words"}.get(arguments[0], "values")
        count = "" if arguments[-1] is ... else f"{len(arguments)} "
        return f"{count}{inner} separated by commas"
    return WORDS.get(hint, "anything")


def _convert(hint: Any, value: Any) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        if value is None or (isinstance(value, str) and value.lower() in ("none", "null", "off")):
            if types.NoneType in arguments:
                return None
            raise ValueError
        parts = [part for part in arguments if part is not types.NoneType]
        for part in parts[:-1]:
            try:
                return _convert(part, value)
            except (ValueError, TypeError):
                continue
        return _convert(parts[-1], value)
    if origin is Literal:
        for choice in arguments:
            if str(value) == str(choice):
                return choice
        raise ValueError
    if origin is tuple:
        items = [item for item in value.strip("()[] ").split(",") if item.strip()] if isinstance(value, str) else value
        items = list(items) if isinstance(items, list | tuple) else [items]
        if arguments[-1] is not ... and len(items) != len(arguments):
            raise ValueError
        return tuple(_convert(arguments[0], item) for item in items)
    if hint is bool:
        words = {
            "true": True,
            "yes": True,
            "on": True,
            "1": True,
            "false": False,
            "no": False,
            "off": False,
            "0": False,
        }
        if isinstance(value, bool):
            return value
        return words[value.strip().lower()] if isinstance(value, str) and value.strip().lower() in words else _fail()
    if hint is int:
        if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
            raise ValueError
        return int(value)
    if hint is float:
        if isinstance(value, bool):
            raise ValueError
        number = float(value)
        return number if number == number and abs(number) != float("inf") else _fail()
    if hint is str:
        return value if isinstance(value, str) else _fail()
    return value


def _fail() -> Any:
    raise ValueError


@cache
def documentation(owner: type) -> dict[str, str]:
    """Field name to the string under it, over the class and its bases."""
    found: dict[str, str] = {}
    for part in reversed(owner.__mro__[:-1]):
        body = ast.parse(textwrap.dedent(inspect.getsource(part))).body[0]
        assert isinstance(body, ast.ClassDef)
        for node, following in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(node, ast.AnnAssign)
                and isinstance(node.target, ast.Name)
                and isinstance(following, ast.Expr)
            ):
                text = getattr(following.value, "value", None)
                if isinstance(text, str):
                    found[node.target.id] = " ".join(text.split())
    return found
