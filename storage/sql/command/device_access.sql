-- put_device_hashes: Password hashes of devices; a new one takes the place of the old.
INSERT INTO device_credential (device_id, password_hash, created_at)
SELECT n.key, n.value, %(at)s FROM jsonb_each_text(%(hashes)s::jsonb) AS n
ON CONFLICT ON CONSTRAINT device_credential_pkey DO UPDATE
   SET password_hash = EXCLUDED.password_hash, created_at = EXCLUDED.created_at;

-- drop_device_hash: The device's password ends. No row: it had none.
DELETE FROM device_credential WHERE device_id = %(device_id)s RETURNING device_id;

-- read_device_password: Since when the present password of a device is in force. No row: it has none.
SELECT created_at FROM device_credential WHERE device_id = %(device_id)s;

-- put_device_certificate: A certificate that was issued.
INSERT INTO device_certificate (serial, device_id, issued_machine_at, expires_machine_at, issued_by, revoked_machine_at)
VALUES (%(serial)s, %(device_id)s, %(issued_machine_at)s, %(expires_machine_at)s, %(issued_by)s, %(revoked_machine_at)s);

-- revoke_device_certificates: Every certificate of a device that is in force ends. Rows: their serials.
UPDATE device_certificate SET revoked_machine_at = %(machine_at)s
 WHERE device_id = %(device_id)s AND revoked_machine_at IS NULL RETURNING serial;

-- list_device_certificates: Certificates of all devices, newest first.
SELECT * FROM device_certificate ORDER BY issued_machine_at DESC, serial;

-- device_certificates_of: Certificates of the devices that were named, newest first.
SELECT c.* FROM unnest(%(device_ids)s::text[]) AS n (device_id) JOIN device_certificate c USING (device_id)
 ORDER BY c.issued_machine_at DESC, c.serial;
