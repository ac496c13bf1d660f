// What MariaDB's errors mean, without its client library.
#pragma once

#include <carrel/result.h>

#include <string>

namespace carrel::sql::mariadb {

Code code_of(int error);
bool ends_session(int error);
bool is_conflict(int error);

// What follows a "near" quotes the statement, payloads among it.
std::string essence(std::string message);

}  // namespace carrel::sql::mariadb
