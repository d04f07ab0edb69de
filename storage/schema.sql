-- What a tenant's schema is after all migrations; read this, not the migrations. A test compares the two on every tier.
-- Written by hand beside each migration: forward only there, whole here. `-- tier:` opens blocks as in storage/migrate.py.

-- The observation side of one tenant: registry, history, latest, what devices said, what was refused, static layers.
-- Everything with a time in it is city time. Log positions are those of the tenant's log.

CREATE TABLE log_cursor (
    name     text        NOT NULL CONSTRAINT log_cursor_pkey PRIMARY KEY,
    position bigint      NOT NULL,
    at       timestamptz NOT NULL
);

-- When we were not listening, as the log's resume marks say: what a firm's devices did not deliver then is not theirs.
CREATE TABLE own_downtime (
    position bigint      NOT NULL CONSTRAINT own_downtime_pkey PRIMARY KEY,
    from_at  timestamptz NOT NULL,
    to_at    timestamptz NOT NULL,
    CONSTRAINT own_downtime_in_order CHECK (from_at <= to_at)
);
CREATE INDEX own_downtime_by_end ON own_downtime (to_at);

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

CREATE TABLE dead_letter_replay (
    position bigint      NOT NULL CONSTRAINT dead_letter_replay_pkey PRIMARY KEY,
    letter   bigint      NOT NULL,
    at       timestamptz NOT NULL,
    outcome  text        NOT NULL CONSTRAINT dead_letter_replay_outcome_known CHECK (outcome IN ('taken', 'partly')),
    rows     bigint      NOT NULL,
    events   bigint      NOT NULL,
    actor    text        NOT NULL
);
CREATE INDEX dead_letter_replay_by_letter ON dead_letter_replay (letter);

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

-- tier: all
-- The command side of one tenant: alarms and what people did about them, incidents, tasks, units, roads, timers, journal.
-- Written only by the role `command`. `_at` is city time, `_machine_at` machine wall time.

CREATE TABLE counter (
    scope text   COLLATE "C" NOT NULL CONSTRAINT counter_pkey PRIMARY KEY,
    value bigint NOT NULL CONSTRAINT counter_positive CHECK (value > 0)
);

CREATE TABLE idempotency_key (
    actor       text        COLLATE "C" NOT NULL,
    key         text        COLLATE "C" NOT NULL,
    fingerprint text        NOT NULL,
    seen_at     timestamptz NOT NULL,
    CONSTRAINT idempotency_key_pkey PRIMARY KEY (actor, key)
);

CREATE TABLE incident (
    incident_id  text             COLLATE "C" NOT NULL CONSTRAINT incident_pkey PRIMARY KEY,
    group_key    text             COLLATE "C" NOT NULL,
    kind         text             NOT NULL CONSTRAINT incident_kind_known CHECK (kind IN ('typhoon', 'flood', 'hazchem', 'other')),
    title_zh     text             NOT NULL,
    title_en     text             NOT NULL,
    state        text             NOT NULL CONSTRAINT incident_state_known CHECK (state IN (
                     'REPORTED', 'VERIFYING', 'REJECTED', 'MERGED', 'OPEN', 'GRADED', 'RESPONDING', 'CONTROLLED',
                     'TERMINATED', 'RECOVERY', 'REVIEW', 'ARCHIVED')),
    state_zh     text             NOT NULL,
    lon          double precision,
    lat          double precision,
    area         text             NOT NULL,
    colour       text             NOT NULL CONSTRAINT incident_colour_known CHECK (colour IN ('', 'blue', 'yellow', 'orange', 'red')),
    opened_at    timestamptz      NOT NULL,
    changed_at   timestamptz      NOT NULL,
    rev          bigint           NOT NULL,
    plan_id      text             NOT NULL,
    plan_version text             NOT NULL
);
-- One open incident for a kind and place: an alarm joins it or opens it, never both.
CREATE UNIQUE INDEX incident_one_open_per_group ON incident (group_key)
    WHERE state IN ('REPORTED', 'VERIFYING', 'OPEN', 'GRADED', 'RESPONDING', 'CONTROLLED');

CREATE TABLE incident_timeline (
    entry       bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT incident_timeline_pkey PRIMARY KEY,
    incident_id text        COLLATE "C" NOT NULL CONSTRAINT incident_timeline_incident_fkey REFERENCES incident (incident_id),
    at          timestamptz NOT NULL,
    actor       text        NOT NULL,
    kind        text        NOT NULL,
    text_zh     text        NOT NULL,
    text_en     text        NOT NULL,
    ref         text        NOT NULL
);
CREATE INDEX incident_timeline_by_incident ON incident_timeline (incident_id, entry);

CREATE TABLE unit (
    unit_id        text             COLLATE "C" NOT NULL CONSTRAINT unit_pkey PRIMARY KEY,
    name           text             NOT NULL,
    kind           text             NOT NULL,
    authority      text             NOT NULL CONSTRAINT unit_authority_known CHECK (authority IN ('direct', 'request', 'notify')),
    capabilities   jsonb            NOT NULL,
    status         text             NOT NULL CONSTRAINT unit_status_known CHECK (status IN (
                       'OFF', 'IN_QTRS', 'AVAIL_MOBILE', 'STANDBY', 'DISPATCHED', 'ACKED', 'EN_ROUTE', 'STAGING', 'ON_SCENE',
                       'WORKING', 'TRANSPORT', 'AT_DEST', 'RETURNING', 'BREAK', 'OOS')),
    idle_status    text             NOT NULL,
    lon            double precision NOT NULL CONSTRAINT unit_lon_range CHECK (lon BETWEEN -180 AND 180),
    lat            double precision NOT NULL CONSTRAINT unit_lat_range CHECK (lat BETWEEN -90 AND 90),
    heading        double precision,
    speed_ms       double precision,
    fix_at         timestamptz,
    task_id        text             COLLATE "C" NOT NULL,
    wading_depth_m double precision NOT NULL,
    area           text             NOT NULL,
    phone          text             NOT NULL,
    rev            bigint           NOT NULL
);
CREATE UNIQUE INDEX unit_one_per_task ON unit (task_id) WHERE task_id <> '';

CREATE TABLE unit_fix (
    unit_id  text             COLLATE "C" NOT NULL CONSTRAINT unit_fix_unit_fkey REFERENCES unit (unit_id),
    at       timestamptz      NOT NULL,
    lon      double precision NOT NULL,
    lat      double precision NOT NULL,
    heading  double precision,
    speed_ms double precision,
    CONSTRAINT unit_fix_pkey PRIMARY KEY (unit_id, at)
);

