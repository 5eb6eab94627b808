// The same checks for the header of clusters.
#include "aloft_node.h"

#define SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type " has changed its size")
#define AT(type, field, offset) \
  _Static_assert(offsetof(type, field) == (offset), #type "." #field " has moved")

SIZE(aloft_node_key, 16);
SIZE(aloft_node_certificate, 24);
SIZE(aloft_call, 8);
SIZE(aloft_request, 24);
SIZE(aloft_node_options, 136);
AT(aloft_node_options, name, 8);
AT(aloft_node_options, data_directory, 16);
AT(aloft_node_options, keys, 24);
AT(aloft_node_options, seeds, 32);
AT(aloft_node_options, keys_count, 40);
AT(aloft_node_options, listen, 48);
AT(aloft_node_options, certificate, 80);
AT(aloft_node_options, weight, 88);
AT(aloft_node_options, loop, 100);
AT(aloft_node_options, disk_reserve_bytes, 112);
AT(aloft_node_options, flags, 120);
AT(aloft_node_options, session_listen, 128);
SIZE(aloft_node_event, 56);
AT(aloft_node_event, kind, 8);
AT(aloft_node_event, incarnation, 16);
AT(aloft_node_event, address, 40);
AT(aloft_node_event, reason, 48);
SIZE(aloft_node_callbacks, 64);
AT(aloft_node_callbacks, on_event, 8);
AT(aloft_node_callbacks, on_call, 16);
AT(aloft_node_callbacks, on_stopped, 32);
AT(aloft_node_callbacks, on_message, 40);
AT(aloft_node_callbacks, on_undelivered, 56);
SIZE(aloft_node_status, 56);
AT(aloft_node_status, node, 8);
AT(aloft_node_status, incarnation, 16);
AT(aloft_node_status, is_member, 40);
AT(aloft_node_status, members, 48);
SIZE(aloft_node_member, 72);
AT(aloft_node_member, node, 8);
AT(aloft_node_member, name, 24);
AT(aloft_node_member, weight, 48);
AT(aloft_node_member, is_suspected, 68);
SIZE(aloft_node_statistics, 120);
AT(aloft_node_statistics, links, 8);
AT(aloft_node_statistics, heartbeats_received, 112);
SIZE(aloft_session_options, 48);
AT(aloft_session_options, durability, 8);
AT(aloft_session_options, lifetime_ms, 24);
AT(aloft_session_options, keys_max, 40);
SIZE(aloft_session_result, 72);
AT(aloft_session_result, id, 8);
AT(aloft_session_result, version, 16);
AT(aloft_session_result, state, 48);
AT(aloft_session_result, phase, 64);
SIZE(aloft_client_state, 24);
AT(aloft_client_state, kind, 8);
AT(aloft_client_state, reason, 16);
SIZE(aloft_client_options, 72);
AT(aloft_client_options, addresses, 8);
AT(aloft_client_options, on_state, 32);
AT(aloft_client_options, addresses_count, 48);
AT(aloft_client_options, flags, 64);
SIZE(aloft_session_field, 24);
SIZE(aloft_attachment_callbacks, 24);
AT(aloft_attachment_callbacks, on_event, 8);
AT(aloft_attachment_callbacks, on_ended, 16);
SIZE(aloft_attachment, 8);
SIZE(aloft_session_handler, 48);
AT(aloft_session_handler, on_started, 8);
AT(aloft_session_handler, on_published, 24);
AT(aloft_session_handler, on_stopped, 40);
