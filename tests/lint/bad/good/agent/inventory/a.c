#include "inventory/a.h"

#include <string.h>

#include "base/str.h"

/*
 * unlike strcpy(), clock_mono() in a comment is fine
 */
void f(void)
{
	my_strcpy(a);
	snprintf(a, 1, "x");
}