CREATE TABLE task (
    task_id        text             COLLATE "C" NOT NULL CONSTRAINT task_pkey PRIMARY KEY,
    incident_id    text             COLLATE "C" NOT NULL CONSTRAINT task_incident_fkey REFERENCES incident (incident_id),
    origin         text             COLLATE "C" NOT NULL,
    pre_authorised boolean          NOT NULL,
    refused_units  jsonb            NOT NULL,
    title_zh       text             NOT NULL,
    title_en       text             NOT NULL,
    detail_zh      text             NOT NULL,
    detail_en      text             NOT NULL,
    capability     text             NOT NULL,
    state          text             NOT NULL CONSTRAINT task_state_known CHECK (state IN (
                       'DRAFT', 'ISSUED', 'DELIVERED', 'ACKED', 'ACCEPTED', 'DECLINED', 'EN_ROUTE', 'ON_SCENE', 'IN_PROGRESS',
                       'REPORTED_DONE', 'VERIFIED', 'CLOSED', 'PARTIAL', 'FAILED', 'SUSPENDED', 'RECALLED', 'SUPERSEDED', 'EXPIRED')),
    state_zh       text             NOT NULL,
    unit_id        text             COLLATE "C" NOT NULL,
    unit_name      text             NOT NULL,
    unit_authority text             NOT NULL,
    lon            double precision NOT NULL,
    lat            double precision NOT NULL,
    place          text             NOT NULL,
    due_at         timestamptz,
    issued_at      timestamptz,
    changed_at     timestamptz      NOT NULL,
    rev            bigint           NOT NULL,
    eta_s          double precision,
    CONSTRAINT task_drafted_once UNIQUE (incident_id, origin),
    area text NOT NULL DEFAULT '',
    hazard text NOT NULL DEFAULT ''
);
CREATE INDEX task_by_unit ON task (unit_id) WHERE unit_id <> '';

CREATE TABLE task_history (
    entry      bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT task_history_pkey PRIMARY KEY,
    task_id    text        COLLATE "C" NOT NULL CONSTRAINT task_history_task_fkey REFERENCES task (task_id),
    at         timestamptz NOT NULL,
    source     text        NOT NULL,
    target     text        NOT NULL,
    actor      text        NOT NULL,
    comment    text        NOT NULL,
    device_at  timestamptz
);
CREATE INDEX task_history_by_task ON task_history (task_id, entry);

CREATE TABLE alarm (
    alarm_id    text        COLLATE "C" NOT NULL CONSTRAINT alarm_pkey PRIMARY KEY,
    firing      boolean     NOT NULL,
    raised_at   timestamptz NOT NULL,
    n           bigint      NOT NULL,
    condition   jsonb       NOT NULL,
    incident_id text        COLLATE "C" CONSTRAINT alarm_incident_fkey REFERENCES incident (incident_id),
    side_rev    bigint      NOT NULL,
    side        jsonb       NOT NULL
);
CREATE INDEX alarm_newest ON alarm (raised_at DESC, alarm_id DESC);
CREATE INDEX alarm_by_incident ON alarm (incident_id) WHERE incident_id IS NOT NULL;

CREATE TABLE alarm_transition (
    alarm_id       text        COLLATE "C" NOT NULL,
    n              bigint      NOT NULL,
    kind           text        NOT NULL,
    at             timestamptz NOT NULL,
    input_position bigint      NOT NULL,
    ordinal        integer     NOT NULL,
    document       jsonb       NOT NULL,
    CONSTRAINT alarm_transition_pkey PRIMARY KEY (alarm_id, n)
);

CREATE TABLE closure (
    closure_id text             COLLATE "C" NOT NULL CONSTRAINT closure_pkey PRIMARY KEY,
    source     text             COLLATE "C" NOT NULL, -- what closes by itself; '' for a person's
    edges      jsonb            NOT NULL,
    reason     text             NOT NULL,
    lon        double precision NOT NULL,
    lat        double precision NOT NULL,
    depth_m    double precision, -- null: unknown, closed for everyone
    since_at   timestamptz      NOT NULL,
    expires_at timestamptz,
    author     text             NOT NULL,
    evidence   text             NOT NULL,
    ended_at   timestamptz,
    ended_by   text,
    area text NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX closure_one_open_per_source ON closure (source) WHERE source <> '' AND ended_at IS NULL;

CREATE TABLE agency_request (
    request_id  text        COLLATE "C" NOT NULL CONSTRAINT agency_request_pkey PRIMARY KEY,
    task_id     text        COLLATE "C" NOT NULL CONSTRAINT agency_request_task_fkey REFERENCES task (task_id),
    incident_id text        COLLATE "C" NOT NULL CONSTRAINT agency_request_incident_fkey REFERENCES incident (incident_id),
    unit_id     text        COLLATE "C" NOT NULL CONSTRAINT agency_request_unit_fkey REFERENCES unit (unit_id),
    kind        text        NOT NULL,
    state       text        NOT NULL CONSTRAINT agency_request_state_known CHECK (state IN (
                    'REQUESTED', 'SIGNED', 'COMMITTED', 'REFUSED', 'WITHDRAWN')),
    asked_at    timestamptz NOT NULL,
    changed_at  timestamptz NOT NULL,
    asked_by    text        NOT NULL,
    signed_by   text        NOT NULL,
    comment     text        NOT NULL,
    rev         bigint      NOT NULL
);

CREATE TABLE timer (
    timer_id  text        COLLATE "C" NOT NULL CONSTRAINT timer_pkey PRIMARY KEY,
    kind      text        NOT NULL,
    entity_id text        NOT NULL,
    clock     text        NOT NULL CONSTRAINT timer_clock_known CHECK (clock IN ('machine', 'city')),
    due_at    timestamptz NOT NULL,
    data      jsonb       NOT NULL
);
CREATE INDEX timer_due ON timer (clock, due_at);

CREATE TABLE journal (
    seq          bigint      NOT NULL CONSTRAINT journal_pkey PRIMARY KEY,
    at           timestamptz NOT NULL,
    machine_at   timestamptz NOT NULL,
    actor        text        NOT NULL,
    on_behalf_of text        NOT NULL,
    entity       text        COLLATE "C" NOT NULL,
    entity_id    text        COLLATE "C" NOT NULL,
    action       text        NOT NULL,
    before       jsonb,
    after        jsonb,
    reason       text        NOT NULL,
    prev_hash    bytea,
    hash         bytea,
    CONSTRAINT journal_hashes_whole CHECK (
        (hash IS NULL AND prev_hash IS NULL) OR (octet_length(hash) = 32 AND octet_length(prev_hash) = 32))
);
CREATE INDEX journal_by_entity ON journal (entity, entity_id, seq);
CREATE INDEX journal_by_actor ON journal (actor, seq);
CREATE INDEX journal_by_time ON journal (at);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE FUNCTION keep_journal_in_line() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    newest bigint;
    newest_hash bytea;
BEGIN
    SELECT seq, hash INTO newest, newest_hash FROM journal ORDER BY seq DESC LIMIT 1;
    IF NEW.hash IS NULL OR NEW.seq <> coalesce(newest, 0) + 1
       OR NEW.prev_hash <> coalesce(newest_hash, decode(repeat('00', 32), 'hex')) THEN
        RAISE EXCEPTION 'journal: row % does not follow row %', NEW.seq, newest USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER journal_in_line BEFORE INSERT ON journal FOR EACH ROW EXECUTE FUNCTION keep_journal_in_line();

-- Rows may go only after a row of the chain has said which archive file holds them.
CREATE FUNCTION refuse_unarchived() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM journal WHERE entity = 'journal' AND action = 'archived' AND (after ->> 'to_seq')::bigint >= OLD.seq) THEN
        RAISE EXCEPTION 'journal is append-only: DELETE refused' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN OLD;
