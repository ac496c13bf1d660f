#include "postgres.h"

#include <libpq-fe.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <thread>

namespace carrel::test {
namespace {

namespace fs = std::filesystem;

// Where distributions put the programs, the newest version first.
std::string program(const std::string& name) {
  std::string best;
  int best_version = 0;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", error)) {
    const std::string version = entry.path().filename().string();
    const fs::path path = entry.path() / "bin" / name;
    if (fs::exists(path, error) && std::atoi(version.c_str()) > best_version) {
      best_version = std::atoi(version.c_str());
      best = path.string();
    }
  }
  return best;
}

}  // namespace

std::string PostgresServer::missing() {
  return program("postgres").empty() ? "the PostgreSQL server (package postgresql-15)"
                                     : "";
}

PostgresServer::PostgresServer(Disk disk, const ServerOptions& options)
    : folder_(make_server_folder("pg", options.within)) {
  const std::string data = (folder_ / "data").string();
  run_as_server({program("initdb"), "-D", data, "-U", "carrel", "-A", "trust", "-E",
                 "UTF8", "--locale=C", "--no-sync", "--no-instructions"});
  port_ = free_port();
  std::vector<std::string> command = {program("postgres"),
                                      "-D",
                                      data,
                                      "-p",
                                      std::to_string(port_),
                                      "-k",
                                      folder_.string(),
                                      "-c",
                                      "listen_addresses=127.0.0.1",
                                      "-c",
                                      "max_connections=200"};
  const std::vector<std::string> careless = {"fsync=off", "full_page_writes=off"};
  const std::vector<std::string> durable = {"shared_buffers=256MB", "max_wal_size=2GB"};
  for (const std::string& setting : disk == Disk::kCareless ? careless : durable) {
    command.insert(command.end(), {"-c", setting});
  }
  if (options.own_clock) command = clock_.emplace(folder_).around(std::move(command));
  server_ = std::make_unique<Guarded>(folder_, "INT", command);
  wait_until_ready();
  run("CREATE DATABASE carrel");
}

PostgresServer::~PostgresServer() = default;

std::string PostgresServer::url() const {
  std::string host;
  for (const char c : folder_.string()) host += c == '/' ? "%2F" : std::string(1, c);
  return "postgresql://carrel@" + host + ":" + std::to_string(port_) + "/carrel";
}

std::string PostgresServer::tcp_url(int port) {
  return "postgresql://carrel@127.0.0.1:" + std::to_string(port) + "/carrel";
}

void PostgresServer::start() {
  // After a kill -9 the server's children may hold its memory a little longer.
  for (int tries = 1;; ++tries) {
    server_->start();
    try {
      return wait_until_ready();
    } catch (const std::exception&) {
      if (tries == 50) throw;
      server_->stop("KILL");
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  }
}

void PostgresServer::make_standby() const {
  std::ofstream(folder_ / "data" / "standby.signal");
}

void PostgresServer::wait_until_ready() {
  const std::string connect = "host='" + folder_.string() +
                              "' port=" + std::to_string(port_) +
                              " user=carrel dbname=postgres";
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (PQping(connect.c_str()) != PQPING_OK) {
    if (std::chrono::steady_clock::now() > until || !server_->running()) {
      throw std::runtime_error("PostgreSQL did not start: " + server_->log());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

std::vector<std::string> PostgresServer::run(const std::string& sql) const {
  const bool in_carrel = !sql.starts_with("CREATE DATABASE");
  const std::string connect =
      "host='" + folder_.string() + "' port=" + std::to_string(port_) +
      " user=carrel dbname=" + (in_carrel ? "carrel" : "postgres") +
      " options='-c client_min_messages=error'";
  const std::unique_ptr<PGconn, decltype(&PQfinish)> connection(
      PQconnectdb(connect.c_str()), &PQfinish);
  const std::unique_ptr<PGresult, decltype(&PQclear)> result(
      PQexec(connection.get(), sql.c_str()), &PQclear);
  const ExecStatusType status = PQresultStatus(result.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
    throw std::runtime_error(sql + ": " + PQerrorMessage(connection.get()));
  }
  std::vector<std::string> rows;
  for (int i = 0; i < PQntuples(result.get()); ++i) {
    rows.emplace_back(PQgetvalue(result.get(), i, 0));
  }
  return rows;
}

}  // namespace carrel::test
