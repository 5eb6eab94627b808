// A plain libuv echo server, as libuv's own guide writes it: a buffer allocated per read, one
// uv_write request per reply, both freed when the write is done. It is the figure that a libuv
// program has without further thought.
//
// Options: --listen IP:PORT (port 0 lets the kernel choose), --busy-poll (never sleeps).
// It prints `ready PORT`, answers the line `stats` on standard input with one line of JSON, and
// leaves when standard input closes.
#include <arpa/inet.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <uv.h>

enum { BACKLOG = 4096 };

struct write_request {
  uv_write_t request;
  uv_buf_t buffer;
};

static uv_loop_t *loop;
static uv_pipe_t input;
static unsigned long accepted, closed, messages;

static void check(int result, const char *what) {
  if (result >= 0) return;
  fprintf(stderr, "%s: %s\n", what, uv_strerror(result));
  exit(1);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
  (void)handle;
  buffer->base = malloc(suggested);
  buffer->len = buffer->base == NULL ? 0 : suggested;
}

static void on_closed(uv_handle_t *handle) {
  closed += 1;
  free(handle);
}

static void client_close(uv_stream_t *client) {
  if (!uv_is_closing((uv_handle_t *)client)) uv_close((uv_handle_t *)client, on_closed);
}

static void on_written(uv_write_t *request, int status) {
  struct write_request *write = (struct write_request *)request;
  if (status < 0) client_close(request->handle);
  free(write->buffer.base);
  free(write);
}

static void on_read(uv_stream_t *client, ssize_t length, const uv_buf_t *buffer) {
  if (length > 0) {
    messages += 1;
    struct write_request *write = malloc(sizeof *write);
    if (write != NULL) {
      write->buffer = uv_buf_init(buffer->base, (unsigned)length);
      if (uv_write(&write->request, client, &write->buffer, 1, on_written) == 0) return;
      free(write);
    }
  }
  free(buffer->base);
  if (length != 0) client_close(client);
}

static void on_connection(uv_stream_t *server, int status) {
  if (status < 0) return;
  uv_tcp_t *client = malloc(sizeof *client);
  if (client == NULL) return;
  check(uv_tcp_init(loop, client), "uv_tcp_init");
  accepted += 1;
  if (uv_accept(server, (uv_stream_t *)client) == 0) {
    uv_tcp_nodelay(client, 1);
    uv_read_start((uv_stream_t *)client, on_alloc, on_read);
  } else {
    client_close((uv_stream_t *)client);
  }
}

// Answers each line of standard input; the end of it ends the server.
static void on_input(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer) {
  (void)stream;
  if (length < 0) exit(0);
  for (ssize_t i = 0; i < length; i++) {
    if (buffer->base[i] != '\n') continue;
    printf("{\"connections\":%lu,\"accepted\":%lu,\"closed\":%lu,\"reads\":%lu}\n",
           accepted - closed, accepted, closed, messages);
  }
  fflush(stdout);
  free(buffer->base);
}

static unsigned listen_on(uv_tcp_t *server, const char *text) {
  char ip[64];
  const char *colon = strrchr(text, ':');
  struct sockaddr_in address;
  if (colon == NULL || (size_t)(colon - text) >= sizeof ip) check(UV_EINVAL, "--listen");
  memcpy(ip, text, (size_t)(colon - text));
  ip[colon - text] = '\0';
  check(uv_ip4_addr(ip, atoi(colon + 1), &address), "--listen");
  check(uv_tcp_init(loop, server), "uv_tcp_init");
  check(uv_tcp_bind(server, (const struct sockaddr *)&address, 0), "uv_tcp_bind");
  check(uv_listen((uv_stream_t *)server, BACKLOG, on_connection), "uv_listen");
  int length = sizeof address;
  check(uv_tcp_getsockname(server, (struct sockaddr *)&address, &length), "uv_tcp_getsockname");
  return ntohs(address.sin_port);
}

int main(int argc, char **argv) {
  const char *address = "127.0.0.1:0";
  bool busy_poll = false;
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--listen") == 0 && i + 1 < argc) address = argv[++i];
    else if (strcmp(argv[i], "--busy-poll") == 0) busy_poll = true;
    else {
      fprintf(stderr, "usage: floor-uv [--listen IP:PORT] [--busy-poll]\n");
      return 2;
    }
  }
  signal(SIGPIPE, SIG_IGN);
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  loop = uv_default_loop();
  uv_tcp_t server;
  unsigned port = listen_on(&server, address);
  // A file or /dev/null as standard input can't be watched: then only a signal ends the server.
  if (uv_guess_handle(0) == UV_NAMED_PIPE && uv_pipe_init(loop, &input, 0) == 0
      && uv_pipe_open(&input, 0) == 0)
    uv_read_start((uv_stream_t *)&input, on_alloc, on_input);
  printf("ready %u\n", port);
  fflush(stdout);
  if (!busy_poll) return uv_run(loop, UV_RUN_DEFAULT);
  while (uv_run(loop, UV_RUN_NOWAIT)) {
  }
  return 0;
}
