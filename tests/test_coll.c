/* test_coll.c - room coll: the sorts against insertion, the set helpers against a walk, the map against a list; memory that fails. */
#include "test.h"

typedef struct pair { uint32_t key, place; } pair;
static int by_key(const void *a, const void *b, void *user)
{
    const pair *x = (const pair *)a, *y = (const pair *)b;
    ++*(long *)user;
    return x->key < y->key ? -1 : x->key > y->key;
}

static bool stable(const pair *p, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (p[i - 1].key > p[i].key || (p[i - 1].key == p[i].key && p[i - 1].place > p[i].place)) { return false; }
    }
    return true;
}

static void sorts_are_stable(void)
{
    static pair items[4000];
    for (int round = 0; round < 600; round++) {
        size_t count = (size_t)(test_rand() % (round < 500 ? 70 : 4000));
        uint32_t keys = 1 + (uint32_t)(test_rand() % 50);
        uint64_t sum = 0, after = 0;
        long calls = 0;
        for (size_t i = 0; i < count; i++) {
            items[i].key = round % 5 == 0 ? (uint32_t)i : round % 5 == 1 ? (uint32_t)(count - i) : (uint32_t)(test_rand() % keys);
            items[i].place = (uint32_t)i;
            sum += items[i].key * 977u + items[i].place * items[i].place;
        }
        CHECK(ddb_coll_sort(test_ctx(), items, count, sizeof *items, by_key, &calls) == DREAMDB_OK);
        for (size_t i = 0; i < count; i++) { after += items[i].key * 977u + items[i].place * items[i].place; }
        CHECK(stable(items, count) && sum == after);
        CHECK(round % 5 != 0 || calls == (count > 0 ? (long)count - 1 : 0));      /* sorted already: one look, no memory */
        CHECK(calls <= (long)(count * 14 + 1));
        CHECK_EQ_U64(test_live_bytes(), 0);
    }
}

static int bytes_of(const void *a, const void *b, void *user) { return memcmp(a, b, *(size_t *)user); }

/* Elements of odd sizes: nothing of a neighbour is touched. */
static void sorts_of_odd_sizes(void)
{
    for (size_t size = 1; size < 40; size++) {
        size_t count = 61;
        uint8_t *data = (uint8_t *)malloc(count * size + 1), *copy = (uint8_t *)malloc(count * size);
        if (!data || !copy) { exit(1); }
        for (size_t i = 0; i < count * size; i++) { data[i] = (uint8_t)test_rand(); }
        data[count * size] = 0x5a;
        memcpy(copy, data, count * size);
        CHECK(ddb_coll_sort(test_ctx(), data, count, size, bytes_of, &size) == DREAMDB_OK && data[count * size] == 0x5a);
        for (size_t i = 0; i < count; i++) {                 /* each old element is there as often as before; neighbours in order */
            size_t before = 0, now = 0;
            for (size_t k = 0; k < count; k++) {
                before += memcmp(copy + k * size, data + i * size, size) == 0;
                now += memcmp(data + k * size, data + i * size, size) == 0;
            }
            CHECK(before == now && (i == 0 || memcmp(data + (i - 1) * size, data + i * size, size) <= 0));
        }
        free(data); free(copy);
    }
}

static void numbers_sort(void)
{
    static uint64_t values[3000], copy[3000];
    for (int round = 0; round < 400; round++) {
        size_t count = (size_t)(test_rand() % (round < 300 ? 60 : 3000)), n = 0, shift = (size_t)(test_rand() % 64);
        for (size_t i = 0; i < count; i++) { values[i] = copy[i] = round % 3 ? test_rand() >> shift : test_rand() << shift; }
        if (count > 2 && round % 4 == 0) { values[0] = copy[0] = UINT64_MAX; values[1] = copy[1] = 0; }
        for (size_t i = 1; i < count && round < 300; i++) {  /* insertion */
            uint64_t v = copy[i];
            size_t at = i;
            for (; at > 0 && copy[at - 1] > v; at--) { copy[at] = copy[at - 1]; }
            copy[at] = v;
        }
        CHECK(ddb_coll_sort_u64(test_ctx(), values, count) == DREAMDB_OK);
        for (size_t i = 1; i < count; i++) { CHECK(values[i - 1] <= values[i]); }
        if (round < 300 && count > 0) { CHECK_BYTES(values, copy, count * 8); }
        for (int look = 0; look < 20; look++) {
            uint64_t x = look < 2 ? (look ? UINT64_MAX : 0) : look % 2 && count > 0 ? values[test_rand() % count] : test_rand() >> shift;
            size_t want = 0;
            while (want < count && values[want] < x) { want++; }
            CHECK_EQ_U64(ddb_coll_lower_u64(values, count, x), want);
        }
        memcpy(copy, values, count * 8);
        for (size_t i = 0; i < count; i++) { if (n == 0 || copy[n - 1] != copy[i]) { copy[n++] = copy[i]; } }
        CHECK_EQ_U64(ddb_coll_unique_u64(values, count), n);
        if (n > 0) { CHECK_BYTES(values, copy, n * 8); }
    }
    CHECK_EQ_U64(test_live_bytes(), 0);
}

