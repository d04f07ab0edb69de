#!/bin/sh
# The password travels as a file, never as a variable that `docker inspect` shows.
set -eu
if [ -r /run/citybrain-secrets/database_password ]; then
    CITYBRAIN_DATABASE_PASSWORD=$(cat /run/citybrain-secrets/database_password)
    export CITYBRAIN_DATABASE_PASSWORD
fi
exec python -m runtime "$@"
