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