END
$$;
CREATE TRIGGER journal_append_only BEFORE UPDATE ON journal FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER journal_archived_only BEFORE DELETE ON journal FOR EACH ROW EXECUTE FUNCTION refuse_unarchived();
CREATE TRIGGER journal_never_emptied BEFORE TRUNCATE ON journal FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER task_history_append_only BEFORE UPDATE OR DELETE ON task_history FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER alarm_transition_append_only BEFORE UPDATE OR DELETE ON alarm_transition FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER incident_timeline_append_only BEFORE UPDATE OR DELETE ON incident_timeline FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER task_history_never_emptied BEFORE TRUNCATE ON task_history FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER alarm_transition_never_emptied BEFORE TRUNCATE ON alarm_transition FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER incident_timeline_never_emptied BEFORE TRUNCATE ON incident_timeline FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What screens get in order. Written under the lock of the write transaction, so numbers are in commit order.
CREATE TABLE live_event (
    seq     bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT live_event_pkey PRIMARY KEY,
    channel text        COLLATE "C" NOT NULL,
    at      timestamptz NOT NULL,
    kind    text        NOT NULL,
    id      text        NOT NULL,
    rev     bigint      NOT NULL,
    data    jsonb       NOT NULL
);
CREATE INDEX live_event_by_channel ON live_event (channel, seq);

CREATE TABLE app_user (
    username             text        COLLATE "C" NOT NULL CONSTRAINT app_user_pkey PRIMARY KEY,
    document             jsonb       NOT NULL,
    password_hash        text        NOT NULL,
    failures             integer     NOT NULL,
    locked_until_machine_at timestamptz,
    changed_machine_at   timestamptz NOT NULL,
    last_login_machine_at timestamptz,
    password_machine_at timestamptz -- null: from before this was kept
);

-- Registers: one table for entries of every kind, as documents; what points at what; daily risk statements.
-- Personal values inside `document` are sealed before they come here (command_center/access/personal.py).

CREATE TABLE register_entry (
    kind         text             COLLATE "C" NOT NULL,
    entry_id     text             COLLATE "C" NOT NULL,
    name         text             NOT NULL CONSTRAINT register_entry_named CHECK (name <> ''),
    area         text             COLLATE "C" NOT NULL, -- '' unknown
    organisation text             COLLATE "C", -- null: this kind belongs to none; '' none is named
    lon          double precision CONSTRAINT register_entry_lon_range CHECK (lon BETWEEN -180 AND 180),
    lat          double precision CONSTRAINT register_entry_lat_range CHECK (lat BETWEEN -90 AND 90),
    geometry     jsonb,
    document     jsonb            NOT NULL CONSTRAINT register_entry_document_object CHECK (jsonb_typeof(document) = 'object'),
    search       text             NOT NULL,
    verified_at  timestamptz,
    verified_by  text             NOT NULL,
    rev          bigint           NOT NULL CONSTRAINT register_entry_rev_positive CHECK (rev > 0),
    changed_at   timestamptz      NOT NULL,
    changed_by   text             NOT NULL,
    CONSTRAINT register_entry_pkey PRIMARY KEY (kind, entry_id),
    CONSTRAINT register_entry_position_whole CHECK ((lon IS NULL) = (lat IS NULL)),
    CONSTRAINT register_entry_verified_by_somebody CHECK ((verified_at IS NULL) = (verified_by = '')),
    CONSTRAINT register_entry_area_is_its_code CHECK (kind <> 'area' OR area = entry_id)
);
CREATE INDEX register_entry_by_area ON register_entry (area, kind);

CREATE FUNCTION register_entry_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.rev <> OLD.rev + 1 THEN
        RAISE EXCEPTION 'register entry % %: revision % follows %', NEW.kind, NEW.entry_id, NEW.rev, OLD.rev
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER register_entry_steps BEFORE UPDATE ON register_entry FOR EACH ROW EXECUTE FUNCTION register_entry_step();

