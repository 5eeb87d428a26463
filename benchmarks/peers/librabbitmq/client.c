/* The client of the measurements, on librabbitmq: calls, or dispatches events. */
#include "common.h"

#include <amqp_framing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static amqp_connection_state_t connection;
static double seconds, warm_up;
static char *body;
static size_t body_length;
static double begins[TAGS]; /* when the message of a tag was published */
static uint64_t published;

static void say(const char *event) {
    printf("{\"event\": \"%s\"}\n", event);
    fflush(stdout);
}

static void say_end(size_t calls, double took) {
    printf("{\"event\": \"end\", \"calls\": %zu, \"seconds\": %.9f, \"failure\": null}\n", calls,
           took);
    fflush(stdout);
}

/* ---- calls: a reply makes the next one ---- */

static void call(amqp_bytes_t replies, uint8_t mode) {
    static char correlation_id[32];
    int length = snprintf(correlation_id, sizeof correlation_id, "%llu",
                          (unsigned long long)published);
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_CORRELATION_ID_FLAG | AMQP_BASIC_REPLY_TO_FLAG |
                  AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG,
        .correlation_id = {(size_t)length, correlation_id},
        .reply_to = replies,
        .content_type = amqp_cstring_bytes("application/json"),
        .delivery_mode = mode,
    };
    begins[published++ % TAGS] = now();
    publish(connection, "", amqp_cstring_bytes("bench"), &properties,
            (amqp_bytes_t){body_length, body});
}

static uint64_t number_of(const struct incoming *reply) {
    char text[32] = {0};
    amqp_bytes_t id = reply->properties.correlation_id;
    need(id.len < sizeof text, "a strange correlation id");
    memcpy(text, id.bytes, id.len);
    return strtoull(text, NULL, 10);
}

static amqp_bytes_t consume_replies(void) {
    amqp_queue_declare_ok_t *made = amqp_queue_declare(connection, DATA, amqp_empty_bytes, 0, 0, 1,
                                                       1, amqp_empty_table);
    check(connection, "no queue for replies");
    amqp_bytes_t replies = amqp_bytes_malloc_dup(made->queue);
    amqp_basic_consume(connection, DATA, replies, amqp_empty_bytes, 0, 1, 1, amqp_empty_table);
    check(connection, "no replies");
    return replies;
}

static void run_calls(void) {
    int in_flight = (int)number_setting("in_flight", 1);
    uint8_t mode = is_set("persistent") ? 2 : 1;
    struct incoming found = {0};
    struct latencies all = {0};
    amqp_bytes_t replies = consume_replies();
    double begin = now() + warm_up, time = 0;
    int has_begun = 0;

    for (int number = 0; number < in_flight; number++) call(replies, mode);
    while (time < begin + seconds) {
        receive(connection, &found);
        if (!found.is_delivery) continue;
        need(found.length == body_length, "a reply of another size");
        time = now();
        if (!has_begun && time >= begin) {
            has_begun = 1;
            say("begin");
            begin = now();
        }
        if (has_begun) record(&all, time - begins[number_of(&found) % TAGS]);
        call(replies, mode);
    }
    say_end(all.count, time - begin);
    say_latencies(&all);
}

/* ---- events: a confirm makes the next one ---- */

static char note[200];

static void dispatch(double sent, unsigned long total) {
    char event[400];
    int length = snprintf(event, sizeof event,
                          "{\"sent\": \"%.6f\", \"total\": %lu, \"sku\": \"plum\", "
                          "\"note\": \"%s\"}",
                          sent, total, note);
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG,
        .content_type = amqp_cstring_bytes("application/json"),
        .delivery_mode = 2,
    };
    published++;
    publish(connection, "placed", amqp_cstring_bytes("placed"), &properties,
            (amqp_bytes_t){(size_t)length, event});
}

/* Waits until at most so many events are not confirmed. */
static void wait_for_confirms(uint64_t most) {
    static uint64_t confirmed;
    static struct incoming found;
    while (published - confirmed > most) {
        receive(connection, &found);
        confirmed = found.multiple ? found.tag : confirmed + 1;
    }
}

static void run_events(void) {
    uint64_t window = (uint64_t)number_setting("in_flight", 1);
    memset(note, 'x', 40);
    dispatch(0, 0);
    wait_for_confirms(0);
    say("begin");
    double begin = now();
    unsigned long total = 0;
    while (now() < begin + seconds) {
        dispatch(now(), 0);
        total++;
        wait_for_confirms(window - 1);
    }
    dispatch(now(), total + 1);
    wait_for_confirms(0);
    say_end(total + 1, now() - begin);
}

static void run_event(void) {
    memset(note, 'x', 40);
    dispatch(now(), 0);
    wait_for_confirms(0);
    say_end(1, 0);
}

int main(void) {
    read_settings();
    connection = connect_to_broker();
    seconds = number_setting("seconds", 0);
    warm_up = number_setting("warm_up", 0);
    body_length = (size_t)number_setting("payload_size", 100);
    body = malloc(body_length);
    need(body != NULL, "no memory");
    memset(body, 'x', body_length);
    body[0] = body[body_length - 1] = '"';

    const char *job = text_setting("job");
    if (strcmp(job, "rpc") == 0)
        run_calls();
    else if (strcmp(job, "events") == 0)
        run_events();
    else
        run_event();
    for (;;) pause(); /* until the harness ends it: the service must not find its caller gone */
}
