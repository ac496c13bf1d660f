// A worker of its own, killed at named points: its handler writes to the host's table and
// completes its job in one transaction. Linked to no database: its sessions load their
// client themselves.
//
//   transaction_worker STORE ISOLATION BACKEND CONNECT
//
// Says "ready" when it takes jobs; ends with its stdin.
#include <carrel/sql_transaction.h>
#include <soci/soci.h>
#include <unistd.h>

#include <csignal>
#include <iostream>
#include <memory>
#include <string>

namespace {

pid_t worker = 0;  // this process, also as its forked children know it
std::string backend;
std::string connect;

// The process's own: in a forked child, made there.
soci::session& db() {
  static const auto session = std::make_unique<soci::session>(backend, connect);
  return *session;
}

void die(const std::string& where, const carrel::Context& job) {
  const std::string at = job.job().payload;
  if (at == "\"child always\"") ::kill(::getpid(), SIGSEGV);
  if (job.attempt() > 1) return;
  if (at == "\"child " + where + "\"") ::kill(::getpid(), SIGKILL);
  if (at == "\"worker " + where + "\"") {
    ::kill(worker, SIGKILL);
    for (;;) ::pause();  // a forked child hears of it soon
  }
}

carrel::Result<carrel::Json> charge(carrel::Context& job) {
  db().begin();
  try {
    const auto id = static_cast<long long>(carrel::value(job.job().lease.id));
    db() << "INSERT INTO ledger (job) VALUES (:job)", soci::use(id, "job");
    carrel::Json result = {{"charged", id}};
    if (job.args() == "too long") result = std::string(2U << 20, 'x');
    if (auto ok = carrel::sql::complete(job, db(), result); !ok) {
      db().rollback();
      return tl::unexpected(ok.error());
    }
    die("before", job);
    db().commit();
  } catch (...) {
    db().rollback();
    throw;
  }
  die("after", job);
  return carrel::Json();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  worker = ::getpid();
  backend = argv[3];
  connect = argv[4];
  carrel::Config config;
  config.store = argv[1];
  config.defaults.isolation = argv[2];
  config.defaults.retry.base = std::chrono::milliseconds(1);
  config.defaults.retry.max_crashes = 3;
  config.worker.concurrency = 1;
  config.worker.lease = std::chrono::seconds(1);
  config.worker.beat = std::chrono::milliseconds(100);
  config.worker.poll = std::chrono::milliseconds(100);
  config.log.level = carrel::LogLevel::kError;
  auto engine = carrel::Engine::open(std::move(config));
  if (!engine) {
    std::cerr << engine.error().message << "\n";
    return 1;
  }
  (void)engine->handle("charge", charge);
  if (auto ok = engine->start(); !ok) {
    std::cerr << ok.error().message << "\n";
    return 1;
  }
  std::cout << "ready" << std::endl;
  std::string line;
  while (std::getline(std::cin, line)) {
  }
  engine->stop(std::chrono::seconds(10));
}
