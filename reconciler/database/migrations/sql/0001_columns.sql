-- The second part of `0001_adoption.sql`: columns, values and rules of the tables.

-- Columns

CREATE FUNCTION pg_temp.as_text_array(list jsonb) RETURNS text []
LANGUAGE sql IMMUTABLE AS $$
    SELECT array_agg(entry) FROM jsonb_array_elements_text(list) AS entries (entry)
$$;

-- Creates a missing table, and adds missing columns and changes types in an existing one.
CREATE FUNCTION pg_temp.adopt_columns(name text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    host regclass := to_regclass('public.' || name);
    model regclass := to_regclass('pg_temp.' || name);
    offending text;
    each record;
    said text;
BEGIN
    IF host IS NULL THEN
        EXECUTE format('CREATE TABLE public.%I (LIKE pg_temp.%I INCLUDING ALL)', name, name);
        RETURN;
    END IF;

    SELECT string_agg(format('%s.%I', host, attname), ', ') INTO offending
    FROM pg_attribute
    WHERE attrelid = host AND attgenerated <> ''
        AND attname IN (SELECT attname FROM pg_attribute WHERE attrelid = model);
    IF offending IS NOT NULL THEN
        RAISE EXCEPTION '% is generated, and the reconciler writes it', offending
            USING ERRCODE = 'RR001', HINT = 'make it a plain column (ALTER COLUMN … DROP EXPRESSION)';
    END IF;

    SELECT string_agg(format('%s.%I', host, attname), ', ') INTO offending
    FROM pg_attribute
    WHERE attrelid = host AND attnum > 0 AND NOT attisdropped
        AND attnotnull AND NOT atthasdef AND attidentity = ''
        AND attname NOT IN (SELECT attname FROM pg_attribute WHERE attrelid = model);
    IF offending IS NOT NULL THEN
        RAISE EXCEPTION '% needs a value, and the reconciler knows none for it', offending
            USING ERRCODE = 'RR001', HINT = 'give it a default, or let it be null';
    END IF;

    FOR each IN SELECT * FROM pg_temp.retyped WHERE relation = host ORDER BY attnum LOOP
        BEGIN
            -- Its default may not fit the type; the model's takes its place.
            EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT', host, each.attname);
            EXECUTE format(
                'ALTER TABLE %s ALTER COLUMN %I TYPE %s USING %s',
                host, each.attname, each.wanted,
                CASE
                    -- Rounding up would let in more.
                    WHEN each.wanted LIKE 'numeric(%'
                        THEN format('trunc(%I::numeric, 2)', each.attname)
                    WHEN each.wanted = 'text[]' AND each.found IN ('json', 'jsonb')
                        THEN format('pg_temp.as_text_array(%I::jsonb)', each.attname)
                    -- Times without a zone are of the zone in which the service's sessions wrote them.
                    WHEN each.wanted = 'timestamp with time zone'
                        AND each.found LIKE 'timestamp%without time zone'
                        THEN format(
                            '%I AT TIME ZONE %L', each.attname,
                            (SELECT zone.reset_val FROM pg_settings AS zone WHERE zone.name = 'TimeZone')
                        )
                    ELSE format('%I::%s', each.attname, each.wanted)
                END
            );
        EXCEPTION
            -- The class of what a statement may not say has most of it: an index that compares an enum, a
            -- foreign key to another type, on older servers a generated column.
            WHEN syntax_error_or_access_rule_violation OR feature_not_supported OR data_exception
                OR dependent_objects_still_exist THEN
                GET STACKED DIAGNOSTICS said = PG_EXCEPTION_DETAIL;
                RAISE EXCEPTION '%.% is % and can''t become %: %', host, each.attname, each.found,
                    each.wanted, concat_ws('; ', SQLERRM, NULLIF(said, ''))
                    USING ERRCODE = 'RR001', HINT = 'drop or change what is in the way';
        END;
    END LOOP;

    FOR each IN
        SELECT
            attname,
            format_type(atttypid, atttypmod) AS type,
            pg_get_expr(adbin, adrelid) AS value
        FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE attrelid = model AND attnum > 0
            AND attname NOT IN (
                SELECT attname FROM pg_attribute WHERE attrelid = host AND NOT attisdropped
            )
        ORDER BY attnum
    LOOP
        EXECUTE format(
            'ALTER TABLE %s ADD COLUMN %I %s%s', host, each.attname, each.type,
            -- Its rows are told by another column what it is.
            CASE WHEN each.attname <> 'monitoring_window' THEN ' DEFAULT ' || each.value END
        );
    END LOOP;
END
$$;

-- Values

-- Replaces a null where the model has none and its default would make repositories eligible or mislead.
CREATE TEMPORARY TABLE safe_value (name text, attname name, expression text) ON COMMIT DROP;
INSERT INTO safe_value (name, attname, expression)
VALUES
-- Unknown state: inactive and stopped. No repository is eligible until a person decides.
('rollout_configuration', 'is_active', 'false'),
('rollout_configuration', 'emergency_stop', 'true'),
('rollout_configuration', 'rollout_strategy', quote_literal('whitelist')),
(
    'rollout_configuration',
    'monitoring_window',
    'make_interval(hours => coalesce(monitoring_window_hours, 24))'
),
-- Eligible from the last step on, until `reconcile categorize` sets the category.
('repository_categories', 'category', quote_literal('enterprise')),
('rollout_metrics', 'processor_type', quote_literal('unknown')),
(
    'rollout_metrics',
    'metrics_window_end',
    'metrics_window_start + interval ' || quote_literal('5 minutes')
),
('rollout_history', 'action', quote_literal('updated'));

-- Whether a column of a service stays as it is where it allows null: a service counts jobs of no one repository, and
-- jobs of no feature.
CREATE FUNCTION pg_temp.may_be_null(name text, attname name) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN name = 'rollout_metrics' AND attname IN ('rollout_config_id', 'repository_id');

-- Fills nulls in columns that allow none.
CREATE FUNCTION pg_temp.adopt_values(name text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    host regclass := to_regclass('public.' || name);
    model regclass := to_regclass('pg_temp.' || name);
    fill text;
    any_null text;
    each record;
    number bigint;
BEGIN
    CREATE TEMPORARY TABLE filled ON COMMIT DROP AS
    SELECT
        pg_attribute.attname,
        coalesce(safe_value.expression, pg_get_expr(adbin, adrelid)) AS value
    FROM pg_attribute
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    LEFT JOIN pg_temp.safe_value
        ON safe_value.name = adopt_values.name AND safe_value.attname = pg_attribute.attname
    WHERE attrelid = model AND attnum > 0 AND attnotnull AND attidentity = ''
        AND NOT pg_temp.may_be_null(adopt_values.name, pg_attribute.attname);

    FOR each IN SELECT * FROM pg_temp.filled WHERE value IS NULL LOOP
        EXECUTE format('SELECT count(*) FROM %s WHERE %I IS NULL', host, each.attname) INTO number;
        IF number > 0 THEN
            RAISE EXCEPTION '% has rows without a %: %', host, each.attname, number
                USING ERRCODE = 'RR001', HINT = 'delete them or give them one';
        END IF;
    END LOOP;

    SELECT
        string_agg(format('%I = coalesce(%I, %s)', attname, attname, value), ', '),
        string_agg(format('%I IS NULL', attname), ' OR ')
    INTO fill, any_null
    FROM pg_temp.filled WHERE value IS NOT NULL;
    EXECUTE format('UPDATE %s SET %s WHERE %s', host, fill, any_null);
    DROP TABLE pg_temp.filled;
END
$$;

-- Rules

-- Adds the model's defaults and rules to a table.
CREATE FUNCTION pg_temp.adopt_rules(name text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    host regclass := to_regclass('public.' || name);
    model regclass := to_regclass('pg_temp.' || name);
    each record;
BEGIN
    FOR each IN
        SELECT
            wanted.attname,
            wanted.attnotnull AS is_wanted,
            wanted.attidentity AS identity,
            found.attnotnull AS is_found,
            CASE WHEN NOT found.atthasdef THEN pg_get_expr(adbin, adrelid) END AS value
        FROM pg_attribute AS wanted
        INNER JOIN pg_attribute AS found ON found.attrelid = host AND found.attname = wanted.attname
        LEFT JOIN pg_attrdef ON adrelid = wanted.attrelid AND adnum = wanted.attnum
        WHERE wanted.attrelid = model AND wanted.attnum > 0 AND found.attidentity = ''
        ORDER BY wanted.attnum
    LOOP
        IF each.is_wanted AND NOT each.is_found AND NOT pg_temp.may_be_null(name, each.attname) THEN
            EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL', host, each.attname);
        ELSIF each.is_found AND NOT each.is_wanted THEN
            EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', host, each.attname);
        END IF;
        IF each.value IS NOT NULL THEN
            EXECUTE format(
                'ALTER TABLE %s ALTER COLUMN %I SET DEFAULT %s', host, each.attname, each.value
            );
        END IF;
        IF each.identity <> '' THEN
            EXECUTE format(
                'ALTER TABLE %s ALTER COLUMN %I ADD GENERATED BY DEFAULT AS IDENTITY',
                host, each.attname
            );
            EXECUTE format(
                'SELECT setval(pg_get_serial_sequence(%L, %L), max(%I)) FROM %s',
                host, each.attname, each.attname, host
            );
        END IF;
    END LOOP;

    FOR each IN
        SELECT contype, pg_get_constraintdef(oid) AS definition, columns.names
        FROM pg_constraint
        CROSS JOIN LATERAL (
            SELECT array_agg(attname ORDER BY attname) AS names
            FROM pg_attribute WHERE attrelid = model AND attnum = ANY (conkey)
        ) AS columns
        WHERE conrelid = model AND contype IN ('p', 'u', 'c')
        ORDER BY contype DESC
    LOOP
        IF each.contype = 'c' THEN
            CONTINUE WHEN EXISTS (
                SELECT FROM pg_constraint
                WHERE conrelid = host AND contype = 'c' AND convalidated
                    AND pg_get_constraintdef(oid) = each.definition
            );
        ELSIF EXISTS (
            SELECT FROM pg_index
            WHERE indrelid = host AND indisunique AND indisvalid AND indimmediate
                AND indpred IS NULL AND indexprs IS NULL
                AND (
                    SELECT array_agg(attname ORDER BY attname) FROM pg_attribute
                    WHERE attrelid = host AND attnum = ANY (indkey[0:indnkeyatts - 1])
                ) = each.names
        ) THEN
            CONTINUE;
        ELSIF each.contype = 'p'
            AND EXISTS (SELECT FROM pg_constraint WHERE conrelid = host AND contype = 'p')
        THEN
            each.definition = replace(each.definition, 'PRIMARY KEY', 'UNIQUE');
        END IF;
        EXECUTE format('ALTER TABLE %s ADD %s', host, each.definition);
    END LOOP;
END
$$;

-- Adds a foreign key, unless the column already has one. Existing rows may refer to missing rows, because the
-- history must stay; the rule holds for new rows.
CREATE FUNCTION pg_temp.adopt_reference(
    host regclass, name text, target regclass, on_delete text
) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    lost boolean;
BEGIN
    IF EXISTS (
        SELECT FROM pg_constraint
        INNER JOIN pg_attribute ON attrelid = conrelid AND conkey = ARRAY[attnum]
        WHERE conrelid = host AND contype = 'f' AND attname = name
    ) THEN
        RETURN;
    END IF;
    EXECUTE format(
        'SELECT EXISTS (SELECT FROM %s AS referring WHERE referring.%I IS NOT NULL'
        ' AND NOT EXISTS (SELECT FROM %s AS target WHERE target.id = referring.%I))',
        host, name, target, name
    ) INTO lost;
    EXECUTE format(
        'ALTER TABLE %s ADD FOREIGN KEY (%I) REFERENCES %s (id) %s %s',
        host, name, target, on_delete, CASE WHEN lost THEN 'NOT VALID' ELSE '' END
    );
END
$$;

DO $$
BEGIN
    IF to_regclass('public.repositories') IS NULL THEN
        CREATE TABLE public.repositories (LIKE pg_temp.repositories INCLUDING ALL);
        -- Names on GitHub are not case-sensitive.
        CREATE UNIQUE INDEX repositories_full_name_key ON public.repositories (lower(full_name));
    ELSE
        -- A service may store a name twice: of a deleted repository and of a later one.
        CREATE INDEX IF NOT EXISTS repositories_full_name_index
        ON public.repositories (lower(full_name));
    END IF;
END
$$;

SELECT pg_temp.adopt_columns(name)
FROM unnest(ARRAY[
    'rollout_configuration', 'repository_categories', 'rollout_metrics', 'rollout_history'
]) AS tables (name);

-- A copy of the rows that change below.
CREATE FUNCTION pg_temp.keep_row() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO pg_temp.host_row (relation, id, before, after)
    VALUES (
        TG_TABLE_NAME, OLD.id, to_jsonb(OLD), CASE WHEN TG_OP = 'UPDATE' THEN to_jsonb(NEW) END
    )
    ON CONFLICT (relation, id) DO UPDATE SET after = excluded.after;
    RETURN CASE WHEN TG_OP = 'UPDATE' THEN NEW ELSE OLD END;
END
$$;

DO $$
DECLARE
    each record;
BEGIN
    FOR each IN SELECT * FROM pg_temp.adopted LOOP
        EXECUTE format(
            'CREATE TRIGGER keep_row BEFORE UPDATE OR DELETE ON %s'
            ' FOR EACH ROW EXECUTE FUNCTION pg_temp.keep_row()', each.relation
        );
    END LOOP;
END
$$;

-- The models allow more words than the rules of a service may allow. If a model allows fewer, its own rule is
-- added below.
DO $$
DECLARE
    narrow record;
BEGIN
    FOR narrow IN
        SELECT adopted.relation, conname AS name
        FROM pg_temp.adopted
        INNER JOIN pg_constraint ON conrelid = adopted.relation
        INNER JOIN pg_attribute ON attrelid = conrelid AND conkey = ARRAY[attnum]
        WHERE contype = 'c' AND (adopted.name, attname) IN (
            ('rollout_configuration', 'rollout_strategy'),
            ('repository_categories', 'category'),
            ('rollout_metrics', 'processor_type'),
            ('rollout_history', 'action'),
            ('rollout_history', 'triggered_by')
        )
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', narrow.relation, narrow.name);
    END LOOP;
END
$$;

SELECT pg_temp.adopt_values(name)
FROM unnest(ARRAY[
    'rollout_configuration', 'repository_categories', 'rollout_metrics', 'rollout_history'
]) AS tables (name);

-- A number out of range becomes the end of the range. NaN becomes 0: no repository is eligible.
UPDATE public.rollout_configuration
SET
    rollout_percentage = CASE
        WHEN rollout_percentage = 'NaN' THEN 0
        ELSE least(100, greatest(0, rollout_percentage))
    END,
    max_error_rate = CASE
        WHEN max_error_rate = 'NaN' THEN 0
        ELSE least(100, greatest(0, max_error_rate))
    END,
    monitoring_window_hours = CASE
        WHEN monitoring_window_hours > 0 THEN monitoring_window_hours ELSE 24
    END,
    monitoring_window = CASE
        WHEN monitoring_window > interval '0' THEN monitoring_window ELSE interval '24 hours'
    END
WHERE
    rollout_percentage NOT BETWEEN 0 AND 100
    OR max_error_rate NOT BETWEEN 0 AND 100
    OR monitoring_window_hours <= 0
    OR monitoring_window <= interval '0';

UPDATE public.rollout_metrics
SET
    success_count = greatest(0, success_count),
    error_count = greatest(0, error_count),
    total_jobs = greatest(0, total_jobs)
WHERE success_count < 0 OR error_count < 0 OR total_jobs < 0;

-- Eligible from the last step on, until `reconcile categorize` sets the category.
UPDATE public.repository_categories
SET category = 'enterprise'
WHERE category NOT IN ('test', 'small', 'medium', 'large', 'enterprise');

-- A repository that the service marked by hand stays marked, also if its category changes.
UPDATE public.repository_categories
SET marked_as_test = true
WHERE is_test_repository AND category <> 'test' AND NOT marked_as_test;
UPDATE public.repository_categories
SET is_test_repository = true
WHERE category = 'test' AND NOT is_test_repository;

-- If a repository has several rows, the newest stays. It is marked if one of them was.
WITH ranked AS (
    SELECT
        id,
        row_number() OVER (
            PARTITION BY repository_id ORDER BY last_categorized_at DESC, updated_at DESC, id ASC
        ) AS place,
        bool_or(marked_as_test) OVER (PARTITION BY repository_id) AS marked_as_test,
        count(*) OVER (PARTITION BY repository_id) AS times
    FROM public.repository_categories
),

removed AS (
    DELETE FROM public.repository_categories
    USING ranked
    WHERE repository_categories.id = ranked.id AND ranked.place > 1
)

UPDATE public.repository_categories
SET
    marked_as_test = ranked.marked_as_test,
    is_test_repository = ranked.marked_as_test OR repository_categories.category = 'test'
FROM ranked
WHERE repository_categories.id = ranked.id AND ranked.place = 1 AND ranked.times > 1;

DO $$
DECLARE
    each record;
BEGIN
    FOR each IN SELECT * FROM pg_temp.adopted LOOP
        EXECUTE format('DROP TRIGGER keep_row ON %s', each.relation);
    END LOOP;
END
$$;

DROP FUNCTION pg_temp.keep_row();

-- Rows of one transaction have the same time. Rows from before adoption have no other order.
UPDATE public.rollout_history
SET position = ordered.position
FROM (
    SELECT
        id,
        row_number() OVER (ORDER BY created_at, id) AS position
    FROM public.rollout_history
) AS ordered
WHERE rollout_history.id = ordered.id AND rollout_history.position IS null;

SELECT pg_temp.adopt_rules(name) FROM adopted;

SELECT
    pg_temp.adopt_reference(
        'public.repository_categories', 'repository_id', 'public.repositories', 'ON DELETE CASCADE'
    ),
    pg_temp.adopt_reference(
        'public.rollout_metrics', 'rollout_config_id', 'public.rollout_configuration', ''
    ),
    pg_temp.adopt_reference(
        'public.rollout_metrics', 'repository_id', 'public.repositories', 'ON DELETE CASCADE'
    ),
    pg_temp.adopt_reference(
        'public.rollout_history', 'rollout_config_id', 'public.rollout_configuration', ''
    );

-- The models are not needed below; without them each name means the real table.
DROP TABLE pg_temp.repositories, pg_temp.rollout_configuration, pg_temp.repository_categories,
pg_temp.rollout_metrics, pg_temp.rollout_history;
