/* What the halves of our plugin for Mosquitto share. */
#ifndef CITYBRAIN_BROKER_PLUGIN_H
#define CITYBRAIN_BROKER_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>

/* Read the rules by which topics of other platforms are rewritten, a codec and a pattern in each line. Gives MOSQ_ERR_*. */
int rewrite_rules(const char *path);
void rewrite_forget(void);

/* Whether `topic` is one of another platform's that the device `name` may use. */
bool rewrite_knows(const char *topic, const char *name);

/* The topic below `prefix` (cb/v1/TENANT/) for it, to be freed with mosquitto_free; NULL where no rule fits. */
char *rewritten(const char *topic, const char *name, const char *prefix);

#endif
