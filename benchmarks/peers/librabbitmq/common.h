/* What the two programs share: settings, a connection, messages, and what they say. */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <amqp.h>
#include <stddef.h>

#define DATA 1     /* the channel of messages */
#define TAGS 65536 /* more messages than are ever under way at once */

/* Ends the program, with a reason for people, unless `condition` holds. */
void need(int condition, const char *what);

/* The settings: the one line of JSON on standard input, flat but for what we do not read. */
void read_settings(void);
const char *text_setting(const char *name);
double number_setting(const char *name, double otherwise);
int is_set(const char *name); /* whether it is true */

/* Returns a connection to the broker of the settings, with one open channel that has confirms. */
amqp_connection_state_t connect_to_broker(void);
void declare_queue(amqp_connection_state_t connection, const char *name);
void check(amqp_connection_state_t connection, const char *what);

/* What the broker sent: a whole delivery, or a confirm. `body` is ours until the next one. */
struct incoming {
    int is_delivery;
    uint64_t tag;
    int multiple;
    amqp_basic_properties_t properties;
    char *body;
    size_t length;
};
void receive(amqp_connection_state_t connection, struct incoming *found);
void publish(amqp_connection_state_t connection, const char *exchange, amqp_bytes_t key,
             const amqp_basic_properties_t *properties, amqp_bytes_t body);

double now(void); /* seconds of the system's monotonic clock */

/* Seconds that were measured, and their percentiles, told to the runner. */
struct latencies {
    double *values;
    size_t count, room;
};
void record(struct latencies *all, double seconds);
void say_latencies(struct latencies *all);
void say_ready(const char *queue);

#endif
