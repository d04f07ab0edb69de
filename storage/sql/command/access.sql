-- list_incident_roles: Of an incident, of a user, or of both, oldest first.
SELECT * FROM incident_role
 WHERE (%(incident_id)s = '' OR incident_id = %(incident_id)s) AND (%(username)s = '' OR username = %(username)s)
 ORDER BY from_at, role_id;

-- insert_incident_role: A role in an incident.
INSERT INTO incident_role (role_id, incident_id, username, role, from_at, until_at, given_by, ended_at, ended_by)
VALUES (%(role_id)s, %(incident_id)s, %(username)s, %(role)s, %(from_at)s, %(until_at)s, %(given_by)s, %(ended_at)s,
        %(ended_by)s);

-- end_incident_role: Taken back. No row: it had ended.
UPDATE incident_role SET ended_at = %(at)s, ended_by = %(by)s
 WHERE role_id = %(role_id)s AND ended_at IS NULL RETURNING role_id;

-- users_changed_since: Whose password, roles or state changed.
SELECT * FROM app_user WHERE changed_machine_at >= %(since)s ORDER BY username;

-- touch_login: The newest login.
UPDATE app_user SET last_login_machine_at = %(at)s
 WHERE username = %(username)s AND (last_login_machine_at IS NULL OR last_login_machine_at < %(at)s);

-- read_second_factor: One person's.
SELECT * FROM second_factor WHERE username = %(username)s;

-- confirmed_second_factors: Who has one.
SELECT username FROM second_factor WHERE confirmed ORDER BY username;

-- put_second_factor: A new one, or the old one confirmed.
INSERT INTO second_factor (username, secret, confirmed, last_step, recovery, changed_machine_at)
VALUES (%(username)s, %(secret)s, %(confirmed)s, %(last_step)s, %(recovery)s, %(changed_machine_at)s)
ON CONFLICT (username) DO UPDATE SET secret = EXCLUDED.secret, confirmed = EXCLUDED.confirmed,
       last_step = EXCLUDED.last_step, recovery = EXCLUDED.recovery, changed_machine_at = EXCLUDED.changed_machine_at;

-- security_keys: One person's, oldest first.
SELECT * FROM security_key WHERE username = %(username)s ORDER BY created_machine_at, key_id;

-- insert_security_key: No row: it stands already.
INSERT INTO security_key (key_id, username, name, rp_id, public_key, sign_count, created_machine_at, last_used_machine_at)
VALUES (%(key_id)s, %(username)s, %(name)s, %(rp_id)s, %(public_key)s, %(sign_count)s, %(created_machine_at)s,
        %(last_used_machine_at)s)
ON CONFLICT (key_id) DO NOTHING RETURNING key_id;

-- drop_security_key: No row: there was none.
DELETE FROM security_key WHERE username = %(username)s AND key_id = %(key_id)s RETURNING key_id;

-- use_security_key: It answered; its counter never goes back.
UPDATE security_key SET sign_count = greatest(sign_count, %(sign_count)s), last_used_machine_at = %(at)s WHERE key_id = %(key_id)s;

-- drop_second_factor: It is given up. No row: there was none.
DELETE FROM second_factor WHERE username = %(username)s RETURNING username;

-- use_totp_step: A code is taken, once. No row: it was taken already.
UPDATE second_factor SET last_step = %(step)s WHERE username = %(username)s AND last_step < %(step)s RETURNING username;

-- use_recovery_code: A recovery code is taken and gone. No row: there is no such code.
UPDATE second_factor SET recovery = recovery - %(hashed)s::text
 WHERE username = %(username)s AND confirmed AND jsonb_exists(recovery, %(hashed)s) RETURNING username;

-- list_api_keys: All, by id.
SELECT * FROM api_key ORDER BY key_id;

-- insert_api_key: A machine's key.
INSERT INTO api_key (key_id, name, secret_hash, roles, created_by, created_machine_at, expires_machine_at, scope, vendor,
                     unit_id, revoked_machine_at, revoked_by, last_used_machine_at)
VALUES (%(key_id)s, %(name)s, %(secret_hash)s, %(roles)s, %(created_by)s, %(created_machine_at)s, %(expires_machine_at)s,
        %(scope)s, %(vendor)s, %(unit_id)s, %(revoked_machine_at)s, %(revoked_by)s, %(last_used_machine_at)s);

-- revoke_api_key: It opens nothing any more. No row: it is unknown, or revoked already.
UPDATE api_key SET revoked_machine_at = %(at)s, revoked_by = %(by)s
 WHERE key_id = %(key_id)s AND revoked_machine_at IS NULL RETURNING key_id;

-- touch_api_key: The newest use.
UPDATE api_key SET last_used_machine_at = %(at)s
 WHERE key_id = %(key_id)s AND (last_used_machine_at IS NULL OR last_used_machine_at < %(at)s);

-- read_approval: One proposal.
SELECT * FROM approval WHERE approval_id = %(approval_id)s;

-- list_approvals: Newest first, in the states asked for (none = all).
SELECT * FROM approval
 WHERE (cardinality(%(states)s::text[]) = 0 OR state = ANY(%(states)s))
   AND (%(before)s = '' OR approval_id < %(before)s)
 ORDER BY approval_id DESC LIMIT %(limit)s;

-- open_approval: The pending one about a subject.
SELECT * FROM approval WHERE kind = %(kind)s AND subject = %(subject)s AND state = 'PENDING';

-- insert_approval: A proposal.
INSERT INTO approval (approval_id, kind, subject, area, title_zh, title_en, payload, before, source, reason, state,
                      proposed_by, proposed_at, expires_at, asked, emergency, until_at, decided_by, decided_at, comment,
                      result, rev)
VALUES (%(approval_id)s, %(kind)s, %(subject)s, %(area)s, %(title_zh)s, %(title_en)s, %(payload)s, %(before)s, %(source)s,
        %(reason)s, %(state)s, %(proposed_by)s, %(proposed_at)s, %(expires_at)s, %(asked)s, %(emergency)s, %(until_at)s,
        %(decided_by)s, %(decided_at)s, %(comment)s, %(result)s, %(rev)s);

-- update_approval: From one of these states and this revision only. No row: somebody was faster.
UPDATE approval SET state = %(state)s, decided_by = %(decided_by)s, decided_at = %(decided_at)s, comment = %(comment)s,
       result = %(result)s, rev = %(rev)s
 WHERE approval_id = %(approval_id)s AND rev = %(old_rev)s AND state = ANY(%(states)s) RETURNING approval_id;
