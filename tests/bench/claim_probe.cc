// claim_probe STORE.p50|STORE.rate|STORE.ratio [options]: prints one number: the median
// time of a claim in microseconds, or jobs claimed a second, on a store that holds what
// the options say; or how much longer a claim takes there than in an empty one, the two
// asked in turns and neither waiting for the disk, so that a few percent can be told.
// STORE: sqlite, postgresql or mariadb, durable; the servers are its own.
//
// Claims are made one after the other through the store's own source, as a worker's feed
// does; what they took is finished between them, and not counted.
#include <sched.h>
#include <sqlite3.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>

#include "probes/probe.h"
#include "servers/mariadb.h"
#include "servers/postgres.h"

namespace bench {
namespace {

using carrel::test::MariadbServer;
using carrel::test::PostgresServer;

struct Sizes {
  std::size_t claims = 300;
  std::size_t batch = 1;     // jobs a claim
  std::size_t finished = 0;  // final rows, of other jobs
  std::size_t waiting = 0;   // jobs that wait beside those that are claimed
  std::size_t held = 0;      // jobs that wait for one key
  std::size_t keys = 0;      // the claimed jobs have limits, by so many keys
  std::size_t past = 0;      // jobs with a limit and a rate that have ended before
  bool wait = false;         // for a line of input, between filling and claiming
};

// What is left of a database's difference: how it is filled fast. The jobs look as the
// engine's do; a day's history, and no results.
struct Database {
  std::string url;
  std::function<void(const std::string& sql)> run;
  // FROM clause of the numbers i from 1 to n, and microseconds since 1970.
  std::function<std::string(std::size_t)> numbers;
  std::string now;
  std::vector<std::string> then;  // what the server does by itself before long
  bool keeps_history_apart = true;
};

void run_sqlite(const std::string& file, const std::string& sql) {
  sqlite3* db = nullptr;
  char* error = nullptr;
  const bool ok = sqlite3_open(file.c_str(), &db) == SQLITE_OK &&
                  sqlite3_exec(db, sql.c_str(), nullptr, nullptr, &error) == SQLITE_OK;
  const std::string message = error != nullptr ? error : "cannot be opened";
  sqlite3_free(error);
  sqlite3_close(db);
  if (!ok) throw std::runtime_error(file + ": " + message);
}

Database sqlite(const std::string& scratch, const std::string& name = "claim",
                const std::string& options = "") {
  const auto folder = std::filesystem::path(scratch) / name;
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  const std::string file = (folder / "jobs.db").string();
  return {"sqlite:" + file + options,
          [file](const std::string& sql) { run_sqlite(file, sql); },
          [](std::size_t n) {
            return "(WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r"
                   " WHERE i < " +
                   std::to_string(n) + ") SELECT i FROM r) AS r";
          },
          "CAST((julianday('now') - 2440587.5) * 86400000000 AS BIGINT)",
          {},
          false};
}

Database postgresql(const PostgresServer& server) {
  return {server.tcp_url(),
          [&](const std::string& sql) { server.run(sql); },
          [](std::size_t n) {
            return "generate_series(1, " + std::to_string(n) + ") AS r(i)";
          },
          "(extract(epoch FROM now()) * 1000000)::bigint",
          {"VACUUM ANALYZE carrel_history", "VACUUM ANALYZE carrel_jobs", "CHECKPOINT"}};
}

Database mariadb(const MariadbServer& server) {
  return {server.tcp_url(),
          [&](const std::string& sql) { server.run(sql); },
          [](std::size_t n) {
            return "(SELECT seq AS i FROM seq_1_to_" + std::to_string(n) + ") AS r";
          },
          "CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)",
          {"ANALYZE TABLE carrel_history", "ANALYZE TABLE carrel_jobs"}};
}

// Ids far above those that the store hands out.
constexpr const char* kFirstId = "1000000000000";

void fill(const Database& db, const Sizes& sizes) {
  if (sizes.finished > 0) {
    const std::string table = db.keeps_history_apart ? "carrel_history" : "carrel_jobs";
    db.run("INSERT INTO " + table +
           " (id, state, queue, kind, priority, attempt, max_attempts, crashes,"
           " cancel_requested, fence, finished_fence, wake_at, enqueued_at, run_at,"
           " started_at, ended_at, timeout_us, claim_number, worker, payload)"
           " SELECT " +
           kFirstId + " + i, 5, 'default', 'noop', 0, 1, 25, 0, 0, 1, 1, " + db.now +
           " + 86400000000 + i, " + db.now + ", " + db.now + ", " + db.now + ", " +
           db.now + ", 0, 1, 'host:1:0123456789abcdef', 'null' FROM " +
           db.numbers(sizes.finished));
    db.run("INSERT INTO carrel_tally (queue, state, jobs) VALUES ('default', 5, " +
           std::to_string(sizes.finished) + ")");
  }
  if (sizes.waiting > 0) {
    db.run(
        "INSERT INTO carrel_jobs (id, state, queue, kind, priority, max_attempts,"
        " enqueued_at, run_at, timeout_us, payload) SELECT 2 * " +
        std::string(kFirstId) + " + i, 2, 'default', 'noop', 0, 25, " + db.now + ", " +
        db.now + ", 0, 'null' FROM " + db.numbers(sizes.waiting));
  }
  for (const std::string& sql : db.then) db.run(sql);
}

void insert(carrel::Store& store, std::size_t jobs,
            const std::function<void(std::size_t, carrel::NewJob&)>& make) {
  std::vector<carrel::NewJob> span;
  for (std::size_t i = 0; i < jobs; ++i) {
    span.emplace_back();
    span.back().kind = "noop";
    span.back().payload = "null";
    make(i, span.back());
    if (span.size() < 1000 && i + 1 < jobs) continue;
    for (auto& answer : store.insert(span, std::chrono::minutes(1))) {
      must(std::move(answer));
    }
    span.clear();
  }
}

class Claims {
 public:
  explicit Claims(carrel::Store& store) : store_(store), source_(store.claim_source()) {}

