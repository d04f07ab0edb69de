-- device_facts: What is wrong with a device's newest values, and how much of what it sent was not taken since then.
WITH flagged AS (
    SELECT s.device_id, count(*) FILTER (WHERE l.quality > 2) AS suspect,
           count(*) FILTER (WHERE (l.source & %(clock_fault)s) <> 0) AS clock
      FROM latest l JOIN datastream s USING (datastream)
     WHERE s.active AND (l.quality > 2 OR (l.source & %(clock_fault)s) <> 0)
     GROUP BY s.device_id
), untaken AS (
    SELECT device_id, sum(n)::bigint AS refused, max(receive_time) AS last_time
      FROM (SELECT device_id, 1::bigint AS n, receive_time FROM dead_letter d WHERE receive_time >= %(since)s
                AND NOT EXISTS (SELECT 1 FROM dead_letter_replay r WHERE r.letter = d.position AND r.outcome = 'taken')
             UNION ALL
            SELECT device_id, count, receive_time FROM refusal WHERE receive_time >= %(since)s) AS both_kinds
     WHERE device_id <> '' GROUP BY device_id
)
SELECT device_id, coalesce(f.suspect, 0) AS suspect, coalesce(f.clock, 0) AS clock, coalesce(u.refused, 0) AS refused,
       u.last_time AS last_refused_time
  FROM flagged f FULL JOIN untaken u USING (device_id) ORDER BY device_id;