-- Devices and cameras stand in a register of their own: only links to entries are held by a foreign key.
CREATE TABLE register_link (
    kind        text COLLATE "C" NOT NULL,
    entry_id    text COLLATE "C" NOT NULL,
    field       text COLLATE "C" NOT NULL,
    target_kind text COLLATE "C" NOT NULL,
    target_id   text COLLATE "C" NOT NULL,
    entry_kind  text COLLATE "C" GENERATED ALWAYS AS (
                    CASE WHEN target_kind IN ('device', 'camera') THEN NULL ELSE target_kind END) STORED,
    CONSTRAINT register_link_pkey PRIMARY KEY (kind, entry_id, field, target_kind, target_id),
    CONSTRAINT register_link_owner_fkey FOREIGN KEY (kind, entry_id) REFERENCES register_entry (kind, entry_id) ON DELETE CASCADE,
    CONSTRAINT register_link_target_fkey FOREIGN KEY (entry_kind, target_id) REFERENCES register_entry (kind, entry_id)
        DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX register_link_by_target ON register_link (target_kind, target_id);

-- Signed is signed. No foreign key: what was signed stays when the plant is gone.
CREATE TABLE register_statement (
    kind        text        COLLATE "C" NOT NULL,
    entry_id    text        COLLATE "C" NOT NULL,
    day         date        NOT NULL,
    edition     integer     NOT NULL CONSTRAINT register_statement_edition_positive CHECK (edition > 0),
    grade       text        NOT NULL CONSTRAINT register_statement_grade_known CHECK (grade IN ('blue', 'yellow', 'orange', 'red')),
    text        text        NOT NULL CONSTRAINT register_statement_says_something CHECK (text <> ''),
    signed_by   text        NOT NULL CONSTRAINT register_statement_signed CHECK (signed_by <> ''),
    signed_name text        NOT NULL,
    signed_at   timestamptz NOT NULL,
    machine_at  timestamptz NOT NULL,
    CONSTRAINT register_statement_pkey PRIMARY KEY (kind, entry_id, day, edition)
);
CREATE TRIGGER register_statement_append_only BEFORE UPDATE OR DELETE ON register_statement FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER register_statement_never_emptied BEFORE TRUNCATE ON register_statement FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
-- Client certificates of devices, by common name: what the broker's revocation list is written from.
CREATE TABLE device_certificate (
    serial             text        COLLATE "C" NOT NULL CONSTRAINT device_certificate_pkey PRIMARY KEY,
    device_id          text        COLLATE "C" NOT NULL
                                   CONSTRAINT device_certificate_device_fkey REFERENCES device (device_id),
    issued_machine_at  timestamptz NOT NULL,
    expires_machine_at timestamptz NOT NULL,
    issued_by          text        NOT NULL,
    revoked_machine_at timestamptz,
    CONSTRAINT device_certificate_span CHECK (expires_machine_at > issued_machine_at)
);
CREATE INDEX device_certificate_by_device ON device_certificate (device_id);
-- One in force for a device: a new one revokes the one before in the same transaction.
CREATE UNIQUE INDEX device_certificate_one_in_force ON device_certificate (device_id) WHERE revoked_machine_at IS NULL;
-- Dry runs of imports: the file (sealed), how its columns are read, and what became of it.

CREATE TABLE import_job (
    import_id  text        COLLATE "C" NOT NULL CONSTRAINT import_job_pkey PRIMARY KEY,
    kind       text        NOT NULL,
    filename   text        NOT NULL,
    format     text        NOT NULL,
    sha256     text        NOT NULL CONSTRAINT import_job_sha256_hex CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    size       bigint      NOT NULL CONSTRAINT import_job_size_known CHECK (size > 0),
    sheet      text        NOT NULL,
    crs        text        NOT NULL,
    columns    jsonb       NOT NULL,
    state      text        NOT NULL CONSTRAINT import_job_state_known CHECK (state IN ('DRY', 'COMMITTED', 'EXPIRED')),
    owner      text        COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    counts     jsonb       NOT NULL,
    done       jsonb       NOT NULL,
    reason     text        NOT NULL,
    sealed     text        NOT NULL,
    CONSTRAINT import_job_file_only_while_dry CHECK (state = 'DRY' OR sealed = '')
);
CREATE INDEX import_job_newest ON import_job (created_at DESC, import_id DESC);

CREATE FUNCTION import_job_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state <> 'DRY' THEN
        RAISE EXCEPTION 'import % is %: it changes no more', OLD.import_id, OLD.state USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER import_job_moves_forward BEFORE UPDATE ON import_job FOR EACH ROW EXECUTE FUNCTION import_job_moves();
CREATE TABLE duty_post (
    post      text    COLLATE "C" NOT NULL CONSTRAINT duty_post_pkey PRIMARY KEY,
    zh        text    NOT NULL,
    en        text    NOT NULL,
    step      integer NOT NULL CONSTRAINT duty_post_step_once UNIQUE,
    required  boolean NOT NULL,
    hand_over boolean NOT NULL,
    hazards   jsonb   NOT NULL
);

CREATE TABLE duty_shift (
    shift_id   text        COLLATE "C" NOT NULL CONSTRAINT duty_shift_pkey PRIMARY KEY,
    post       text        COLLATE "C" NOT NULL,
    username   text        COLLATE "C" NOT NULL,
    name       text        NOT NULL,
    phone      text        NOT NULL, -- sealed
    phone_mask text        NOT NULL,
    area       text        COLLATE "C" NOT NULL,
    from_at    timestamptz NOT NULL,
    to_at      timestamptz NOT NULL,
    rev        bigint      NOT NULL,
    CONSTRAINT duty_shift_ends_after_it_begins CHECK (to_at > from_at),
    CONSTRAINT duty_shift_names_somebody CHECK (username <> '' OR name <> '')
);
CREATE INDEX duty_shift_by_end ON duty_shift (to_at, from_at);
CREATE INDEX duty_shift_by_start ON duty_shift (from_at);

CREATE TABLE duty_absence (
    absence_id text        COLLATE "C" NOT NULL CONSTRAINT duty_absence_pkey PRIMARY KEY,
    username   text        COLLATE "C" NOT NULL,
    from_at    timestamptz NOT NULL,
    to_at      timestamptz NOT NULL,
    reason     text        NOT NULL,
    CONSTRAINT duty_absence_ends_after_it_begins CHECK (to_at > from_at)
);
CREATE INDEX duty_absence_by_end ON duty_absence (to_at);

CREATE TABLE duty_handover (
    handover_id       text        COLLATE "C" NOT NULL CONSTRAINT duty_handover_pkey PRIMARY KEY,
    post              text        COLLATE "C" NOT NULL,
    area              text        COLLATE "C" NOT NULL,
    shift_id          text        COLLATE "C" NOT NULL,
    from_user         text        COLLATE "C" NOT NULL,
    to_user           text        COLLATE "C" NOT NULL,
    substitute_reason text        NOT NULL,
    state             text        NOT NULL CONSTRAINT duty_handover_state_known CHECK (state IN (
                          'DRAFT', 'SIGNED_OUT', 'SIGNED_IN', 'WITHDRAWN')),
    state_zh          text        NOT NULL,
    remarks           text        NOT NULL,
    summary           jsonb       NOT NULL,
    open_items        jsonb       NOT NULL,
    signatures        jsonb       NOT NULL,
    created_at        timestamptz NOT NULL,
    changed_at        timestamptz NOT NULL,
    rev               bigint      NOT NULL,
    CONSTRAINT duty_handover_two_people CHECK (from_user <> to_user)
);
CREATE INDEX duty_handover_by_shift ON duty_handover (shift_id) WHERE shift_id <> '';

-- What was handed over is what stood there: the snapshot of a draft and a finished hand-over never change.
CREATE FUNCTION refuse_handover_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state IN ('SIGNED_IN', 'WITHDRAWN') OR NEW.open_items <> OLD.open_items OR NEW.summary <> OLD.summary
       OR NEW.from_user <> OLD.from_user OR NEW.created_at <> OLD.created_at THEN
        RAISE EXCEPTION 'duty_handover %: its snapshot and what was signed stay as they are', OLD.handover_id
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER duty_handover_snapshot_stays BEFORE UPDATE ON duty_handover FOR EACH ROW EXECUTE FUNCTION refuse_handover_change();
CREATE TRIGGER duty_handover_never_deleted BEFORE DELETE ON duty_handover FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER duty_handover_never_emptied BEFORE TRUNCATE ON duty_handover FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE duty_log (
    entry_id       text        COLLATE "C" NOT NULL CONSTRAINT duty_log_pkey PRIMARY KEY,
    at             timestamptz NOT NULL,
    actor          text        NOT NULL,
    kind           text        NOT NULL CONSTRAINT duty_log_kind_known CHECK (kind IN (
                       'call', 'paper', 'instruction', 'patrol', 'weather', 'other', 'shift', 'handover', 'incident')),
    kind_zh        text        NOT NULL,
    text           text        NOT NULL,
    area           text        COLLATE "C" NOT NULL,
    alarm_id       text        COLLATE "C" NOT NULL,
    incident_id    text        COLLATE "C" NOT NULL,
    instruction_id text        COLLATE "C" NOT NULL,
    corrects       text        COLLATE "C" NOT NULL,
    auto           boolean     NOT NULL
);
CREATE TRIGGER duty_log_append_only BEFORE UPDATE OR DELETE ON duty_log FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER duty_log_never_emptied BEFORE TRUNCATE ON duty_log FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE instruction (
    instruction_id text        COLLATE "C" NOT NULL CONSTRAINT instruction_pkey PRIMARY KEY,
    text           text        NOT NULL,
    urgency        text        NOT NULL CONSTRAINT instruction_urgency_known CHECK (urgency IN ('urgent', 'pressing', 'normal')),
    urgency_zh     text        NOT NULL,
    issued_by      text        COLLATE "C" NOT NULL,
    issued_at      timestamptz NOT NULL,
    due_at         timestamptz,
    incident_id    text        COLLATE "C" NOT NULL,
    area           text        COLLATE "C" NOT NULL,
    state          text        NOT NULL CONSTRAINT instruction_state_known CHECK (state IN (
                       'ISSUED', 'RECEIVED', 'IN_PROGRESS', 'REPORTED', 'RETURNED', 'CHECKED', 'CLOSED', 'RECALLED')),
    state_zh       text        NOT NULL,
    open           boolean     NOT NULL,
    changed_at     timestamptz NOT NULL,
    rev            bigint      NOT NULL,
    subject        text        COLLATE "C" NOT NULL -- kind/id of an entry of the registers
);
CREATE INDEX instruction_by_subject ON instruction (subject, instruction_id) WHERE subject <> '';
CREATE INDEX instruction_open ON instruction (instruction_id) WHERE open;

CREATE TABLE instruction_addressee (
    instruction_id text        COLLATE "C" NOT NULL CONSTRAINT instruction_addressee_instruction_fkey REFERENCES instruction (instruction_id),
    n              integer     NOT NULL,
    kind           text        NOT NULL CONSTRAINT instruction_addressee_kind_known CHECK (kind IN ('user', 'unit', 'organisation')),
    id             text        COLLATE "C" NOT NULL,
    name           text        NOT NULL,
    state          text        NOT NULL CONSTRAINT instruction_addressee_state_known CHECK (state IN (
                       'ISSUED', 'RECEIVED', 'IN_PROGRESS', 'REPORTED', 'RETURNED', 'CHECKED', 'CLOSED', 'RECALLED')),
    state_zh       text        NOT NULL,
    report         text        NOT NULL,
    overdue        boolean     NOT NULL,
    received_at    timestamptz,
    reported_at    timestamptz,
    changed_at     timestamptz NOT NULL,
    CONSTRAINT instruction_addressee_pkey PRIMARY KEY (instruction_id, n),
    CONSTRAINT instruction_addressee_once UNIQUE (instruction_id, kind, id)
);

CREATE TABLE instruction_timeline (
    entry          bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT instruction_timeline_pkey PRIMARY KEY,
    instruction_id text        COLLATE "C" NOT NULL CONSTRAINT instruction_timeline_instruction_fkey REFERENCES instruction (instruction_id),
    at             timestamptz NOT NULL,
    actor          text        NOT NULL,
    kind           text        NOT NULL,
    text_zh        text        NOT NULL,
    text_en        text        NOT NULL,
    n              integer     NOT NULL
);
CREATE INDEX instruction_timeline_by_instruction ON instruction_timeline (instruction_id, entry);
CREATE TRIGGER instruction_timeline_append_only BEFORE UPDATE OR DELETE ON instruction_timeline FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER instruction_timeline_never_emptied BEFORE TRUNCATE ON instruction_timeline FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The care of devices: calibrations, repair tickets, acceptance checklists.
CREATE TABLE device_calibration (
    calibration_id text        COLLATE "C" NOT NULL CONSTRAINT device_calibration_pkey PRIMARY KEY,
    device_id      text        COLLATE "C" NOT NULL
                               CONSTRAINT device_calibration_device_fkey REFERENCES device (device_id),
    calibrated_at  timestamptz NOT NULL,
    calibrated_by  text        NOT NULL,
    certificate    text        NOT NULL,
    due_at         timestamptz CONSTRAINT device_calibration_due_after CHECK (due_at > calibrated_at),
    offsets        jsonb       NOT NULL,
    comment        text        NOT NULL,
    recorded_by    text        NOT NULL,
    recorded_at    timestamptz NOT NULL
);
CREATE INDEX device_calibration_by_device ON device_calibration (device_id, calibrated_at);
CREATE TRIGGER device_calibration_append_only BEFORE UPDATE OR DELETE ON device_calibration FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER device_calibration_never_emptied BEFORE TRUNCATE ON device_calibration FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE device_ticket (
    ticket_id   text        COLLATE "C" NOT NULL CONSTRAINT device_ticket_pkey PRIMARY KEY,
    device_id   text        COLLATE "C" NOT NULL CONSTRAINT device_ticket_device_fkey REFERENCES device (device_id),
    vendor      text        NOT NULL,
    area        text        NOT NULL,
    origin      text        NOT NULL CONSTRAINT device_ticket_origin_known CHECK (origin IN ('hand', 'no_data')),
    title       text        NOT NULL,
    detail      text        NOT NULL,
    state       text        NOT NULL CONSTRAINT device_ticket_state_known CHECK (state IN (
                    'OPEN', 'ASSIGNED', 'IN_PROGRESS', 'REPORTED', 'CHECKED', 'CLOSED', 'REJECTED')),
    state_zh    text        NOT NULL,
    assignee    text        NOT NULL,
    reported_by text        NOT NULL,
    opened_by   text        NOT NULL,
    opened_at   timestamptz NOT NULL,
    due_at      timestamptz,
    changed_at  timestamptz NOT NULL,
    rev         bigint      NOT NULL
);
CREATE INDEX device_ticket_by_device ON device_ticket (device_id, ticket_id);
-- A silent device is mended once: two people at the proposals make one ticket.
CREATE UNIQUE INDEX device_ticket_one_silence ON device_ticket (device_id)
    WHERE origin = 'no_data' AND state NOT IN ('CLOSED', 'REJECTED');

CREATE TABLE device_ticket_step (
    entry     bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT device_ticket_step_pkey PRIMARY KEY,
    ticket_id text        COLLATE "C" NOT NULL
                          CONSTRAINT device_ticket_step_ticket_fkey REFERENCES device_ticket (ticket_id),
    at        timestamptz NOT NULL,
    source    text        NOT NULL,
    target    text        NOT NULL,
    actor     text        NOT NULL,
    comment   text        NOT NULL
);
CREATE INDEX device_ticket_step_by_ticket ON device_ticket_step (ticket_id, entry);
CREATE TRIGGER device_ticket_step_append_only BEFORE UPDATE OR DELETE ON device_ticket_step FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER device_ticket_step_never_emptied BEFORE TRUNCATE ON device_ticket_step FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE device_acceptance (
    device_id        text        COLLATE "C" NOT NULL CONSTRAINT device_acceptance_pkey PRIMARY KEY
                                 CONSTRAINT device_acceptance_device_fkey REFERENCES device (device_id),
    checklist        text        NOT NULL,
    answers          jsonb       NOT NULL,
    vendor_signed_by text,
    vendor_signed_at timestamptz,
    city_signed_by   text,
    city_signed_at   timestamptz,
    changed_at       timestamptz NOT NULL,
    rev              bigint      NOT NULL,
    CONSTRAINT device_acceptance_two_persons CHECK (vendor_signed_by <> city_signed_by),
    CONSTRAINT device_acceptance_vendor_whole CHECK ((vendor_signed_by IS NULL) = (vendor_signed_at IS NULL)),
    CONSTRAINT device_acceptance_city_whole CHECK ((city_signed_by IS NULL) = (city_signed_at IS NULL))
);
-- Messages to people outside (command_center/outbox.py).
CREATE TABLE outbox (
    message_id         text        COLLATE "C" NOT NULL CONSTRAINT outbox_pkey PRIMARY KEY,
    key                text        COLLATE "C" NOT NULL CONSTRAINT outbox_once UNIQUE,
    kind               text        NOT NULL,
    entity             text        NOT NULL,
    entity_id          text        NOT NULL,
    recipient          text        NOT NULL,
    text               text        NOT NULL,
    state              text        NOT NULL CONSTRAINT outbox_state_known CHECK (state IN ('QUEUED', 'SENT', 'DELIVERED', 'FAILED', 'SWALLOWED')),
    attempts           integer     NOT NULL CONSTRAINT outbox_attempts_counted CHECK (attempts >= 0),
    at                 timestamptz NOT NULL,
    next_at            timestamptz NOT NULL,
    changed_at         timestamptz NOT NULL,
    sink               text        NOT NULL,
    error              text        NOT NULL
);
CREATE INDEX outbox_due ON outbox (next_at) WHERE state = 'QUEUED';

CREATE FUNCTION guard_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.state, NEW.state) NOT IN (('QUEUED', 'QUEUED'), ('QUEUED', 'SENT'), ('QUEUED', 'FAILED'), ('QUEUED', 'SWALLOWED'),
                                      ('SENT', 'DELIVERED'), ('SENT', 'FAILED'))
       OR (OLD.key, OLD.recipient, OLD.text) IS DISTINCT FROM (NEW.key, NEW.recipient, NEW.text) THEN
        RAISE EXCEPTION 'outbox: % from % to % refused', OLD.message_id, OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER outbox_guarded BEFORE UPDATE ON outbox FOR EACH ROW EXECUTE FUNCTION guard_outbox();

