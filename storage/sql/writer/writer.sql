-- make_incoming: Where a batch lands before it is compared with what is there; empty again after each commit.
CREATE TEMPORARY TABLE IF NOT EXISTS incoming (
    n               integer,
    datastream      integer,
    phenomenon_time timestamptz,
    receive_time    timestamptz,
    effective_time  timestamptz,
    quality         smallint,
    source          integer,
    newest          boolean,
    outlier         boolean,
    clock_fault     boolean,
    device_time     timestamptz,
    result          double precision,
    seq             bigint,
    result_text     text
) ON COMMIT DELETE ROWS;

-- copy_incoming: The batch in binary, packed by storage/packing.py in this very column order.
COPY incoming FROM STDIN (FORMAT BINARY);

-- empty_incoming: For the batch that follows in the same transaction.
TRUNCATE incoming;

-- make_counted: What a batch adds to each series, where the writer has reckoned it; empty again after each commit.
CREATE TEMPORARY TABLE IF NOT EXISTS counted (
    datastream        integer,
    received          bigint,
    flagged           bigint,
    backfilled        bigint,
    last_receive_time timestamptz,
    clock_offset_us   bigint
) ON COMMIT DELETE ROWS;

-- copy_counted: In this very column order (storage/batch.py).
COPY counted FROM STDIN (FORMAT BINARY);

-- copy_observations: The short way of a batch without wrong clocks and outliers. A key that stands already ends it (unique
-- violation), and the batch goes the long way through `incoming`.
COPY observation (datastream, phenomenon_time, receive_time, device_time, result, quality, source, seq, result_text)
FROM STDIN (FORMAT BINARY);

-- copy_marks: Hours of series that get rows (storage/rollups.py), in this very column order.
COPY rollup_mark (datastream, hour) FROM STDIN (FORMAT BINARY);

-- lock_cursor: How far this reader's effects reach; locked, so that two writers of one cursor take turns.
SELECT position FROM log_cursor WHERE name = %(name)s FOR UPDATE;

-- read_cursor: How far this reader's effects reach. No row: it never wrote.
SELECT position FROM log_cursor WHERE name = %(name)s;

-- create_cursor: The first writer makes the row, so that there is something to lock.
INSERT INTO log_cursor (name, position, at) VALUES (%(name)s, 0, %(at)s) ON CONFLICT ON CONSTRAINT log_cursor_pkey DO NOTHING;

-- advance_cursor: In the same transaction as the effects. No row: another writer was here, reload.
UPDATE log_cursor SET position = %(position)s, at = %(at)s WHERE name = %(name)s AND position = %(expected)s RETURNING position;

-- create_summary_cursor: How far latest values and counters have what the rows' cursor covers (storage/summary.py). A database of a release
-- without it has them all.
INSERT INTO log_cursor (name, position, at) SELECT %(summary)s, position, at FROM log_cursor WHERE name = %(name)s
ON CONFLICT ON CONSTRAINT log_cursor_pkey DO NOTHING;

-- advance_summary: In the same transaction as latest values and counters, or where nothing waits for them.
UPDATE log_cursor SET position = %(position)s, at = %(at)s WHERE name = %(summary)s;

-- ensure_partitions: Tables for a stretch of phenomenon time; nothing to do on hypertables.
SELECT observation_ensure(%(from_time)s, %(to_time)s) AS made;

-- upsert_latest: The newest value of each series of the batch, unless a newer one stands there.
INSERT INTO latest AS l (datastream, effective_time, phenomenon_time, receive_time, device_time, result, result_text, quality, source)
SELECT datastream, effective_time, phenomenon_time, receive_time, device_time, result, result_text, quality, source
  FROM incoming WHERE newest ORDER BY datastream
ON CONFLICT ON CONSTRAINT latest_pkey DO UPDATE
   SET effective_time = EXCLUDED.effective_time, phenomenon_time = EXCLUDED.phenomenon_time,
       receive_time = EXCLUDED.receive_time, device_time = EXCLUDED.device_time, result = EXCLUDED.result,
       result_text = EXCLUDED.result_text, quality = EXCLUDED.quality, source = EXCLUDED.source
 WHERE l.effective_time < EXCLUDED.effective_time;

-- count_received: What arrived per series, for the vendor. Source bits: stream/records.py Source.
INSERT INTO datastream_stat AS s
       (datastream, received, flagged, clock_fault, backfilled, last_receive_time, clock_offset_us)
