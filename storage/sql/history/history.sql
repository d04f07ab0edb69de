-- latest_all: The newest value of every series of the register.
SELECT d.device_id, d.property, l.datastream, l.phenomenon_time, l.receive_time, l.device_time, l.result, l.result_text, l.quality, l.source
  FROM latest l JOIN datastream d USING (datastream) ORDER BY l.datastream;

-- latest_of: The newest values of some devices.
SELECT d.device_id, d.property, l.datastream, l.phenomenon_time, l.receive_time, l.device_time, l.result, l.result_text, l.quality, l.source
  FROM latest l JOIN datastream d USING (datastream) WHERE d.device_id = ANY(%(device_ids)s) ORDER BY l.datastream;

-- rows: One series over [from, to), oldest first, one page.
SELECT phenomenon_time, receive_time, device_time, result, result_text, quality, source, seq
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

-- dead_letters: Newest first, one page before a position; of some devices where their ids are given.
SELECT position, device_id, receive_time, reason, data, raw, sha256, size_bytes
  FROM dead_letter
 WHERE position < %(before)s AND (%(device_ids)s::text[] IS NULL OR device_id = ANY(%(device_ids)s))
 ORDER BY position DESC LIMIT %(limit)s;

-- conflict_count: Second values for keys that stood already, of one device.
SELECT count(*) AS count FROM observation_conflict c JOIN datastream d USING (datastream) WHERE d.device_id = %(device_id)s;

-- totals: How many rows stand where, for tests and the demo's own account.
SELECT (SELECT count(*) FROM observation) AS observations,
       (SELECT count(*) FROM observation_outlier) AS outliers,
       (SELECT count(*) FROM observation_conflict) AS conflicts,
       (SELECT count(*) FROM device_event) AS events,
       (SELECT count(*) FROM dead_letter) AS dead_letters,
       (SELECT coalesce(sum(count), 0) FROM refusal) AS refusals;
