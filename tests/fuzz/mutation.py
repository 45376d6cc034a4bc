"""Random changes of valid inputs: the same seed gives the same inputs."""

from collections.abc import Iterator, Sequence
from random import Random

MOST_REPEATS = 200


def mutations(
    random: Random, valid: Sequence[bytes], fragments: Sequence[bytes]
) -> Iterator[bytes]:
    """Yield inputs without end: valid ones, changed a few times each, some of them put together."""
    while True:
        content = bytearray(random.choice(valid))
        for _ in range(random.choice((1, 1, 1, 2, 3, 8, 30))):
            _change(random, content, valid, fragments)
        yield bytes(content)


def _change(
    random: Random, content: bytearray, valid: Sequence[bytes], fragments: Sequence[bytes]
) -> None:
    begin = random.randint(0, len(content))
    end = min(len(content), begin + random.choice((0, 1, 2, 5, 20, 200)))
    match random.randrange(9):
        case 0:
            del content[begin:end]
        case 1:
            content[begin:begin] = random.choice(fragments)
        case 2:
            content[begin:end] = random.choice(fragments)
        case 3:
            content[begin:begin] = content[begin:end] * random.randint(1, 5)
        case 4:
            content[begin:end] = random.randbytes(end - begin)
        case 5 if content:
            content[begin % len(content)] ^= 1 << random.randrange(8)
        case 6:
            other = random.choice(valid)
            content[begin:] = other[random.randint(0, len(other)) :]
        case 7:
            content[begin:begin] = random.choice(fragments) * random.randint(1, MOST_REPEATS)
        case _:
            del content[begin:]