-- What kind of tenant this schema belongs to, for life: a demonstration never becomes the real one, nor the other way round.
CREATE TABLE tenant_kind (
    only_one boolean NOT NULL DEFAULT true CONSTRAINT tenant_kind_pkey PRIMARY KEY CONSTRAINT tenant_kind_one_row CHECK (only_one),
    kind     text    NOT NULL CONSTRAINT tenant_kind_known CHECK (kind IN ('real', 'demo', 'exercise', 'test'))
);
CREATE TRIGGER tenant_kind_for_life BEFORE UPDATE OR DELETE ON tenant_kind FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER tenant_kind_never_emptied BEFORE TRUNCATE ON tenant_kind FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
-- 指挥长 and 现场指挥 of one incident, from .. until.
CREATE TABLE incident_role (
    role_id     text        COLLATE "C" NOT NULL CONSTRAINT incident_role_pkey PRIMARY KEY,
    incident_id text        COLLATE "C" NOT NULL CONSTRAINT incident_role_incident_fkey REFERENCES incident (incident_id),
    username    text        COLLATE "C" NOT NULL CONSTRAINT incident_role_user_fkey REFERENCES app_user (username),
    role        text        NOT NULL CONSTRAINT incident_role_known CHECK (role IN ('commander', 'scene')),
    from_at     timestamptz NOT NULL,
    until_at    timestamptz NOT NULL,
    given_by    text        NOT NULL,
    ended_at    timestamptz,
    ended_by    text        NOT NULL,
    CONSTRAINT incident_role_until_after_from CHECK (until_at > from_at)
);
CREATE INDEX incident_role_by_incident ON incident_role (incident_id);
CREATE INDEX incident_role_by_user ON incident_role (username);

