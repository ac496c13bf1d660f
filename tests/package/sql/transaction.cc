// A host that has rows of its own beside the jobs, against the installed package.
#include <carrel/engine.h>
#include <carrel/sql_transaction.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <iostream>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string file = argv[1];
  carrel::Config config;
  config.store = "sqlite:" + file;
  auto engine = carrel::Engine::open(std::move(config)).value();
  (void)engine.handle("greet", [&](carrel::Context& job) -> carrel::Result<carrel::Json> {
    soci::session db(soci::sqlite3, "dbname=\"" + file + "\" timeout=10");
    db << "BEGIN IMMEDIATE";
    if (auto ok = carrel::sql::complete(job, db, "hello"); !ok) {
      return tl::unexpected(ok.error());
    }
    db << "COMMIT";
    return carrel::Json();
  });
  if (auto ok = engine.ignite(); !ok) {
    std::cerr << ok.error().message << "\n";
    return 1;
  }
  soci::session db(soci::sqlite3, "dbname=\"" + file + "\" timeout=10");
  db << "BEGIN IMMEDIATE";
  const auto job = carrel::sql::enqueue(engine, db, "greet");
  if (!job) {
    std::cerr << job.error().message << "\n";
    return 1;
  }
  db << "COMMIT";
  const auto report = engine.drain();
  const auto result = engine.wait(job->id, carrel::Duration{0});
  std::cout << (result ? result->dump() : result.error().message) << "\n";
  return report && report->completed == 1 && result && *result == "hello" ? 0 : 1;
}
