/*
 * Questions to the store of resources:
 *
 *   GET /api/v1/resources                     the kinds, their state and figures
 *   GET /api/v1/resources/KIND                objects, a line each; KIND is a plural name, with
 *       ?namespace=NS &index=KEY,KEY &limit=N  its group or without, or "*"
 *   GET /api/v1/resources/KIND/NS/NAME        one object; NS is _cluster where there is none
 *
 * Objects are as the store has them: redacted, filtered. A body that has to be read from
 * the API server first is waited for.
 */
#pragma once

#include "serve/parts.h"

#define RESOURCES_PATH "/api/v1/resources"

void serve_resources(struct serve *s, struct web_client *c, const struct web_request *r);
/* Answers that wait for a body are to be tried again. */
void serve_resources_run(struct serve *s);