CREATE TABLE second_factor (
    username           text        COLLATE "C" NOT NULL CONSTRAINT second_factor_pkey PRIMARY KEY
                                   CONSTRAINT second_factor_user_fkey REFERENCES app_user (username),
    secret             text        NOT NULL, -- sealed
    confirmed          boolean     NOT NULL,
    last_step          bigint      NOT NULL, -- of the last code taken: a code opens once
    recovery           jsonb       NOT NULL, -- hashes of the codes that are left
    changed_machine_at timestamptz NOT NULL
);

-- Security keys (WebAuthn) beside the codes of a second factor: they go with it.
CREATE TABLE security_key (
    key_id               text        COLLATE "C" NOT NULL CONSTRAINT security_key_pkey PRIMARY KEY, -- credential id, base64url
    username             text        COLLATE "C" NOT NULL
                                     CONSTRAINT security_key_factor_fkey REFERENCES second_factor (username) ON DELETE CASCADE,
    name                 text        NOT NULL,
    rp_id                text        NOT NULL, -- host name that it is for
    public_key           text        NOT NULL, -- COSE, base64url
    sign_count           bigint      NOT NULL CONSTRAINT security_key_count_sign CHECK (sign_count >= 0),
    created_machine_at   timestamptz NOT NULL,
    last_used_machine_at timestamptz
);
CREATE INDEX security_key_by_user ON security_key (username, created_machine_at);

