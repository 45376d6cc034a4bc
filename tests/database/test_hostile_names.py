"""An account that may create operators and functions in `public` cannot change our statements."""

from itertools import product

import pytest

from reconciler.database import schema
from rollout_client import RolloutClient
from tests.database.hosts import make_host
from tests.eventually import eventually
from tests.postgres import Database
from tests.site import Site

FEATURE = "hybrid_progressive_capture"
ACME = "6f0c1c1e-3c0e-4a55-9b3e-0e5f7a1f2d11"
FILE = f"""\
version: 1
features:
  {FEATURE}:
    percentage: 100
    whitelist: [acme/tools]
    exclusions: [acme/site]
"""
OPERATORS = ("=", "<>", "<", ">", "<=", ">=", "||", "+", "-", "->", "->>", "#>", "~", "%")
TYPES = (
    *("varchar", "text", "name", "numeric", "integer", "bigint", "uuid", "jsonb", "boolean"),
    *("timestamptz", "interval", "bytea", "double precision", "text[]", "uuid[]"),
)
FUNCTIONS = (
    *("lower(varchar)", "upper(varchar)", "btrim(varchar)", "length(varchar)", "concat(varchar)"),
    *(
        "now(integer)",
        "count(uuid)",
        "max(varchar)",
        "coalesced(varchar)",
        "left(varchar, integer)",
    ),
    *("split_part(varchar, varchar, integer)", "starts_with(varchar, varchar)", "sha256(text)"),
    *(
        "get_byte(bytea, bigint)",
        "convert_to(varchar, varchar)",
        "set_config(text, varchar, boolean)",
    ),
)
COMMANDS: tuple[tuple[str, set[int]], ...] = (
    ("--dry-run", {0, 3}),
    ("--yes --allow max-increase --allow feature-removed", {0, 3}),
    ("status", {0}),
    (f"stats --feature {FEATURE}", {0}),
    ("health", {0}),
    (f"explain acme/tools --feature {FEATURE}", {0}),
    ("categorize", {0}),
    ("repositories list", {0}),
    ("history", {0}),
    (f"metrics show --feature {FEATURE}", {0}),
    (f"stop --feature {FEATURE} --reason test --no-write-back", {0}),
    (f"verify --feature {FEATURE}", {0, 1, 2, 3}),
    (f"resume --feature {FEATURE} --reason test --no-write-back", {0}),
    ("drift", {0, 2, 3}),
    ("import", {0}),
    ("db roles --apply", {0}),
)


def plant(database: Database) -> None:
    """Create each operator that Postgres lacks, and functions that match better than Postgres's own."""
    database.execute("""
        CREATE TABLE public.used (what text);
        CREATE FUNCTION public.taken(what text) RETURNS text LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO public.used VALUES (what);
            RAISE EXCEPTION 'planted: %', what;
        END $$;
        CREATE FUNCTION public.plant(symbol text, one regtype, other regtype) RETURNS void
        LANGUAGE plpgsql AS $$
        DECLARE
            result text := CASE WHEN symbol ~ '^[=<>~]+$' THEN 'boolean' ELSE 'text' END;
            name text := format('planted_%s', nextval('public.planted'));
        BEGIN
            IF EXISTS (
                SELECT FROM pg_operator
                WHERE oprname = symbol AND oprleft = one AND oprright = other
            ) THEN
                RETURN;
            END IF;
            EXECUTE format(
                'CREATE FUNCTION public.%s(%s, %s) RETURNS %s LANGUAGE sql AS '
                '$f$ SELECT public.taken(%L)::%s $f$', name, one, other, result, symbol, result
            );
            EXECUTE format(
                'CREATE OPERATOR public.%s (FUNCTION = public.%s, LEFTARG = %s, RIGHTARG = %s)',
                symbol, name, one, other
            );
        END $$;
        CREATE SEQUENCE public.planted;
    """)
    pairs = ", ".join(f"('{one}', '{other}')" for one, other in product(TYPES, TYPES))
    symbols = ", ".join(f"('{each}')" for each in OPERATORS)
    database.execute(f"""
        SELECT public.plant(symbol, one::regtype, other::regtype)
        FROM (VALUES {symbols}) AS symbols (symbol), (VALUES {pairs}) AS pairs (one, other)
    """)
    for function in FUNCTIONS:
        database.execute(
            f"CREATE FUNCTION public.{function} RETURNS text LANGUAGE sql AS"
            f" $f$ SELECT public.taken('{function.replace('%', '')}') $f$"
        )


