-- The observation side of one tenant: registry, history, latest, what devices said, what was refused, static layers.
-- Everything with a time in it is city time. Log positions are those of the tenant's log.

CREATE TABLE log_cursor (
    name     text        NOT NULL CONSTRAINT log_cursor_pkey PRIMARY KEY,
    position bigint      NOT NULL,
    at       timestamptz NOT NULL
);

CREATE TABLE registry_revision (
    revision bigint      NOT NULL CONSTRAINT registry_revision_pkey PRIMARY KEY,
    at       timestamptz NOT NULL,
    actor    text        NOT NULL,
    summary  text        NOT NULL,
    appended boolean     NOT NULL -- its control record is in the log
);

CREATE TABLE device (
    device_id  text        COLLATE "C" NOT NULL CONSTRAINT device_pkey PRIMARY KEY
                           CONSTRAINT device_id_form CHECK (device_id ~ '^[A-Za-z0-9_-]{1,64}$'),
    model      text        NOT NULL,
    kind       text        NOT NULL,
    vendor     text        NOT NULL,
    document   jsonb       NOT NULL,
    removed    boolean     NOT NULL,
    revision   bigint      NOT NULL
                           CONSTRAINT device_revision_fkey REFERENCES registry_revision (revision),
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL
);
CREATE INDEX device_by_revision ON device (revision);

CREATE TABLE device_credential (
    device_id     text        COLLATE "C" NOT NULL CONSTRAINT device_credential_pkey PRIMARY KEY
                              CONSTRAINT device_credential_device_fkey REFERENCES device (device_id),
    password_hash text        NOT NULL,
    created_at    timestamptz NOT NULL
);

-- The numbers that stand in the log; given once, never again to another series.
CREATE TABLE datastream (
    datastream integer          GENERATED ALWAYS AS IDENTITY CONSTRAINT datastream_pkey PRIMARY KEY,
    device_id  text             COLLATE "C" NOT NULL
                                CONSTRAINT datastream_device_fkey REFERENCES device (device_id),
    property   text             COLLATE "C" NOT NULL,
    uom        text             NOT NULL,
    kind       text             NOT NULL CONSTRAINT datastream_kind_known CHECK (kind IN ('number', 'bool', 'text')),
    interval_s double precision NOT NULL CONSTRAINT datastream_interval_positive CHECK (interval_s > 0),
    active     boolean          NOT NULL,
    CONSTRAINT datastream_key UNIQUE (device_id, property)
);

CREATE TABLE threshold_change (
    device_id  text        COLLATE "C" NOT NULL
                           CONSTRAINT threshold_change_device_fkey REFERENCES device (device_id),
    property   text        COLLATE "C" NOT NULL,
    revision   bigint      NOT NULL
                           CONSTRAINT threshold_change_revision_fkey REFERENCES registry_revision (revision),
    thresholds jsonb       NOT NULL,
    previous   jsonb,
    author     text        NOT NULL,
    approver   text        NOT NULL CONSTRAINT threshold_change_two_persons CHECK (approver <> author),
    source     text        NOT NULL CONSTRAINT threshold_change_sourced CHECK (source <> ''),
    at         timestamptz NOT NULL,
    CONSTRAINT threshold_change_pkey PRIMARY KEY (device_id, property, revision)
);

CREATE TABLE observation (
    datastream      integer          NOT NULL,
    phenomenon_time timestamptz      NOT NULL,
    receive_time    timestamptz      NOT NULL,
    device_time     timestamptz,
    result          double precision,
    result_text     text,
    quality         smallint         NOT NULL CONSTRAINT observation_quality_known CHECK (quality IN (1, 2, 3, 4, 9)),
    source          integer          NOT NULL,
    seq             bigint,
    CONSTRAINT observation_pkey PRIMARY KEY (datastream, phenomenon_time)
)
-- tier: plain
PARTITION BY RANGE (phenomenon_time)
-- tier: all
;

-- tier: timescale
SELECT create_hypertable('observation', by_range('phenomenon_time', INTERVAL '7 days'), create_default_indexes => false);

-- Chunks come by themselves.
CREATE FUNCTION observation_ensure(from_time timestamptz, to_time timestamptz) RETURNS integer
LANGUAGE sql AS $$ SELECT 0 $$;

