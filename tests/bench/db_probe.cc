// db_probe NAME [options]: prints one number. As `probe`, for the stores over servers,
// and for what processes share: each starts a server of its own, as one is run (durable),
// below the system's temporary folder, or has a file of its own. Linked to the clients,
// so apart from the probe, whose image is measured.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <thread>

#include "limits/servers.h"
#include "probes/probe.h"
#include "probes/sharing.h"
#include "servers/mariadb.h"
#include "servers/postgres.h"

namespace bench {
namespace {

using carrel::test::MariadbServer;
using carrel::test::PostgresServer;

struct Database {
  virtual ~Database() = default;
  virtual std::string url() const = 0;
};

struct SqliteFile final : Database {
  explicit SqliteFile(const std::string& scratch)
      : folder(std::filesystem::path(scratch) / "file") {
    if (scratch.empty()) throw std::runtime_error("--scratch says where its file may be");
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
  }
  std::filesystem::path folder;
  std::string url() const override { return "sqlite:" + (folder / "jobs.db").string(); }
};

// What its bare client does, too.
struct Server : Database {
  virtual double drain(long jobs, int batch, int history) const = 0;
  virtual double span(long jobs, int batch) const = 0;
  virtual double latency(long jobs, long gap_us) const = 0;
  virtual double statements() const = 0;  // so far, of all
};

struct Postgres final : Server {
  explicit Postgres(PostgresServer::Disk disk) : server(disk) {}
  PostgresServer server;
  std::string connect() const {
    return "host=127.0.0.1 user=carrel dbname=carrel port=" +
           std::to_string(server.port());
  }
  std::string url() const override { return server.tcp_url(); }
  double drain(long jobs, int batch, int history) const override {
    return postgres_drain(connect().c_str(), jobs, batch, history);
  }
  double span(long jobs, int batch) const override {
    return postgres_copy(connect().c_str(), jobs, batch);
  }
  double latency(long jobs, long gap_us) const override {
    return postgres_latency(connect().c_str(), jobs, gap_us);
  }
  double statements() const override {
    return std::stod(server
                         .run("SELECT sum(xact_commit + xact_rollback)"
                              " FROM pg_stat_database WHERE datname = 'carrel'")
                         .at(0));
  }
};

struct Mariadb final : Server {
  explicit Mariadb(MariadbServer::Disk disk) : server(disk) {}
  MariadbServer server;
  std::string url() const override { return server.tcp_url(); }
  double drain(long jobs, int batch, int history) const override {
    return mariadb_drain(server.port(), jobs, batch, history);
  }
  double span(long jobs, int batch) const override {
    return mariadb_insert(server.port(), jobs, batch);
  }
  double latency(long jobs, long gap_us) const override {
    return mariadb_latency(server.port(), jobs, gap_us);
  }
  double statements() const override {
    return std::stod(server
                         .run("SELECT VARIABLE_VALUE FROM"
                              " information_schema.GLOBAL_STATUS"
                              " WHERE VARIABLE_NAME = 'QUESTIONS'")
                         .at(0));
  }
};

// Jobs that wait are claimed and finished: jobs a second, from the start of the worker.
double drain(const std::string& url, const Options& options, bool history) {
  carrel::Config config;
  config.store = url;
  config.worker.concurrency = 2;
  // A claim comes when half of it is done.
  config.worker.prefetch = 2 * options.batch;
  if (!history) config.retention.completed = carrel::Duration{0};
  Countdown done(options.jobs);
  carrel::Engine engine = open(std::move(config));
  must(engine.handle("noop", [](carrel::Context&) {}));
  engine.on_finished([&](const carrel::Event&) { done.one(); });
  enqueue(engine, "noop", nullptr, options.jobs, 1000);
  const Stopwatch watch;
  must(engine.start());
  done.wait();
  const double took = watch.seconds();
  engine.stop(std::chrono::seconds(5));
  return static_cast<double>(options.jobs) / took;
}

// From each of some threads, `batch` a call: jobs a second.
double enqueue_by_threads(const std::string& url, const Options& options) {
  carrel::Config config;
  config.store = url;
  config.role = carrel::Role::kProducer;
  carrel::Engine engine = open(std::move(config));
  must(engine.ignite());
  const std::size_t each = options.jobs / options.threads;
  const Stopwatch watch;
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < options.threads; ++i) {
    threads.emplace_back([&] { enqueue(engine, "noop", nullptr, each, options.batch); });
  }
  threads.clear();
  return static_cast<double>(each * options.threads) / watch.seconds();
}

double latency(const std::string& url, const Options& options) {
  carrel::Config config;
  config.store = url;
  config.worker.concurrency = 2;
  return median_latency(std::move(config), options);
}

// What `probe` measures in a host that has an engine over `url`, beside which it forks.
// Its image has no database's client in it, as that of this program has.
double fork_beside(const std::string& url, const Options& options) {
  const auto probe =
      std::filesystem::read_symlink("/proc/self/exe").replace_filename("probe");
  const std::string command = probe.string() + " fork.beside --jobs " +
                              std::to_string(options.jobs) + " --store '" + url + "'";
  std::FILE* output = popen(command.c_str(), "r");
  if (output == nullptr) throw std::runtime_error("no probe");
  double rate = 0;
  const bool told = std::fscanf(output, "%lf", &rate) == 1;
  if (pclose(output) != 0 || !told) throw std::runtime_error("the probe failed");
  return rate;
}

double processor_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// What `number` grows by in a second beside a worker that has nothing to do.
template <class Number>
double growth_beside_idle(const std::string& url, Number number) {
  constexpr double kSeconds = 10;
  carrel::Config config;
  config.store = url;
  config.worker.concurrency = 2;
  carrel::Engine engine = open(std::move(config));
  must(engine.handle("noop", [](carrel::Context&) {}));
  must(engine.start());
  std::this_thread::sleep_for(std::chrono::seconds(3));  // statistics come late, too
  const double before = number();
  std::this_thread::sleep_for(std::chrono::duration<double>(kSeconds));
  return (number() - before) / kSeconds;
}

// Of any store; nothing: there is no such probe.
std::optional<double> measure_store(const std::string& what, const std::string& url,
                                    const Options& options) {
  if (what == "drain") return drain(url, options, true);
  if (what == "drain_forget") return drain(url, options, false);
  if (what == "enqueue") return enqueue_by_threads(url, options);
  if (what == "fork") return fork_beside(url, options);
  if (what == "bare_fork") return fork_beside("memory:", options);
  if (what == "latency") return latency(url, options);
  if (what == "processes") return drain_by_processes(url, options, false);
  if (what == "shares") return drain_by_processes(url, options, true);
  if (what == "between_processes") return latency_between_processes(url, options);
  if (what == "rescue") return rescue(url, options);
  // In percent of a core.
  if (what == "idle_time") return 100 * growth_beside_idle(url, processor_seconds);
  return std::nullopt;
}

std::optional<double> measure_server(const std::string& what, const Server& server,
                                     const Options& options) {
  const auto jobs = static_cast<long>(options.jobs);
  const auto batch = static_cast<int>(options.batch);
  if (what == "bare_drain") return server.drain(jobs, batch, 1);
  if (what == "bare_drain_forget") return server.drain(jobs, batch, 0);
  if (what == "bare_span") return server.span(jobs, batch);
  if (what == "bare_latency") return server.latency(jobs, options.gap.count());
  if (what == "idle_statements") {  // a second; transactions, of PostgreSQL
    return growth_beside_idle(server.url(), [&] { return server.statements(); });
  }
  return std::nullopt;
}

double measure(const std::string& name, const Options& options) {
  const std::size_t dot = name.find('.');
  const std::string kind = name.substr(0, dot);
  const std::string what = dot == std::string::npos ? "" : name.substr(dot + 1);
  std::optional<double> measured;
  if (kind == "sqlite") {
    measured = measure_store(what, SqliteFile(options.scratch).url(), options);
  } else {
    const std::string missing = kind == "mariadb"      ? MariadbServer::missing()
                                : kind == "postgresql" ? PostgresServer::missing()
                                                       : "such a store";
    if (!missing.empty()) throw std::runtime_error("there is no " + missing);
    std::unique_ptr<Server> server;
    if (kind == "mariadb") {
      server = std::make_unique<Mariadb>(MariadbServer::Disk::kDurable);
    } else {
      server = std::make_unique<Postgres>(PostgresServer::Disk::kDurable);
    }
    measured = measure_store(what, server->url(), options);
    if (!measured) measured = measure_server(what, *server, options);
  }
  if (!measured) throw std::runtime_error("there is no such probe");
  return *measured;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  CLI::App app("Measures one side of a figure of a database.", "db_probe");
  bench::Options options;
  std::string name;
  std::size_t gap_us = 0;
  app.add_option("name", name, "postgresql., mariadb. or sqlite., and what")->required();
  app.add_option("--jobs", options.jobs)->check(CLI::PositiveNumber);
  app.add_option("--batch", options.batch)->check(CLI::PositiveNumber);
  app.add_option("--threads", options.threads)->check(CLI::PositiveNumber);
  app.add_option("--gap-us", gap_us);
  app.add_option("--scratch", options.scratch);
  CLI11_PARSE(app, argc, argv);
  options.gap = std::chrono::microseconds(gap_us);
  try {
    std::printf("%.6g\n", bench::measure(name, options));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: %s\n", name.c_str(), e.what());
    return 1;
  }
}