  // How many jobs it got; how long that took is noted.
  std::size_t claim(std::size_t most) {
    static const std::vector<std::string> kinds = {"noop"};
    const Stopwatch watch;
    auto runs = must(source_->claim({{}, kinds, most}, "worker", ++number_,
                                    std::chrono::hours(1), carrel::Duration{0}));
    took_.push_back(watch.seconds());
    taken_ = std::move(runs);
    return taken_.size();
  }
  void finish() {
    std::vector<carrel::Finish> ends(taken_.size());
    for (std::size_t i = 0; i < ends.size(); ++i) {
      ends[i].lease = taken_[i].lease;
      ends[i].result = "null";
    }
    for (auto& answer : store_.finish(ends)) must(std::move(answer));
  }
  std::vector<double> took() { return std::exchange(took_, {}); }

 private:
  carrel::Store& store_;
  std::unique_ptr<carrel::ClaimSource> source_;
  std::uint64_t number_ = 0;
  std::vector<carrel::Claimed> taken_;
  std::vector<double> took_;
};

carrel::Engine open_producer(const Database& db) {
  carrel::Config config;
  config.store = db.url;
  config.role = carrel::Role::kProducer;
  carrel::Engine engine = open(std::move(config));
  must(engine.ignite());
  return engine;
}

// Nothing of them waits or runs, but what rates are counted by is there for the hour.
void live_through(const Database& db, std::size_t jobs) {
  carrel::Engine engine = open_producer(db);
  Claims claims(engine.store());
  insert(engine.store(), jobs, [](std::size_t i, carrel::NewJob& job) {
    job.limit = carrel::Limit{"key-" + std::to_string(i % 100), 100};
    job.rate =
        carrel::Rate{"key-" + std::to_string(i % 100), 10'000, std::chrono::hours(1)};
  });
  while (claims.claim(100) > 0) claims.finish();
}

double median(std::vector<double> took) {
  std::nth_element(took.begin(), took.begin() + took.size() / 2, took.end());
  return took[took.size() / 2];
}

// Where the thread that writes is woken, beside who claims or on the other processor, is a
// matter of chance that lasts as long as the thread, and decides more than what it does.
void keep_to_one_processor() {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  if (sched_setaffinity(0, sizeof one, &one) != 0) {
    throw std::runtime_error("no processor to keep to");
  }
}

double compare(const Database& ours, const Database& empty, const Sizes& sizes) {
  struct Side {
    explicit Side(const Database& db)
        : engine(open_producer(db)), claims(engine.store()) {}
    carrel::Engine engine;
    Claims claims;
  };
  live_through(ours, sizes.past);
  Side a(ours), b(empty);
  constexpr std::size_t kWarm = 100;
  for (Side* side : {&a, &b}) {
    insert(side->engine.store(), sizes.claims + kWarm, [](std::size_t, auto&) {});
  }
  for (const Database* db : {&ours, &empty}) {
    for (const std::string& sql : db->then) db->run(sql);
  }
  for (std::size_t i = 0; i < sizes.claims + kWarm; ++i) {
    if (i == kWarm) {
      a.claims.took();
      b.claims.took();
    }
    for (Side* side : i % 2 == 0 ? std::array{&a, &b} : std::array{&b, &a}) {
      if (side->claims.claim(1) == 0) throw std::runtime_error("nothing to claim");
      side->claims.finish();
    }
  }
  return median(a.claims.took()) / median(b.claims.took());
}

double measure(const Database& db, const Sizes& sizes, bool rate) {
  carrel::Engine engine = open_producer(db);
  carrel::Store& store = engine.store();
  Claims claims(store);
  if (sizes.held > 0) {  // the first of them runs all the time
    insert(store, sizes.held + 1, [](std::size_t, carrel::NewJob& job) {
      job.limit = carrel::Limit{"one", 1};
    });
    if (claims.claim(1) != 1) throw std::runtime_error("nothing runs of the key");
  }
  constexpr std::size_t kWarm = 20;  // claims, that do not count
  const std::size_t jobs = (sizes.claims + kWarm) * sizes.batch;
  insert(store, jobs, [&](std::size_t i, carrel::NewJob& job) {
    if (sizes.keys == 0) return;
    job.limit = carrel::Limit{"key-" + std::to_string(i % sizes.keys), 1000};
  });
  fill(db, sizes);
  if (sizes.wait) {
    std::fprintf(stderr, "filled\n");
    std::getchar();
  }
  for (std::size_t i = 0; i < kWarm; ++i) {
    if (claims.claim(sizes.batch) > 0) claims.finish();
  }
  claims.took();
  std::size_t claimed = 0;
  for (std::size_t i = 0; i < sizes.claims; ++i) {
    const std::size_t got = claims.claim(sizes.batch);
    if (got == 0) throw std::runtime_error("there is nothing to claim");
    claimed += got;
    claims.finish();
  }
  std::vector<double> took = claims.took();
  if (rate) {
    double all = 0;
    for (const double one : took) all += one;
    return static_cast<double>(claimed) / all;
  }
  return median(std::move(took)) * 1e6;
}

double measure(const std::string& name, const std::string& scratch, const Sizes& sizes) {
  const std::size_t dot = name.find('.');
  const std::string store = name.substr(0, dot);
  const std::string what = dot == std::string::npos ? "" : name.substr(dot + 1);
  if (what != "p50" && what != "rate" && what != "ratio")
    throw std::runtime_error("there is no such probe");
  const auto there = [](const std::string& missing) {
    if (!missing.empty()) throw std::runtime_error("there is no " + missing);
  };
  if (store == "sqlite") {
    if (what == "ratio") {
      keep_to_one_processor();
      const std::string off = "?synchronous=OFF";
      return compare(sqlite(scratch, "ours", off), sqlite(scratch, "empty", off), sizes);
    }
    return measure(sqlite(scratch), sizes, what == "rate");
  }
  if (store == "postgresql") {
    there(PostgresServer::missing());
    if (what == "ratio") {
      const PostgresServer ours(PostgresServer::Disk::kCareless);
      const PostgresServer empty(PostgresServer::Disk::kCareless);
      return compare(postgresql(ours), postgresql(empty), sizes);
    }
    const PostgresServer server(PostgresServer::Disk::kDurable);
    return measure(postgresql(server), sizes, what == "rate");
  }
  if (store == "mariadb") {
    there(MariadbServer::missing());
    if (what == "ratio") {
      const MariadbServer ours(MariadbServer::Disk::kCareless);
      const MariadbServer empty(MariadbServer::Disk::kCareless);
      return compare(mariadb(ours), mariadb(empty), sizes);
    }
    const MariadbServer server(MariadbServer::Disk::kDurable);
    return measure(mariadb(server), sizes, what == "rate");
  }
  throw std::runtime_error("there is no such store");
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  CLI::App app("Measures claims on a store that holds much.", "claim_probe");
  bench::Sizes sizes;
  std::string name;
  std::string scratch;
  app.add_option("name", name, "sqlite., postgresql. or mariadb.; p50, rate or ratio")
      ->required();
  app.add_option("--claims", sizes.claims);
  app.add_option("--batch", sizes.batch)->check(CLI::PositiveNumber);
  app.add_option("--finished", sizes.finished);
  app.add_option("--waiting", sizes.waiting);
  app.add_option("--held", sizes.held);
  app.add_option("--keys", sizes.keys);
  app.add_option("--past", sizes.past);
  app.add_flag("--wait", sizes.wait,
               "When the store is filled, wait for a line of input to begin");
  app.add_option("--scratch", scratch)->required();
  CLI11_PARSE(app, argc, argv);
  try {
    std::printf("%.6g\n", bench::measure(name, scratch, sizes));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: %s\n", name.c_str(), e.what());
    return 1;
  }
}
