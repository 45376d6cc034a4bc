"""Percentages on the command line, as people write them."""

import re
from decimal import Decimal

import click

_WRITTEN = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,2})?) ?%?")
_MOST = 100


class Percentage(click.ParamType[Decimal]):
    """A percentage from 0 to 100 with at most two decimals: 25, 12.5, 25%."""

    name = "percent"

    def convert(
        self, value: str | Decimal, param: click.Parameter | None, ctx: click.Context | None
    ) -> Decimal:
        """Return the number."""
        written = _WRITTEN.fullmatch(str(value))
        if written is None or Decimal(written[1]) > _MOST:
            self.fail(
                f"{value!r} is no percentage; write a number from 0 to 100, such as 25 or 12.5",
                param,
                ctx,
            )
        return Decimal(written[1])
