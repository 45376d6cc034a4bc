-- `reconcile db remove`, second part: the rollout's objects go, and the service's come back as they were.

-- Functions that need each other go one after the other; what a service made upon one is named.
DO $$
DECLARE
    each record;
    remaining integer := -1;
    before integer;
    said text;
BEGIN
    LOOP
        before := remaining;
        remaining := 0;
        FOR each IN
            SELECT oid::regprocedure AS function FROM pg_proc
            WHERE oid IN (SELECT function FROM pg_temp.own_function)
                -- Read below, and dropped with the tables.
                AND proname <> 'rollout_schema_objects'
        LOOP
            BEGIN
                EXECUTE format('DROP ROUTINE %s', each.function);
            EXCEPTION
                WHEN dependent_objects_still_exist THEN
                    GET STACKED DIAGNOSTICS said = PG_EXCEPTION_DETAIL;
                    remaining := remaining + 1;
            END;
        END LOOP;
        EXIT WHEN remaining = 0;
        IF remaining = before THEN
            RAISE EXCEPTION 'a function of the rollout is used: %', said
                USING ERRCODE = 'RR001', HINT = 'drop what uses it, and try again';
        END IF;
    END LOOP;
END
$$;

DROP FUNCTION public.rollout_schema_objects();
DROP VIEW public.repository_activity, public.category_limits;

-- Constraints first: those of the rollout hold the tables together.
DO $$
DECLARE
    each record;
BEGIN
    FOR each IN
        SELECT conname AS name, adopted.name AS relation FROM pg_temp.adopted
        INNER JOIN pg_constraint ON conrelid = adopted.relation
        WHERE contype IN ('c', 'f', 'p', 'u', 'x')
            AND NOT EXISTS (
                SELECT FROM pg_temp.host_object AS host
                WHERE host.kind = 'constraint' AND host.relation = adopted.name AND host.name = conname
                    -- A check was written anew for the wider type.
                    AND (contype <> 'c' OR host.definition ->> 'definition' = pg_get_constraintdef(pg_constraint.oid))
            )
    LOOP
        EXECUTE format('ALTER TABLE public.%I DROP CONSTRAINT %I CASCADE', each.relation, each.name);
    END LOOP;
END
$$;

DO $$
DECLARE
    tables text;
BEGIN
    SELECT string_agg(format('public.%I', relname), ', ') INTO tables
    FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
        AND (
            relname IN (
                'rollout_membership', 'category_threshold', 'rollout_generation', 'rollout_state',
                'rollout_override', 'rollout_lease', 'rollout_lock', 'rollout_adopted_object', 'rollout_adopted_row',
                'rollout_schema_object', 'rollout_schema_version', 'rollout_duration_bucket',
                'rollout_metrics_rollup', 'rollout_metrics_turn', 'rollout_evidence', 'rollout_evidence_state',
                'rollout_notification', 'rollout_notification_target',
                'rollout_processor', 'rollout_processor_name', 'rollout_running_job', 'rollout_write',
                'rollout_eligible_count'
            )
            OR relname IN (
                'repositories', 'rollout_configuration', 'repository_categories', 'rollout_metrics',
                'rollout_history'
            ) AND relname NOT IN (SELECT name FROM pg_temp.host_object WHERE kind = 'table')
        );
    EXECUTE format('DROP TABLE %s', tables);
END
$$;

DO $$
DECLARE
    each record;
    columns text;
    has_null boolean;
