/*
 * Pods and workloads of the inventory, in bounded pages.
 *
 *   GET /api/v1/pods[?namespace=&workload=&node=&limit=&continue=]
 *       {"pods": [{namespace, name, uid, node, phase, host_network, workload: {kind, name,
 *       uid, end}, owners, addresses, containers}], "continue": TOKEN}
 *   GET /api/v1/workloads, with `kind=`, too
 *       {"workloads": [{namespace, kind, name, uid, pods, running, containers}], "continue"}
 *
 * namespace, workload, kind and node are names; '*' stands for anything in them. `limit`:
 * PODS_LIMIT, at most PODS_LIMIT_MAX. `continue` is absent from the last page. workload.end:
 * "top"; or why the chain ends before: "no_owner", "not_seen", "not_readable", "cycle".
 *
 * Pods come in no order, and each that is there all the time comes once; a token is good
 * as long as the agent runs (else 410). Workloads come sorted by namespace, kind, name.
 * A page is looked for in slices of PODS_SLICE pods, so that nothing else waits for it; what
 * changes meanwhile may be in it or not. Deleted pods are not.
 */
#pragma once

#include "serve/parts.h"

#define PODS_LIMIT     500
#define PODS_LIMIT_MAX 5000
#define PODS_SLICE     1024

void serve_pods(struct serve *s, struct web_client *c, const struct web_request *r);
void serve_workloads(struct serve *s, struct web_client *c, const struct web_request *r);
