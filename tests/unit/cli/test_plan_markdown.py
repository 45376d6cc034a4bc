"""A plan in a pull request: a headline with counts, tables, folded details, harmless names."""

from dataclasses import replace

import pytest
from inline_snapshot import snapshot

from reconciler.cli.render.plan_markdown import plan_markdown
from reconciler.cli.render.plan_text import Outcome
from reconciler.planning.freezes import Frozen, find_hold
from reconciler.rollout_file.freezes import Freeze, parse_freeze_time
from tests.builders import MOMENT
from tests.unit.cli.plans import RADIUS, SOURCE, planned
from tests.unit.planning.situations import feature


def test_a_preview_has_counts_a_table_and_folded_names() -> None:
    plan = planned(feature(percentage=20))

    assert plan_markdown(plan, SOURCE, Outcome.PREVIEWED) == snapshot("""\
### Rollout: 1 change in 1 feature, +121 gain, −1 lose

`rollout.yaml` at `bbbbbbb` against generation 7. Plan: 1 feature to change, 1 change. Nothing was written.

#### `capture` (update)

| field | before | after |
| --- | --- | --- |
| percentage | `10` | `20` |

**120 → 240** of 1,204 repositories are eligible: **+121** gain, **−1** lose.

Gain: `acme/tools`, `acme/web` … (119 more)

Lose: `acme/old`

<details><summary>By category and owner</summary>

| repositories | gain | lose |
| --- | --- | --- |
| category `small` | 100 | 1 |
| category `large` | 21 | 0 |
| owner `acme` | 121 | 1 |

</details>

<details><summary>As in a terminal</summary>

```text
rollout.yaml at bbbbbbb against generation 7

~ capture
    percentage   10 → 20
    eligible     120 → 240 of 1,204 repositories   +121 gain   −1 lose
                 small +100 −1   large +21
    gain         acme/tools, acme/web, … (119 more)
    lose         acme/old

Plan: 1 feature to change, 1 change. Nothing was written.
```

</details>

<!-- rollout-plan sha256:8d34b1204405c8d3095fcf217ff674494b97b738ccfcd6dfd71592acf9a6c23b -->\
""")


def test_a_plan_without_changes_says_so() -> None:
    plan = planned(feature(percentage=10), radius=None)

    assert plan_markdown(plan, SOURCE, Outcome.PREVIEWED) == snapshot("""\
### Rollout: no change

`rollout.yaml` at `bbbbbbb` against generation 7. Nothing to change: the live state matches the file. Nothing was written.

<!-- rollout-plan sha256:93b2d29994dedeff29941d443b575f05fcce018ece57b7aba4e955598fcc8d87 -->\
""")


def test_a_refused_plan_has_its_guard() -> None:
    plan = planned(feature(percentage=90))

    assert "max-increase" in plan_markdown(plan, SOURCE, Outcome.REFUSED)


def test_text_of_a_file_and_names_are_shown_as_code() -> None:
    hostile = "| a | @acme <b>#1</b> `x` [y](https://example.com)"
    plan = planned(
        feature(percentage=20, description=hostile),
        radius=replace(RADIUS, sample_gained=("acme/<img>",)),
    )

    markdown = plan_markdown(plan, SOURCE, Outcome.PREVIEWED)

    in_code = "``\\| a \\| @acme <b>#1</b> `x` [y](https://example.com)``"
    assert f"| description |  | {in_code} |" in markdown
    assert "Gain: `acme/<img>` " in markdown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("year end", "the freeze year end holds"),
        ("<img src=x>", "`the freeze <img src=x> holds"),
        ("@acme #1", "`the freeze @acme #1 holds"),
        ("[a](https://x)", "`the freeze [a](https://x) holds"),
        ("https://x", "`the freeze https://x holds"),
        ("www.x.org", "`the freeze www.x.org holds"),
    ],
)
def test_names_in_a_refusal_neither_format_nor_link(name: str, shown: str) -> None:
    begin, end = map(parse_freeze_time, ("2020-01-01 00:00", "2199-01-01 00:00"))
    freeze = Freeze(name=name, begin=begin, end=end)
    hold = find_hold((freeze,), MOMENT)
    assert hold is not None
    plan = planned(feature(percentage=20))
    frozen = replace(plan.features[0], findings=(Frozen(hold),))

    markdown = plan_markdown(replace(plan, features=(frozen,)), SOURCE, Outcome.REFUSED)

    assert f"> **Refused** by `freeze`: {shown}" in markdown
