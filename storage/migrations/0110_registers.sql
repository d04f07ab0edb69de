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
