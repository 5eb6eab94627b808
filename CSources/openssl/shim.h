#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

/* Macros that Swift does not see, as functions. */

static inline int aloft__ssl_only_1_3(SSL_CTX *context) {
  return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
         SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1;
}

/* What a memory BIO holds, where it lies. */
static inline long aloft__bio_contents(BIO *bio, char **start) {
  return BIO_get_mem_data(bio, start);
}

static inline int aloft__bio_reset(BIO *bio) { return (int)BIO_reset(bio); }

/* Writes may move on to another buffer of the same bytes, and take a part of them. */
static inline void aloft__ssl_modes(SSL_CTX *context) {
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
}

static inline int aloft__ssl_add_chain(SSL_CTX *context, X509 *certificate) {
  return (int)SSL_CTX_add1_chain_cert(context, certificate);
}
