"""Lists as the text of an array: Postgres reads each value as it was."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.database.arrays import text_array
from tests.postgres import Database

TEXTS = st.text(
    st.one_of(
        st.sampled_from("\\\",{}' \n\tNUL"), st.characters(codec="utf-8", exclude_characters="\0")
    ),
    max_size=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TEXTS, max_size=6))
def test_postgres_reads_each_text_of_an_array_as_it_was(
    database: Database, texts: list[str]
) -> None:
    with database.connect() as connection:
        row = connection.execute("SELECT CAST(%s AS text [])", (text_array(texts),)).fetchone()
    assert row == (texts,)
