// A snapshot that home puts together piece by piece, in the very memory that libraft writes it
// from: so that no one step of it takes long, however large it is.
#include <stdlib.h>
#include <string.h>

#include "internal.h"

struct aloft__raft_image {
  uint8_t *bytes; // framed
  size_t length;  // of home's own
  size_t room;
};

// Beside home's bytes: their length before them, zeros behind them.
enum { FRAME_ROOM = FRAME_BYTES + 8 };

aloft__raft_image *aloft__raft_image_begin(size_t expected) {
  aloft__raft_image *image = calloc(1, sizeof *image);
  if (image == NULL) { return NULL; }
  image->room = expected > 4096 ? expected : 4096;
  image->bytes = raft_malloc(image->room + FRAME_ROOM);
  if (image->bytes == NULL) {
    free(image);
    return NULL;
  }
  return image;
}

bool aloft__raft_image_add(aloft__raft_image *image, const uint8_t *bytes, size_t length) {
  if (length > image->room - image->length) {
    size_t room = image->room + image->room / 2 + length;
    uint8_t *grown = raft_realloc(image->bytes, room + FRAME_ROOM);
    if (grown == NULL) { return false; }
    image->bytes = grown;
    image->room = room;
  }
  if (length > 0) { memcpy(image->bytes + FRAME_BYTES + image->length, bytes, length); }
  image->length += length;
  return true;
}

void aloft__raft_image_drop(aloft__raft_image *image) {
  raft_free(image->bytes);
  free(image);
}

uint8_t *aloft__raft_image_take(aloft__raft_image *image, size_t *size) {
  uint8_t *bytes = image->bytes;
  *size = aloft__raft_frame_around(bytes, image->length);
  free(image);
  return bytes;
}