BEGIN
    FOR each IN
        SELECT pg_class.oid::regclass AS index FROM pg_temp.host_object AS host
        INNER JOIN pg_index ON indrelid = to_regclass('public.' || host.name)
        INNER JOIN pg_class ON pg_class.oid = indexrelid
        WHERE host.kind = 'table'
            AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
            AND NOT EXISTS (
                SELECT FROM pg_temp.host_object AS kept
                WHERE kept.kind = 'index' AND kept.relation = host.name AND kept.name = relname
            )
    LOOP
        EXECUTE format('DROP INDEX %s', each.index);
    END LOOP;

    FOR each IN
        SELECT adopted.relation, host.name, host.definition, found.attnotnull, found.attidentity
        FROM pg_temp.adopted
        INNER JOIN pg_temp.host_object AS host ON host.kind = 'column' AND host.relation = adopted.name
        INNER JOIN pg_attribute AS found ON found.attrelid = adopted.relation AND found.attname = host.name
    LOOP
        IF each.attnotnull AND NOT (each.definition ->> 'not_null')::boolean THEN
            EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', each.relation, each.name);
        END IF;
        CONTINUE WHEN each.definition ->> 'identity' <> '' OR each.attidentity <> '';
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT', each.relation, each.name);
    END LOOP;

    -- Values that adoption changed, where nothing else changed them since, and rows that it deleted.
    -- They are kept in the types of the rollout, so they come before the types.
    FOR each IN SELECT * FROM pg_temp.adopted LOOP
        FOR columns IN
            SELECT host.name FROM pg_temp.host_object AS host
            WHERE host.kind = 'column' AND host.relation = each.name
        LOOP
            EXECUTE format(
                'UPDATE %1$s AS live SET %2$I = (jsonb_populate_record(NULL::%1$s, kept.before)).%2$I'
                ' FROM pg_temp.host_row AS kept'
                ' WHERE kept.relation = %3$L AND kept.id = live.id AND kept.after IS NOT NULL'
                ' AND kept.before -> %2$L IS DISTINCT FROM kept.after -> %2$L'
                ' AND to_jsonb(live) -> %2$L IS NOT DISTINCT FROM kept.after -> %2$L',
                each.relation, columns, each.name
            );
        END LOOP;
        SELECT string_agg(quote_ident(host.name), ', ' ORDER BY host.name) INTO columns
        FROM pg_temp.host_object AS host WHERE host.kind = 'column' AND host.relation = each.name;
        EXECUTE format(
            'INSERT INTO %1$s (%2$s) SELECT %4$s FROM pg_temp.host_row AS kept'
            ' CROSS JOIN LATERAL jsonb_populate_record(NULL::%1$s, kept.before) AS restored'
            ' WHERE kept.relation = %3$L AND kept.after IS NULL ON CONFLICT DO NOTHING',
            each.relation, columns, each.name,
            (
                SELECT string_agg(format('restored.%I', host.name), ', ' ORDER BY host.name)
                FROM pg_temp.host_object AS host
                WHERE host.kind = 'column' AND host.relation = each.name
            )
        );
    END LOOP;

    FOR each IN SELECT * FROM pg_temp.retyped LOOP
        EXECUTE format(
            'ALTER TABLE %s ALTER COLUMN %I TYPE %s USING %s', each.relation, each.attname, each.wanted,
            CASE
                -- Rounding up would let in more.
                WHEN each.wanted IN ('integer', 'bigint', 'smallint')
                    THEN format('trunc(%I)::%s', each.attname, each.wanted)
                WHEN each.wanted IN ('json', 'jsonb') THEN format('to_json(%I)::%s', each.attname, each.wanted)
                WHEN each.wanted LIKE 'timestamp%without time zone'
                    THEN format(
                        '(%I AT TIME ZONE %L)::%s', each.attname,
                        (SELECT zone.reset_val FROM pg_settings AS zone WHERE zone.name = 'TimeZone'), each.wanted
                    )
                ELSE format('%I::%s', each.attname, each.wanted)
            END
        );
    END LOOP;

    FOR each IN
        SELECT adopted.relation, attname AS name FROM pg_temp.adopted
        INNER JOIN pg_attribute ON attrelid = adopted.relation AND attnum > 0 AND NOT attisdropped
        WHERE NOT EXISTS (
            SELECT FROM pg_temp.host_object AS host
            WHERE host.kind = 'column' AND host.relation = adopted.name AND host.name = attname
        )
    LOOP
        EXECUTE format('ALTER TABLE %s DROP COLUMN %I', each.relation, each.name);
    END LOOP;

    FOR each IN
        SELECT adopted.relation, host.name, host.definition FROM pg_temp.adopted
        INNER JOIN pg_temp.host_object AS host ON host.kind = 'column' AND host.relation = adopted.name
        WHERE host.definition ->> 'default' IS NOT NULL AND host.definition ->> 'identity' = ''
    LOOP
        EXECUTE format(
            'ALTER TABLE %s ALTER COLUMN %I SET DEFAULT %s', each.relation, each.name,
            each.definition ->> 'default'
        );
    END LOOP;

    -- A row of the rollout can have none, such as an entry of the history that concerns no one feature. Then the
    -- column stays as it is: the service's statements go on working.
    FOR each IN
        SELECT adopted.relation, host.name FROM pg_temp.adopted
        INNER JOIN pg_temp.host_object AS host ON host.kind = 'column' AND host.relation = adopted.name
        INNER JOIN pg_attribute AS found ON found.attrelid = adopted.relation AND found.attname = host.name
        WHERE (host.definition ->> 'not_null')::boolean AND NOT found.attnotnull
    LOOP
        EXECUTE format(
            'SELECT EXISTS (SELECT FROM %s WHERE %I IS NULL)', each.relation, each.name
        ) INTO has_null;
        CONTINUE WHEN has_null;
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL', each.relation, each.name);
    END LOOP;

    FOR each IN
        SELECT adopted.relation, host.name, host.definition FROM pg_temp.adopted
        INNER JOIN pg_temp.host_object AS host
            ON host.kind = 'constraint' AND host.relation = adopted.name
        WHERE NOT EXISTS (
            SELECT FROM pg_constraint WHERE conrelid = adopted.relation AND conname = host.name
        )
        ORDER BY host.definition ->> 'type' DESC
    LOOP
        BEGIN
            EXECUTE format(
                'ALTER TABLE %s ADD CONSTRAINT %I %s', each.relation, each.name,
                each.definition ->> 'definition'
            );
        EXCEPTION
            -- Rows that the rollout wrote, such as its actions in the history: the rule holds for new rows.
            WHEN check_violation THEN
                EXECUTE format(
                    'ALTER TABLE %s ADD CONSTRAINT %I %s NOT VALID', each.relation, each.name,
                    each.definition ->> 'definition'
                );
        END;
    END LOOP;
