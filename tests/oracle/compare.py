"""Whether two answers are the same."""
import decimal, json, math, re


class Number(str):
    """A number as it was written."""


def parse(body):
    """A JSON answer; numbers stay as they are written."""
    return json.loads(body, parse_float=Number, parse_int=Number)


# The order in which floats are summed up differs with how points are stored, and libraries differ in the last bit of these functions.
LOOSE = re.compile(
    r"\b(sum|mean|stddev|integral|cumulative_sum|moving_average|derivative|non_negative_derivative|difference|non_negative_difference|spread|median"
    r"|holt_winters|holt_winters_with_fit)\s*\(",
    re.I,
)
TRANSCENDENTAL = re.compile(r"\b(acos|asin|atan|atan2|cos|exp|ln|log|log2|log10|pow|sin|sqrt|tan)\s*\(", re.I)
SUMS, LAST_BITS, FITTED = 1e-11, 1e-12, 1e-4


def tolerance(statement):
    """How far two floats may be apart, relatively."""
    if re.search(r"\bholt_winters", statement, re.I):
        return FITTED
    if LOOSE.search(statement):
        return SUMS
    return LAST_BITS if TRANSCENDENTAL.search(statement) else 0.0


def same(a, b, tolerance, scale=0.0):
    """Whether two parsed answers are equal; floats may differ by `tolerance`, relatively, or by as much of `scale`."""
    if isinstance(a, Number) and isinstance(b, Number):
        if str.__eq__(a, b):
            return True
        if not tolerance or not (is_float(a) or is_float(b)):
            return False
        return math.isclose(float(a), float(b), rel_tol=tolerance, abs_tol=tolerance * scale)
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(same(x, y, tolerance, scale) for x, y in zip(a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key], tolerance, scale if key != "values" else largest(a[key])) for key in a)
    return a == b


def is_float(number):
    """Whether it can only be a float: also one that is large and was written without a point, but with the zeros of its shortest digits."""
    if any(char in number for char in ".eE"):
        return True
    digits = number.lstrip("-")
    return len(digits) > 15 and digits == format(decimal.Decimal(repr(float(digits))), "f").removesuffix(".0")


def largest(rows):
    """The largest number of a series, but for the times: sums of such numbers that cancel out leave errors of their size."""
    size = 0.0
    for row in rows:
        for value in row[1:]:
            if isinstance(value, Number) and is_float(value):
                size = max(size, abs(float(value)))
    return min(size, 1e6)
