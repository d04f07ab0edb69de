-- latest_all: The newest value of every series of the register.
SELECT d.device_id, d.property, l.datastream, l.phenomenon_time, l.receive_time, l.device_time, l.result, l.result_text, l.quality, l.source
  FROM latest l JOIN datastream d USING (datastream) ORDER BY l.datastream;

-- latest_of: The newest values of some devices.
SELECT d.device_id, d.property, l.datastream, l.phenomenon_time, l.receive_time, l.device_time, l.result, l.result_text, l.quality, l.source
  FROM latest l JOIN datastream d USING (datastream) WHERE d.device_id = ANY(%(device_ids)s) ORDER BY l.datastream;

-- rows: One series over [from, to), oldest first, one page.
SELECT phenomenon_time, receive_time, device_time, result, result_text, quality, source
  FROM observation
 WHERE datastream = %(datastream)s AND phenomenon_time >= %(from_time)s AND phenomenon_time < %(to_time)s
 ORDER BY phenomenon_time LIMIT %(limit)s;

-- buckets: One series over [from, to) in buckets that start at whole multiples since 1970; empty buckets have no row.
SELECT date_bin(%(bucket_us)s::bigint * INTERVAL '1 microsecond', phenomenon_time, TIMESTAMPTZ '1970-01-01 00:00:00+00') AS bucket,
       count(*) AS count, min(result) AS min, max(result) AS max, avg(result) AS mean,
       (array_agg(result ORDER BY phenomenon_time DESC))[1] AS last,
       (array_agg(result_text ORDER BY phenomenon_time DESC))[1] AS last_text,
       count(*) FILTER (WHERE quality = 1) AS good
  FROM observation
 WHERE datastream = %(datastream)s AND phenomenon_time >= %(from_time)s AND phenomenon_time < %(to_time)s
 GROUP BY bucket ORDER BY bucket LIMIT %(limit)s;

-- hour_buckets: As `buckets`, for buckets of whole hours: from rollups, and from history where those do not hold all yet (marks) or
-- where the span begins or ends within an hour. `origin`: where buckets of days begin. A mark before the floor counts for nothing:
-- what history has of its hour is not all of it.
WITH touched AS (
    SELECT hour FROM rollup_mark
     WHERE datastream = %(datastream)s AND hour > %(from_time)s - INTERVAL '1 hour' AND hour < %(to_time)s
       AND hour >= coalesce((SELECT bound FROM history_floor), TIMESTAMPTZ '-infinity')
    UNION
    SELECT edge FROM unnest(%(edges)s::timestamptz[]) AS edge
), part AS (
    SELECT bucket, count, good, valued, total, min, max, last, last_text, last_time
      FROM rollup_hour h
     WHERE datastream = %(datastream)s AND bucket >= %(from_time)s AND bucket < %(to_time)s
       AND NOT EXISTS (SELECT FROM touched WHERE touched.hour = h.bucket)
    UNION ALL
    SELECT t.hour, count(*), count(*) FILTER (WHERE quality = 1), count(result), coalesce(sum(result), 0), min(result), max(result),
           (array_agg(result ORDER BY phenomenon_time DESC))[1], (array_agg(result_text ORDER BY phenomenon_time DESC))[1],
           max(phenomenon_time)
      FROM touched t JOIN observation o
        ON o.datastream = %(datastream)s AND o.phenomenon_time >= t.hour AND o.phenomenon_time < t.hour + INTERVAL '1 hour'
       AND o.phenomenon_time >= %(from_time)s AND o.phenomenon_time < %(to_time)s
     GROUP BY t.hour
)
SELECT date_bin(%(bucket_us)s::bigint * INTERVAL '1 microsecond', bucket, %(origin)s::timestamptz) AS bucket,
       sum(count)::bigint AS count, min(min) AS min, max(max) AS max, sum(total) / nullif(sum(valued), 0) AS mean,
       (array_agg(last ORDER BY last_time DESC))[1] AS last, (array_agg(last_text ORDER BY last_time DESC))[1] AS last_text,
       sum(good)::bigint AS good
  FROM part GROUP BY 1 ORDER BY 1 LIMIT %(limit)s;

