// Asks a redis server what stands on standard input, a command a line (`INCR n`), over four pooled
// connections at once, and prints the answers, of a line each, as they come.
#include <aloft.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct redis {
  aloft_connection connection;
  uint32_t slot;
  int is_open, is_ending;
  aloft_lease lease;
  char *command; // that is being asked
} redis;

static aloft_runtime *runtime; // with one loop: all but main runs there, and needs no lock
static aloft_pool *pool;
static const char *upstream;
static sem_t answers;

static void answered(char *command, const char *failure) {
  if (failure != NULL) puts(failure);
  free(command);
  sem_post(&answers);
}

static void leased(int status, aloft_lease lease, void *resource, void *context) {
  redis *r = resource;
  if (status != 0) {
    answered(context, aloft_strerror(status));
    return;
  }
  r->lease = lease;
  r->command = context;
  if (aloft_write(r->connection, r->command, strlen(r->command)) == 0) return;
  r->command = NULL; // the server has gone while nobody used it
  aloft_pool_return(pool, lease, ALOFT_LEASE_BROKEN);
  answered(context, "lost");
}

static void ask(int status, void *command) {
  if (status != 0) answered(command, aloft_strerror(status));
  else aloft_pool_lease(pool, 5000, leased, command);
}

static void on_open(aloft_connection connection, void *context) {
  redis *r = context;
  r->connection = connection;
  r->is_open = 1;
  aloft_pool_opened(pool, r->slot, r);
}

static void on_data(aloft_connection connection, const void *data, size_t length, void *context) {
  redis *r = context;
  (void)connection;
  fwrite(data, 1, length, stdout);
  if (((const char *)data)[length - 1] != '\n' || r->command == NULL) return;
  answered(r->command, NULL);
  r->command = NULL;
  aloft_pool_return(pool, r->lease, ALOFT_LEASE_SOUND);
}

static void on_close(aloft_connection connection, int reason, int error, void *context) {
  redis *r = context;
  (void)connection, (void)reason, (void)error;
  if (!r->is_open) aloft_pool_open_failed(pool, r->slot);
  if (r->is_ending) aloft_pool_closed(pool, r->slot);
  if (r->is_open && !r->is_ending) {
    r->is_ending = 1; // close_one frees it
    if (r->command == NULL) return;
    answered(r->command, "lost");
    aloft_pool_return(pool, r->lease, ALOFT_LEASE_BROKEN);
  } else {
    free(r);
  }
}

static void open_one(aloft_pool *of, uint32_t slot, uint32_t number, void *context) {
  aloft_callbacks callbacks = {.struct_size = sizeof callbacks, .on_open = on_open,
                               .on_data = on_data, .on_close = on_close};
  redis *r = calloc(1, sizeof *r);
  (void)number, (void)context;
  if (r != NULL) r->slot = slot;
  if (r != NULL && aloft_connect(runtime, upstream, NULL, NULL, &callbacks, r, NULL) == 0) return;
  free(r);
  aloft_pool_open_failed(of, slot);
}

static void close_one(aloft_pool *of, uint32_t slot, void *resource, void *context) {
  redis *r = resource;
  (void)context;
  if (!r->is_ending) {
    r->is_ending = 1;
    aloft_close(r->connection); // and on_close
  } else {
    free(r);
    aloft_pool_closed(of, slot);
  }
}

int main(int count, char **words) {
  aloft_pool_options options = {.struct_size = sizeof options, .size = 4};
  aloft_pool_callbacks callbacks = {sizeof callbacks, open_one, close_one, NULL, NULL};
  char line[512];
  unsigned asked = 0;
  upstream = count > 1 ? words[1] : "127.0.0.1:6379";
  if (sem_init(&answers, 0, 0) != 0 || aloft_runtime_create(NULL, &runtime) != 0 ||
      aloft_pool_create(runtime, 0, &options, &callbacks, NULL, &pool) != 0) return 1;
  for (; fgets(line, sizeof line, stdin) != NULL; asked++) {
    char *command = strdup(line);
    while (aloft_execute(runtime, 0, ask, command) == ALOFT_EAGAIN) sem_wait(&answers), asked--;
  }
  while (asked-- > 0) sem_wait(&answers);
  aloft_runtime_shutdown(runtime, 1000, NULL, NULL);
  aloft_runtime_wait(runtime);
  aloft_pool_destroy(pool, 0, NULL, NULL);
  return aloft_runtime_destroy(runtime) == 0 ? 0 : 1;
}
