/* Our plugin for Mosquitto 2.0: it tells of publishes to foreign topics, and lets devices of other platforms keep their topics.
 *
 *     plugin /.../citybrain.so
 *     plugin_opt_tenant demo
 *     plugin_opt_rewrite /.../rewrite_rules
 *
 * Without it the broker tells of refusals at `log_type debug` alone, together with a line or two for every message. Every access
 * check comes by here first, under the topic that the device used. It is left to the ACL file (MOSQ_ERR_PLUGIN_DEFER); a device's
 * publish outside of `cb/v1/TENANT/ITS-NAME/up/` and of the rules is logged in the broker's own words at level notice, so that
 * ingest/refusals.py reads both alike, and refused: the plugin can close, it opens nothing. Control characters of a topic become
 * `?`: a line of the log is one line.
 *
 * After the check a topic of another platform becomes ours (rewrite_topics.c). In 2.0 the broker forgets the old topic without
 * freeing it, in 2.1 it frees it itself, so `plugin_opt_rewrite` is for 2.0 (runtime/embedded/plugin.py sees to that).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>

#include "broker_plugin.h"

#define TOPIC_SHOWN 200

static mosquitto_plugin_id_t *self;
static char *prefix; /* cb/v1/TENANT/ */
static size_t prefix_bytes;
static bool rewriting;

static int own(const char *topic, const char *name) {
    size_t bytes = strlen(name);
    return strncmp(topic, prefix, prefix_bytes) == 0 && strncmp(topic + prefix_bytes, name, bytes) == 0 &&
           strncmp(topic + prefix_bytes + bytes, "/up/", 4) == 0;
}

static int on_check(int event, void *data, void *user) {
    const struct mosquitto_evt_acl_check *check = data;
    (void)event, (void)user;
    if (check->access != MOSQ_ACL_WRITE) return MOSQ_ERR_PLUGIN_DEFER;
    const char *name = mosquitto_client_username(check->client);
    if (!name || strncmp(name, "service.", 8) == 0 || own(check->topic, name)) return MOSQ_ERR_PLUGIN_DEFER;
    if (rewrite_knows(check->topic, name)) return MOSQ_ERR_PLUGIN_DEFER;
    char shown[TOPIC_SHOWN + 1];
    size_t n = 0;
    for (; n < TOPIC_SHOWN && check->topic[n]; n++) {
        unsigned char c = (unsigned char)check->topic[n];
        shown[n] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    shown[n] = 0;
    mosquitto_log_printf(MOSQ_LOG_NOTICE, "Denied PUBLISH from %s (d0, q%d, r%d, m0, '%s', ... (%u bytes))",
                         mosquitto_client_id(check->client), check->qos, check->retain, shown, check->payloadlen);
    return MOSQ_ERR_ACL_DENIED;
}

static int on_message(int event, void *data, void *user) {
    struct mosquitto_evt_message *message = data;
    (void)event, (void)user;
    if (strncmp(message->topic, prefix, prefix_bytes) == 0) return MOSQ_ERR_SUCCESS;
    char *topic = rewritten(message->topic, mosquitto_client_username(message->client), prefix);
    if (!topic) return MOSQ_ERR_SUCCESS;
    mosquitto_free(message->topic);
    message->topic = topic;
    message->retain = false; /* what the broker keeps is not fresh data when it is read again */
    return MOSQ_ERR_SUCCESS;
}

int mosquitto_plugin_version(int count, const int *versions) {
    for (int i = 0; i < count; i++)
        if (versions[i] == 5) return 5;
    return -1;
}

int mosquitto_plugin_init(mosquitto_plugin_id_t *id, void **user, struct mosquitto_opt *options, int count) {
    const char *rules = NULL;
    (void)user;
    for (int i = 0; i < count; i++) {
        if (strcmp(options[i].key, "rewrite") == 0) rules = options[i].value;
        if (strcmp(options[i].key, "tenant") != 0) continue;
        prefix_bytes = strlen("cb/v1//") + strlen(options[i].value);
        prefix = malloc(prefix_bytes + 1);
        if (!prefix) return MOSQ_ERR_NOMEM;
        snprintf(prefix, prefix_bytes + 1, "cb/v1/%s/", options[i].value);
    }
    if (!prefix) {
        mosquitto_log_printf(MOSQ_LOG_ERR, "tell_refusals: plugin_opt_tenant is missing");
        return MOSQ_ERR_INVAL;
    }
    self = id;
    if (rules) {
        int result = rewrite_rules(rules);
        if (result == MOSQ_ERR_SUCCESS) result = mosquitto_callback_register(self, MOSQ_EVT_MESSAGE, on_message, NULL, NULL);
        if (result != MOSQ_ERR_SUCCESS) {
            mosquitto_log_printf(MOSQ_LOG_ERR, "tell_refusals: plugin_opt_rewrite %s cannot be used", rules);
            return result;
        }
        rewriting = true;
    }
    return mosquitto_callback_register(self, MOSQ_EVT_ACL_CHECK, on_check, NULL, NULL);
}

int mosquitto_plugin_cleanup(void *user, struct mosquitto_opt *options, int count) {
    (void)user, (void)options, (void)count;
    free(prefix);
    prefix = NULL;
    rewrite_forget();
    if (rewriting) mosquitto_callback_unregister(self, MOSQ_EVT_MESSAGE, on_message, NULL);
    return mosquitto_callback_unregister(self, MOSQ_EVT_ACL_CHECK, on_check, NULL);
}