-- day_buckets: As `hour_buckets`, for buckets of whole city days: whole days without marks from their own rollups.
WITH touched AS (
    SELECT hour FROM rollup_mark
     WHERE datastream = %(datastream)s AND hour > %(from_time)s - INTERVAL '1 hour' AND hour < %(to_time)s
       AND hour >= coalesce((SELECT bound FROM history_floor), TIMESTAMPTZ '-infinity')
    UNION
    SELECT edge FROM unnest(%(edges)s::timestamptz[]) AS edge
), whole AS (
    SELECT bucket, count, good, valued, total, min, max, last, last_text, last_time
      FROM rollup_day d
     WHERE datastream = %(datastream)s AND bucket >= %(from_time)s AND bucket + INTERVAL '1 day' <= %(to_time)s
       AND NOT EXISTS (SELECT FROM touched t WHERE t.hour >= d.bucket AND t.hour < d.bucket + INTERVAL '1 day')
), part AS (
    SELECT * FROM whole
    UNION ALL
    SELECT bucket, count, good, valued, total, min, max, last, last_text, last_time
      FROM rollup_hour h
     WHERE datastream = %(datastream)s AND bucket >= %(from_time)s AND bucket < %(to_time)s
       AND NOT EXISTS (SELECT FROM touched WHERE touched.hour = h.bucket)
       AND NOT EXISTS (SELECT FROM whole w WHERE h.bucket >= w.bucket AND h.bucket < w.bucket + INTERVAL '1 day')
    UNION ALL
    SELECT t.hour, count(*), count(*) FILTER (WHERE quality = 1), count(result), coalesce(sum(result), 0), min(result), max(result),
           (array_agg(result ORDER BY phenomenon_time DESC))[1], (array_agg(result_text ORDER BY phenomenon_time DESC))[1],
           max(phenomenon_time)
      FROM touched t JOIN observation o
        ON o.datastream = %(datastream)s AND o.phenomenon_time >= t.hour AND o.phenomenon_time < t.hour + INTERVAL '1 hour'
       AND o.phenomenon_time >= %(from_time)s AND o.phenomenon_time < %(to_time)s
     GROUP BY t.hour
)
SELECT date_bin(%(bucket_us)s::bigint * INTERVAL '1 microsecond', bucket, %(origin)s::timestamptz) AS bucket,
       sum(count)::bigint AS count, min(min) AS min, max(max) AS max, sum(total) / nullif(sum(valued), 0) AS mean,
       (array_agg(last ORDER BY last_time DESC))[1] AS last, (array_agg(last_text ORDER BY last_time DESC))[1] AS last_text,
       sum(good)::bigint AS good
  FROM part GROUP BY 1 ORDER BY 1 LIMIT %(limit)s;

-- minute_buckets: As `buckets`, for buckets of whole minutes: where history has been dropped, from the minutes that were kept.
WITH floor AS (
    SELECT coalesce((SELECT bound FROM history_floor), TIMESTAMPTZ '-infinity') AS bound
), part AS (
    SELECT date_bin(INTERVAL '1 minute', phenomenon_time, TIMESTAMPTZ '1970-01-01 00:00:00+00') AS bucket, count(*) AS count,
           count(*) FILTER (WHERE quality = 1) AS good, count(result) AS valued, coalesce(sum(result), 0) AS total, min(result) AS min,
           max(result) AS max, (array_agg(result ORDER BY phenomenon_time DESC))[1] AS last,
           (array_agg(result_text ORDER BY phenomenon_time DESC))[1] AS last_text, max(phenomenon_time) AS last_time
      FROM observation
     WHERE datastream = %(datastream)s AND phenomenon_time >= %(from_time)s AND phenomenon_time < %(to_time)s
       AND phenomenon_time >= (SELECT bound FROM floor)
     GROUP BY 1
    UNION ALL
    SELECT bucket, count, good, valued, total, min, max, last, last_text, last_time
      FROM rollup_minute
     WHERE datastream = %(datastream)s AND bucket >= %(from_time)s AND bucket < %(to_time)s AND bucket < (SELECT bound FROM floor)
)
SELECT date_bin(%(bucket_us)s::bigint * INTERVAL '1 microsecond', bucket, TIMESTAMPTZ '1970-01-01 00:00:00+00') AS bucket,
       sum(count)::bigint AS count, min(min) AS min, max(max) AS max, sum(total) / nullif(sum(valued), 0) AS mean,
       (array_agg(last ORDER BY last_time DESC))[1] AS last, (array_agg(last_text ORDER BY last_time DESC))[1] AS last_text,
       sum(good)::bigint AS good
  FROM part GROUP BY 1 ORDER BY 1 LIMIT %(limit)s;

-- area_buckets: Several series of one property over [from, to) in buckets of whole hours, from and to on the hour: each bucket over
-- all of their samples. `series` counts those that have any.
WITH touched AS MATERIALIZED (
    SELECT DISTINCT datastream, hour FROM rollup_mark
     WHERE datastream = ANY(%(series)s) AND hour >= %(from_time)s AND hour < %(to_time)s
       AND hour >= coalesce((SELECT bound FROM history_floor), TIMESTAMPTZ '-infinity')
), part AS (
    SELECT datastream, bucket, count, good, valued, total, min, max
      FROM rollup_hour h
     WHERE datastream = ANY(%(series)s) AND bucket >= %(from_time)s AND bucket < %(to_time)s
       AND NOT EXISTS (SELECT FROM touched t WHERE t.datastream = h.datastream AND t.hour = h.bucket)
    UNION ALL
    SELECT t.datastream, t.hour, count(*), count(*) FILTER (WHERE quality = 1), count(result), coalesce(sum(result), 0),
           min(result), max(result)
      FROM touched t JOIN observation o
        ON o.datastream = t.datastream AND o.phenomenon_time >= t.hour AND o.phenomenon_time < t.hour + INTERVAL '1 hour'
       AND o.phenomenon_time >= %(from_time)s AND o.phenomenon_time < %(to_time)s
     GROUP BY t.datastream, t.hour
)
SELECT date_bin(%(bucket_us)s::bigint * INTERVAL '1 microsecond', bucket, %(origin)s::timestamptz) AS bucket,
       sum(count)::bigint AS count, min(min) AS min, max(max) AS max, sum(total) / nullif(sum(valued), 0) AS mean,
       sum(good)::bigint AS good, count(DISTINCT datastream) AS series
  FROM part GROUP BY 1 ORDER BY 1 LIMIT %(limit)s;

