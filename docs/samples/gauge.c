/* 读数从标准输入逐行读入，每行一个水位（米）；收到 down/ack 才算送达，没收到就重发。
 * Readings from standard input, a level in metres in each line; delivered means that down/ack has come, else it is sent again.
 *
 *     apt-get install libpaho-mqtt-dev
 *     gcc -O2 -Wall -Wextra -o gauge gauge.c -lpaho-mqtt3cs
 *     echo 5.31 | ./gauge
 *
 * Settings: see README.md beside this file.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <MQTTClient.h>

#define TOPIC_MAX 256
#define RECORD_MAX 256
#define RECONNECT_S 2

static MQTTClient client;
static char telemetry[TOPIC_MAX], state[TOPIC_MAX], ack[TOPIC_MAX];

static const char *setting(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    if (value && *value) return value;
    if (!otherwise) {
        fprintf(stderr, "%s is not set\n", name);
        exit(2);
    }
    return otherwise;
}

static long long now_ms(void) {
    struct timeval now;
    gettimeofday(&now, NULL);
    return (long long)now.tv_sec * 1000 + now.tv_usec / 1000;
}

static int publish(const char *topic, const char *text, bool retained) {
    MQTTClient_deliveryToken token;
    int result = MQTTClient_publish(client, topic, (int)strlen(text), text, 1, retained, &token);
    return result == MQTTCLIENT_SUCCESS ? MQTTClient_waitForCompletion(client, token, 10000L) : result;
}

/* Until there is a connection. */
static void connected(void) {
    MQTTClient_connectOptions options = MQTTClient_connectOptions_initializer;
    MQTTClient_willOptions will = MQTTClient_willOptions_initializer;
    MQTTClient_SSLOptions tls = MQTTClient_SSLOptions_initializer;
    will.topicName = state;
    will.message = "{\"online\":false}";
    will.qos = 1;
    will.retained = 1;
    options.will = &will;
    options.keepAliveInterval = 60;
    const char *password = getenv("CITY_PASSWORD"), *ca = getenv("CITY_CA");
    if (password && *password) {
        options.username = setting("CITY_DEVICE", NULL);
        options.password = password;
    }
    if (ca && *ca) {
        tls.trustStore = ca;
        tls.keyStore = getenv("CITY_CERT");
        tls.privateKey = getenv("CITY_KEY");
        tls.sslVersion = MQTT_SSL_VERSION_TLS_1_2;
        tls.verify = 1; /* the certificate must be the host's */
        options.ssl = &tls;
    }
    while (!MQTTClient_isConnected(client)) {
        int result = MQTTClient_connect(client, &options);
        if (result == MQTTCLIENT_SUCCESS) result = MQTTClient_subscribe(client, ack, 1);
        if (result == MQTTCLIENT_SUCCESS) result = publish(state, "{\"online\":true}", true);
        if (result == MQTTCLIENT_SUCCESS) return;
        fprintf(stderr, "not connected: %d\n", result);
        MQTTClient_disconnect(client, 1000);
        sleep(RECONNECT_S);
    }
}

/* Whether `down/ack` with this number comes before `until`. */
static bool confirmed(unsigned long seq, long long until) {
    for (;;) {
        char *topic = NULL;
        int bytes = 0;
        MQTTClient_message *message = NULL;
        long long left = until - now_ms();
        if (left <= 0) return false;
        int result = MQTTClient_receive(client, &topic, &bytes, &message, (unsigned long)left);
        if (!message) {
            if (result != MQTTCLIENT_SUCCESS) return false; /* the connection is gone */
            continue;
        }
        char text[RECORD_MAX] = "";
        if (message->payloadlen < RECORD_MAX) memcpy(text, message->payload, (size_t)message->payloadlen);
        MQTTClient_freeMessage(&message);
        MQTTClient_free(topic);
        const char *found = strstr(text, "\"seq\":");
        if (found && strtoul(found + strlen("\"seq\":"), NULL, 10) == seq) return true;
    }
}

/* Returns when the record is on the city's disk, however long that takes. */
static void deliver(unsigned long seq, double stage_m) {
    char record[RECORD_MAX];
    long long resend_ms = (long long)(atof(setting("CITY_RESEND_S", "10")) * 1000);
    snprintf(record, sizeof record, "{\"ts\":%lld,\"seq\":%lu,\"values\":{\"stage_m\":%.3f}}", now_ms(), seq, stage_m);
    do {
        connected();
        publish(telemetry, record, false);
    } while (!confirmed(seq, now_ms() + resend_ms));
}

/* A number more than last time, also after a restart: written down before it is used. */
static unsigned long next_seq(const char *path) {
    unsigned long seq = 0;
    FILE *file = fopen(path, "r");
    if (file) {
        if (fscanf(file, "%lu", &seq) != 1) seq = 0;
        fclose(file);
    }
    file = fopen(path, "w");
    if (!file || fprintf(file, "%lu", ++seq) < 0 || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
    return seq;
}

int main(void) {
    const char *device = setting("CITY_DEVICE", NULL), *tenant = setting("CITY_TENANT", NULL);
    const char *ca = getenv("CITY_CA");
    char uri[TOPIC_MAX], seq_file[TOPIC_MAX], line[RECORD_MAX];
    snprintf(telemetry, sizeof telemetry, "cb/v1/%s/%s/up/telemetry", tenant, device);
    snprintf(state, sizeof state, "cb/v1/%s/%s/up/state", tenant, device);
    snprintf(ack, sizeof ack, "cb/v1/%s/%s/down/ack", tenant, device);
    snprintf(uri, sizeof uri, "%s://%s:%s", ca && *ca ? "ssl" : "tcp", setting("CITY_HOST", NULL), setting("CITY_PORT", NULL));
    snprintf(seq_file, sizeof seq_file, "%s.seq", device);
    if (MQTTClient_create(&client, uri, device, MQTTCLIENT_PERSISTENCE_NONE, NULL) != MQTTCLIENT_SUCCESS) return 1;
    while (fgets(line, sizeof line, stdin)) {
        unsigned long seq = next_seq(setting("CITY_STATE", seq_file));
        deliver(seq, atof(line));
        printf("confirmed %lu\n", seq);
        fflush(stdout);
    }
    if (MQTTClient_isConnected(client)) {
        publish(state, "{\"online\":false}", true);
        MQTTClient_disconnect(client, 5000);
    }
    MQTTClient_destroy(&client);
    return 0;
}