-- Drops what lies wholly before the bound; returns how many chunks.
CREATE FUNCTION observation_drop_before(bound timestamptz) RETURNS integer
LANGUAGE sql AS $$ SELECT count(*)::integer FROM drop_chunks('observation', older_than => bound) $$;

-- tier: plain
-- Weekly partitions, named by their first day and aligned to 1970-01-01 like TimescaleDB's chunks; returns how many were made.
CREATE FUNCTION observation_ensure(from_time timestamptz, to_time timestamptz) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    week   timestamptz := date_bin(INTERVAL '7 days', from_time, TIMESTAMPTZ '1970-01-01 00:00:00+00');
    name   text;
    made   integer := 0;
BEGIN
    WHILE week <= to_time LOOP
        name := 'observation_p' || to_char(week AT TIME ZONE 'UTC', 'YYYYMMDD');
        IF to_regclass(quote_ident(current_schema()) || '.' || name) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF observation FOR VALUES FROM (%L) TO (%L)',
                           name, week, week + INTERVAL '7 days');
            made := made + 1;
        END IF;
        week := week + INTERVAL '7 days';
    END LOOP;
    RETURN made;
END $$;

-- Drops what lies wholly before the bound; returns how many partitions.
CREATE FUNCTION observation_drop_before(bound timestamptz) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    name    text;
    dropped integer := 0;
