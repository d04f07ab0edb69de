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
