#include "common.h"

#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char settings[65536];

void need(int condition, const char *what) {
    if (!condition) {
        fprintf(stderr, "%s\n", what);
        exit(1);
    }
}

void read_settings(void) {
    need(fgets(settings, sizeof settings, stdin) != NULL, "no settings on standard input");
}

/* The place after `"name": `; the runner writes JSON with one space there. */
static const char *value_of(const char *name) {
    char key[64];
    snprintf(key, sizeof key, "\"%s\": ", name);
    const char *found = strstr(settings, key);
    return found ? found + strlen(key) : NULL;
}

const char *text_setting(const char *name) {
    const char *value = value_of(name);
    need(value != NULL && *value == '"', name);
    const char *end = strchr(value + 1, '"');
    need(end != NULL, name);
    char *text = strndup(value + 1, (size_t)(end - value - 1));
    need(text != NULL, "no memory");
    return text;
}

double number_setting(const char *name, double otherwise) {
    const char *value = value_of(name);
    return value && *value != 'n' ? atof(value) : otherwise; /* n as in null */
}

int is_set(const char *name) {
    const char *value = value_of(name);
    return value && *value == 't';
}

void check(amqp_connection_state_t connection, const char *what) {
    need(amqp_get_rpc_reply(connection).reply_type == AMQP_RESPONSE_NORMAL, what);
}

amqp_connection_state_t connect_to_broker(void) {
    struct amqp_connection_info where;
    char *uri = (char *)text_setting("uri");
    need(amqp_parse_url(uri, &where) == AMQP_STATUS_OK, "the broker's URI cannot be read");
    amqp_connection_state_t connection = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(connection);
    need(socket && amqp_socket_open(socket, where.host, where.port) == 0, "no broker");
    amqp_rpc_reply_t reply = amqp_login(connection, where.vhost, 0, 131072, 0,
                                        AMQP_SASL_METHOD_PLAIN, where.user, where.password);
    need(reply.reply_type == AMQP_RESPONSE_NORMAL, "the broker refuses us");
    amqp_channel_open(connection, DATA);
    check(connection, "no channel");
    amqp_confirm_select(connection, DATA);
    check(connection, "no confirms");
    return connection;
}

void declare_queue(amqp_connection_state_t connection, const char *name) {
    amqp_queue_declare(connection, DATA, amqp_cstring_bytes(name), 0, 1, 0, 0, amqp_empty_table);
    check(connection, name);
}

static void next_frame(amqp_connection_state_t connection, amqp_frame_t *frame) {
    need(amqp_simple_wait_frame(connection, frame) == AMQP_STATUS_OK, "the connection is lost");
}

static void receive_content(amqp_connection_state_t connection, struct incoming *found) {
    static size_t room = 0;
    amqp_frame_t frame;
    next_frame(connection, &frame);
    need(frame.frame_type == AMQP_FRAME_HEADER, "no header after a delivery");
    found->properties = *(amqp_basic_properties_t *)frame.payload.properties.decoded;
    size_t size = frame.payload.properties.body_size, length = 0;
    if (size > room) {
        found->body = realloc(found->body, size);
        need(found->body != NULL, "no memory");
        room = size;
    }
    while (length < size) {
        next_frame(connection, &frame);
        need(frame.frame_type == AMQP_FRAME_BODY, "no body after a header");
        amqp_bytes_t part = frame.payload.body_fragment;
        memcpy(found->body + length, part.bytes, part.len);
        length += part.len;
    }
    found->length = length;
}

void receive(amqp_connection_state_t connection, struct incoming *found) {
    amqp_frame_t frame;
    for (;;) {
        amqp_maybe_release_buffers(connection);
        next_frame(connection, &frame);
        if (frame.frame_type != AMQP_FRAME_METHOD) continue;
        if (frame.payload.method.id == AMQP_BASIC_DELIVER_METHOD) {
            found->is_delivery = 1;
            found->tag = ((amqp_basic_deliver_t *)frame.payload.method.decoded)->delivery_tag;
            receive_content(connection, found);
            return;
        }
        if (frame.payload.method.id == AMQP_BASIC_ACK_METHOD) {
            amqp_basic_ack_t *ack = frame.payload.method.decoded;
            found->is_delivery = 0;
            found->tag = ack->delivery_tag;
            found->multiple = ack->multiple;
            return;
        }
        need(frame.payload.method.id != AMQP_BASIC_RETURN_METHOD, "nobody takes the message");
        need(frame.payload.method.id != AMQP_CHANNEL_CLOSE_METHOD, "the channel was closed");
    }
}

void publish(amqp_connection_state_t connection, const char *exchange, amqp_bytes_t key,
             const amqp_basic_properties_t *properties, amqp_bytes_t body) {
    int mandatory = *exchange == '\0';
    int status = amqp_basic_publish(connection, DATA, amqp_cstring_bytes(exchange), key, mandatory,
                                    0, properties, body);
    need(status == AMQP_STATUS_OK, "cannot publish");
}

double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

void record(struct latencies *all, double seconds) {
    if (all->count == all->room) {
        all->room = all->room ? 2 * all->room : 65536;
        all->values = realloc(all->values, all->room * sizeof(double));
        need(all->values != NULL, "no memory");
    }
    all->values[all->count++] = seconds;
}

static int compare(const void *one, const void *other) {
    double first = *(const double *)one, second = *(const double *)other;
    return (first > second) - (first < second);
}

/* The nearest rank, as benchmarks/summary.py has it. */
static double percentile(const struct latencies *all, size_t percent) {
    size_t rank = (all->count * percent + 99) / 100;
    return all->values[rank ? rank - 1 : 0];
}

void say_latencies(struct latencies *all) {
    need(all->count > 0, "nothing was measured");
    qsort(all->values, all->count, sizeof(double), compare);
    printf("{\"event\": \"latencies\", \"p50\": %.9f, \"p99\": %.9f}\n", percentile(all, 50),
           percentile(all, 99));
    fflush(stdout);
}

void say_ready(const char *queue) {
    printf("{\"event\": \"ready\", \"queue\": \"%s\", \"versions\": {\"librabbitmq\": \"%s\"}}\n",
           queue, amqp_version());
    fflush(stdout);
}
