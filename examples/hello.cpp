// hello.cpp - C++17: handles in unique_ptr, errors as exceptions.  Build: cc -c dreamdb.c && c++ -std=c++17 hello.cpp dreamdb.o -lpthread
#include "../dreamdb.h"
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

struct Close {
    void operator()(dreamdb *p) const { dreamdb_close(p); }
    void operator()(dreamdb_snapshot *p) const { dreamdb_snapshot_close(p); }
    void operator()(dreamdb_cursor *p) const { dreamdb_cursor_close(p); }
    void operator()(dreamdb_result *p) const { dreamdb_result_free(p); }
};
template <class T> using Handle = std::unique_ptr<T, Close>;

// Calls f(..., out, &error) and gives what it opened.
template <class T, class F> Handle<T> open(F f)
{
    T *out = nullptr;
    dreamdb_error error{};
    if (f(&out, &error) != DREAMDB_OK) { throw std::runtime_error(error.message); }
    return Handle<T>(out);
}

struct Memory {
    dreamdb_store store{};
    Memory() { if (dreamdb_store_memory(nullptr, &store, nullptr) != DREAMDB_OK) { throw std::bad_alloc(); } }
    ~Memory() { dreamdb_store_close(&store); }
    Memory(const Memory &) = delete;
    Memory &operator=(const Memory &) = delete;
};

int run()
{
    const std::vector<std::string> words = { "cat", "dog", "car", "bus" };
    const std::vector<float> vectors = { 1.0f, 0.1f, 0.0f,  0.9f, 0.3f, 0.1f,  0.0f, 0.2f, 1.0f,  0.1f, 0.4f, 0.9f };
    const std::vector<uint64_t> anchors = { 10, 11, 12, 13 };
    Memory memory;

    dreamdb_config config{};
    config.store = &memory.store;
    dreamdb_field fields[2]{};
    fields[0].name = "vector"; fields[0].kind = DREAMDB_EMBEDDING; fields[0].dim = 3; fields[0].index = DREAMDB_INDEX_LSH; fields[0].bits = 3;
    fields[1].name = "word";   fields[1].kind = DREAMDB_STRING;
    dreamdb_create_desc desc{};
    desc.fields = fields;
    desc.field_count = 2;
    auto db = open<dreamdb>([&](dreamdb **out, dreamdb_error *e) { return dreamdb_create(&config, "words", &desc, out, e); });

    std::vector<dreamdb_slice> slices;
    for (const auto &w : words) { slices.push_back({ w.data(), w.size() }); }
    dreamdb_column columns[2]{};
    columns[0].field = "vector"; columns[0].data = vectors.data();
    columns[1].field = "word";   columns[1].values = slices.data();
    dreamdb_append_desc append{};
    append.columns = columns;
    append.column_count = 2;
    append.count = words.size();
    append.anchors = anchors.data();
    dreamdb_error error{};
    if (dreamdb_append(db.get(), &append, nullptr, &error) != DREAMDB_OK) { throw std::runtime_error(error.message); }

    auto view = open<dreamdb_snapshot>([&](dreamdb_snapshot **out, dreamdb_error *e) { return dreamdb_snapshot_open(db.get(), nullptr, out, e); });
    const char *const names[] = { "word" };
    dreamdb_query query{};
    query.field = "vector";
    query.vectors = vectors.data() + 6;       // car
    query.top_k = 2;
    query.exact = 1;
    query.fields = names;
    query.field_count = 1;
    auto found = open<dreamdb_result>([&](dreamdb_result **out, dreamdb_error *e) { return dreamdb_search(view.get(), &query, out, e); });
    std::string answer;
    for (size_t i = 0; i < found->count; i++) {
        const auto &word = found->hits[i].values[0];
        answer += std::string(static_cast<const char *>(word.data), word.size) + " ";
    }
    std::printf("nearest to car: %s\n", answer.c_str());

    // A range loop over a cursor would be a few lines more; here it is by hand.
    dreamdb_scan scan{};
    scan.fields = names;
    scan.field_count = 1;
    auto cursor = open<dreamdb_cursor>([&](dreamdb_cursor **out, dreamdb_error *e) { return dreamdb_scan_open(view.get(), &scan, out, e); });
    dreamdb_row row{};
    size_t rows = 0;
    while (dreamdb_cursor_next(cursor.get(), &row, &error) == DREAMDB_OK) { rows++; }
    std::printf("%zu rows\n", rows);
    return answer == "car bus " && rows == 4 ? 0 : 1;
}

} // namespace

int main()
{
    try {
        return run();
    } catch (const std::exception &e) {
        std::fprintf(stderr, "hello: %s\n", e.what());
        return 1;
    }
}