END
$$;

-- Grants that the rollout made on the service's tables.
DO $$
DECLARE
    each record;
BEGIN
    FOR each IN
        SELECT granted.* FROM (
            SELECT
                host.name AS relation, entry.privilege_type AS privilege, NULL::name AS attname,
                CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END AS grantee
            FROM pg_temp.host_object AS host
            INNER JOIN pg_class ON pg_class.oid = to_regclass('public.' || host.name)
            CROSS JOIN LATERAL aclexplode(relacl) AS entry
            WHERE host.kind = 'table' AND entry.grantee <> relowner
            UNION
            SELECT
                host.name, entry.privilege_type, attname,
                CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
            FROM pg_temp.host_object AS host
            INNER JOIN pg_attribute ON attrelid = to_regclass('public.' || host.name) AND NOT attisdropped
            CROSS JOIN LATERAL aclexplode(attacl) AS entry
            WHERE host.kind = 'table'
        ) AS granted
        WHERE NOT EXISTS (
            SELECT FROM pg_temp.host_object AS kept
            WHERE kept.kind = 'grant' AND kept.relation = granted.relation
                AND kept.name = concat_ws(' ', granted.privilege, granted.attname, granted.grantee)
        )
    LOOP
        EXECUTE format(
            'REVOKE %s%s ON public.%I FROM %s', each.privilege,
            ' (' || quote_ident(each.attname) || ')', each.relation, each.grantee
        );
    END LOOP;
END
$$;

-- A body may have names that the service's own search_path finds.
SET LOCAL check_function_bodies = off;

DO $$
DECLARE
    each record;
    grantee text;
BEGIN
    FOR each IN SELECT name, definition FROM pg_temp.host_object WHERE kind = 'function' LOOP
        EXECUTE each.definition ->> 'statement';
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', each.name);
        FOR grantee IN
            SELECT jsonb_array_elements_text(nullif(each.definition -> 'grants', 'null'))
        LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', each.name, grantee);
        END LOOP;
        EXECUTE format('ALTER FUNCTION %s OWNER TO %s', each.name, each.definition ->> 'owner');
        EXECUTE format('COMMENT ON FUNCTION %s IS %L', each.name, each.definition ->> 'comment');
    END LOOP;

    FOR each IN
        -- Servers before 16 refuse text that is no signature, whatever else the condition is.
        SELECT oid::regprocedure AS function FROM pg_proc
        WHERE oid::regprocedure::text IN (
            SELECT name FROM pg_temp.host_object WHERE kind = 'own_search_path'
        )
    LOOP
        EXECUTE format('ALTER FUNCTION %s RESET search_path', each.function);
    END LOOP;

    FOR each IN
        SELECT statement FROM pg_temp.host_statement WHERE stage = 'put_back' ORDER BY position
    LOOP
        EXECUTE each.statement;
    END LOOP;
END
$$;
