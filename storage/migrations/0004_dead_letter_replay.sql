-- Dead letters that a person put in again after a mend, and what came of each: one row per mark in the log, never changed.
CREATE TABLE dead_letter_replay (
    position bigint      NOT NULL CONSTRAINT dead_letter_replay_pkey PRIMARY KEY,
    letter   bigint      NOT NULL,
    at       timestamptz NOT NULL,
    outcome  text        NOT NULL CONSTRAINT dead_letter_replay_outcome_known CHECK (outcome IN ('taken', 'partly')),
    rows     bigint      NOT NULL,
    events   bigint      NOT NULL,
    actor    text        NOT NULL
);
CREATE INDEX dead_letter_replay_by_letter ON dead_letter_replay (letter);
