-- The rules that choose the processor of a job, and the prices of processors.

ALTER TABLE public.rollout_configuration
-- As the file has them. Functions and clients read them, so a rule that they cannot read is refused.
ADD COLUMN routing jsonb NOT NULL DEFAULT '[]'
CHECK (
    jsonb_typeof(routing) = 'array'
    AND NOT jsonb_path_exists(routing, '$[*] ? (
        @.type() != "object" || !exists (@.to) || @.to.type() != "string"
        || (exists (@.when) && @.when.type() != "object")
        || (exists (@.because) && @.because.type() != "string")
        || (
            exists (@.when.size)
            && !exists (@.when.size ? (@ like_regex "^(<=|>=|<|>|=) ?[0-9]{1,15}$"))
        )
        || (exists (@.when.kind) && @.when.kind.type() != "array")
        || exists (@.when.kind[*] ? (@.type() != "string"))
        || (exists (@.when.category) && @.when.category.type() != "array")
        || exists (@.when.category[*] ? (
            @.type() != "string"
            || !(@ == "test" || @ == "small" || @ == "medium" || @ == "large" || @ == "enterprise")
        ))
        || (exists (@."if") && @."if".type() != "object")
    )')
),
-- The processors that were chosen for rules to the cheapest one, by category.
ADD COLUMN routing_choices jsonb NOT NULL DEFAULT '[]'
CHECK (
    jsonb_typeof(routing_choices) = 'array'
    AND NOT jsonb_path_exists(routing_choices, '$[*] ? (
        @.type() != "object"
        || !exists (@.rule) || @.rule.type() != "object"
        || !exists (@.category) || @.category.type() != "string"
        || !exists (@.processor) || @.processor.type() != "string"
        || !exists (@.at) || @.at.type() != "string"
    )')
);

-- The prices of processors as the last applied file has them.
CREATE TABLE public.rollout_processor (
    name varchar(50) PRIMARY KEY,
    cost jsonb NOT NULL CHECK (jsonb_typeof(cost) = 'object'),
    as_of date NOT NULL
);

-- The default privileges of a platform can give rights on each new table to accounts of its own.
DO $$
DECLARE
    account text;
BEGIN
    FOR account IN
        SELECT DISTINCT CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
        FROM pg_class, aclexplode(relacl) AS entry
        WHERE pg_class.oid = 'public.rollout_processor'::regclass
            AND entry.grantee <> pg_class.relowner
    LOOP
        EXECUTE format('REVOKE ALL ON public.rollout_processor FROM %s', account);
    END LOOP;
    IF (SELECT relrowsecurity FROM pg_class WHERE oid = 'public.rollout_configuration'::regclass)
    THEN
        ALTER TABLE public.rollout_processor ENABLE ROW LEVEL SECURITY;
    END IF;
END
$$;