BEGIN
    FOR name IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'observation'::regclass
           AND to_date(substr(c.relname, 14), 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC' + INTERVAL '7 days' <= bound
         ORDER BY c.relname
    LOOP
        EXECUTE format('DROP TABLE %I', name);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;
-- tier: all

-- Phenomenon times that would make partitions all over history: kept, but not in the partitioned table.
CREATE TABLE observation_outlier (
    datastream      integer          NOT NULL,
    phenomenon_time timestamptz      NOT NULL,
    receive_time    timestamptz      NOT NULL,
    device_time     timestamptz,
    result          double precision,
    result_text     text,
    quality         smallint         NOT NULL
                    CONSTRAINT observation_outlier_quality_known CHECK (quality IN (1, 2, 3, 4, 9)),
    source          integer          NOT NULL,
    seq             bigint,
    CONSTRAINT observation_outlier_pkey PRIMARY KEY (datastream, phenomenon_time)
);

-- A second value for a key that was there already; the first stays in force.
CREATE TABLE observation_conflict (
    datastream      integer          NOT NULL,
    phenomenon_time timestamptz      NOT NULL,
    receive_time    timestamptz      NOT NULL,
    value           text             NOT NULL,
    device_time     timestamptz,
    result          double precision,
    result_text     text,
    quality         smallint         NOT NULL,
    source          integer          NOT NULL,
    seq             bigint,
    CONSTRAINT observation_conflict_pkey PRIMARY KEY (datastream, phenomenon_time, receive_time, value)
);

-- Samples of a wrong clock are unique by what the device said, although they stand at their receive time.
CREATE TABLE observation_clock_fault (
    datastream      integer          NOT NULL,
    device_time     timestamptz      NOT NULL,
    phenomenon_time timestamptz      NOT NULL,
    result          double precision,
    result_text     text,
    CONSTRAINT observation_clock_fault_pkey PRIMARY KEY (datastream, device_time)
);

-- The newest value of each series. effective_time = the earlier of phenomenon and receive time: a stamp from the future
-- never blocks what comes after it.
CREATE TABLE latest (
    datastream      integer          NOT NULL CONSTRAINT latest_pkey PRIMARY KEY,
    effective_time  timestamptz      NOT NULL,
    phenomenon_time timestamptz      NOT NULL,
    receive_time    timestamptz      NOT NULL,
    device_time     timestamptz,
    result          double precision,
    result_text     text,
    quality         smallint         NOT NULL,
    source          integer          NOT NULL
) WITH (fillfactor = 70);

-- What arrived per series, for the vendor: counted in the same transaction as the rows.
CREATE TABLE datastream_stat (
    datastream        integer     NOT NULL CONSTRAINT datastream_stat_pkey PRIMARY KEY,
    received          bigint      NOT NULL,
    flagged           bigint      NOT NULL,
    clock_fault       bigint      NOT NULL,
    backfilled        bigint      NOT NULL,
    last_receive_time timestamptz NOT NULL,
    clock_offset_us   bigint
) WITH (fillfactor = 70);

CREATE TABLE device_event (
    device_id       text        COLLATE "C" NOT NULL,
    event_id        text        COLLATE "C" NOT NULL,
    event_type      text        NOT NULL,
    phenomenon_time timestamptz NOT NULL,
    receive_time    timestamptz NOT NULL,
    data            jsonb       NOT NULL,
    position        bigint      NOT NULL,
    CONSTRAINT device_event_pkey PRIMARY KEY (device_id, event_id)
);
CREATE INDEX device_event_by_time ON device_event (device_id, phenomenon_time);
CREATE INDEX device_event_by_receive ON device_event (receive_time);

CREATE TABLE device_state (
    device_id    text        COLLATE "C" NOT NULL CONSTRAINT device_state_pkey PRIMARY KEY,
    online       boolean,
    receive_time timestamptz NOT NULL,
    changed_time timestamptz NOT NULL,
    data         jsonb       NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE device_attr (
    device_id    text        COLLATE "C" NOT NULL,
    key          text        COLLATE "C" NOT NULL,
    value        jsonb       NOT NULL,
    receive_time timestamptz NOT NULL,
    CONSTRAINT device_attr_pkey PRIMARY KEY (device_id, key)
);

CREATE TABLE dead_letter (
    position     bigint      NOT NULL CONSTRAINT dead_letter_pkey PRIMARY KEY,
    device_id    text        COLLATE "C" NOT NULL,
    receive_time timestamptz NOT NULL,
    reason       text        NOT NULL,
    data         jsonb       NOT NULL,
    raw          bytea,
    sha256       text        NOT NULL,
    size_bytes   bigint      NOT NULL
);
CREATE INDEX dead_letter_by_device ON dead_letter (device_id, position);
CREATE INDEX dead_letter_by_receive ON dead_letter (receive_time);

CREATE TABLE refusal (
    position     bigint      NOT NULL CONSTRAINT refusal_pkey PRIMARY KEY,
    device_id    text        COLLATE "C" NOT NULL,
    receive_time timestamptz NOT NULL,
    reason       text        NOT NULL,
    count        bigint      NOT NULL,
    data         jsonb       NOT NULL
);
CREATE INDEX refusal_by_device ON refusal (device_id, position);
CREATE INDEX refusal_by_receive ON refusal (receive_time);

CREATE TABLE ingest_note (
    position     bigint      NOT NULL CONSTRAINT ingest_note_pkey PRIMARY KEY,
    device_id    text        COLLATE "C" NOT NULL,
    receive_time timestamptz NOT NULL,
    reason       text        NOT NULL,
    data         jsonb       NOT NULL
);
CREATE INDEX ingest_note_by_device ON ingest_note (device_id, position);
CREATE INDEX ingest_note_by_receive ON ingest_note (receive_time);

CREATE TABLE feature_layer (
    layer      text        COLLATE "C" NOT NULL CONSTRAINT feature_layer_pkey PRIMARY KEY,
    etag       text        NOT NULL,
    features   integer     NOT NULL,
    changed_at timestamptz NOT NULL
);

CREATE TABLE feature (
    layer      text  COLLATE "C" NOT NULL CONSTRAINT feature_layer_fkey REFERENCES feature_layer (layer),
    feature_id text  COLLATE "C" NOT NULL,
    geometry   jsonb NOT NULL,
    properties jsonb NOT NULL,
    CONSTRAINT feature_pkey PRIMARY KEY (layer, feature_id)
);

-- Rules, plans, device models and other data that people write: every version that was ever in force.
CREATE TABLE document (
    kind        text        COLLATE "C" NOT NULL,
    document_id text        COLLATE "C" NOT NULL,
    version     text        COLLATE "C" NOT NULL,
    body        jsonb       NOT NULL,
    author      text        NOT NULL,
    source      text        NOT NULL,
    at          timestamptz NOT NULL,
    CONSTRAINT document_pkey PRIMARY KEY (kind, document_id, version)
);