SELECT datastream, count(*), count(*) FILTER (WHERE quality > 2), count(*) FILTER (WHERE clock_fault),
       count(*) FILTER (WHERE source & 2 <> 0), max(receive_time),
       max(extract(epoch FROM coalesce(device_time, phenomenon_time) - receive_time) * 1000000)
           FILTER (WHERE newest AND source & 1 <> 0)
  FROM incoming GROUP BY datastream ORDER BY datastream
ON CONFLICT ON CONSTRAINT datastream_stat_pkey DO UPDATE
   SET received = s.received + EXCLUDED.received, flagged = s.flagged + EXCLUDED.flagged,
       clock_fault = s.clock_fault + EXCLUDED.clock_fault, backfilled = s.backfilled + EXCLUDED.backfilled,
       last_receive_time = greatest(s.last_receive_time, EXCLUDED.last_receive_time),
       clock_offset_us = coalesce(EXCLUDED.clock_offset_us, s.clock_offset_us);

-- add_counted: As `count_received`, of what was reckoned before.
INSERT INTO datastream_stat AS s
       (datastream, received, flagged, clock_fault, backfilled, last_receive_time, clock_offset_us)
SELECT datastream, received, flagged, 0, backfilled, last_receive_time, clock_offset_us FROM counted ORDER BY datastream
ON CONFLICT ON CONSTRAINT datastream_stat_pkey DO UPDATE
   SET received = s.received + EXCLUDED.received, flagged = s.flagged + EXCLUDED.flagged,
       backfilled = s.backfilled + EXCLUDED.backfilled,
       last_receive_time = greatest(s.last_receive_time, EXCLUDED.last_receive_time),
       clock_offset_us = coalesce(EXCLUDED.clock_offset_us, s.clock_offset_us);

-- remember_clock_faults: Samples of a wrong clock are known by what the device said; the first of a stamp stands.
INSERT INTO observation_clock_fault (datastream, device_time, phenomenon_time, result, result_text)
SELECT datastream, device_time, phenomenon_time, result, result_text
  FROM incoming WHERE clock_fault ORDER BY n
ON CONFLICT ON CONSTRAINT observation_clock_fault_pkey DO NOTHING;

-- conflict_clock_faults: The same wrong stamp with another value (a stuck clock): kept as conflicts.
INSERT INTO observation_conflict
       (datastream, phenomenon_time, receive_time, value, device_time, result, result_text, quality, source, seq)
SELECT i.datastream, i.phenomenon_time, i.receive_time, coalesce(i.result_text, i.result::text, ''),
       i.device_time, i.result, i.result_text, i.quality, i.source, i.seq
  FROM incoming i JOIN observation_clock_fault c USING (datastream, device_time)
 WHERE i.clock_fault AND i.phenomenon_time <> c.phenomenon_time
   AND (i.result IS DISTINCT FROM c.result OR i.result_text IS DISTINCT FROM c.result_text)
ON CONFLICT ON CONSTRAINT observation_conflict_pkey DO NOTHING;

-- drop_repeated_clock_faults: A stamp that is known already adds no row to history.
DELETE FROM incoming i USING observation_clock_fault c
 WHERE i.clock_fault AND c.datastream = i.datastream AND c.device_time = i.device_time
   AND i.phenomenon_time <> c.phenomenon_time;

-- insert_observations: New keys only; the first value of a key stays in force.
INSERT INTO observation (datastream, phenomenon_time, receive_time, device_time, result, result_text, quality, source, seq)
SELECT datastream, phenomenon_time, receive_time, device_time, result, result_text, quality, source, seq
  FROM incoming WHERE NOT outlier ORDER BY n
ON CONFLICT (datastream, phenomenon_time) DO NOTHING;

-- insert_outliers: Times that the partitioned table must not see.
INSERT INTO observation_outlier (datastream, phenomenon_time, receive_time, device_time, result, result_text, quality, source, seq)
SELECT datastream, phenomenon_time, receive_time, device_time, result, result_text, quality, source, seq
  FROM incoming WHERE outlier ORDER BY n
ON CONFLICT ON CONSTRAINT observation_outlier_pkey DO NOTHING;

-- plan_by_key: The planner knows nothing of a temporary table; reading a whole week of history to find a few keys would be
-- the worst of its guesses. Holds until the transaction ends.
SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true);

-- insert_conflicts: Another value for a key that stands; run only when something was not new.
INSERT INTO observation_conflict
       (datastream, phenomenon_time, receive_time, value, device_time, result, result_text, quality, source, seq)
