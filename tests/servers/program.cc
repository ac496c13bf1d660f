#include "program.h"

#include <gtest/gtest.h>

#include <iostream>
#include <memory>

namespace carrel::test {
namespace {

std::unique_ptr<PostgresServer> the_postgres;
std::unique_ptr<MariadbServer> the_mariadb;

}  // namespace

PostgresServer& postgres() {
  if (!the_postgres) the_postgres = std::make_unique<PostgresServer>();
  return *the_postgres;
}

MariadbServer& mariadb() {
  if (!the_mariadb) the_mariadb = std::make_unique<MariadbServer>();
  return *the_mariadb;
}

int run_server_tests(std::initializer_list<std::string> missing) {
  for (const std::string& what : missing) {
    if (what.empty()) continue;
    std::cout << "skipped: " << what << " is not installed\n";
    return 77;
  }
  const int code = RUN_ALL_TESTS();
  the_postgres.reset();
  the_mariadb.reset();
  return code;
}

}  // namespace carrel::test
