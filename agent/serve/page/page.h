/*
 * The page at `/` of the data API: one file without outside resources, put together from
 * the files of this folder by the assembler. It holds no data: it may be read without a
 * token, and asks the API with the one that is typed in.
 *
 * Its Content-Security-Policy allows this style and this script alone, by their hashes,
 * requests to this agent alone, and no text to become markup or script.
 */
#pragma once

struct serve;
struct web_client;
struct web_request;

#define PAGE_PATH "/"

void serve_page(struct serve *s, struct web_client *c, const struct web_request *r);