/* A map against a plain list of the keys put so far. */
static void maps_keep_the_first_value(void)
{
    static const size_t sizes[] = { 1, 3, 7, 8, 9, 16, 33, 40 };
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        enum { MANY = 700 };
        static uint8_t keys[MANY][40];
        static uint64_t values[MANY];
        size_t count = 0, size = sizes[s];
        ddb_map map;
        memset(&map, 0, sizeof map);
        map.key_size = size;
        CHECK(ddb_coll_map_get(&map, keys[0]) == NULL);      /* empty, no memory yet */
        for (int put = 0; put < 2 * MANY && count < MANY; put++) {
            uint8_t key[40];
            uint64_t *slot = NULL, value = test_rand();
            bool is_new = false;
            size_t at = 0;
            memset(key, 0, sizeof key);
            for (size_t i = 0; i < size; i++) { key[i] = (uint8_t)(test_rand() % (size < 4 ? 256 : 2)); }     /* alike keys: clusters */
            while (at < count && memcmp(keys[at], key, size) != 0) { at++; }
            CHECK(ddb_coll_map_put(test_ctx(), &map, key, value, &slot, &is_new) == DREAMDB_OK);
            CHECK(is_new == (at == count) && slot && *slot == (is_new ? value : values[at]));
            if (at == count) { memcpy(keys[count], key, sizeof key); values[count++] = value; }
            if (slot && put % 7 == 0) { *slot = values[at] = value + 1; }
        }
        CHECK(map.count == count && map.count * 2 <= map.cap + 1);
        for (size_t i = 0; i < count; i++) {
            uint64_t *found = ddb_coll_map_get(&map, keys[i]);
            CHECK(found && *found == values[i]);
        }
        CHECK(ddb_coll_map_put(test_ctx(), &map, keys[0], 1, NULL, NULL) == DREAMDB_OK);
        ddb_coll_map_free(test_ctx(), &map);
        CHECK(map.count == 0 && ddb_coll_map_get(&map, keys[0]) == NULL);
        ddb_coll_map_free(test_ctx(), &map);
        CHECK_EQ_U64(test_live_bytes(), 0);
    }
}

/* No memory: the list keeps all its elements, the map all that it had. */
static void no_memory(void)
{
    pair items[9];
    uint64_t values[9];
    long calls = 0;
    for (uint32_t i = 0; i < 9; i++) { items[i].key = 9 - i; items[i].place = i; values[i] = 9 - i; }
    test_fail_alloc_at(1);
    CHECK(ddb_coll_sort(test_ctx(), items, 9, sizeof *items, by_key, &calls) == DREAMDB_ERR_MEMORY);
    CHECK(test_error.status == DREAMDB_ERR_MEMORY);
    test_fail_alloc_at(1);
    CHECK(ddb_coll_sort_u64(test_ctx(), values, 9) == DREAMDB_ERR_MEMORY);
    for (uint32_t i = 0; i < 9; i++) { CHECK(items[i].key == 9 - i && values[i] == 9 - i); }
    for (long n = 1; n < 18; n++) {
        ddb_map map;
        memset(&map, 0, sizeof map);
        map.key_size = 4;
        uint32_t good = 0;
        test_fail_alloc_at(n);
        for (uint32_t key = 0; key < 500; key++) {
            dreamdb_status status = ddb_coll_map_put(test_ctx(), &map, &key, key, NULL, NULL);
            if (status < 0) { CHECK(status == DREAMDB_ERR_MEMORY && test_error.status == DREAMDB_ERR_MEMORY); break; }
            good++;
        }
        test_fail_alloc_at(0);
        CHECK(n > 15 ? good == 500 : good == (n <= 3 ? 0u : 16u << (n - 1) / 3));
        for (uint32_t key = 0; key < good; key++) { CHECK(ddb_coll_map_get(&map, &key) && *ddb_coll_map_get(&map, &key) == key); }
        CHECK(ddb_coll_map_put(test_ctx(), &map, &good, 7, NULL, NULL) == DREAMDB_OK);      /* and goes on */
        ddb_coll_map_free(test_ctx(), &map);
        CHECK_EQ_U64(test_live_bytes(), 0);
    }
}

int main(void)
{
    RUN(sorts_are_stable);
    RUN(sorts_of_odd_sizes);
    RUN(numbers_sort);
    RUN(maps_keep_the_first_value);
    RUN(no_memory);
    return test_end("coll");
}
