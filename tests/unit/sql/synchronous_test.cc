// How safely each connection of the store writes, asked of the connections themselves:
// SQLite shows every one that this process opens to a hook.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "sqlite_files.h"

namespace carrel::test {
namespace {

constexpr int kNormal = 1;  // as PRAGMA synchronous says them
constexpr int kFull = 2;

std::mutex seen_mutex;  // the hook is called in whichever thread opens
std::vector<sqlite3*> seen;

int note(sqlite3* db, const char**, const void*) {
  const std::lock_guard lock(seen_mutex);
  seen.push_back(db);
  return SQLITE_OK;
}

// What SQLite calls with three arguments it takes as a function of none.
auto* const kHook = reinterpret_cast<void (*)()>(&note);

int pragma(sqlite3* db, const char* name) {
  int answer = -1;
  const auto keep = [](void* to, int, char** columns, char**) {
    *static_cast<int*>(to) = std::stoi(columns[0]);
    return 0;
  };
  const std::string sql = std::string("PRAGMA ") + name;
  if (sqlite3_exec(db, sql.c_str(), keep, &answer, nullptr) != SQLITE_OK) {
    throw std::runtime_error(sqlite3_errmsg(db));
  }
  return answer;
}

struct Connections {
  std::vector<int> write;  // `synchronous` of those that can
  std::vector<int> read;   // … and of those that cannot
};

// Those of a store that was opened and written to.
Connections connections(const std::string& query) {
  const TemporaryDirectory place;
  seen.clear();
  sqlite3_auto_extension(kHook);
  auto store = open_url(place.file("jobs.db") + query);
  if (!store) throw std::runtime_error(store.error().message);
  insert_jobs(**store, 3);
  if (!(*store)->monitor().counts()) throw std::runtime_error("counts");
  sqlite3_cancel_auto_extension(kHook);
  std::vector<sqlite3*> all;
  {
    const std::lock_guard lock(seen_mutex);
    all = seen;
  }
  Connections found;
  for (sqlite3* db : all) {
    (pragma(db, "query_only") == 0 ? found.write : found.read)
        .push_back(pragma(db, "synchronous"));
  }
  return found;
}

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::Ge;
using testing::IsEmpty;
using testing::Not;

TEST(SqliteSynchronous, EveryConnectionOfAStoreIsFullByDefault) {
  for (const char* query : {"", "?busy_timeout=7s", "?synchronous=full"}) {
    const Connections found = connections(query);
    EXPECT_THAT(found.write, ElementsAre(kFull)) << query;
    EXPECT_THAT(found.read, AllOf(Not(IsEmpty()), Each(kFull))) << query;
  }
}

// The last to close the file copies the log into it, and may be one that only reads.
TEST(SqliteSynchronous, WhatWritesIsAsTheUrlAsksAndNothingIsLess) {
  Connections found = connections("?synchronous=NORMAL");
  EXPECT_THAT(found.write, ElementsAre(kNormal));
  EXPECT_THAT(found.read, Each(Ge(kNormal)));
  found = connections("?synchronous=OFF");
  EXPECT_THAT(found.write, ElementsAre(0));
}

}  // namespace
}  // namespace carrel::test
