-- lock_registry: Changes of the registry take turns, so that revisions are in commit order; held until the end.
SELECT pg_advisory_xact_lock(hashtextextended('citybrain.registry.' || current_schema(), 0));

-- current_revision: The newest revision; 0 for an empty registry.
SELECT coalesce(max(revision), 0) AS revision FROM registry_revision;

-- insert_revision: A new revision with who and why.
INSERT INTO registry_revision (revision, at, actor, summary, appended) VALUES (%(revision)s, %(at)s, %(actor)s, %(summary)s, false);

-- unappended_bounds: The newest revision, and the newest one whose control is in the log together with all before it.
SELECT coalesce(max(revision), 0) AS newest,
       coalesce(min(revision) FILTER (WHERE NOT appended) - 1, max(revision), 0) AS appended
  FROM registry_revision;

-- mark_appended: This revision and all before it are in the log.
UPDATE registry_revision SET appended = true WHERE revision <= %(revision)s AND NOT appended;

-- read_devices: Devices that are not removed, by id.
SELECT document FROM device WHERE NOT removed ORDER BY device_id;

-- read_devices_of: The ones that were named. (One statement for both would, once prepared, compare every row with every name.)
SELECT d.document FROM unnest(%(device_ids)s::text[]) AS n (device_id) JOIN device d USING (device_id)
 WHERE NOT d.removed ORDER BY device_id;

-- read_device: One device that is not removed. No row: unknown.
SELECT document, revision FROM device WHERE device_id = %(device_id)s AND NOT removed;

-- read_datastreams: Series in use of devices that are not removed.
SELECT s.datastream, s.device_id, s.property, s.uom, s.kind, s.interval_s
  FROM datastream s JOIN device d USING (device_id) WHERE s.active AND NOT d.removed ORDER BY s.datastream;

-- read_datastreams_of: Series in use of the devices that were named.
SELECT s.datastream, s.device_id, s.property, s.uom, s.kind, s.interval_s
  FROM unnest(%(device_ids)s::text[]) AS n (device_id) JOIN device d USING (device_id) JOIN datastream s USING (device_id)
 WHERE s.active AND NOT d.removed ORDER BY s.datastream;

-- changed_since: Devices that a revision after the given one, up to another, touched last, with whether they are gone or lost a series.
SELECT device_id, removed,
       EXISTS (SELECT 1 FROM datastream s WHERE s.device_id = d.device_id AND NOT s.active) AS lost_series
  FROM device d WHERE revision > %(revision)s AND revision <= %(newest)s ORDER BY device_id;

-- changes_by_revision: How many devices each revision after the given one, up to another, touched last.
SELECT revision, count(*) AS devices FROM device
 WHERE revision > %(revision)s AND revision <= %(newest)s GROUP BY revision ORDER BY revision;

-- known_devices: What stands for some devices now, removed ones too.
SELECT d.device_id, d.model, d.removed, d.document,
       ARRAY(SELECT s.property FROM datastream s WHERE s.device_id = d.device_id AND s.active) AS properties
  FROM unnest(%(device_ids)s::text[]) AS n (device_id) JOIN device d USING (device_id);

-- upsert_devices: Register, change or bring back devices, all in one statement.
INSERT INTO device AS d (device_id, model, kind, vendor, document, removed, revision, created_at, changed_at)
SELECT n.device_id, n.model, n.kind, n.vendor, n.document, false, %(revision)s, %(at)s, %(at)s
  FROM jsonb_to_recordset(%(rows)s::jsonb) AS n (device_id text, model text, kind text, vendor text, document jsonb)
ON CONFLICT ON CONSTRAINT device_pkey DO UPDATE
   SET model = EXCLUDED.model, kind = EXCLUDED.kind, vendor = EXCLUDED.vendor, document = EXCLUDED.document,
       removed = false, revision = EXCLUDED.revision, changed_at = EXCLUDED.changed_at;

-- remove_devices: Take devices out; their series keep their numbers and their history. Rows: the ones that were there.
UPDATE device SET removed = true, revision = %(revision)s, changed_at = %(at)s
 WHERE device_id = ANY(%(device_ids)s) AND NOT removed RETURNING device_id;

-- retire_datastreams: Before a device's series are written again: what the model no longer names stays inactive.
UPDATE datastream SET active = false WHERE device_id = ANY(%(device_ids)s) AND active;

-- upsert_datastreams: Series of devices; a known one keeps its number. What stands as it is wanted draws no number either:
-- tables in memory are as long as the highest.
INSERT INTO datastream (device_id, property, uom, kind, interval_s, active)
SELECT n.device_id, n.property, n.uom, n.kind, n.interval_s, true
  FROM jsonb_to_recordset(%(rows)s::jsonb)
       AS n (ordinal integer, device_id text, property text, uom text, kind text, interval_s double precision)
 WHERE NOT EXISTS (
           SELECT 1 FROM datastream s
            WHERE s.device_id = n.device_id AND s.property = n.property AND s.active
              AND (s.uom, s.kind, s.interval_s) = (n.uom, n.kind, n.interval_s))
 ORDER BY n.ordinal
ON CONFLICT ON CONSTRAINT datastream_key DO UPDATE
   SET uom = EXCLUDED.uom, kind = EXCLUDED.kind, interval_s = EXCLUDED.interval_s, active = true;

-- record_thresholds: Who set which thresholds, who approved, from which source.
INSERT INTO threshold_change (device_id, property, revision, thresholds, previous, author, approver, source, at)
SELECT n.device_id, n.property, %(revision)s, n.thresholds, n.previous, %(author)s, %(approver)s, n.source, %(at)s
  FROM jsonb_to_recordset(%(rows)s::jsonb)
       AS n (device_id text, property text, thresholds jsonb, previous jsonb, source text);

-- threshold_changes: The history of a device's thresholds, newest first.
SELECT property, revision, thresholds, previous, author, approver, source, at FROM threshold_change
 WHERE device_id = %(device_id)s ORDER BY revision DESC, property;

-- upsert_credentials: Password hashes of devices; a new one replaces the old.
INSERT INTO device_credential (device_id, password_hash, created_at)
SELECT n.key, n.value, %(at)s FROM jsonb_each_text(%(hashes)s::jsonb) AS n
ON CONFLICT ON CONSTRAINT device_credential_pkey DO UPDATE
   SET password_hash = EXCLUDED.password_hash, created_at = EXCLUDED.created_at;

-- read_credentials: Who may connect: devices that are registered and enabled.
SELECT c.device_id, c.password_hash FROM device_credential c JOIN device d USING (device_id)
 WHERE NOT d.removed AND coalesce((d.document ->> 'enabled')::boolean, true) ORDER BY c.device_id;

-- read_credentials_of: Who of the devices that were named may connect.
SELECT c.device_id, c.password_hash
  FROM unnest(%(device_ids)s::text[]) AS n (device_id) JOIN device_credential c USING (device_id) JOIN device d USING (device_id)
 WHERE NOT d.removed AND coalesce((d.document ->> 'enabled')::boolean, true);

-- usable_devices: Of the devices that were named, the ones that are registered and enabled.
SELECT device_id FROM device
 WHERE device_id = ANY(%(device_ids)s) AND NOT removed AND coalesce((document ->> 'enabled')::boolean, true);

-- drop_credentials: Removed devices cannot connect again with their old password.
DELETE FROM device_credential WHERE device_id = ANY(%(device_ids)s);
