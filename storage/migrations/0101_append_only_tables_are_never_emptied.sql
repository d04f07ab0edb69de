-- TRUNCATE fires no row trigger: what is append-only refuses it by a trigger of its own, as the journal does already.
CREATE TRIGGER task_history_never_emptied BEFORE TRUNCATE ON task_history FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER alarm_transition_never_emptied BEFORE TRUNCATE ON alarm_transition FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER incident_timeline_never_emptied BEFORE TRUNCATE ON incident_timeline FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