CREATE TABLE api_key (
    key_id               text        COLLATE "C" NOT NULL CONSTRAINT api_key_pkey PRIMARY KEY,
    name                 text        NOT NULL,
    secret_hash          text        NOT NULL,
    roles                jsonb       NOT NULL,
    created_by           text        NOT NULL,
    created_machine_at   timestamptz NOT NULL,
    expires_machine_at   timestamptz NOT NULL,
    scope                jsonb       NOT NULL,
    vendor               text        NOT NULL,
    unit_id              text        NOT NULL,
    revoked_machine_at   timestamptz,
    revoked_by           text        NOT NULL,
    last_used_machine_at timestamptz
);

-- What takes a second person. Decided once; proposer and decider differ.
CREATE TABLE approval (
    approval_id text        COLLATE "C" NOT NULL CONSTRAINT approval_pkey PRIMARY KEY,
    kind        text        COLLATE "C" NOT NULL,
    subject     text        COLLATE "C" NOT NULL,
    area        text        NOT NULL,
    title_zh    text        NOT NULL,
    title_en    text        NOT NULL,
    payload     jsonb       NOT NULL,
    before      jsonb       NOT NULL,
    source      text        NOT NULL,
    reason      text        NOT NULL,
    state       text        NOT NULL CONSTRAINT approval_state_known CHECK (state IN (
                    'PENDING', 'EXECUTED', 'REJECTED', 'WITHDRAWN', 'EXPIRED')),
    proposed_by text        NOT NULL,
    proposed_at timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL, -- machine time: it waits for a person
    asked       text        NOT NULL,
    emergency   boolean     NOT NULL,
    until_at    timestamptz,
    decided_by  text        NOT NULL,
    decided_at  timestamptz,
    comment     text        NOT NULL,
    result      jsonb       NOT NULL,
    rev         bigint      NOT NULL,
    CONSTRAINT approval_two_persons CHECK (state NOT IN ('EXECUTED', 'REJECTED') OR decided_by <> proposed_by)
);
CREATE UNIQUE INDEX approval_one_open_per_subject ON approval (kind, subject) WHERE state = 'PENDING';

-- The grid: reports that are filed once, and visits that are made once.
CREATE TABLE grid_report (
    report_id      text             COLLATE "C" NOT NULL CONSTRAINT grid_report_pkey PRIMARY KEY,
    client_id      text             COLLATE "C" NOT NULL,
    kind           text             NOT NULL,
    kind_zh        text             NOT NULL,
    urgent         boolean          NOT NULL,
    text           text             NOT NULL,
    lon            double precision NOT NULL CONSTRAINT grid_report_lon_range CHECK (lon BETWEEN -180 AND 180),
    lat            double precision NOT NULL CONSTRAINT grid_report_lat_range CHECK (lat BETWEEN -90 AND 90),
    address        text             NOT NULL,
    area           text             COLLATE "C" NOT NULL,
    reported_by    text             COLLATE "C" NOT NULL,
    reported_at    timestamptz      NOT NULL,
    state          text             NOT NULL CONSTRAINT grid_report_state_known CHECK (state IN ('OPEN', 'JOINED', 'CLOSED')),
    state_zh       text             NOT NULL,
    joined_to      text             COLLATE "C" NOT NULL,
    witnesses      integer          NOT NULL CONSTRAINT grid_report_witnesses_count CHECK (witnesses >= 0),
    receipts       jsonb            NOT NULL,
    closed_comment text             NOT NULL,
    changed_at     timestamptz      NOT NULL,
    rev            bigint           NOT NULL,
    CONSTRAINT grid_report_once UNIQUE (reported_by, client_id),
    CONSTRAINT grid_report_joined_somewhere CHECK ((state = 'JOINED') = (joined_to <> '')),
    CONSTRAINT grid_report_joined_elsewhere CHECK (joined_to <> report_id)
);
CREATE INDEX grid_report_by_state ON grid_report (state, report_id);

CREATE TABLE grid_visit (
    visit_id      text             COLLATE "C" NOT NULL CONSTRAINT grid_visit_pkey PRIMARY KEY,
    client_id     text             COLLATE "C" NOT NULL,
    subject       text             COLLATE "C" NOT NULL,
    area          text             COLLATE "C" NOT NULL,
    visited_by    text             COLLATE "C" NOT NULL,
    visited_at    timestamptz      NOT NULL,
    lon           double precision,
    lat           double precision,
    distance_m    double precision,
    organisations jsonb            NOT NULL,
    answers       jsonb            NOT NULL,
    findings      integer          NOT NULL,
    CONSTRAINT grid_visit_once UNIQUE (visited_by, client_id)
);
CREATE INDEX grid_visit_by_subject ON grid_visit (subject, visited_at);
CREATE TRIGGER grid_visit_append_only BEFORE UPDATE OR DELETE ON grid_visit FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER grid_visit_never_emptied BEFORE TRUNCATE ON grid_visit FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Commands to devices: one row each, which is the queue as well. States move as command_center/device_commands/model.py says, and the
-- database says it again; what was asked never changes. `next_at` is machine time, the rest city time.
CREATE TABLE device_command (
    command_id  text        COLLATE "C" NOT NULL CONSTRAINT device_command_pkey PRIMARY KEY,
    device_id   text        COLLATE "C" NOT NULL CONSTRAINT device_command_device_fkey REFERENCES device (device_id),
    vendor      text        NOT NULL,
    area        text        NOT NULL,
    -- What moves something in the street is never queued.
    method      text        NOT NULL CONSTRAINT device_command_harmless CHECK (method IN ('clock_set', 'interval_set', 'preset_goto')),
    params      jsonb       NOT NULL,
    reason      text        NOT NULL,
    state       text        NOT NULL CONSTRAINT device_command_state_known CHECK (state IN (
                    'QUEUED', 'SENT', 'RECEIVED', 'EXECUTED', 'FAILED', 'EXPIRED')),
    state_zh    text        NOT NULL,
    asked_by    text        NOT NULL,
    asked_at    timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL CONSTRAINT device_command_expires_after CHECK (expires_at > asked_at),
    sends       integer     NOT NULL CONSTRAINT device_command_sends_counted CHECK (sends >= 0),
    next_at     timestamptz NOT NULL,
    sent_at     timestamptz,
    received_at timestamptz,
    ended_at    timestamptz,
    result      text        NOT NULL,
    error       text        NOT NULL,
    note        text        NOT NULL,
    changed_at  timestamptz NOT NULL,
    rev         bigint      NOT NULL,
    CONSTRAINT device_command_ends_once CHECK ((ended_at IS NOT NULL) = (state IN ('EXECUTED', 'FAILED', 'EXPIRED')))
);
CREATE INDEX device_command_by_device ON device_command (device_id, command_id);
CREATE INDEX device_command_to_send ON device_command (next_at, device_id) WHERE state IN ('QUEUED', 'SENT');

