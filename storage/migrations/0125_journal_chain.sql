-- The journal becomes a chain of hashes (command_center/chain.py, docs/decisions/0006). Rows from before keep no hash; the first
-- row of the chain states their count and digest. Numbers are given without gaps by the writer, under the lock of the write
-- transaction; the table refuses a row that does not point to the one before it.
ALTER TABLE journal ALTER COLUMN seq DROP IDENTITY;
ALTER TABLE journal ADD COLUMN prev_hash bytea;
ALTER TABLE journal ADD COLUMN hash bytea;
ALTER TABLE journal ADD CONSTRAINT journal_hashes_whole CHECK (
    (hash IS NULL AND prev_hash IS NULL) OR (octet_length(hash) = 32 AND octet_length(prev_hash) = 32));
CREATE INDEX journal_by_actor ON journal (actor, seq);
CREATE INDEX journal_by_time ON journal (at);

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
DROP TRIGGER journal_append_only ON journal;
CREATE TRIGGER journal_append_only BEFORE UPDATE ON journal FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER journal_archived_only BEFORE DELETE ON journal FOR EACH ROW EXECUTE FUNCTION refuse_unarchived();
