#include "sink/vector/embedder.h"

const char *vector_outcome_name(enum vector_outcome o)
{
	switch (o) {
	case VECTOR_OK:
		return "ok";
	case VECTOR_RETRY:
		return "retry";
	case VECTOR_SPLIT:
		return "split";
	case VECTOR_REFUSED:
		return "refused";
	case VECTOR_GONE:
		return "gone";
	case VECTOR_MISMATCH:
		return "mismatch";
	case _VECTOR_OUTCOME_MAX:
		break;
	}
	return "?";
}
