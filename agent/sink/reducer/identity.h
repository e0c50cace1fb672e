/*
 * Who the agent says it is: the handshake's messages, one by one. Pure.
 *
 *     0                 connect, as type 3 (k8s)
 *     1                 report_cpu_cores
 *     2 ...             set_config_label, one a label
 *
 * or with flows, as collectors of the kernel do,
 *
 *     0                 connect, as type 1 (kernel)
 *     1 2 3             os_info, report_cpu_cores, kernel_headers_source
 *     4 ...             set_config_label, one a label; the last is __kernel_version
 *
 * and then
 *
 *     identity_node()   cloud_platform
 *     + 1               set_node_info: applies the labels before it
 *     + 2 ...           private_ipv4_addr or ipv6_addr, one an address
 *     then              metadata_complete, collector_health (with flows that is said
 *                       at the end of the first snapshot)
 */
#pragma once

#include "proto/messages.h"
#include "sink/reducer/session.h"

struct identity_label {
	char *key, *value;
};

struct identity { /* owns everything it holds */
	char *hostname;
	struct identity_label
		labels[SESSION_MAX_LABELS + 1]; /* __kernel_version has its own place */
	uint32_t n_labels;
	struct addr addrs[SESSION_MAX_ADDRS];
	uint32_t n_addrs;
	uint32_t cpu_cores;
	bool kernel; /* flows are on */
	uint8_t flavor;
	char *os_version, *kernel_version;	  /* NULL unless `kernel` */
	char *zone, *instance_type, *instance_id; /* of the Node object; NULL: not known */
	uint16_t cloud;				  /* 0 unknown, 1 aws, 2 gcp */
};

/* A message to send; `m` is the struct of `id` and borrows from the identity. */
struct identity_message {
	uint16_t id;
	union {
		struct wire_connect connect;
		struct wire_report_cpu_cores cpu;
		struct wire_os_info os;
		struct wire_kernel_headers_source headers;
		struct wire_set_config_label label;
		struct wire_cloud_platform cloud;
		struct wire_set_node_info node;
		struct wire_private_ipv4_addr v4;
		struct wire_ipv6_addr v6;
		struct wire_metadata_complete complete;
		struct wire_collector_health health;
	} m;
};

/* Copies; texts over 1 KiB are cut. 0 or -ENOMEM (then identity_done is still due). */
int identity_init(struct identity *i, const struct session_opts *o);
void identity_done(struct identity *i);
/* 0, or -ENOMEM: nothing has changed. */
int identity_set_node(struct identity *i, const struct node *n);

uint32_t identity_messages(const struct identity *i); /* how many there are */
uint32_t identity_node(const struct identity *i);     /* where the Node's own two begin */
void identity_message(const struct identity *i, uint32_t step, struct identity_message *ret);
