// A child that was forked beside event loops: it is told that it has none, whichever thread forked,
// it ends at once, it passes no descriptor on by exec, and its parent doesn't notice.
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

static aloft_runtime *runtime;
static aloft_listener listener;
static aloft_mailbox mailbox;
static aloft_connection client;
static char address[ALOFT_ADDRESS_SIZE];
static latch opened = LATCH_INIT(1), echoed = LATCH_INIT(2);

static int on_message(aloft_mailbox box, aloft_message *message, void *context) {
  (void)box, (void)message, (void)context;
  latch_down(&echoed);
  return 0;
}

static void serve(aloft_connection connection, const void *data, size_t length, void *context) {
  (void)context;
  OK(aloft_write(connection, data, length));
}

static void on_open(aloft_connection connection, void *context) {
  (void)connection, (void)context;
  latch_down(&opened);
}

static void on_data(aloft_connection connection, const void *data, size_t length, void *context) {
  (void)connection, (void)data, (void)length, (void)context;
  latch_down(&echoed);
}

static void dial(void *argument) {
  static const aloft_callbacks callbacks = {
      .struct_size = sizeof callbacks, .on_open = on_open, .on_data = on_data};
  (void)argument;
  OK(aloft_connect(runtime, address, NULL, NULL, &callbacks, NULL, &client));
}

static void nothing(int status, void *context) { (void)status, (void)context; }

// What a child hears that calls all the same. It never comes back from there.
static void child(int by_exit) {
  aloft_runtime *made;
  alarm(60); // should it wait for a thread that it hasn't
  EXPECT(ALOFT_ESHUTDOWN, aloft_execute(runtime, 0, nothing, NULL));
  CHECK(strstr(aloft_last_error_message(), "forked") != NULL);
  EXPECT(ALOFT_ESHUTDOWN, aloft_loop_index(runtime));
  EXPECT(ALOFT_ESHUTDOWN, aloft_listen(runtime, address, NULL, NULL, NULL, NULL));
  EXPECT(ALOFT_ESHUTDOWN, aloft_runtime_shutdown(runtime, 0, NULL, NULL));
  EXPECT(ALOFT_ESHUTDOWN, aloft_runtime_wait(runtime));
  EXPECT(ALOFT_ESHUTDOWN, aloft_runtime_create(NULL, &made));
  EXPECT(ALOFT_ESHUTDOWN, aloft_runtime_destroy(runtime));
  CHECK(aloft_write(client, "x", 1) < 0);
  CHECK(aloft_mailbox_send_bytes(mailbox, "x", 1, ALOFT_PRIORITY_NORMAL) < 0);
  if (by_exit) exit(0); // what runs at exit must not wait either
  _exit(0);
}

static void join(pid_t pid) {
  int status = -1;
  CHECK(pid > 0);
  CHECK(waitpid(pid, &status, 0) == pid);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void fork_here(void *argument) {
  pid_t pid = fork();
  if (pid == 0) child(argument != NULL);
  join(pid);
}

// The count of the descriptors that a program has which a child becomes.
static int passed_on(void) {
  int status = -1;
  pid_t pid = fork();
  if (pid == 0) {
    execl("/bin/sh", "sh", "-c", "exit $(ls /proc/self/fd | wc -l)", (char *)NULL);
    _exit(127);
  }
  CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
  CHECK(WEXITSTATUS(status) >= 3 && WEXITSTATUS(status) < 100);
  return WEXITSTATUS(status);
}

static void speak(void *argument) {
  (void)argument;
  OK(aloft_write(client, "x", 1));
}

int main(void) {
  aloft_runtime_options options = {.struct_size = sizeof options, .event_loops = 2};
  aloft_callbacks callbacks = {.struct_size = sizeof callbacks, .on_data = serve};
  aloft_mailbox_callbacks box = {.struct_size = sizeof box, .on_message = on_message};
  int before = passed_on();
  OK(aloft_runtime_create(&options, &runtime));
  OK(aloft_listen(runtime, "127.0.0.1:0", NULL, &callbacks, NULL, &listener));
  OK(aloft_listener_address(runtime, listener, address, sizeof address));
  OK(aloft_mailbox_open(runtime, 1, NULL, &box, NULL, &mailbox));
  on_loop(runtime, 0, dial, NULL);
  latch_wait(&opened);
  for (int i = 0; i < 4; i++) {
    fork_here(NULL);
    fork_here(&options);
    on_loop(runtime, 0, fork_here, NULL);
    on_loop(runtime, 1, fork_here, &options);
  }
  CHECK(passed_on() == before);
  on_loop(runtime, 0, speak, NULL);
  OK(aloft_mailbox_send_bytes(mailbox, "x", 1, ALOFT_PRIORITY_NORMAL));
  latch_wait(&echoed);
  OK(aloft_runtime_destroy(runtime));
  puts("fork: ok");
  return 0;
}
