#!/bin/sh
# 读数从标准输入逐行读入，每行一个水位（米）；收到 down/ack 才算送达，没收到就重发。
# Readings from standard input, a level in metres in each line; delivered means that down/ack has come, else it is sent again.
#
#     apt-get install mosquitto-clients
#     echo 5.31 | sh gauge.sh
#
# Settings: see README.md beside this file.
set -eu
: "${CITY_HOST:?}" "${CITY_PORT:?}" "${CITY_TENANT:?}" "${CITY_DEVICE:?}"
base="cb/v1/$CITY_TENANT/$CITY_DEVICE"
resend_s="${CITY_RESEND_S:-10}"
state="${CITY_STATE:-$CITY_DEVICE.seq}"

# Options of both programs in a file, so that `ps` does not show the password.
umask 077
options=$(mktemp -d)
trap 'rm -rf "$options"' EXIT
{
    printf '%s\n' "-h $CITY_HOST" "-p $CITY_PORT" "-V mqttv5" "-q 1"
    [ -z "${CITY_PASSWORD:-}" ] || printf '%s\n' "-u $CITY_DEVICE" "-P $CITY_PASSWORD"
    [ -z "${CITY_CA:-}" ] || printf '%s\n' "--cafile $CITY_CA"
    [ -z "${CITY_CERT:-}" ] || printf '%s\n' "--cert $CITY_CERT" "--key $CITY_KEY"
} >"$options/mosquitto_pub"
cp "$options/mosquitto_pub" "$options/mosquitto_sub"
export XDG_CONFIG_HOME="$options"

# A session that lasts a day: what is confirmed while nobody listens waits at the broker.
acks() { mosquitto_sub -i "$CITY_DEVICE-ack" -c -x 86400 -t "$base/down/ack" "$@"; }
until acks -E; do sleep "$resend_s"; done

while read -r stage_m; do
    seq=$(($(cat "$state" 2>/dev/null || echo 0) + 1))
    echo "$seq" >"$state" # written down before it is used: a number more than last time, also after a restart
    now_ms=$(date +%s%3N) # GNU; elsewhere $(date +%s)000, but two readings with one time are one reading
    record="{\"ts\":$now_ms,\"seq\":$seq,\"values\":{\"stage_m\":$stage_m}}"
    until [ "${ack:-}" = "{\"seq\":$seq}" ]; do
        mosquitto_pub -i "$CITY_DEVICE" -t "$base/up/telemetry" -m "$record" || sleep "$resend_s"
        # every confirmation that waits, until ours or until it is time to send again
        while ack=$(acks -C 1 -W "$resend_s"); do
            [ "$ack" != "{\"seq\":$seq}" ] || break
        done
    done
    echo "confirmed $seq"
done
