-- letters_after: As `dead_letters` of history.sql, oldest first: the order in which they are put in again.
SELECT d.position, d.device_id, d.receive_time, d.reason, d.data, d.raw, d.sha256, d.size_bytes, r.outcome AS replayed
  FROM dead_letter d
  LEFT JOIN LATERAL (SELECT outcome FROM dead_letter_replay WHERE letter = d.position ORDER BY position DESC LIMIT 1) r ON true
 WHERE d.position > %(after)s AND (%(device_ids)s::text[] IS NULL OR d.device_id = ANY(%(device_ids)s))
   AND (%(from_time)s::timestamptz IS NULL OR d.receive_time >= %(from_time)s)
   AND (%(to_time)s::timestamptz IS NULL OR d.receive_time < %(to_time)s)
   AND (%(reason)s::text IS NULL
        OR strpos(lower(d.reason || ' ' || coalesce(d.data->>'reasons', '')), lower(%(reason)s)) > 0)
   AND (%(codec)s::text IS NULL
        OR CASE split_part(d.data->>'topic', '/', 6)
             WHEN 'raw' THEN split_part(d.data->>'topic', '/', 7) ELSE 'json' END = %(codec)s)
 ORDER BY d.position LIMIT %(limit)s;

-- known_rows: Which of these values stand already, by their number: the same value at the same time, or the same stamp of a wrong
-- clock. Bounds of the times, so that only their partitions are looked at.
SELECT k.n
  FROM unnest(%(n)s::int[], %(datastream)s::int[], %(phenomenon)s::timestamptz[], %(device)s::timestamptz[],
              %(result)s::float8[], %(text)s::text[]) AS k(n, datastream, phenomenon_time, device_time, result, result_text)
 WHERE EXISTS (SELECT 1 FROM observation o
                WHERE o.datastream = k.datastream AND o.phenomenon_time = k.phenomenon_time
                  AND o.phenomenon_time BETWEEN %(from_time)s AND %(to_time)s
                  AND o.result IS NOT DISTINCT FROM k.result AND o.result_text IS NOT DISTINCT FROM k.result_text)
    OR EXISTS (SELECT 1 FROM observation_outlier o
                WHERE o.datastream = k.datastream AND o.phenomenon_time = k.phenomenon_time
                  AND o.result IS NOT DISTINCT FROM k.result AND o.result_text IS NOT DISTINCT FROM k.result_text)
    OR EXISTS (SELECT 1 FROM observation_clock_fault c
                WHERE c.datastream = k.datastream AND c.device_time = k.device_time
                  AND c.result IS NOT DISTINCT FROM k.result AND c.result_text IS NOT DISTINCT FROM k.result_text);

-- known_events: Which of these events stand already, by their number.
SELECT k.n FROM unnest(%(n)s::int[], %(device)s::text[], %(event)s::text[]) AS k(n, device_id, event_id)
 WHERE EXISTS (SELECT 1 FROM device_event e WHERE e.device_id = k.device_id AND e.event_id = k.event_id);
