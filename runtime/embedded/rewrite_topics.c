/* Topics of other platforms become topics of ours, for devices whose program cannot be changed.
 *
 * A rule is a line `CODEC PATTERN`: `thingsboard v1/devices/me/telemetry` or `aliyun /sys/+/%u/thing/event/property/post`. `%u` is
 * the authenticated username and nothing else, so a device can only ever become itself; a level `+` (a product, a child) is
 * passed on behind the codec: cb/v1/TENANT/USERNAME/up/raw/CODEC/LEVEL. A `#` at the end stands for one level or more, all passed
 * on. Written by devices/dialects.py.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mosquitto.h>
#include <mosquitto_broker.h>

#include "broker_plugin.h"

#define RULES_MAX 256
#define LINE_MAX_BYTES 512
#define LEVEL_MAX 64  /* of a level that is passed on */
#define PASSED_ON_MAX 256  /* an ONVIF topic is four levels and the tokens of its source */

struct rule {
    char *codec, *pattern;
};
static struct rule rules[RULES_MAX];
static size_t rules_count;

/* A device id, as devices/credentials.py has it: services have a dot in their names and are no devices. */
static bool device_name(const char *name) {
    size_t bytes = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");
    return bytes > 0 && bytes <= 64 && !name[bytes];
}

static bool passed_on(const char *level, size_t bytes, char *kept) {
    if (bytes == 0 || bytes > LEVEL_MAX || strlen(kept) + bytes + 2 > PASSED_ON_MAX) return false;
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)level[i];
        if (c < 0x20 || c == 0x7f || c == '+' || c == '#') return false;
    }
    strcat(kept, "/");
    strncat(kept, level, bytes);
    return true;
}

static bool all_passed_on(const char *topic, char *kept) {
    for (;;) {
        size_t bytes = strcspn(topic, "/");
        if (!passed_on(topic, bytes, kept)) return false;
        if (!topic[bytes]) return true;
        topic += bytes + 1;
    }
}

/* `kept` (PASSED_ON_MAX bytes) gets the levels that are passed on, each behind a slash. */
static bool fits(const char *pattern, const char *topic, const char *name, char *kept) {
    kept[0] = 0;
    for (;;) {
        size_t p = strcspn(pattern, "/"), t = strcspn(topic, "/");
        if (p == 1 && *pattern == '#') return all_passed_on(topic, kept);
        if (p == 2 && memcmp(pattern, "%u", 2) == 0) {
            if (t != strlen(name) || memcmp(topic, name, t) != 0) return false;
        } else if (p == 1 && *pattern == '+') {
            if (!passed_on(topic, t, kept)) return false;
        } else if (p != t || memcmp(pattern, topic, t) != 0) {
            return false;
        }
        pattern += p, topic += t;
        if (!*pattern || !*topic) return *pattern == *topic;
        pattern++, topic++;
    }
}

static const struct rule *rule_for(const char *topic, const char *name, char *kept) {
    if (!name || !device_name(name)) return NULL;
    for (size_t i = 0; i < rules_count; i++)
        if (fits(rules[i].pattern, topic, name, kept)) return &rules[i];
    return NULL;
}

bool rewrite_knows(const char *topic, const char *name) {
    char kept[PASSED_ON_MAX];
    return rule_for(topic, name, kept) != NULL;
}

char *rewritten(const char *topic, const char *name, const char *prefix) {
    char kept[PASSED_ON_MAX];
    const struct rule *rule = rule_for(topic, name, kept);
    if (!rule) return NULL;
    size_t bytes = strlen(prefix) + strlen(name) + strlen("/up/raw/") + strlen(rule->codec) + strlen(kept) + 1;
    char *made = mosquitto_malloc(bytes);
    if (made) snprintf(made, bytes, "%s%s/up/raw/%s%s", prefix, name, rule->codec, kept);
    return made;
}

int rewrite_rules(const char *path) {
    char line[LINE_MAX_BYTES];
    FILE *file = fopen(path, "r");
    if (!file) return MOSQ_ERR_INVAL;
    int result = MOSQ_ERR_SUCCESS;
    while (result == MOSQ_ERR_SUCCESS && fgets(line, sizeof line, file)) {
        char *codec = strtok(line, " \n"), *pattern = strtok(NULL, " \n");
        if (!codec || !pattern || rules_count == RULES_MAX) {
            result = MOSQ_ERR_INVAL;
            break;
        }
        struct rule *rule = &rules[rules_count];
        rule->codec = strdup(codec);
        rule->pattern = strdup(pattern);
        rules_count++;
        if (!rule->codec || !rule->pattern) result = MOSQ_ERR_NOMEM;
    }
    fclose(file);
    return result;
}

void rewrite_forget(void) {
    while (rules_count > 0) {
        rules_count--;
        free(rules[rules_count].codec);
        free(rules[rules_count].pattern);
    }
}
