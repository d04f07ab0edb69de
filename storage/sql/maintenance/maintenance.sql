-- ensure_ahead: Partitions for what will come; nothing to do on hypertables.
SELECT observation_ensure(%(from_time)s, %(to_time)s) AS made;

-- drop_before: Chunks or partitions that lie wholly before the bound.
SELECT observation_drop_before(%(bound)s) AS dropped;

-- expire_clock_faults: Known wrong stamps, once their rows are gone.
DELETE FROM observation_clock_fault WHERE phenomenon_time < %(bound)s;

-- expire_conflicts: Conflicts received before the bound.
DELETE FROM observation_conflict WHERE receive_time < %(bound)s;

-- expire_outliers: Outliers received before the bound.
DELETE FROM observation_outlier WHERE receive_time < %(bound)s;

-- expire_events: Device events received before the bound.
DELETE FROM device_event WHERE receive_time < %(bound)s;

-- expire_dead_letters: Dead letters received before the bound.
DELETE FROM dead_letter WHERE receive_time < %(bound)s;

-- expire_replays: What came of dead letters that are gone.
DELETE FROM dead_letter_replay r
 WHERE r.at < %(bound)s AND NOT EXISTS (SELECT 1 FROM dead_letter d WHERE d.position = r.letter);

-- expire_refusals: Refusals received before the bound.
DELETE FROM refusal WHERE receive_time < %(bound)s;

-- expire_notes: Notes received before the bound.
DELETE FROM ingest_note WHERE receive_time < %(bound)s;
