-- room_for_slots: A day of a thousand devices makes half a million slots: counted in memory, not on disk.
SELECT set_config('work_mem', '64MB', true);

-- vendor_rates: What each firm's series were expected to report over [from, to) and did, and in which share of the time its
-- devices were heard. A slot is three reporting intervals, after which a device counts as silent; it is heard in a slot by
-- what arrived live in it. Series count from their device's registration on; one that reports more than it must counts as whole.
-- While we were down nothing is expected, and what a device has sent in since from that time is not counted for it either.
WITH down AS (
    SELECT range_agg(tstzrange(from_at, to_at)) AS spans
      FROM own_downtime WHERE to_at > %(from_time)s AND from_at < %(to_time)s
), series AS (
    SELECT s.datastream, s.device_id, d.vendor, s.interval_s, greatest(%(from_time)s, d.created_at) AS since
      FROM datastream s JOIN device d USING (device_id)
     WHERE s.active AND NOT d.removed AND d.kind <> 'canary' AND d.created_at < %(to_time)s
       AND coalesce((d.document ->> 'enabled')::boolean, true)
       AND (%(vendor)s = '' OR d.vendor = %(vendor)s)
       AND (cardinality(%(areas)s::text[]) = 0
            OR EXISTS (SELECT 1 FROM unnest(%(areas)s::text[]) AS a (code)
                        WHERE starts_with(coalesce(d.document ->> 'area', ''), a.code)))
), slots AS (
    SELECT o.datastream, floor(date_part('epoch', o.receive_time) / (3 * s.interval_s))::bigint AS slot,
           count(*) AS received, bool_or((o.source & 6) = 0) AS live
      FROM observation o JOIN series s USING (datastream) CROSS JOIN down
     WHERE o.phenomenon_time >= %(from_time)s AND o.phenomenon_time < %(to_time)s
       AND (down.spans IS NULL OR NOT o.phenomenon_time <@ down.spans)
     GROUP BY o.datastream, slot
), listening AS ( -- seconds, by the moment from which a series counts
    SELECT i.since, extract(epoch FROM %(to_time)s - i.since)::double precision - coalesce((
               SELECT sum(extract(epoch FROM upper(away) - lower(away)))
                 FROM unnest(down.spans * tstzmultirange(tstzrange(i.since, %(to_time)s))) AS away), 0)::double precision AS seconds
      FROM (SELECT DISTINCT since FROM series) AS i CROSS JOIN down
), received AS (
    SELECT datastream, sum(received)::bigint AS received FROM slots GROUP BY datastream
), reporting AS (
    SELECT s.vendor, count(*) AS series, sum(e.expected) AS expected, sum(least(coalesce(r.received, 0), e.expected)) AS received
      FROM series s JOIN listening l USING (since)
     CROSS JOIN LATERAL (SELECT floor(l.seconds / s.interval_s)::bigint AS expected) e
      LEFT JOIN received r USING (datastream)
     GROUP BY s.vendor
), device_slots AS (
    SELECT device_id, min(vendor) AS vendor,
           greatest(1, floor(max(l.seconds) / (3 * min(interval_s)))) AS slots
      FROM series JOIN listening l USING (since) GROUP BY device_id
), heard AS (
    SELECT s.device_id, count(DISTINCT t.slot) AS heard
      FROM slots t JOIN series s USING (datastream) WHERE t.live GROUP BY s.device_id
), online AS (
    SELECT d.vendor, count(*) AS devices, count(*) FILTER (WHERE h.device_id IS NULL) AS silent,
           avg(least(1, coalesce(h.heard, 0) / d.slots)) AS online_rate
      FROM device_slots d LEFT JOIN heard h USING (device_id) GROUP BY d.vendor
)
SELECT o.vendor, o.devices, o.silent, r.series, r.expected::bigint AS expected, r.received::bigint AS received, o.online_rate
  FROM online o JOIN reporting r USING (vendor) ORDER BY o.vendor;
