// The words for codes and reasons, from the same lists that make them.
#include <string.h>
#include "aloft.h"

const char *aloft_strerror(int code) {
  switch (code) {
  case ALOFT_OK: return "success";
#define TEXT(name, value, text) case value: return text;
    ALOFT_ERRNO_MAP(TEXT)
#undef TEXT
  }
  const char *text = code < 0 && code >= ALOFT_ERRNO_MIN ? strerrordesc_np(-code) : NULL;
  return text != NULL ? text : "unknown error";
}

const char *aloft_err_name(int code) {
  switch (code) {
  case ALOFT_OK: return "OK";
#define NAME(name, value, text) case value: return #name;
    ALOFT_ERRNO_MAP(NAME)
#undef NAME
  }
  const char *name = code < 0 && code >= ALOFT_ERRNO_MIN ? strerrorname_np(-code) : NULL;
  return name != NULL ? name : "EUNKNOWN";
}

const char *aloft_close_reason_text(int reason) {
  switch (reason) {
#define TEXT(name, value, text) case value: return text;
    ALOFT_CLOSED_MAP(TEXT)
#undef TEXT
  }
  return "unknown reason";
}

#define ALOFT__TEXT_(x) #x
#define ALOFT__TEXT(x) ALOFT__TEXT_(x)

uint32_t aloft_version(void) { return ALOFT_VERSION; }

const char *aloft_version_string(void) {
  return ALOFT__TEXT(ALOFT_VERSION_MAJOR) "." ALOFT__TEXT(ALOFT_VERSION_MINOR) "." ALOFT__TEXT(
      ALOFT_VERSION_PATCH);
}
