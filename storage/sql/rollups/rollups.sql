-- one_moment: All that follows sees the marks and the rows of one moment.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;

-- one_at_once: Jobs of one schema take turns. A lock of a table is taken without a look at the rows: what follows sees what the
-- one before has done.
LOCK TABLE history_floor IN SHARE UPDATE EXCLUSIVE MODE;

-- stored_until: How far the log is in the database, and the append time up to which that is all there is.
SELECT position, at FROM log_cursor WHERE name = %(name)s;

-- due_hour: The oldest hour that has marks and is over.
SELECT min(hour) AS hour FROM rollup_mark WHERE hour <= %(closed)s;

-- oldest_mark: Before this, rollups hold what history holds.
SELECT min(hour) AS hour, count(*) AS marks FROM rollup_mark;

-- due_series: Some of the series with marks in an hour.
SELECT DISTINCT datastream FROM rollup_mark WHERE hour = %(hour)s ORDER BY datastream LIMIT %(limit)s;

-- floor: Up to when history has been dropped. No row: never.
SELECT bound FROM history_floor;

-- raise_floor: History before the bound is gone.
INSERT INTO history_floor (only_row, bound) VALUES (true, %(bound)s)
ON CONFLICT ON CONSTRAINT history_floor_pkey DO UPDATE SET bound = greatest(history_floor.bound, EXCLUDED.bound);

-- ensure_minutes: Tables for an hour of minutes; nothing to do on hypertables.
SELECT rollup_minute_ensure(%(hour)s, %(hour)s) AS made;

-- roll_hour: From all rows of the hour, whatever their flag.
INSERT INTO rollup_hour (datastream, bucket, count, good, valued, total, min, max, last, last_text, last_time)
SELECT datastream, %(hour)s, count(*), count(*) FILTER (WHERE quality = 1), count(result), coalesce(sum(result), 0),
       min(result), max(result), (array_agg(result ORDER BY phenomenon_time DESC))[1],
       (array_agg(result_text ORDER BY phenomenon_time DESC))[1], max(phenomenon_time)
  FROM observation
 WHERE datastream = ANY(%(series)s) AND phenomenon_time >= %(hour)s AND phenomenon_time < %(hour)s + INTERVAL '1 hour'
 GROUP BY datastream
ON CONFLICT ON CONSTRAINT rollup_hour_pkey DO UPDATE
   SET count = EXCLUDED.count, good = EXCLUDED.good, valued = EXCLUDED.valued, total = EXCLUDED.total, min = EXCLUDED.min,
       max = EXCLUDED.max, last = EXCLUDED.last, last_text = EXCLUDED.last_text, last_time = EXCLUDED.last_time;

-- roll_minutes: Of the series that report more often than once a minute; of the others each row is its minute already.
INSERT INTO rollup_minute (datastream, bucket, count, good, valued, total, min, max, last, last_text, last_time)
SELECT o.datastream, date_bin(INTERVAL '1 minute', o.phenomenon_time, TIMESTAMPTZ '1970-01-01 00:00:00+00') AS minute, count(*),
       count(*) FILTER (WHERE o.quality = 1), count(o.result), coalesce(sum(o.result), 0), min(o.result), max(o.result),
       (array_agg(o.result ORDER BY o.phenomenon_time DESC))[1], (array_agg(o.result_text ORDER BY o.phenomenon_time DESC))[1],
       max(o.phenomenon_time)
  FROM observation o JOIN datastream d USING (datastream)
 WHERE o.datastream = ANY(%(series)s) AND d.interval_s < 60
   AND o.phenomenon_time >= %(hour)s AND o.phenomenon_time < %(hour)s + INTERVAL '1 hour'
 GROUP BY o.datastream, minute
ON CONFLICT (datastream, bucket) DO UPDATE
   SET count = EXCLUDED.count, good = EXCLUDED.good, valued = EXCLUDED.valued, total = EXCLUDED.total, min = EXCLUDED.min,
       max = EXCLUDED.max, last = EXCLUDED.last, last_text = EXCLUDED.last_text, last_time = EXCLUDED.last_time;

-- roll_day: From the hours of the city's day (UTC+8, one zone in all China).
INSERT INTO rollup_day (datastream, bucket, count, good, valued, total, min, max, last, last_text, last_time)
SELECT datastream, %(day)s, sum(count), sum(good), sum(valued), sum(total), min(min), max(max),
       (array_agg(last ORDER BY last_time DESC))[1], (array_agg(last_text ORDER BY last_time DESC))[1], max(last_time)
  FROM rollup_hour
 WHERE datastream = ANY(%(series)s) AND bucket >= %(day)s AND bucket < %(day)s + INTERVAL '1 day'
 GROUP BY datastream
ON CONFLICT ON CONSTRAINT rollup_day_pkey DO UPDATE
   SET count = EXCLUDED.count, good = EXCLUDED.good, valued = EXCLUDED.valued, total = EXCLUDED.total, min = EXCLUDED.min,
       max = EXCLUDED.max, last = EXCLUDED.last, last_text = EXCLUDED.last_text, last_time = EXCLUDED.last_time;

-- remove_marks: In the transaction that wrote the rollups, of its own view of the marks.
DELETE FROM rollup_mark WHERE hour = %(hour)s AND datastream = ANY(%(series)s);

-- drop_minutes: Chunks or partitions of minutes that lie wholly before the bound.
SELECT rollup_minute_drop_before(%(bound)s) AS dropped;

-- expire_hours: Hours before the bound.
DELETE FROM rollup_hour WHERE bucket < %(bound)s;
