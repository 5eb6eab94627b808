// A chat over TCP: a client's first line is its name; each further line goes to everybody, or, as
// `@NAME text`, to one. Try it with `nc 127.0.0.1 7777`, several times. Ends with standard input.
#include <aloft.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 512, NAME_MAX_BYTES = 31 };

typedef struct guest {
  char name[NAME_MAX_BYTES + 1];
  char line[LINE_MAX_BYTES];
  size_t used;
} guest;

static aloft_runtime *runtime;

// Everybody who has a name. A member that ends leaves by itself.
static aloft_key room(void) { return aloft_key_name("room"); }

static void say(aloft_connection connection, const char *text) {
  aloft_write(connection, text, strlen(text));
}

static void tell_all(const char *who, const char *what) {
  char text[LINE_MAX_BYTES + NAME_MAX_BYTES + 4];
  aloft_message *message;
  int length = snprintf(text, sizeof text, "%s: %s\n", who, what);
  if (aloft_message_create(text, (size_t)length, &message) != 0) return;
  // One copy for all of them, on whichever loop they are.
  aloft_group_broadcast(runtime, room(), message, ALOFT_PRIORITY_NORMAL, NULL);
  aloft_message_release(message);
}

static void tell_one(aloft_connection from, const guest *g, char *text) {
  char whole[LINE_MAX_BYTES + NAME_MAX_BYTES + 16];
  char *space = strchr(text, ' ');
  int length;
  if (space != NULL) *space = '\0';
  length = snprintf(whole, sizeof whole, "%s, to you: %s\n", g->name, space ? space + 1 : "");
  if (aloft_registry_send_bytes(runtime, aloft_key_name(text), whole, (size_t)length,
                                ALOFT_PRIORITY_NORMAL) != 0) {
    say(from, "nobody here has that name\n");
  }
}

static void name_is(aloft_connection connection, guest *g, const char *name) {
  aloft_target self = aloft_target_connection(connection);
  if (name[0] == '\0' || strlen(name) > NAME_MAX_BYTES || strchr(name, ' ') != NULL) {
    say(connection, "a name is a word of up to 31 bytes\n");
  } else if (aloft_registry_register(runtime, aloft_key_name(name), self, NULL) != 0) {
    say(connection, "that name is taken\n");
  } else {
    strcpy(g->name, name);
    aloft_group_join(runtime, room(), self);
    tell_all(name, "is here");
  }
}

static void take_line(aloft_connection connection, guest *g) {
  if (g->name[0] == '\0') name_is(connection, g, g->line);
  else if (g->line[0] == '@') tell_one(connection, g, g->line + 1);
  else tell_all(g->name, g->line);
}

static void on_open(aloft_connection connection, void *context) {
  guest *g = calloc(1, sizeof *g);
  (void)context;
  if (g == NULL || aloft_set_user_data(connection, g) != 0) free(g);
  else say(connection, "who are you?\n");
}

static void on_data(aloft_connection connection, const void *data, size_t length, void *context) {
  guest *g = aloft_user_data(connection);
  (void)context;
  if (g == NULL) return;
  for (const char *at = data; length > 0; at++, length--) {
    if (*at == '\r') continue;
    if (*at != '\n' && g->used + 1 == sizeof g->line) {
      aloft_reset(connection); // who sends no end of a line
      return;
    }
    g->line[g->used++] = *at == '\n' ? '\0' : *at;
    if (*at != '\n') continue;
    take_line(connection, g);
    g->used = 0;
  }
}

static void on_close(aloft_connection connection, int reason, int error, void *context) {
  guest *g = aloft_user_data(connection);
  (void)reason, (void)error, (void)context;
  if (g != NULL && g->name[0] != '\0') tell_all(g->name, "has left");
  free(g);
}

int main(int count, char **words) {
  aloft_runtime_options options = {.struct_size = sizeof options, .event_loops = 2};
  aloft_callbacks callbacks = {.struct_size = sizeof callbacks,
                               .on_open = on_open, .on_data = on_data, .on_close = on_close};
  const char *address = count > 1 ? words[1] : "127.0.0.1:7777";
  if (aloft_runtime_create(&options, &runtime) != 0 ||
      aloft_listen(runtime, address, NULL, &callbacks, NULL, NULL) != 0) {
    fprintf(stderr, "%s\n", aloft_last_error_message());
    return 1;
  }
  printf("chat on %s, until standard input ends\n", address);
  while (getchar() != EOF) continue;
  aloft_runtime_shutdown(runtime, 1000, NULL, NULL);
  aloft_runtime_wait(runtime);
  return aloft_runtime_destroy(runtime) == 0 ? 0 : 1;
}