-- device_counts: What arrived from a device, over all its series.
SELECT d.datastream, d.property, s.received, s.flagged, s.clock_fault, s.backfilled, s.last_receive_time, s.clock_offset_us
  FROM datastream d JOIN datastream_stat s USING (datastream) WHERE d.device_id = %(device_id)s ORDER BY d.property;

-- device_dead_count: How many of a device's messages are dead letters, and since when.
SELECT count(*) AS count, max(receive_time) AS last_time FROM dead_letter WHERE device_id = %(device_id)s;

-- device_refused_count: How many messages of a device the broker refused.
SELECT coalesce(sum(count), 0) AS count, max(receive_time) AS last_time FROM refusal WHERE device_id = %(device_id)s;

-- device_refusals: The newest refusals of a device.
SELECT position, receive_time, reason, count, data FROM refusal WHERE device_id = %(device_id)s ORDER BY position DESC LIMIT %(limit)s;

-- device_notes: The newest notes of ingest about a device.
SELECT position, receive_time, reason, data FROM ingest_note WHERE device_id = %(device_id)s ORDER BY position DESC LIMIT %(limit)s;

-- device_events: The newest events of a device.
SELECT event_id, event_type, phenomenon_time, receive_time, data FROM device_event
 WHERE device_id = %(device_id)s ORDER BY phenomenon_time DESC LIMIT %(limit)s;

-- device_state: Is a device online, since when.
SELECT device_id, online, receive_time, changed_time, data FROM device_state WHERE device_id = %(device_id)s;

-- device_states: The same for all devices.
SELECT device_id, online, receive_time, changed_time, data FROM device_state ORDER BY device_id;

-- device_attrs: What a device says about itself.
SELECT key, value, receive_time FROM device_attr WHERE device_id = %(device_id)s ORDER BY key;

-- device_last_rows: The newest rows of a device's series, newest first, as they were received.
SELECT d.property, o.phenomenon_time, o.receive_time, o.device_time, o.result, o.result_text, o.quality, o.source, o.seq
  FROM datastream d
 CROSS JOIN LATERAL (
       SELECT * FROM observation h
        WHERE h.datastream = d.datastream AND h.phenomenon_time >= %(from_time)s AND h.phenomenon_time < %(to_time)s
        ORDER BY h.phenomenon_time DESC LIMIT %(limit)s) o
 WHERE d.device_id = %(device_id)s
 ORDER BY o.receive_time DESC, d.property LIMIT %(limit)s;

-- dead_letters: Newest first, one page before a position; what is not asked for is NULL.
SELECT d.position, d.device_id, d.receive_time, d.reason, d.data, d.raw, d.sha256, d.size_bytes, r.outcome AS replayed
  FROM dead_letter d
  LEFT JOIN LATERAL (SELECT outcome FROM dead_letter_replay WHERE letter = d.position ORDER BY position DESC LIMIT 1) r ON true
 WHERE d.position < %(before)s AND (%(device_ids)s::text[] IS NULL OR d.device_id = ANY(%(device_ids)s))
   AND (%(from_time)s::timestamptz IS NULL OR d.receive_time >= %(from_time)s)
   AND (%(to_time)s::timestamptz IS NULL OR d.receive_time < %(to_time)s)
   AND (%(reason)s::text IS NULL
        OR strpos(lower(d.reason || ' ' || coalesce(d.data->>'reasons', '')), lower(%(reason)s)) > 0)
   AND (%(codec)s::text IS NULL
        OR CASE split_part(d.data->>'topic', '/', 6)
             WHEN 'raw' THEN split_part(d.data->>'topic', '/', 7) ELSE 'json' END = %(codec)s)
 ORDER BY d.position DESC LIMIT %(limit)s;

-- conflict_count: Second values for keys that stood already, of one device.
SELECT count(*) AS count FROM observation_conflict c JOIN datastream d USING (datastream) WHERE d.device_id = %(device_id)s;

-- totals: How many rows stand where, for tests and the demo's own account.
SELECT (SELECT count(*) FROM observation) AS observations,
       (SELECT count(*) FROM observation_outlier) AS outliers,
       (SELECT count(*) FROM observation_conflict) AS conflicts,
       (SELECT count(*) FROM device_event) AS events,
       (SELECT count(*) FROM dead_letter) AS dead_letters,
       (SELECT coalesce(sum(count), 0) FROM refusal) AS refusals;
