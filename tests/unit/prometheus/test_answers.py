"""Answers of Prometheus: numbers with labels, or a one-line error."""

import json
from typing import Any

import pytest

from reconciler.errors import Unavailable
from reconciler.prometheus.answers import Sample, read_samples


def answer(kind: str, result: Any, **more: Any) -> bytes:
    return json.dumps(
        {"status": "success", "data": {"resultType": kind, "result": result}, **more}
    ).encode()


def vector(*values: Any) -> bytes:
    return answer("vector", [{"metric": {}, "value": [1700000000.1, each]} for each in values])


def test_a_vector_is_its_numbers_and_labels() -> None:
    content = answer(
        "vector",
        [
            {"metric": {"category": "small"}, "value": [1700000000.123, "12.5"]},
            {"metric": {}, "value": [1700000000, "0"]},
        ],
    )

    assert read_samples(content) == (Sample({"category": "small"}, 12.5), Sample({}, 0))


def test_a_scalar_is_one_number() -> None:
    assert read_samples(answer("scalar", [1700000000, "3"])) == (Sample({}, 3),)


def test_an_empty_answer_has_no_number() -> None:
    assert read_samples(vector()) == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (vector("NaN"), "the query returns nan, which is not a number of jobs"),
        (vector("1", "-1"), "the query returns -1, which is not a number of jobs"),
        (vector("+Inf"), "the query returns inf, which is not a number of jobs"),
        (vector("1e300"), "the query returns 1e+300, which is not a number of jobs"),
        (vector("12 jobs"), "the answer does not have the form of a Prometheus answer"),
        (vector(None), "the answer does not have the form of a Prometheus answer"),
        (vector("9" * 5000), "the query returns inf, which is not a number of jobs"),
        (answer("matrix", []), "the query returns a matrix, not an instant vector"),
        (answer("string", [1, "3"]), "the query returns a string, not an instant vector"),
        (
            answer("vector", [{"metric": {}, "histogram": [1, {}]}]),
            "the query returns a histogram, not a number",
        ),
        (
            answer("vector", [{"metric": {}}]),
            "the answer does not have the form of a Prometheus answer",
        ),
        (answer("vector", {}), "the answer does not have the form of a Prometheus answer"),
        (answer("vector", [], warnings=["a store is gone"]), "it warns: a store is gone"),
        (
            b'{"status": "error", "errorType": "bad_data", "error": "1:5: parse error"}',
            "it reports: 1:5: parse error",
        ),
        (
            b'{"status": "error", "error": "\\u001b[31m @all `x` <b>\\r\\nsecond line"}',
            "it reports: 31m  all  x   b   second line",
        ),
        (b"<html>sign in</html>", "the answer is not JSON"),
        (b"", "the answer is not JSON"),
        (b"\xff\xfe", "the answer is not JSON"),
        (b"[" * 100_000, "the answer is not JSON"),
        (b"3", "the answer does not have the form of a Prometheus answer"),
        (b'{"status": "success"}', "the answer does not have the form of a Prometheus answer"),
    ],
)
def test_an_invalid_answer_is_reported(content: bytes, message: str) -> None:
    with pytest.raises(Unavailable) as failed:
        read_samples(content)
    assert str(failed.value) == message
