#!/bin/sh
# Runs Mosquitto in its container: waits for the credentials that the system writes from its register into the shared volume,
# takes changes over with SIGHUP (at most once a second), saves at once when asked (the file save-now), passes signals on.
set -eu
folder=/mosquitto/credentials
chown mosquitto:mosquitto "$folder" /mosquitto/data /mosquitto/log
# The listener for certificates needs its files too; the password file is written last.
until [ -s "$folder/devices-revoked.pem" ] && [ -s "$folder/acl_file" ] && [ -s "$folder/password_file" ]; do sleep 1; done

/usr/sbin/mosquitto -c /mosquitto/config/mosquitto.conf &
broker=$!
trap 'kill -TERM "$broker"' TERM INT

stamp() { stat -c '%Y %s %i' "$folder/password_file" "$folder/acl_file" "$folder/devices-revoked.pem"; }
seen=$(stamp)
while kill -0 "$broker" 2>/dev/null; do
    sleep 1 &
    wait $! || true
    now=$(stamp)
    if [ "$now" != "$seen" ]; then
        seen=$now
        kill -HUP "$broker"
    fi
    if [ -e "$folder/save-now" ]; then
        rm -f "$folder/save-now"
        kill -USR1 "$broker"
    fi
done
wait "$broker"
