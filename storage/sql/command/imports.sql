-- insert_import: A file was brought; nothing of it is written yet.
INSERT INTO import_job (import_id, kind, filename, format, sha256, size, sheet, crs, columns, state, owner, created_at, changed_at,
                        counts, done, reason, sealed)
VALUES (%(import_id)s, %(kind)s, %(filename)s, %(format)s, %(sha256)s, %(size)s, %(sheet)s, %(crs)s, %(columns)s, %(state)s, %(owner)s,
        %(created_at)s, %(changed_at)s, %(counts)s, %(done)s, %(reason)s, %(sealed)s);

-- read_import: One dry run with its file.
SELECT * FROM import_job WHERE import_id = %(import_id)s;

-- list_imports: Newest first, without the files; owner '' for everybody's.
SELECT import_id, kind, filename, format, sha256, size, sheet, crs, columns, state, owner, created_at, changed_at, counts, done,
       reason, '' AS sealed
  FROM import_job WHERE (%(owner)s = '' OR owner = %(owner)s)
 ORDER BY created_at DESC, import_id DESC LIMIT %(limit)s;

-- update_import: Other columns, or its end. No row: it is in none of these states any more, upload again.
UPDATE import_job
   SET sheet = %(sheet)s, crs = %(crs)s, columns = %(columns)s, state = %(state)s, changed_at = %(changed_at)s, counts = %(counts)s,
       done = %(done)s, reason = %(reason)s, sealed = %(sealed)s
 WHERE import_id = %(import_id)s AND state = ANY (%(states)s) RETURNING import_id;
