-- When we were not listening, as the log's resume marks say: what a firm's devices did not deliver then is not theirs.
CREATE TABLE own_downtime (
    position bigint      NOT NULL CONSTRAINT own_downtime_pkey PRIMARY KEY,
    from_at  timestamptz NOT NULL,
    to_at    timestamptz NOT NULL,
    CONSTRAINT own_downtime_in_order CHECK (from_at <= to_at)
);
CREATE INDEX own_downtime_by_end ON own_downtime (to_at);