CREATE FUNCTION guard_device_command() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.state <> NEW.state
        AND (OLD.state, NEW.state) NOT IN (('QUEUED', 'SENT'), ('QUEUED', 'RECEIVED'), ('QUEUED', 'EXECUTED'), ('QUEUED', 'FAILED'),
                                           ('QUEUED', 'EXPIRED'), ('SENT', 'RECEIVED'), ('SENT', 'EXECUTED'), ('SENT', 'FAILED'),
                                           ('SENT', 'EXPIRED'), ('RECEIVED', 'EXECUTED'), ('RECEIVED', 'FAILED'),
                                           ('RECEIVED', 'EXPIRED')))
       OR (OLD.command_id, OLD.device_id, OLD.method, OLD.params, OLD.reason, OLD.asked_by, OLD.asked_at, OLD.expires_at)
          IS DISTINCT FROM
          (NEW.command_id, NEW.device_id, NEW.method, NEW.params, NEW.reason, NEW.asked_by, NEW.asked_at, NEW.expires_at) THEN
        RAISE EXCEPTION 'device_command: % from % to % refused', OLD.command_id, OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER device_command_guarded BEFORE UPDATE ON device_command FOR EACH ROW EXECUTE FUNCTION guard_device_command();
CREATE TRIGGER device_command_never_deleted BEFORE DELETE ON device_command FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER device_command_never_emptied BEFORE TRUNCATE ON device_command FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Clips of cameras that an incident asked for. States move as command_center/video/model.py says, and the database says it again;
-- what was asked never changes. `next_at` and `until_at` are machine time, the rest city time. Who looked through a camera stands in the
-- journal.
CREATE TABLE video_clip (
    clip_id     text        COLLATE "C" NOT NULL CONSTRAINT video_clip_pkey PRIMARY KEY,
    incident_id text        COLLATE "C" NOT NULL CONSTRAINT video_clip_incident_fkey REFERENCES incident (incident_id),
    device_id   text        COLLATE "C" NOT NULL CONSTRAINT video_clip_device_fkey REFERENCES device (device_id),
    area        text        NOT NULL,
    from_at     timestamptz NOT NULL,
    to_at       timestamptz NOT NULL,
    reason      text        NOT NULL,
    state       text        NOT NULL CONSTRAINT video_clip_state_known CHECK (state IN (
                    'REQUESTED', 'FETCHING', 'STORED', 'FAILED', 'EXPIRED')),
    state_zh    text        NOT NULL,
    asked_by    text        NOT NULL,
    asked_at    timestamptz NOT NULL,
    until_at    timestamptz NOT NULL,
    tries       integer     NOT NULL CONSTRAINT video_clip_tries_counted CHECK (tries >= 0),
    refusals    integer     NOT NULL CONSTRAINT video_clip_refusals_counted CHECK (refusals >= 0),
    next_at     timestamptz NOT NULL,
    ended_at    timestamptz,
    size        bigint      NOT NULL CONSTRAINT video_clip_size_counted CHECK (size >= 0),
    sha256      text        NOT NULL,
    error       text        NOT NULL,
    changed_at  timestamptz NOT NULL,
    rev         bigint      NOT NULL,
    CONSTRAINT video_clip_to_after CHECK (to_at > from_at),
    CONSTRAINT video_clip_ends_once CHECK ((ended_at IS NOT NULL) = (state IN ('STORED', 'FAILED', 'EXPIRED'))),
    CONSTRAINT video_clip_stored_whole CHECK ((sha256 ~ '^[0-9a-f]{64}$' AND size > 0) = (state = 'STORED'))
);
CREATE INDEX video_clip_by_incident ON video_clip (incident_id, clip_id);
CREATE INDEX video_clip_to_fetch ON video_clip (next_at, clip_id) WHERE state IN ('REQUESTED', 'FETCHING');

CREATE FUNCTION guard_video_clip() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.state <> NEW.state
        AND (OLD.state, NEW.state) NOT IN (('REQUESTED', 'FETCHING'), ('REQUESTED', 'EXPIRED'), ('FETCHING', 'REQUESTED'),
                                           ('FETCHING', 'STORED'), ('FETCHING', 'FAILED')))
       OR (OLD.clip_id, OLD.incident_id, OLD.device_id, OLD.area, OLD.from_at, OLD.to_at, OLD.reason, OLD.asked_by, OLD.asked_at, OLD.until_at)
          IS DISTINCT FROM
          (NEW.clip_id, NEW.incident_id, NEW.device_id, NEW.area, NEW.from_at, NEW.to_at, NEW.reason, NEW.asked_by, NEW.asked_at, NEW.until_at)
       OR (OLD.state = 'STORED' AND (OLD.size, OLD.sha256) IS DISTINCT FROM (NEW.size, NEW.sha256)) THEN
        RAISE EXCEPTION 'video_clip: % from % to % refused', OLD.clip_id, OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER video_clip_guarded BEFORE UPDATE ON video_clip FOR EACH ROW EXECUTE FUNCTION guard_video_clip();
CREATE TRIGGER video_clip_never_deleted BEFORE DELETE ON video_clip FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER video_clip_never_emptied BEFORE TRUNCATE ON video_clip FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
