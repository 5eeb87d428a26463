/* The service of the measurements, on librabbitmq: answers calls, or handles events. */
#include "common.h"

#include <amqp_framing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static amqp_connection_state_t connection;

static void consume(const char *queue) {
    amqp_basic_qos(connection, DATA, 0, 200, 0);
    amqp_basic_consume(connection, DATA, amqp_cstring_bytes(queue), amqp_empty_bytes, 0, 0, 0,
                       amqp_empty_table);
    check(connection, queue);
}

static void ack(uint64_t tag, int multiple) {
    need(amqp_basic_ack(connection, DATA, tag, multiple) == AMQP_STATUS_OK, "cannot ack");
}

/* ---- calls: replied, and acked when the reply is confirmed ---- */

static void answer_calls(void) {
    static uint64_t requests[TAGS]; /* the request that the reply of a tag answers */
    struct incoming found = {0};
    uint64_t published = 0, confirmed = 0;
    for (;;) {
        receive(connection, &found);
        if (!found.is_delivery) {
            uint64_t first = found.multiple ? confirmed + 1 : found.tag;
            for (uint64_t tag = first; tag <= found.tag; tag++) ack(requests[tag % TAGS], 0);
            confirmed = found.tag;
            continue;
        }
        requests[++published % TAGS] = found.tag;
        amqp_basic_properties_t properties = {
            ._flags = AMQP_BASIC_CORRELATION_ID_FLAG | AMQP_BASIC_CONTENT_TYPE_FLAG |
                      AMQP_BASIC_DELIVERY_MODE_FLAG,
            .correlation_id = found.properties.correlation_id,
            .content_type = amqp_cstring_bytes("application/json"),
            .delivery_mode = found.properties.delivery_mode,
        };
        publish(connection, "", found.properties.reply_to, &properties,
                (amqp_bytes_t){found.length, found.body});
    }
}

/* ---- events: counted until the last one came ---- */

static double number_in(const struct incoming *found, const char *key) {
    static char text[1000];
    size_t length = found->length < sizeof text - 1 ? found->length : sizeof text - 1;
    memcpy(text, found->body, length);
    text[length] = '\0';
    const char *value = strstr(text, key);
    need(value != NULL, key);
    return atof(value + strlen(key));
}

static void handle_events(unsigned long total) {
    int is_drain = total > 0;
    double begin = 0;
    struct incoming found = {0};
    struct latencies all = {0};
    for (;;) {
        receive(connection, &found);
        if (!found.is_delivery) continue;
        double time = now(), sent = number_in(&found, "\"sent\": \"");
        ack(found.tag, 0);
        if (sent == 0) continue; /* it only opened what its dispatcher needs */
        record(&all, time - sent);
        if (all.count == 1) {
            begin = is_drain ? time : sent;
            if (is_drain) printf("{\"event\": \"begin\"}\n");
            fflush(stdout);
        }
        unsigned long said = (unsigned long)number_in(&found, "\"total\": ");
        if (said) total = said;
        if (all.count == total) {
            printf("{\"event\": \"end\", \"handled\": %zu, \"seconds\": %.9f}\n", all.count,
                   time - begin);
            fflush(stdout);
            say_latencies(&all);
        }
    }
}

static void bind_queue(const char *queue) {
    amqp_exchange_declare(connection, DATA, amqp_cstring_bytes("placed"),
                          amqp_cstring_bytes("topic"), 0, 1, 0, 0, amqp_empty_table);
    check(connection, "no exchange");
    amqp_queue_bind(connection, DATA, amqp_cstring_bytes(queue), amqp_cstring_bytes("placed"),
                    amqp_cstring_bytes("placed"), amqp_empty_table);
    check(connection, "no binding");
}

int main(void) {
    read_settings();
    connection = connect_to_broker();
    int is_events = strcmp(text_setting("job"), "events") == 0;
    const char *queue = is_events ? "placed-bench" : "bench";
    declare_queue(connection, queue);
    if (is_events) bind_queue(queue);
    consume(queue);
    say_ready(queue);
    if (is_events)
        handle_events((unsigned long)number_setting("total", 0));
    else
        answer_calls();
    return 0;
}
