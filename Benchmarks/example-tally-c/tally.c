#include <aloft.h>
#include <stdio.h>
#include <string.h>

// Called on the mailbox's own event loop, one message at a time; what is counted needs no lock.
static int on_message(aloft_mailbox mailbox, aloft_message *message, void *context) {
  unsigned *count = context;
  (void)mailbox;
  printf("%u %.*s", ++*count, (int)aloft_message_length(message),
         (const char *)aloft_message_data(message));
  return 0;
}

int main(void) {
  aloft_mailbox_callbacks callbacks = {.struct_size = sizeof callbacks, .on_message = on_message};
  aloft_key name = aloft_key_name("tally");
  aloft_runtime *runtime;
  aloft_mailbox mailbox;
  unsigned count = 0;
  char line[256];
  if (aloft_runtime_create(NULL, &runtime) != 0) goto failed;
  if (aloft_mailbox_open(runtime, 0, NULL, &callbacks, &count, &mailbox) != 0) goto failed;
  if (aloft_registry_register(runtime, name, aloft_target_mailbox(mailbox), NULL) != 0) goto failed;
  // From any thread, by name.
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (aloft_registry_send_bytes(runtime, name, line, strlen(line), 1) != 0) goto failed;
  }
  aloft_mailbox_close(mailbox, 1); // what was sent is handed out first
  aloft_runtime_shutdown(runtime, 5000, NULL, NULL);
  aloft_runtime_wait(runtime);
  return aloft_runtime_destroy(runtime) == 0 ? 0 : 1;

failed:
  fprintf(stderr, "%s\n", aloft_last_error_message());
  return 1;
}
