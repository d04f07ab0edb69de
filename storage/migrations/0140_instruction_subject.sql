-- What an instruction is about: `kind/id` of an entry of the registers, so that its state stands at the object.
ALTER TABLE instruction ADD COLUMN subject text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE instruction ALTER COLUMN subject DROP DEFAULT;
CREATE INDEX instruction_by_subject ON instruction (subject, instruction_id) WHERE subject <> '';
