// The databases' own clients, as a host has one that does not use SOCI: parameters are
// bound, none is written into the text.
#pragma once

#include <carrel/sql_transaction.h>

#include <memory>
#include <string>
#include <vector>

namespace carrel::test {

// One connection, of one thread. Closing it rolls back what was not committed.
class HostClient {
 public:
  virtual ~HostClient() = default;
  // The first column of the rows; there is none but that. Throws what the database says,
  // and where the statement has not as many places as parameters.
  virtual std::vector<std::string> run(const sql::SqlStatement& statement) = 0;
};

std::unique_ptr<HostClient> sqlite_client(const std::string& file);
// PQexecParams: all as text, and no types are said, for the statement says them.
std::unique_ptr<HostClient> postgresql_client(const std::string& connect);
// The binary protocol: each parameter by its type.
std::unique_ptr<HostClient> mariadb_client(int port);

}  // namespace carrel::test
