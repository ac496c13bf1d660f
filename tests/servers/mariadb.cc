#include "mariadb.h"

#include <mysql.h>

#include <chrono>
#include <stdexcept>
#include <thread>

namespace carrel::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kServer = "/usr/sbin/mariadbd";
constexpr const char* kInstall = "/usr/bin/mariadb-install-db";

}  // namespace

std::string MariadbServer::missing() {
  std::error_code error;
  const bool there = fs::exists(kServer, error) && fs::exists(kInstall, error);
  return there ? "" : "the MariaDB server (package mariadb-server)";
}

MariadbServer::MariadbServer(Disk disk, const ServerOptions& options)
    : folder_(make_server_folder("my", options.within)) {
  const std::string data = (folder_ / "data").string();
  // A server that starts removes all temporary tables of its tmpdir, another's too.
  const fs::path tmp = folder_ / "tmp";
  run_as_server({"/bin/mkdir", tmp.string()});
  const std::string tmpdir = "--tmpdir=" + tmp.string();
  // It makes the log at once, whatever its size.
  const std::string log_size =
      std::string("--innodb-log-file-size=") + (disk == Disk::kDurable ? "512M" : "16M");
  run_as_server({kInstall, "--no-defaults", "--datadir=" + data, "--skip-test-db",
                 "--auth-root-authentication-method=normal", tmpdir, log_size});
  port_ = free_port();
  std::vector<std::string> command = {
      kServer,
      "--no-defaults",
      "--datadir=" + data,
      tmpdir,
      "--socket=" + (folder_ / "socket").string(),
      "--pid-file=" + (folder_ / "pid").string(),
      "--bind-address=127.0.0.1",
      "--port=" + std::to_string(port_),
      "--skip-name-resolve",
      "--max-connections=200",
      log_size,
  };
  if (disk == Disk::kCareless) {
    command.insert(command.end(),
                   {"--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=nosync",
                    "--innodb-buffer-pool-size=64M"});
  } else {
    command.insert(command.end(), {"--innodb-buffer-pool-size=256M"});
  }
  if (options.own_clock) command = clock_.emplace(folder_).around(std::move(command));
  server_ = std::make_unique<Guarded>(folder_, "TERM", command);
  wait_until_ready();
  run_as("root",
         "CREATE USER carrel@'%'; GRANT ALL ON *.* TO carrel@'%';"
         "CREATE DATABASE carrel",
         nullptr);
}

MariadbServer::~MariadbServer() = default;

std::string MariadbServer::url(const std::string& database) const {
  return "mysql://carrel@localhost/" + database +
         "?socket=" + (folder_ / "socket").string();
}

std::string MariadbServer::tcp_url(int port) {
  return "mysql://carrel@127.0.0.1:" + std::to_string(port) + "/carrel";
}

void MariadbServer::start() {
  server_->start();
  wait_until_ready();
}

bool MariadbServer::answers() const {
  MYSQL* connection = mysql_init(nullptr);
  const bool connected =
      mysql_real_connect(connection, nullptr, "root", nullptr, nullptr, 0,
                         (folder_ / "socket").c_str(), 0) != nullptr;
  // Of the accounts, the first start has none but root.
  const bool there = connected || mysql_errno(connection) == 1045;
  mysql_close(connection);
  return there;
}

void MariadbServer::wait_until_ready() {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!answers()) {
    if (std::chrono::steady_clock::now() > until || !server_->running()) {
      throw std::runtime_error("MariaDB did not start: " + server_->log());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

std::vector<std::string> MariadbServer::run(const std::string& sql,
                                            const std::string& database) const {
  return run_as("carrel", sql, database.c_str());
}

std::vector<std::string> MariadbServer::run_as(const char* user, const std::string& sql,
                                               const char* database) const {
  const std::unique_ptr<MYSQL, decltype(&mysql_close)> connection(mysql_init(nullptr),
                                                                  &mysql_close);
  int status =
      mysql_real_connect(connection.get(), nullptr, user, nullptr, database, 0,
                         (folder_ / "socket").c_str(), CLIENT_MULTI_STATEMENTS) != nullptr
          ? mysql_real_query(connection.get(), sql.data(), sql.size())
          : 1;
  std::vector<std::string> rows;
  while (status == 0) {
    const std::unique_ptr<MYSQL_RES, decltype(&mysql_free_result)> result(
        mysql_store_result(connection.get()), &mysql_free_result);
    rows.clear();
    while (result != nullptr) {
      MYSQL_ROW row = mysql_fetch_row(result.get());
      if (row == nullptr) break;
      rows.emplace_back(row[0] != nullptr ? row[0] : "");
    }
    status = mysql_next_result(connection.get());
  }
  if (status > 0) throw std::runtime_error(sql + ": " + mysql_error(connection.get()));
  return rows;
}

}  // namespace carrel::test
