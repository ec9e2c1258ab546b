#define DREAMDB_S3_IMPLEMENTATION
#include "../dreamdb_s3.h"
