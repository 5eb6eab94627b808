#include <aloft.h>
#include <stdio.h>

// Called on the connection's own event loop, with bytes that are good until it returns.
static void on_data(aloft_connection connection, const void *data, size_t length, void *context) {
  (void)context;
  aloft_write(connection, data, length);
}

int main(int count, char **words) {
  const char *address = count > 1 ? words[1] : "127.0.0.1:7777";
  aloft_runtime_options options = {.struct_size = sizeof options, .event_loops = 2};
  aloft_callbacks callbacks = {.struct_size = sizeof callbacks, .on_data = on_data};
  aloft_runtime *runtime;
  if (aloft_runtime_create(&options, &runtime) != 0) goto failed;
  if (aloft_listen(runtime, address, NULL, &callbacks, NULL, NULL) != 0) goto failed;
  printf("echo on %s, until standard input ends\n", address);
  while (getchar() != EOF) {
  }
  aloft_runtime_shutdown(runtime, 5000, NULL, NULL);
  aloft_runtime_wait(runtime);
  return aloft_runtime_destroy(runtime) == 0 ? 0 : 1;

failed:
  fprintf(stderr, "%s\n", aloft_last_error_message());
  return 1;
}