def used(database: Database) -> list[object]:
    return [row["what"] for row in database.rows("SELECT what FROM public.used")]


def test_planted_operators_do_what_they_say(database: Database) -> None:
    """The attack works on a statement without protection, so the tests below prove something."""
    plant(database)
    with pytest.raises(Exception, match="planted"):
        database.execute("SELECT 'a'::varchar = 'b'::varchar")


@pytest.mark.parametrize("adopted", [False, True])
def test_no_command_uses_an_operator_planted_in_public(
    site: Site, database: Database, empty_database: Database, adopted: bool
) -> None:
    attacked = database
    if adopted:
        attacked = empty_database
        make_host(attacked)
        plant(attacked)
        schema.upgrade(attacked.engine)
    else:
        plant(attacked)
        attacked.execute(f"""
            INSERT INTO repositories (id, owner, name, full_name)
            VALUES ('{ACME}', 'acme', 'tools', 'acme/tools'),
                (gen_random_uuid(), 'acme', 'site', 'acme/site')
        """)
    site.write(FILE)
    site.commit("Declare another rollout")
    acts = Site(site.folder, site.remote, attacked)

    for line, codes in COMMANDS:
        done = acts.reconcile(*line.split())
        assert "planted" not in done.stdout + done.stderr, line
        assert done.exit_code in codes, (line, done)
    assert used(attacked) == []


def test_no_client_uses_an_operator_planted_in_public(database: Database) -> None:
    plant(database)
    database.execute(f"""
        INSERT INTO repositories (id, owner, name, full_name)
        VALUES ('{ACME}', 'acme', 'tools', 'acme/tools');
        INSERT INTO rollout_configuration (feature_name, rollout_strategy, rollout_percentage)
        VALUES ('f', 'repository_size', 100);
    """)
    with RolloutClient(database.url) as client:
        eventually(lambda: client.is_eligible(ACME, "f"))
        client.record(ACME, "f", "inngest", succeeded=True)
    assert database.rows("SELECT total_jobs FROM rollout_metrics") == [{"total_jobs": 1}]
    assert used(database) == []


def test_a_services_trigger_keeps_the_names_that_it_means(
    site: Site, empty_database: Database
) -> None:
    """It reads a table of the service by its bare name, and runs within the reconciler's transactions."""
    make_host(empty_database)
    empty_database.execute("""
        CREATE TABLE audit (feature text);
        CREATE FUNCTION audited() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO audit VALUES (NEW.feature_name);
            RETURN NEW;
        END $$;
        CREATE TRIGGER audited AFTER UPDATE ON rollout_configuration
        FOR EACH ROW EXECUTE FUNCTION audited();
    """)
    schema.upgrade(empty_database.engine)
    acts = Site(site.folder, site.remote, empty_database)
    done = acts.reconcile("stop", "--feature", FEATURE, "--reason", "test", "--no-write-back")
    assert done.exit_code == 0, done
    assert {"feature": FEATURE} in empty_database.rows("SELECT feature FROM audit")


def test_every_function_with_its_owners_rights_has_a_fixed_search_path(database: Database) -> None:
    assert (
        database.rows("""
            SELECT proname FROM pg_proc
            WHERE pronamespace = 'public'::regnamespace AND prosecdef
                AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false)
        """)
        == []
    )
