"""The numbers of a text, and whether the equations in its formulas hold."""

import ast
import math
import operator
import re
from collections.abc import Iterator

NUMBER = re.compile(
    r"(?<![\w.,/^])-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[+-]?\d+)?(?!\d|\.\d)"
)
EXACT, ABOUT = 1e-9, 2e-2  # how far the sides of = and of \approx may differ
WORDS = [
    (r"\\text\{[^{}]*\}|\\mu|\\,|\\;|\\ |\\left|\\right|\\qquad|\\quad", " "),
    (r"\{,\}|(?<=\d),(?=\d{3})", ""),
    (r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}", r"((\1)/(\2))"),
    (r"(\d+)!", r" factorial(\1)"),
    (r"\\times|\\cdot", "*"),
    (r"\\lceil", " ceil("),
    (r"\\rceil", ")"),
    (r"\\log_2\s*(\d+)", r" log2(\1)"),
    (r"\\ln\s*(\d+)", r" log(\1)"),
    (r"\\bmod", "%"),
    (r"\^\{([^{}]*)\}", r"**(\1)"),
    (r"\^(\d)", r"**\1"),
]
OPERATIONS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Mod: operator.mod,
    ast.USub: operator.neg,
}
FUNCTIONS = {
    "ceil": math.ceil,
    "factorial": math.factorial,
    "log": math.log,
    "log2": math.log2,
}


def value(match: re.Match) -> float:
    """Return the number that NUMBER has found."""
    return float(match[0].replace(",", ""))


def proved(tex: str) -> set[float]:
    """Return the numbers of the equations in a formula that hold."""
    right = (equation for equation, holds in equations(tex) if holds)
    return {value(m) for equation in right for m in NUMBER.finditer(spelled(equation))}


def equations(tex: str) -> Iterator[tuple[str, bool]]:
    """Yield every equation between numbers in a formula, and whether it holds."""
    for chain in re.split(r"[;，,]\s", tex):
        parts = re.split(r"(=|\\approx)", chain)
        for left, sign, right in zip(
            parts[::2], parts[1::2], parts[2::2], strict=False
        ):
            x, y = evaluated(left), evaluated(right)
            if x is not None and y is not None:
                off = ABOUT if sign == "\\approx" else EXACT
                yield f"{left} {sign} {right}", math.isclose(x, y, rel_tol=off)


def spelled(tex: str) -> str:
    """Return a formula as an expression of Python."""
    for pattern, instead in WORDS:
        tex = re.sub(pattern, instead, tex)
    return tex.strip()


def evaluated(tex: str) -> float | None:
    """Return the value of a formula of numbers, None for one with symbols in it."""
    try:
        return compute(ast.parse(spelled(tex), mode="eval").body)
    except (SyntaxError, TypeError, ValueError, ZeroDivisionError, KeyError):
        return None


def compute(node: ast.expr) -> float:
    """Return the value of an expression of numbers.  Errors: ValueError for others."""
    match node:
        case ast.Constant(int() | float() as number):
            return number
        case ast.BinOp(left, kind, right):
            return OPERATIONS[type(kind)](compute(left), compute(right))
        case ast.UnaryOp(kind, operand):
            return OPERATIONS[type(kind)](compute(operand))
        case ast.Call(ast.Name(name), [argument]):
            return FUNCTIONS[name](compute(argument))
    raise ValueError(f"not a number: {ast.dump(node)}")
