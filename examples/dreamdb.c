#define DREAMDB_IMPLEMENTATION
#include "../dreamdb.h"