SELECT i.datastream, i.phenomenon_time, i.receive_time, coalesce(i.result_text, i.result::text, ''),
       i.device_time, i.result, i.result_text, i.quality, i.source, i.seq
  FROM incoming i JOIN observation o USING (datastream, phenomenon_time)
 WHERE NOT i.outlier AND o.phenomenon_time BETWEEN %(from_time)s AND %(to_time)s
   AND (i.result IS DISTINCT FROM o.result OR i.result_text IS DISTINCT FROM o.result_text)
ON CONFLICT ON CONSTRAINT observation_conflict_pkey DO NOTHING;

-- insert_outlier_conflicts: The same for outliers.
INSERT INTO observation_conflict
       (datastream, phenomenon_time, receive_time, value, device_time, result, result_text, quality, source, seq)
SELECT i.datastream, i.phenomenon_time, i.receive_time, coalesce(i.result_text, i.result::text, ''),
       i.device_time, i.result, i.result_text, i.quality, i.source, i.seq
  FROM incoming i JOIN observation_outlier o USING (datastream, phenomenon_time)
 WHERE i.outlier AND (i.result IS DISTINCT FROM o.result OR i.result_text IS DISTINCT FROM o.result_text)
ON CONFLICT ON CONSTRAINT observation_conflict_pkey DO NOTHING;

-- insert_event: What a device said happened; told twice, kept once.
INSERT INTO device_event (device_id, event_id, event_type, phenomenon_time, receive_time, data, position)
VALUES (%(device_id)s, %(event_id)s, %(event_type)s, %(phenomenon_time)s, %(receive_time)s, %(data)s, %(position)s)
ON CONFLICT ON CONSTRAINT device_event_pkey DO NOTHING;

-- insert_own_downtime: A resume mark of the log, read once however often the stretch is.
INSERT INTO own_downtime (position, from_at, to_at) VALUES (%(position)s, %(from_at)s, %(to_at)s)
ON CONFLICT ON CONSTRAINT own_downtime_pkey DO NOTHING;

-- upsert_state: Is the device online, since when; an older report changes nothing.
INSERT INTO device_state AS s (device_id, online, receive_time, changed_time, data)
VALUES (%(device_id)s, %(online)s, %(receive_time)s, %(receive_time)s, %(data)s)
ON CONFLICT ON CONSTRAINT device_state_pkey DO UPDATE
   SET changed_time = CASE WHEN s.online IS DISTINCT FROM EXCLUDED.online THEN EXCLUDED.receive_time ELSE s.changed_time END,
       online = EXCLUDED.online, receive_time = EXCLUDED.receive_time, data = EXCLUDED.data
 WHERE s.receive_time < EXCLUDED.receive_time;

-- upsert_attr: Firmware, position, calibration date: the newest report of each key.
INSERT INTO device_attr AS a (device_id, key, value, receive_time)
VALUES (%(device_id)s, %(key)s, %(value)s, %(receive_time)s)
ON CONFLICT ON CONSTRAINT device_attr_pkey DO UPDATE
   SET value = EXCLUDED.value, receive_time = EXCLUDED.receive_time
 WHERE a.receive_time < EXCLUDED.receive_time;

-- insert_dead_letter: What we acknowledged and could not use, with its bytes and the reason.
INSERT INTO dead_letter (position, device_id, receive_time, reason, data, raw, sha256, size_bytes)
VALUES (%(position)s, %(device_id)s, %(receive_time)s, %(reason)s, %(data)s, %(raw)s, %(sha256)s, %(size_bytes)s)
ON CONFLICT ON CONSTRAINT dead_letter_pkey DO NOTHING;

-- insert_dead_letter_replay: What came of a dead letter that a person put in again.
INSERT INTO dead_letter_replay (position, letter, at, outcome, rows, events, actor)
VALUES (%(position)s, %(letter)s, %(at)s, %(outcome)s, %(rows)s, %(events)s, %(actor)s)
ON CONFLICT ON CONSTRAINT dead_letter_replay_pkey DO NOTHING;

-- insert_refusal: What the broker refused, counted.
INSERT INTO refusal (position, device_id, receive_time, reason, count, data)
VALUES (%(position)s, %(device_id)s, %(receive_time)s, %(reason)s, %(count)s, %(data)s)
ON CONFLICT ON CONSTRAINT refusal_pkey DO NOTHING;

-- insert_note: What ingest wants a vendor to know: an unregistered key, a clock that was set.
INSERT INTO ingest_note (position, device_id, receive_time, reason, data)
VALUES (%(position)s, %(device_id)s, %(receive_time)s, %(reason)s, %(data)s)
ON CONFLICT ON CONSTRAINT ingest_note_pkey DO NOTHING;
