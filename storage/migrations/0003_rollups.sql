-- Statistics of whole minutes, hours and city days, made from history by our own job (storage/rollups.py) and kept longer than it.
-- `count` rows, of them `good` with quality 1 and `valued` with a number; mean = total / valued. `last` is of the largest phenomenon time.
CREATE TABLE rollup_minute (
    datastream integer          NOT NULL,
    bucket     timestamptz      NOT NULL,
    count      bigint           NOT NULL CONSTRAINT rollup_minute_not_empty CHECK (count > 0),
    good       bigint           NOT NULL,
    valued     bigint           NOT NULL,
    total      double precision NOT NULL,
    min        double precision,
    max        double precision,
    last       double precision,
    last_text  text,
    last_time  timestamptz      NOT NULL,
    CONSTRAINT rollup_minute_pkey PRIMARY KEY (datastream, bucket)
)
-- tier: plain
PARTITION BY RANGE (bucket)
-- tier: all
;

CREATE TABLE rollup_hour (
    datastream integer          NOT NULL,
    bucket     timestamptz      NOT NULL,
    count      bigint           NOT NULL CONSTRAINT rollup_hour_not_empty CHECK (count > 0),
    good       bigint           NOT NULL,
    valued     bigint           NOT NULL,
    total      double precision NOT NULL,
    min        double precision,
    max        double precision,
    last       double precision,
    last_text  text,
    last_time  timestamptz      NOT NULL,
    CONSTRAINT rollup_hour_pkey PRIMARY KEY (datastream, bucket)
);

CREATE TABLE rollup_day (
    datastream integer          NOT NULL,
    bucket     timestamptz      NOT NULL,
    count      bigint           NOT NULL CONSTRAINT rollup_day_not_empty CHECK (count > 0),
    good       bigint           NOT NULL,
    valued     bigint           NOT NULL,
    total      double precision NOT NULL,
    min        double precision,
    max        double precision,
    last       double precision,
    last_text  text,
    last_time  timestamptz      NOT NULL,
    CONSTRAINT rollup_day_pkey PRIMARY KEY (datastream, bucket)
);

-- Hours of a series whose rollups do not hold what history holds: written in the transaction that writes the rows, taken away in the
-- one that writes the rollups. Not unique: a mark that is made meanwhile is another row, and stays.
CREATE TABLE rollup_mark (
    datastream integer     NOT NULL,
    hour       timestamptz NOT NULL
);
CREATE INDEX rollup_mark_by_series ON rollup_mark (datastream, hour);
CREATE INDEX rollup_mark_by_hour ON rollup_mark (hour);

-- History before `bound` has been dropped: rollups of that time are final.
CREATE TABLE history_floor (
    only_row boolean     NOT NULL CONSTRAINT history_floor_pkey PRIMARY KEY CONSTRAINT history_floor_one_row CHECK (only_row),
    bound    timestamptz NOT NULL
);

-- What stands in history already has no rollups yet.
INSERT INTO rollup_mark (datastream, hour)
SELECT DISTINCT datastream, date_bin(INTERVAL '1 hour', phenomenon_time, TIMESTAMPTZ '1970-01-01 00:00:00+00') FROM observation;

-- tier: timescale
SELECT create_hypertable('rollup_minute', by_range('bucket', INTERVAL '7 days'), create_default_indexes => false);

-- Chunks come by themselves.
CREATE FUNCTION rollup_minute_ensure(from_time timestamptz, to_time timestamptz) RETURNS integer
LANGUAGE sql AS $$ SELECT 0 $$;

-- Drops what lies wholly before the bound; returns how many chunks.
CREATE FUNCTION rollup_minute_drop_before(bound timestamptz) RETURNS integer
LANGUAGE sql AS $$ SELECT count(*)::integer FROM drop_chunks('rollup_minute', older_than => bound) $$;

-- tier: plain
-- Weekly partitions as those of `observation`; returns how many were made.
CREATE FUNCTION rollup_minute_ensure(from_time timestamptz, to_time timestamptz) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    week timestamptz := date_bin(INTERVAL '7 days', from_time, TIMESTAMPTZ '1970-01-01 00:00:00+00');
    name text;
    made integer := 0;
BEGIN
    WHILE week <= to_time LOOP
        name := 'rollup_minute_p' || to_char(week AT TIME ZONE 'UTC', 'YYYYMMDD');
        IF to_regclass(quote_ident(current_schema()) || '.' || name) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF rollup_minute FOR VALUES FROM (%L) TO (%L)',
                           name, week, week + INTERVAL '7 days');
            made := made + 1;
        END IF;
        week := week + INTERVAL '7 days';
    END LOOP;
    RETURN made;
END $$;

-- Drops what lies wholly before the bound; returns how many partitions.
CREATE FUNCTION rollup_minute_drop_before(bound timestamptz) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    name    text;
    dropped integer := 0;
BEGIN
    FOR name IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'rollup_minute'::regclass
           AND to_date(substr(c.relname, 16), 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC' + INTERVAL '7 days' <= bound
         ORDER BY c.relname
    LOOP
        EXECUTE format('DROP TABLE %I', name);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;
-- tier: all
