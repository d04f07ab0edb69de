-- journal_head: The newest row: what the next one points to. Read under the lock of the write transaction.
SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1;

-- journal_totals: The first row that is here, and how many there are.
SELECT coalesce(min(seq), 0) AS first, count(*) AS rows FROM journal;

-- add_journal: Append-only; numbers without gaps, each row pointing to the one before it (command_center/chain.py).
INSERT INTO journal (seq, at, machine_at, actor, on_behalf_of, entity, entity_id, action, before, after, reason, prev_hash, hash)
VALUES (%(seq)s, %(at)s, %(machine_at)s, %(actor)s, %(on_behalf_of)s, %(entity)s, %(entity_id)s, %(action)s, %(before)s,
        %(after)s, %(reason)s, %(prev_hash)s, %(hash)s);

-- list_journal: Newest first, by what, who and when; an empty or absent filter takes all.
SELECT * FROM journal
 WHERE (%(entity)s = '' OR entity = %(entity)s) AND (%(entity_id)s = '' OR entity_id = %(entity_id)s)
   AND (%(actor)s = '' OR actor = %(actor)s OR on_behalf_of = %(actor)s) AND (%(action)s = '' OR action = %(action)s)
   AND (%(from_at)s::timestamptz IS NULL OR at >= %(from_at)s) AND (%(to_at)s::timestamptz IS NULL OR at < %(to_at)s)
   AND (%(before)s::bigint IS NULL OR seq < %(before)s)
 ORDER BY seq DESC LIMIT %(limit)s;

-- walk_journal: Oldest first, after a row: for the check of the chain and for archives.
SELECT * FROM journal WHERE seq > %(after)s AND (%(until)s::bigint IS NULL OR seq <= %(until)s) ORDER BY seq LIMIT %(limit)s;

-- journal_until: The last row that was written before a moment of machine time, if all rows before it were too.
SELECT coalesce(min(seq) - 1, (SELECT max(seq) FROM journal), 0) AS seq FROM journal WHERE machine_at >= %(before)s;

-- checkpoints: Every row that says which rows stand in which archive file, oldest first.
SELECT * FROM journal WHERE entity = 'journal' AND action = 'archived' ORDER BY seq;

-- drop_archived: Rows that an archive holds; the table refuses any other.
DELETE FROM journal WHERE seq <= %(to_seq)s;
